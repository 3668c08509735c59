"""`SqliteStore.apply`, stopped or refused at every statement and at every system call that writes."""

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import StorageError
from blixard.model.structs import ClusterSnapshot
from blixard.store.sqlite.store import SqliteStore
from support.faults import FailAt, killed_at, operations
from support.small_disk import fill, small_disk
from support.sqlite_change import apply, make_old


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with state, closed; to be copied."""
    path = tmp_path_factory.mktemp("template") / "state.db"
    make_old(path)
    return path


def copied(template: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (folder / name).unlink(missing_ok=True)
    return Path(shutil.copy(template, folder / "state.db"))


def state_of(path: Path) -> tuple[ClusterSnapshot, int, bool, int]:
    """All parts of a change: the state, undo entries, the import's row, the outbox."""
    with SqliteStore(path) as store:
        done, waiting = store.books.imports()[0].done, len(store.books.history_outbox())
        return store.snapshot(), len(store.undo_entries()), done, waiting


@pytest.fixture
def old_and_new(template: Path, tmp_path: Path) -> tuple[object, object]:
    old = state_of(template)
    path = copied(template, tmp_path / "new")
    apply(path)
    new = state_of(path)
    assert (old[1:], new[1:]) == ((0, False, 0), (1, True, 1))
    return old, new


def test_killed_at_every_statement(template: Path, tmp_path: Path, old_and_new: tuple[object, object]) -> None:
    count = len(operations(partial(apply, copied(template, tmp_path / "count"))))
    for number in range(count):
        path = copied(template, tmp_path / "at")

        assert killed_at(number, partial(apply, path))
        assert state_of(path) == old_and_new[0]
    assert count > 12


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_refused_at_every_statement(template: Path, tmp_path: Path, code: int) -> None:
    old = state_of(template)
    count = len(operations(partial(apply, copied(template, tmp_path / "count"))))
    for number in range(count):
        path = copied(template, tmp_path / "at")

        with files.observe(FailAt(number, code)), pytest.raises(StorageError, match=r"state\.db"):
            apply(path)
        assert state_of(path) == old


def traced(path: Path, fault: str) -> int:
    """Run `apply` under strace with a fault in its writing system calls; the exit code, -9 for killed."""
    calls = "pwrite64,write,fdatasync,fsync,ftruncate,unlink"
    # only calls on the store's own files count
    only = [word for suffix in ("", "-wal", "-shm") for word in ("-P", f"{path}{suffix}")]
    command = ["strace", "-qq", "-o", "/dev/null", *only, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"]
    return subprocess.run(
        [*command, sys.executable, "-m", "support.sqlite_change", str(path)],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parents[1],
    ).returncode


@pytest.fixture
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not permit ptrace")


def every(run: Callable[[int], int]) -> list[int]:
    """Exit codes of `run(1)`, `run(2)`, ... up to the first undisturbed one, which is left out."""
    codes: list[int] = []
    while (code := run(len(codes) + 1)) != 0:
        codes.append(code)
    return codes


def test_killed_at_every_system_call(
    template: Path, tmp_path: Path, old_and_new: tuple[object, object], strace: None
) -> None:
    found: list[object] = []

    def run(number: int) -> int:
        path = copied(template, tmp_path / "at")
        code = traced(path, f"signal=SIGKILL:when={number}")
        found.append(state_of(path))
        return code

    codes = every(run)

    assert len(codes) > 5
    assert set(codes) == {-9}
    assert all(state in old_and_new for state in found)
    assert found[0] == old_and_new[0]
    assert found[-1] == old_and_new[1]


@pytest.mark.long
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_refused_at_every_system_call(
    template: Path, tmp_path: Path, old_and_new: tuple[object, object], strace: None, error: str
) -> None:
    wrong: list[object] = []
    count = 0
    for number in range(1, 100):
        path = copied(template, tmp_path / "at")
        code = traced(path, f"error={error}:when={number}")
        state = state_of(path)
        # SQLite may survive a failed checkpoint when it closes: then the change must be there
        if (code, state) not in ((30, old_and_new[0]), (0, old_and_new[1])):
            wrong.append((number, code))
        if code == 30:
            count += 1
        elif number > count + 12:
            break

    assert wrong == []
    assert count >= 1


@pytest.mark.root
def test_a_disk_that_is_really_full(template: Path, tmp_path: Path, old_and_new: tuple[object, object]) -> None:
    outcomes: list[bool] = []
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        for free_pages in range(0, 160, 4):
            path = copied(template, disk / "cluster")
            ballast = fill(disk, free_pages * 4096)
            done = applied(path)
            ballast.unlink()

            assert state_of(path) == old_and_new[done], free_pages
            outcomes.append(done)

    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {False, True}


def applied(path: Path) -> bool:
    """False when the disk was full, and the error said so."""
    told: StorageError | None = None
    try:
        apply(path)
    except StorageError as error:
        told = error
    assert told is None or (told.hint and "state.db" in told.message)
    return told is None
