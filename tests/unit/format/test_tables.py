from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from blixard.format.layout import ImageRow
from blixard.format.sink import Sink
from blixard.format.tables import Tables


def row(records: int) -> ImageRow:
    return ImageRow(vm="v", disk="d", size_bytes=1, records=records, data_bytes=1, stored_bytes=1, at=1, tail=1)


@pytest.mark.parametrize("spill", [2, 1 << 20])
@pytest.mark.parametrize("counts", [[], [0], [1], [0, 3, 0], [40_000, 1, 20_000]])
def test_lengths_come_back_image_by_image(spill: int, counts: list[int]) -> None:
    tables = Tables(spill)
    for count in counts:
        for number in range(count):
            tables.add_length(number + 1)
        tables.add_image(row(count))
    found = [b"".join(pieces) for pieces in tables.lengths()]
    rows = [json.loads(text) for text in tables.rows()]
    tables.close()

    assert [len(json.loads(b"[" + text + b"]")) for text in found] == counts
    assert all(text.startswith(b"1,2,3") for text in found if text.count(b",") > 2)
    assert [one["records"] for one in rows] == counts


def test_what_does_not_fit_goes_into_the_folder_that_was_named(tmp_path: Path) -> None:
    tables = Tables(2, str(tmp_path / "missing"))

    with pytest.raises(FileNotFoundError, match="missing"):
        tables.add_image(row(0))
    tables.close()


@pytest.mark.parametrize("compress", [False, True])
def test_a_sink_knows_its_offset_before_anything_was_handed_over(*, compress: bool) -> None:
    out = io.BytesIO()
    sink = Sink(out, compress=compress, level=1)
    sink.text(b"abc")
    cut = sink.cut()
    sink.stored(b"stored")
    assert out.getvalue() == b""
    sink.flush()

    assert out.getvalue()[cut:] == b"stored"
    assert sink.offset == len(out.getvalue())


def test_a_cut_of_nothing_makes_no_member() -> None:
    sink = Sink(io.BytesIO(), compress=True, level=1)

    assert sink.cut() == sink.cut() == 0
