import errno
import os
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import StorageError
from support.faults import FailAt, names

MIB = 1 << 20


def sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.seek(3 * MIB)
        file.write(b"data" * 1000)
        file.seek(40 * MIB)
        file.write(b"end")
        file.truncate(50 * MIB)
    return path


def test_a_copy_has_the_content_and_the_holes(tmp_path: Path) -> None:
    source, target = sparse(tmp_path / "source"), tmp_path / "target"
    done: list[int] = []
    files.reflink_or_copy(source, target, advance=done.append)

    assert target.read_bytes() == source.read_bytes()
    assert files.allocated_bytes(target) <= 2 * MIB
    assert sum(done) == 50 * MIB
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_descriptor_is_copied_whatever_its_position(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    with source.open("rb") as file:
        file.read()
        files.reflink_or_copy(file.fileno(), tmp_path / "target")

        assert not file.closed
    assert (tmp_path / "target").read_bytes() == b"content"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 9 * MIB + 1])
def test_sizes_at_the_edges(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    files.reflink_or_copy(source, tmp_path / "target")

    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_where_the_kernel_cannot_copy_we_do_and_zeros_stay_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 70000 + bytes(8 * MIB) + b"y")

    def unsupported(operation: str, _path: str) -> None:
        if operation in ("reflink", "write") and not unsupported_seen:
            unsupported_seen.append(operation)
            raise OSError(errno.EOPNOTSUPP, "")
        if operation == "write" and len(unsupported_seen) == 1:
            unsupported_seen.append(operation)
            raise OSError(errno.EXDEV, "")

    unsupported_seen: list[str] = []
    with files.observe(unsupported):
        shared = files.reflink_or_copy(source, target)

    assert not shared
    assert target.read_bytes() == source.read_bytes()
    assert files.allocated_bytes(target) < MIB


@pytest.mark.parametrize("number", range(6))
def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, number: int) -> None:
    source, target = sparse(tmp_path / "source"), tmp_path / "target"
    with files.observe(FailAt(number, errno.ENOSPC)), pytest.raises(StorageError, match="no space left"):
        files.reflink_or_copy(source, target)

    assert not target.exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    source, target = sparse(tmp_path / "source"), tmp_path / "target"
    target.write_bytes(b"old")

    with pytest.raises(StorageError, match="file exists"):
        files.reflink_or_copy(source, target)
    assert target.read_bytes() == b"old"


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="source"):
        files.reflink_or_copy(tmp_path / "source", tmp_path / "target")
    assert names(tmp_path) == []
