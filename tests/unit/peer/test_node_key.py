from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import ExitCode, Locked, StorageError
from blixard.home import Home
from blixard.peer.node_key import hold_node_key, read_node_key
from support.faults import FailAt, operations

START = "failed to create Iroh node: "


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def test_the_key_is_made_once_private_and_stays(home: Home) -> None:
    with hold_node_key(home, "cluster share") as first:
        pass
    with hold_node_key(home, "cluster share") as second:
        assert second.secret == first.secret

    assert len(first.secret) == 32
    assert stat.S_IMODE(home.node_key.stat().st_mode) == 0o600
    assert read_node_key(home, "peer id") == first.secret


def test_two_data_directories_are_two_nodes(tmp_path: Path) -> None:
    assert read_node_key(Home(tmp_path / "a"), "peer id") != read_node_key(Home(tmp_path / "b"), "peer id")


def test_a_second_instance_is_told_who_the_first_is(home: Home) -> None:
    with hold_node_key(home, "cluster share"), pytest.raises(Locked) as caught:
        hold_node_key(home, "cluster import")

    assert caught.value.message.startswith(START)
    assert f"`cluster share` (pid {os.getpid()})" in caught.value.message
    assert "--data-dir" in (caught.value.hint or "")
    assert caught.value.exit_code is ExitCode.LOCKED


def test_the_id_can_be_shown_beside_a_running_share(home: Home) -> None:
    with hold_node_key(home, "cluster share") as key:
        assert read_node_key(home, "peer id") == key.secret


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_data_directory_that_cannot_be_written_is_named_at_every_operation(home: Home, number: int) -> None:
    home.root.mkdir()
    count = len(operations(lambda: hold_node_key(Home(home.root / "probe"), "cluster share").close()))
    assert count > 4
    for at in range(count):
        with files.observe(FailAt(at, number, lasting=True)), pytest.raises(StorageError) as caught:
            hold_node_key(Home(home.root / str(at)), "cluster share")
        assert caught.value.message.startswith(START)
        assert str(home.root) in caught.value.message
        assert "--data-dir" in (caught.value.hint or "")
        assert caught.value.exit_code is ExitCode.STORAGE


def test_a_file_in_the_place_of_the_data_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    with pytest.raises(StorageError, match=START) as caught:
        hold_node_key(Home(tmp_path / "data" / "here"), "cluster share")
    assert caught.value.hint is not None


def test_a_full_disk_has_another_hint(home: Home) -> None:
    with files.observe(FailAt(0, errno.ENOSPC)), pytest.raises(StorageError, match=START) as caught:
        hold_node_key(home, "cluster share")

    assert "free some space" in (caught.value.hint or "")


@pytest.mark.parametrize("text", [b"", b"key", b"0" * 63, b"0" * 65, b"G" * 64, b"0" * 64 + b"\n\n", b"0" * 5000])
def test_what_is_no_key_is_refused_and_left_as_it_is(home: Home, text: bytes) -> None:
    read_node_key(home, "peer id")
    home.node_key.write_bytes(text)

    with pytest.raises(StorageError, match=START) as caught:
        hold_node_key(home, "cluster share")
    assert "backup" in (caught.value.hint or "")
    assert home.node_key.read_bytes() == text
    with pytest.raises(StorageError, match="does not hold a key"):  # and nobody is locked out by the failure
        hold_node_key(home, "cluster share")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_read_is_refused(home: Home, mode: int) -> None:
    read_node_key(home, "peer id")
    home.node_key.chmod(mode)

    with pytest.raises(StorageError, match="by others") as caught:
        read_node_key(home, "peer id")
    assert "chmod 600" in (caught.value.hint or "")


def test_a_link_in_the_place_of_the_key_is_not_followed(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"0" * 64)
    target.chmod(0o600)
    home.root.mkdir()
    home.node_key.symlink_to(target)

    with pytest.raises(StorageError, match=START):
        hold_node_key(home, "cluster share")


def test_the_key_does_not_show_itself(home: Home) -> None:
    with hold_node_key(home, "cluster share") as key:
        assert key.secret.hex() not in repr(key)
