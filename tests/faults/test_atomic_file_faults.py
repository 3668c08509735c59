"""An export file at every operation: stopped, or refused by the file system."""

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import StorageError
from blixard.files.seam import Observer
from support.faults import FailAt, killed_at, names, operations
from support.small_disk import fill, small_disk

OLD, NEW = b"old " * 1000, b"new " * 1_000_000
CODES = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE]


def write_export(root: Path) -> None:
    with files.AtomicFile(root / "target" / "export", journal=files.Journal(root / "pending")) as new:
        for start in range(0, len(NEW), 1 << 20):
            new.file.write(NEW[start : start + (1 << 20)])
        new.commit()


def write_export_named(root: Path) -> None:
    """The same on a file system without O_TMPFILE; the outer observer still sees every operation."""
    inner = files.seam._Seam.observer

    def refuse(operation: str, path: str) -> None:
        if operation == "create without a name":
            raise OSError(errno.EOPNOTSUPP, "")
        if inner is not None:
            inner(operation, path)

    with files.observe(refuse):
        write_export(root)


WAYS: dict[str, Callable[[Path], None]] = {"nameless": write_export, "named": write_export_named}


@pytest.fixture(params=WAYS)
def export(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    return WAYS[request.param]


def prepare(root: Path) -> Path:
    (root / "target").mkdir(parents=True)
    (root / "target" / "export").write_bytes(OLD)
    return root


def after_the_next_command(root: Path) -> list[str]:
    """What lies about once another command has swept."""
    files.Journal(root / "pending").sweep()
    return names(root / "target") + (names(root / "pending") if (root / "pending").exists() else [])


def test_killed_at_every_operation(tmp_path: Path, export: Callable[[Path], None]) -> None:
    count = len(operations(partial(export, prepare(tmp_path / "count"))))
    outcomes: list[bytes] = []
    for number in range(count):
        root = prepare(tmp_path / str(number))

        assert killed_at(number, partial(export, root))
        content = (root / "target" / "export").read_bytes()
        assert content in (OLD, NEW), number
        outcomes.append(content)
        assert after_the_next_command(root) == ["export"], number
    assert count > 10
    # once the rename is done there is no way back
    assert outcomes == sorted(outcomes, key=NEW.__eq__)
    assert outcomes[-1] == NEW


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_refused_at_every_operation(
    tmp_path: Path, export: Callable[[Path], None], code: int, *, lasting: bool
) -> None:
    count = len(operations(partial(export, prepare(tmp_path / "count"))))
    for number in range(count):
        root = prepare(tmp_path / str(number))
        failed = fails(partial(export, root), FailAt(number, code, lasting=lasting))

        content = (root / "target" / "export").read_bytes()
        assert content in (OLD, NEW), number
        assert failed or content == NEW, number
        if not lasting and content == OLD:
            # aborted properly: nothing is left even before a sweep
            assert names(root / "target") == ["export"], number
        assert after_the_next_command(root) == ["export"], number


def fails(action: Callable[[], None], observer: Observer) -> bool:
    """True when `action` ends in a StorageError that says where; any other error is not caught."""
    told: StorageError | None = None
    with files.observe(observer):
        try:
            action()
        except StorageError as error:
            told = error
    assert told is None or "`/" in told.message
    return told is not None


@pytest.mark.root
@pytest.mark.parametrize("free", [0, 4096, 64 << 10, 1 << 20, 952 * 4096])
def test_a_disk_that_is_really_full(tmp_path: Path, export: Callable[[Path], None], free: int) -> None:
    with small_disk(tmp_path / "disk", 8 << 20) as disk:
        prepare(disk)
        ballast = fill(disk, free)
        with pytest.raises(StorageError, match="no space left") as caught:
            export(disk)
        content, lying = (disk / "target" / "export").read_bytes(), after_the_next_command(disk)
        ballast.unlink()
        free_after = files.free_bytes(disk)
        export(disk)
        whole = (disk / "target" / "export").read_bytes()

    assert (content, lying, whole) == (OLD, ["export"], NEW)
    assert "free some space" in (caught.value.hint or "")
    assert free_after > 7 << 20


def test_a_small_file_killed_at_every_operation(tmp_path: Path) -> None:
    path = tmp_path / "current"
    count = len(operations(partial(files.atomic_write, path, NEW)))
    for number in range(count):
        files.atomic_write(path, OLD)

        assert killed_at(number, partial(files.atomic_write, path, NEW))
        assert path.read_bytes() in (OLD, NEW), number
        files.atomic_write(path, b"next")
        assert names(tmp_path) == ["current"], number


@pytest.mark.parametrize("code", CODES)
def test_a_small_file_refused_at_every_operation(tmp_path: Path, code: int) -> None:
    path = tmp_path / "current"
    count = len(operations(partial(files.atomic_write, path, NEW)))
    for number in range(count):
        files.atomic_write(path, OLD)

        assert fails(partial(files.atomic_write, path, NEW), FailAt(number, code))
        assert path.read_bytes() in (OLD, NEW), number
        assert names(tmp_path) == ["current"], number
