import os
import tempfile
from pathlib import Path

import pytest

from blixard import files


def test_free_space_is_asked_of_the_nearest_directory_that_exists(tmp_path: Path) -> None:
    about = os.statvfs(tmp_path)
    free = files.free_bytes(tmp_path / "not" / "yet" / "there")

    assert abs(free - about.f_bavail * about.f_frsize) < 1 << 30


def test_allocated_bytes_counts_blocks_and_not_sizes(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "full").write_bytes(os.urandom(1 << 20))
    (tmp_path / "link").symlink_to("inner/full")

    assert files.allocated_bytes(tmp_path / "sparse") == 0
    assert files.allocated_bytes(tmp_path / "inner" / "full") >= 1 << 20
    assert 1 << 20 <= files.allocated_bytes(tmp_path) < 2 << 20
    assert files.allocated_bytes(tmp_path / "missing") == 0


def test_large_temporary_files_go_where_the_operator_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)

    assert files.roomy_folder() == tmp_path


@pytest.mark.skipif(not os.access("/var/tmp", os.W_OK | os.X_OK), reason="there is no /var/tmp")  # noqa: S108 - its name
def test_large_temporary_files_do_not_go_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)

    assert files.roomy_folder() == Path("/var/tmp")  # noqa: S108 - as above
