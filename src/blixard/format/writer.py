"""Writes an export document front to back into anything that has `write`.

Text of the state is made one VM at a time and never held. Records come as stored lines that worker threads encoded
(`records.encode_record`); one is held back, because the last of an image has no comma, also when a disk fails half way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, BinaryIO

from blixard.closing import Closing
from blixard.errors import InternalError, LimitExceeded
from blixard.format.digests import LinesDigest, SectionDigests, image_digest, record_line
from blixard.format.envelope import end_member
from blixard.format.layout import ImageRow
from blixard.format.records import encode_record
from blixard.format.sink import Sink
from blixard.format.state_text import encode, pretty, write_state
from blixard.format.tables import Tables
from blixard.limits import DEFAULT, GZIP_LEVEL, KIB, Limits
from blixard.model.canonical import canonical
from blixard.model.structs import (
    Consistency,
    ExportHead,
    ImageHead,
    ImageTail,
    Integrity,
    JsonObject,
    Record,
    Vm,
)

_END_OF_RECORDS = b"    ], "
_WHY_CHARS = 4 * KIB
_PLACES = {
    "telemetry": "telemetry",
    "images_at": "images",
    "integrity": "integrity",
    "record_tables": "record_tables",
}
"""The keys of `index` that say where sections stand, in the order in which they are written."""


class ExportWriter(Closing):
    """One document. Call in this order; telemetry and images may be left out.

    `write_state`; `begin_telemetry`, `telemetry`...; `begin_images`, for each image `begin_image`, `write_record`...,
    `end_image`; `finish`.

    Args:
        sink: only `write` is called.
        compress: gzip.
        gzip_level: isal's gzip level, 0 to 3.
        layout: write `record_tables` and `index` when there are images.
        integrity: write `integrity`.
        limits: only `spill_bytes` and `telemetry_element_bytes` are looked at.
        spill_to: the folder of temporary files; None is the system's.
    """

    def __init__(
        self,
        sink: BinaryIO,
        *,
        compress: bool,
        gzip_level: int = GZIP_LEVEL,
        layout: bool = True,
        integrity: bool = True,
        limits: Limits = DEFAULT,
        spill_to: str | None = None,
    ) -> None:
        self._sink = Sink(sink, compress=compress, level=gzip_level)
        self._gzip_level = gzip_level
        self._layout = layout
        self._with_integrity = integrity
        self._limits = limits
        self._digests = SectionDigests()
        self._tables = Tables(limits.spill_bytes, spill_to)
        self._telemetry: _Telemetry | None = None
        self._images: list[str] | None = None
        self._sections: dict[str, int] = {}
        self._image: _Image | None = None

    def close(self) -> None:
        """Give temporary files back. Does not finish the document."""
        self._tables.close()

    @property
    def stored_bytes(self) -> int:
        """Bytes of the document so far, as stored; after `finish`, all of them."""
        return self._sink.offset

    def write_state(self, head: ExportHead, vms: Iterable[Vm]) -> None:
        """Write the eight keys, and unknown ones behind them.

        Args:
            head: `metadata.node_count` and `vm_count` are filled in when they are None.
            vms: ascending by name.

        Raises:
            InternalError: VMs do not ascend.
        """
        write_state(self._sink, self._digests, head, vms)

    def begin_telemetry(self) -> None:
        """Elements of `telemetry` follow."""
        self._section("telemetry")
        self._telemetry = _Telemetry()
        self._sink.text(b"{")

    def telemetry(self, key: str, element: JsonObject) -> None:
        """Write one element; all of one key come one after the other.

        Raises:
            LimitExceeded: no reader takes an element so large; split it.
            InternalError: `key` was there before, and another since.
        """
        text = encode(element)
        if len(text) > self._limits.telemetry_element_bytes:
            raise LimitExceeded(
                f"an element of `telemetry.{key}` has {len(text)} bytes: over `telemetry_element_bytes`"
            )
        if self._telemetry is None:
            raise InternalError("telemetry was not begun")
        self._sink.text(self._telemetry.before(key) + text)
        self._telemetry.lines.add(canonical(element) + b"\n")

    def begin_images(self) -> None:
        """Images follow; without any, the section is empty."""
        self._end_telemetry()
        self._section("images")
        self._images = []
        self._sink.text(b"[")

    def begin_image(self, head: ImageHead) -> None:
        """The records of an image follow."""
        if self._images is None or self._image is not None:
            raise InternalError("an image was begun out of order")
        keys = {"vm": head.vm, "disk": head.disk, "format": str(head.format), "size_bytes": head.size_bytes}
        before = b",\n    " if self._images else b"\n    "
        self._sink.text(before + _one_line(keys)[:-1] + b', "records": [\n')
        self._image = _Image(keys, self._sink.cut())

    def write_record(self, record: Record, frame: bytes | memoryview | None, line: tuple[bytes, ...]) -> None:
        """Write a record; `line` is what `encode_record` made of it."""
        image = self._open_image()
        self._release(image)
        image.held = (record, frame, line)
        image.lines.add(record_line(record))
        image.records += 1
        image.data_bytes += 0 if record.offset is None else record.length

    def end_image(self, *, consistency: Consistency | None = None, failed: str | None = None) -> ImageTail:
        """The image is complete, or it failed: exactly one of the two is given."""
        image = self._open_image()
        if (consistency is None) == (failed is None):
            raise InternalError("an image has either a consistency or a failure")
        self._release(image, last=True)
        stored = self._sink.offset - image.at
        self._sink.text(_END_OF_RECORDS)
        tail_at = self._sink.cut()
        keys: dict[str, Any] = {"data_bytes": image.data_bytes}
        if failed is not None:
            # an OS error may name a path that is not UTF-8
            failed = failed[:_WHY_CHARS].encode(errors="backslashreplace").decode()
            keys["failed"] = failed
        else:
            keys["consistency"] = str(consistency)
        digest = image_digest(image.keys | keys, image.lines)
        self._sink.text(_one_line(keys | {"digest": digest})[1:])
        self._note(image, stored, tail_at, digest)
        return ImageTail(data_bytes=image.data_bytes, consistency=consistency, failed=failed, digest=digest)

    def finish(self) -> Integrity:
        """End the document."""
        self._end_telemetry()
        if self._image is not None:
            raise InternalError("an image was not ended")
        if self._images is not None:
            self._sink.text(b"\n  ]" if self._images else b"]")
            self._digests.add_value("images", self._images)
        integrity = self._digests.integrity(self._images)
        if self._with_integrity:
            self._section("integrity")
            self._sink.text(pretty(encode(integrity), b"\n  "))
        if self._images is not None and self._layout:
            self._write_layout()
        else:
            self._sink.text(b"\n}\n")
            self._sink.cut()
        self._sink.flush()
        self.close()
        return integrity

    def _section(self, key: str) -> None:
        """Begin a section that has its own members, and note where it stands."""
        self._sink.text(b",\n  ")
        self._sections[key] = self._sink.cut()
        self._sink.text(encode(key) + b": ")

    def _end_telemetry(self) -> None:
        if self._telemetry is not None:
            self._sink.text(self._telemetry.end())
            self._digests.add_value("telemetry", self._telemetry.digests)
            self._telemetry = None

    def _open_image(self) -> _Image:
        if self._image is None:
            raise InternalError("no image was begun")
        return self._image

    def _release(self, image: _Image, *, last: bool = False) -> None:
        if image.held is None:
            return
        record, frame, line = image.held
        image.held = None
        if last:
            line = encode_record(record, frame, compress=self._sink.compress, gzip_level=self._gzip_level, last=True)
        for piece in line:
            self._sink.stored(piece)
        self._tables.add_length(sum(map(len, line)))

    def _note(self, image: _Image, stored: int, tail_at: int, digest: str) -> None:
        assert self._images is not None  # noqa: S101 - `begin_image` checked
        self._images.append(digest)
        self._image = None
        row = ImageRow(
            vm=image.keys["vm"],
            disk=image.keys["disk"],
            size_bytes=image.keys["size_bytes"],
            records=image.records,
            data_bytes=image.data_bytes,
            stored_bytes=stored,
            at=image.at,
            tail=tail_at,
        )
        self._tables.add_image(row)

    def _write_layout(self) -> None:
        sink = self._sink
        self._section("record_tables")
        sink.text(b"[")
        separator = b"\n    ["
        for image in self._tables.lengths():
            sink.text(separator)
            for piece in image:
                sink.text(piece)
            separator = b"],\n    ["
        sink.text(b"]\n  ]" if self._images else b"]")
        self._section("index")
        sink.text(b'{"layout": ' + (b'"gzip"' if sink.compress else b'"plain"') + b', "images": [')
        separator = b"\n    "
        for row in self._tables.rows():
            sink.text(separator + row)
            separator = b",\n    "
        at = self._sections
        places = {name: at[section] for name, section in _PLACES.items() if section in at}
        sink.text(b"], " + _one_line(places)[1:-1] + f', "self": "{at["index"]:020}"}}}}\n'.encode())
        sink.cut()
        if sink.compress:
            sink.stored(end_member(at["index"]))


class _Telemetry:
    """The telemetry section at hand."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.lines = LinesDigest()
        self._key: str | None = None

    def before(self, key: str) -> bytes:
        """The text before an element of `key`."""
        if key == self._key:
            return b",\n"
        if key in self.digests:
            raise InternalError(f"telemetry `{key}` was written before another key and again behind it")
        before = b"\n    " if self._key is None else self._close() + b",\n    "
        self._key = key
        self.lines = LinesDigest()
        return before + encode(key) + b": [\n"

    def end(self) -> bytes:
        """The text at the end of the section."""
        return b"}" if self._key is None else self._close() + b"\n  }"

    def _close(self) -> bytes:
        assert self._key is not None  # noqa: S101 - callers asked
        self.digests[self._key] = self.lines.hexdigest()
        return b"\n    ]"


class _Image:
    """The image at hand."""

    def __init__(self, keys: dict[str, Any], at: int) -> None:
        self.keys = keys
        self.at = at
        self.lines = LinesDigest()
        self.records = 0
        self.data_bytes = 0
        self.held: tuple[Record, bytes | memoryview | None, tuple[bytes, ...]] | None = None


def _one_line(keys: JsonObject) -> bytes:
    return json.dumps(keys, ensure_ascii=False).encode()
