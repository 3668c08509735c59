import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import Locked, StorageError
from support.faults import names

HOLD = """
import sys
from pathlib import Path
from blixard import files
with files.FileLock(Path(sys.argv[1]), subject="it", verb="cluster import").exclusive():
    print("held", flush=True)
    sys.stdin.read()
"""


def lock(path: Path, verb: str = "cluster export") -> files.FileLock:
    return files.FileLock(path, subject="cluster `web`", verb=verb)


def test_sharers_share_and_keep_out_one_who_wants_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path).shared(), lock(path).shared(), pytest.raises(Locked):
        lock(path).exclusive()
    lock(path).exclusive().close()


def test_one_who_has_it_alone_keeps_out_everybody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path).exclusive():
        for acquire in (lock(path).shared, lock(path).exclusive):
            with pytest.raises(Locked):
                acquire()


def test_the_error_names_the_holder_of_another_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(Locked) as caught:
            lock(path).shared()
        holders = lock(path).holders()
        holder.communicate()

    assert caught.value.message.startswith(f"cluster `web` is in use by `cluster import` (pid {holder.pid}, since ")
    assert "--lock-wait" in (caught.value.hint or "")
    assert caught.value.exit_code == 21
    assert [each.pid for each in holders] == [holder.pid]
    assert lock(path).holders() == ()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        holder.wait()

    lock(path).exclusive().close()


def test_waiting_ends_when_the_lock_comes_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = lock(path).exclusive()
    threading.Timer(0.05, held.close).start()

    lock(path).exclusive(wait_seconds=30).close()


def test_waiting_ends_in_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path).exclusive(), pytest.raises(Locked):
        lock(path).exclusive(wait_seconds=0.05)


def test_a_lock_file_that_was_replaced_is_not_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = lock(path).exclusive()
    path.unlink()

    with lock(path).exclusive(), pytest.raises(Locked):
        lock(path).exclusive()
    held.close()


def test_the_directory_of_a_lock_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    lock(tmp_path / "cluster" / "lock").exclusive().close()
    shutil.rmtree(tmp_path / "cluster")

    with pytest.raises(StorageError, match="no such file"):
        lock(tmp_path / "cluster" / "lock").shared()


def test_a_symlink_is_no_lock_file(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError):
        lock(tmp_path / "lock").exclusive()
    assert names(tmp_path) == ["lock"]
