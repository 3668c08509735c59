import os
import stat
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import StorageError
from support.faults import names


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_modes_are_exact_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    earlier = os.umask(umask)
    try:
        os.close(files.create(tmp_path / "file"))
        files.make_dir(tmp_path / "a" / "b")
    finally:
        os.umask(earlier)

    assert mode_of(tmp_path / "file") == 0o600
    assert mode_of(tmp_path / "a") == 0o700
    assert mode_of(tmp_path / "a" / "b") == 0o700


def test_create_is_exclusive_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="file exists"):
        files.create(tmp_path / "file")
    with pytest.raises(StorageError):
        files.create(tmp_path / "link", exclusive=False)
    assert not (tmp_path / "elsewhere").exists()


def test_create_that_is_not_exclusive_empties_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    os.close(files.create(tmp_path / "file", exclusive=False))

    assert (tmp_path / "file").read_bytes() == b""


def test_open_existing_reads_and_writes_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    fd = files.open_existing(tmp_path / "file")
    files.pwrite_all(fd, b"N", 0, tmp_path / "file")
    os.close(fd)

    assert (tmp_path / "file").read_bytes() == b"Nld"
    with pytest.raises(StorageError, match="cannot open"):
        files.open_existing(tmp_path / "link")


def test_open_beneath_opens_what_lies_beneath(tmp_path: Path) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "file").write_bytes(b"content")
    fd = files.open_beneath(tmp_path / "root", "a/file")

    assert os.read(fd, 100) == b"content"
    os.close(fd)


@pytest.mark.parametrize(
    "name", ["../secret", "a/../../secret", "/etc/passwd", "link", "out/secret", "a", "", ".", "fifo", "a\0b", "none"]
)
def test_open_beneath_does_not_leave_its_root(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to("../secret")
    (root / "out").symlink_to("..")
    os.mkfifo(root / "fifo")

    with pytest.raises(StorageError):
        files.open_beneath(root, name)


def test_rename_and_unlink(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    files.rename(tmp_path / "one", tmp_path / "three")
    files.unlink(tmp_path / "two")
    files.unlink(tmp_path / "two", missing_ok=True)

    assert names(tmp_path) == ["three"]
    with pytest.raises(StorageError, match="no such file"):
        files.unlink(tmp_path / "two")
    with pytest.raises(StorageError, match="cannot rename"):
        files.rename(tmp_path / "two", tmp_path / "four")


def test_make_dir_leaves_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "wide").mkdir(mode=0o755)
    files.make_dir(tmp_path / "wide" / "narrow")

    assert mode_of(tmp_path / "wide") == 0o755
    assert mode_of(tmp_path / "wide" / "narrow") == 0o700


def test_make_dir_over_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="cannot make directory"):
        files.make_dir(tmp_path / "file" / "inner")


def test_remove_tree_removes_links_but_not_what_they_name(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "file").write_bytes(b"precious")
    (tmp_path / "root" / "gone" / "deep").mkdir(parents=True)
    (tmp_path / "root" / "gone" / "deep" / "file").write_bytes(b"")
    (tmp_path / "root" / "gone" / "link").symlink_to(tmp_path / "keep")
    files.remove_tree(tmp_path / "root" / "gone", beneath=tmp_path / "root")

    assert names(tmp_path / "root") == []
    assert (tmp_path / "keep" / "file").read_bytes() == b"precious"


def test_remove_tree_can_be_repeated_and_takes_files_and_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    for name in ("link", "file", "file", "missing/inner"):
        files.remove_tree(tmp_path / name, beneath=tmp_path)

    assert names(tmp_path) == []


def test_remove_tree_stays_beneath_its_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside" / "inner").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")

    for path in (tmp_path / "root", tmp_path / "outside", tmp_path / "root" / ".." / "outside"):
        with pytest.raises(StorageError):
            files.remove_tree(path, beneath=tmp_path / "root")
    with pytest.raises(StorageError):
        files.remove_tree(tmp_path / "root" / "link" / "inner", beneath=tmp_path / "root")
    assert (tmp_path / "outside" / "inner").is_dir()
