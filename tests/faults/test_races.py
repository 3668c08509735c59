"""Many processes in one data directory at once: nobody is disturbed, nothing is left."""

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import Conflict
from blixard.home import ClusterDir, Home
from blixard.store.opening import locks_of
from support.faults import names

PROCESSES = 4


def together(action: Callable[[int], None]) -> list[int]:
    """Run `action` in some processes at once; their exit codes."""
    children: list[int] = []
    for number in range(PROCESSES):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                action(number)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def export_often(root: Path, number: int) -> None:
    home = Home(root)
    for turn in range(15):
        home.journal.sweep()
        with files.AtomicFile(root / f"export-{number}", journal=home.journal) as new:
            new.file.write(b"%d" % turn)
            new.commit()


def test_a_sweep_never_takes_the_file_of_an_export_at_work(tmp_path: Path) -> None:
    Home(tmp_path).create("web")

    assert together(partial(export_often, tmp_path)) == [0] * PROCESSES
    assert [(tmp_path / f"export-{number}").read_bytes() for number in range(PROCESSES)] == [b"14"] * PROCESSES
    assert names(tmp_path / "pending") == []
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def write_often(path: Path, number: int) -> None:
    for _ in range(20):
        files.atomic_write(path, b"%d" % number * 50_000)


def test_writers_of_one_small_file_never_mix(tmp_path: Path) -> None:
    codes = together(partial(write_often, tmp_path / "current"))

    assert codes == [0] * PROCESSES
    assert len(set((tmp_path / "current").read_bytes())) == 1
    assert (tmp_path / "current").stat().st_size == 50_000
    assert names(tmp_path) == ["current"]


def come_and_go(root: Path, number: int) -> None:
    home = Home(root)
    for _ in range(5):
        home.sweep()
        home.create(f"own-{number}")
        home.set_current(f"own-{number}")
        with locks_of(home.cluster(f"own-{number}")).ending("cluster rename"):
            renamed = home.rename(f"own-{number}", f"renamed-{number}")
        with locks_of(renamed).ending("cluster delete"):
            home.delete(renamed.name)


def test_clusters_come_and_go_beside_each_other(tmp_path: Path) -> None:
    codes = together(partial(come_and_go, tmp_path))

    assert codes == [0] * PROCESSES
    assert names(tmp_path / "clusters") == []
    assert Home(tmp_path).current() is None


def create_once(root: Path, number: int) -> None:
    def build(cluster: ClusterDir) -> None:
        cluster.state_db.write_bytes(b"%d" % number)

    try:
        Home(root).create("web", build)
    except Conflict:
        (root / f"refused-{number}").touch()


def test_of_many_who_make_one_cluster_one_does(tmp_path: Path) -> None:
    codes = together(partial(create_once, tmp_path))
    winner = int((tmp_path / "clusters" / "web" / "state.db").read_bytes())

    assert codes == [0] * PROCESSES
    assert names(tmp_path / "clusters") == ["web"]
    assert [name for name in names(tmp_path) if name.startswith("refused")] == [
        f"refused-{number}" for number in range(PROCESSES) if number != winner
    ]


@pytest.mark.parametrize("kind", ["shared", "exclusive"])
def test_a_lock_is_given_to_all_who_wait(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    counter = tmp_path / "counter"
    counter.write_bytes(b"0")

    def count(_number: int) -> None:
        lock = files.FileLock(path, subject="it", verb="count")
        for _ in range(10):
            with lock.exclusive(60) if kind == "exclusive" else lock.shared(60):
                value = int(counter.read_bytes())
                files.atomic_write(counter, b"%d" % (value + (kind == "exclusive")))

    assert together(count) == [0] * PROCESSES
    assert int(counter.read_bytes()) == (10 * PROCESSES if kind == "exclusive" else 0)
