import os
import stat
from pathlib import Path

import pytest

from blixard.errors import RefusedError, StorageError, UsageError
from blixard.home import Home
from blixard.home.registry import DiskOwner
from blixard.place import open_output, same_file
from blixard.ports import Output
from support.faults import names


def opened(target: Path | str, *, home: Path = Path("/none"), apart_from: tuple[Path, ...] = ()) -> Output:
    return open_output(os.fspath(target), home=Home(home), apart_from=[os.fspath(each) for each in apart_from])


def test_a_file_is_whole_private_and_can_be_verified(tmp_path: Path) -> None:
    read: list[bytes] = []
    with opened(tmp_path / "export.json") as output:
        output.file.write(b"content")
        output.commit(lambda given: read.append(given.stream.read()))

    assert output.folder == tmp_path
    assert output.name == str(tmp_path / "export.json")
    assert read == [b"content"]
    assert (tmp_path / "export.json").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "export.json").stat().st_mode) == 0o600


def test_an_existing_file_is_replaced_at_commit_only_and_becomes_private(tmp_path: Path) -> None:
    target = tmp_path / "export.json"
    target.write_bytes(b"old")
    target.chmod(0o644)
    with opened(target) as output:
        output.file.write(b"new")
    kept = target.read_bytes()
    with opened(target) as output:
        output.file.write(b"new")
        output.commit()

    assert kept == b"old"
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_journal_is_used_and_left_empty(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with opened(tmp_path / "x", home=tmp_path / "data") as output:
        during = len(names(tmp_path / "data/pending"))
        output.commit()

    assert during == 1
    assert names(tmp_path / "data/pending") == []


def test_what_the_same_command_reads_or_writes_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(b"precious")
    (tmp_path / "again").hardlink_to(tmp_path / "given")

    for target, other in (("given", "given"), ("again", "given"), ("new", "new"), ("x/../new", "new")):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(UsageError, match="this very command"):
            opened(f"{tmp_path}/{target}", apart_from=(tmp_path / other,))
    assert (tmp_path / "given").read_bytes() == b"precious"


@pytest.mark.parametrize(
    "name", ["mine/x", "mine/clusters/web/state.db", "mine/clusters/web/disks/new", "way/disks/new"]
)
def test_nothing_is_written_into_a_data_directory(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / "mine")
    home.create("web").state_db.write_bytes(b"state")
    (tmp_path / "way").symlink_to("mine/clusters/web")

    for ours in (tmp_path / "mine", tmp_path / "another"):
        if name != "mine/x" or ours.name == "mine":
            with pytest.raises(RefusedError, match="lies in a data directory"):
                opened(tmp_path / name, home=ours)
    assert home.cluster("web").state_db.read_bytes() == b"state"


def test_a_disk_that_is_kept_in_place_is_not_replaced(tmp_path: Path) -> None:
    home, disk = Home(tmp_path / "data"), tmp_path / "disk.img"
    home.create("web")
    disk.write_bytes(b"precious")
    home.registry().claim(disk, DiskOwner("web", "db", "id", "root"))
    (tmp_path / "hard").hardlink_to(disk)

    for path in (disk, tmp_path / "hard"):
        with pytest.raises(RefusedError, match="disk `root` of VM `db` in cluster `web`"):
            opened(path, home=home.root)
    assert disk.read_bytes() == b"precious"


def test_a_relative_name_is_where_we_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with opened("export.json") as output:
        output.commit()

    assert names(tmp_path) == ["export.json"]


@pytest.mark.parametrize("to", ["file", "missing", "folder", "link"])
def test_a_symlink_is_refused_wherever_it_points(tmp_path: Path, to: str) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(to)

    with pytest.raises(RefusedError, match="symbolic link") as caught:
        opened(tmp_path / "link")
    assert to in (caught.value.hint or "")
    assert (tmp_path / "file").read_bytes() == b"precious"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    for name in (str(tmp_path), str(tmp_path) + "/", str(tmp_path / "new") + "/", "/", "."):
        with pytest.raises(UsageError, match="is a directory"):
            opened(name)
    assert names(tmp_path) == []


def test_a_missing_parent_is_said_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist") as caught:
        opened(tmp_path / "a" / "b" / "export")
    assert f"mkdir -p {tmp_path / 'a' / 'b'}" in (caught.value.hint or "")


def test_a_parent_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="is not a directory"):
        opened(tmp_path / "file" / "export")


def test_a_fifo_is_streamed_to_and_stays(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with opened(fifo) as output:
        output.file.write(b"content")
        output.commit()
    received = os.read(reading, 100)
    os.close(reading)

    assert output.folder is None
    assert received == b"content"
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_fifo_whose_reader_went_away_is_a_storage_error(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with opened(fifo) as output:
        os.close(reading)
        output.file.write(b"content")
        with pytest.raises(StorageError, match="broken pipe"):
            output.commit()


def test_a_device_is_streamed_to_and_cannot_be_verified() -> None:
    with opened("/dev/null") as output:
        output.file.write(b"content")
        with pytest.raises(UsageError, match="verify"):
            output.commit(lambda _given: None)


def test_a_full_device_is_a_storage_error() -> None:
    with opened("/dev/full") as output:
        output.file.write(b"content")
        with pytest.raises(StorageError, match="no space left"):
            output.commit()


def test_a_file_that_is_the_same_under_another_name_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"")
    (tmp_path / "link").symlink_to("one")
    os.link(tmp_path / "one", tmp_path / "hard")
    (tmp_path / "other").write_bytes(b"")
    one = str(tmp_path / "one")

    assert same_file(one, str(tmp_path / "link"))
    assert same_file(str(tmp_path / "hard"), one)
    assert not same_file(one, str(tmp_path / "other"))
    assert not same_file(one, str(tmp_path / "missing"))
    assert not same_file("-", "-")
