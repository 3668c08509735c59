import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import DigestMismatch, StorageError
from blixard.files.seam import Observer
from support.faults import names, operations


def no_tmpfile(operation: str, _path: str) -> None:
    """A file system without O_TMPFILE."""
    if operation == "create without a name":
        raise OSError(errno.EOPNOTSUPP, "")


def nothing(_operation: str, _path: str) -> None:
    pass


@pytest.fixture(params=[nothing, no_tmpfile], ids=["nameless", "named"])
def way(request: pytest.FixtureRequest) -> Observer:
    chosen: Observer = request.param
    return chosen


def test_the_target_changes_at_commit_and_not_before(tmp_path: Path, way: Observer) -> None:
    target = tmp_path / "export.json"
    target.write_bytes(b"old")
    with files.observe(way), files.AtomicFile(target, journal=files.Journal(tmp_path / "pending")) as new:
        new.file.write(b"new")
        new.file.flush()
        before = target.read_bytes()
        new.commit()

    assert before == b"old"
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["export.json", "pending"]
    assert names(tmp_path / "pending") == []


def test_without_commit_nothing_is_left(tmp_path: Path, way: Observer) -> None:
    with files.observe(way), files.AtomicFile(tmp_path / "export", journal=files.Journal(tmp_path / "pending")) as new:
        new.file.write(bytes(3 << 20))

    assert names(tmp_path) == ["pending"]
    assert names(tmp_path / "pending") == []


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_it_is_private_from_its_first_byte(tmp_path: Path, way: Observer, umask: int) -> None:
    modes: set[int] = set()

    def look(operation: str, path: str) -> None:
        way(operation, path)
        for each in tmp_path.iterdir():
            modes.add(stat.S_IMODE(each.lstat().st_mode))

    earlier = os.umask(umask)
    try:
        with files.observe(look), files.AtomicFile(tmp_path / "export") as new:
            new.file.write(b"secret")
            new.commit()
    finally:
        os.umask(earlier)

    assert modes <= {0o600}
    assert stat.S_IMODE((tmp_path / "export").stat().st_mode) == 0o600


def test_verify_reads_what_was_written_and_can_refuse_it(tmp_path: Path, way: Observer) -> None:
    target = tmp_path / "export"
    target.write_bytes(b"old")
    read: list[bytes] = []

    def refuse(fd: int) -> None:
        read.append(os.read(fd, 100))
        raise DigestMismatch("a bit is wrong")

    with files.observe(way), files.AtomicFile(target) as new:
        new.file.write(b"new content")
        with pytest.raises(DigestMismatch):
            new.commit(refuse)

    assert read == [b"new content"]
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["export"]


def test_verify_comes_after_fsync_and_before_rename(tmp_path: Path) -> None:
    order: list[str] = []
    with files.AtomicFile(tmp_path / "export") as new, files.observe(lambda operation, _: order.append(operation)):
        new.file.write(b"x")
        new.commit(lambda _fd: order.append("verify"))

    assert order == ["write", "fsync", "verify", "link", "rename", "fsync directory"]


def test_a_name_is_journalled_before_its_file_is_made(tmp_path: Path) -> None:
    journal = files.Journal(tmp_path / "pending")
    with files.observe(no_tmpfile):
        seen = [operation for operation, _ in operations(lambda: files.AtomicFile(tmp_path / "x", journal=journal))]

    assert seen.index("fsync directory") < seen.index("create without a name")


def test_the_directory_may_be_renamed_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "evil").mkdir()
    with files.AtomicFile(tmp_path / "a" / "export") as new:
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "a").symlink_to("evil")
        new.file.write(b"x")
        new.commit()

    assert (tmp_path / "b" / "export").read_bytes() == b"x"
    assert names(tmp_path / "evil") == []


def test_the_longest_name_of_the_system_is_possible(tmp_path: Path, way: Observer) -> None:
    target = tmp_path / ("n" * 255)
    with files.observe(way), files.AtomicFile(target) as new:
        new.file.write(b"x")
        new.commit()

    assert target.read_bytes() == b"x"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        files.AtomicFile(tmp_path / "nowhere" / "export")


def test_commit_twice_is_a_bug_and_close_afterwards_is_harmless(tmp_path: Path) -> None:
    new = files.AtomicFile(tmp_path / "export")
    new.commit()
    new.close()

    with pytest.raises(ValueError, match="already"):
        new.commit()
    assert (tmp_path / "export").read_bytes() == b""


def test_a_sweep_removes_what_a_dead_command_noted_and_only_that(tmp_path: Path) -> None:
    journal = files.Journal(tmp_path / "pending")
    dead, alive = journal.note(tmp_path), journal.note(tmp_path)
    for entry in (dead, alive):
        entry.temporary.write_bytes(b"half")
    (tmp_path / ".blixard-0123456789abcdef.tmp").write_bytes(b"not in the journal")
    dead.leave()
    removed = journal.sweep()

    assert removed == (dead.temporary,)
    assert alive.temporary.exists()
    assert (tmp_path / ".blixard-0123456789abcdef.tmp").exists()
    assert len(names(tmp_path / "pending")) == 1
    alive.close()


@pytest.mark.parametrize(
    "entry",
    [b"", b"{", b"not json", b'{"folder": "FOLDER", "name": "precious"}', b'{"folder": "FOLDER", "name": ".."}'],
)
def test_a_sweep_deletes_nothing_for_an_entry_that_is_not_ours(tmp_path: Path, entry: bytes) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / "entry.json").write_bytes(entry.replace(b"FOLDER", str(tmp_path).encode()))

    assert files.Journal(tmp_path / "pending").sweep() == ()
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert names(tmp_path / "pending") == []


def test_a_small_write_replaces_whole_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "current"
    path.write_bytes(b"old")
    files.atomic_write(path, b"new")

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["current"]


def test_a_small_write_takes_over_what_a_kill_left(tmp_path: Path) -> None:
    (tmp_path / ".current.new").write_bytes(b"much longer rubbish")
    (tmp_path / ".current.new").chmod(0o644)
    files.atomic_write(tmp_path / "current", b"new")

    assert (tmp_path / "current").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "current").stat().st_mode) == 0o600


def test_a_small_write_does_not_touch_a_file_that_has_another_name_too(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    os.link(tmp_path / "precious", tmp_path / ".current.new")

    with pytest.raises(StorageError, match="cannot write"):
        files.atomic_write(tmp_path / "current", b"new")
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_two_small_writes_are_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "current"

    def second_writer(operation: str, _path: str) -> None:
        if operation == "rename":
            fd = os.open(tmp_path / ".current.new", os.O_RDWR)
            with pytest.raises(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(fd)
            checked.append(operation)

    checked: list[str] = []
    with files.observe(second_writer):
        files.atomic_write(path, b"first")

    assert checked == ["rename"]
