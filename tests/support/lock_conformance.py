"""What every `ClusterLocks` must do. A test class derives from `LockConformance` and gives the fixture `cluster`.

Commands are processes, so who is kept out and who is let in is tried with another process, which can be killed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from typing import Protocol

import pytest

from blixard.closing import Closing
from blixard.errors import BlixardError, ExitCode, Locked, NotFound
from blixard.ports import ClusterLocks, LockHolder

VERBS = {
    "exporting": "cluster export",
    "reading_disks": "cluster extract",
    "editing": "vm set",
    "alone": "cluster import",
    "deleting_disks": "cluster gc",
    "ending": "cluster delete",
}
TOGETHER = {
    frozenset(pair)
    for pair in [
        ("exporting", "editing"),
        ("exporting", "reading_disks"),
        ("reading_disks",),
        ("reading_disks", "editing"),
        ("reading_disks", "alone"),
        ("editing",),
        ("editing", "deleting_disks"),
        ("alone", "deleting_disks"),
    ]
}
_LONG_ENOUGH = 60


class LockedCluster(Protocol):
    """A cluster named `web`; it is sent to another process."""

    def locks(self) -> ClusterLocks:
        """Its locks, for the process that asks."""

    def delete(self) -> None:
        """Delete the cluster."""


def take(cluster: LockedCluster, how: str, wait_seconds: float = 0) -> AbstractContextManager[object]:
    held: AbstractContextManager[object] = getattr(cluster.locks(), how)(VERBS[how], wait_seconds)
    return held


def serve(connection: Connection) -> None:
    """The other process: takes what it is told to, says how that went, and gives it back when told."""
    while True:
        try:
            held = take(*connection.recv())
        except BlixardError as error:
            connection.send(error.message)
            continue
        except EOFError:
            return
        with held:
            connection.send("held")
            connection.recv()
        connection.send("given back")


class Another(Closing):
    """Another process, and what is said to it."""

    def __init__(self) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._connection, theirs = spawning.Pipe()
        self._process = spawning.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def begin(self, cluster: LockedCluster, how: str, wait_seconds: float = 0) -> None:
        self._connection.send((cluster, how, wait_seconds))

    def outcome(self) -> str:
        assert self._connection.poll(_LONG_ENOUGH)
        return str(self._connection.recv())

    def take(self, cluster: LockedCluster, how: str, wait_seconds: float = 0) -> str:
        self.begin(cluster, how, wait_seconds)
        return self.outcome()

    def give_back(self) -> None:
        self._connection.send("give back")
        assert self.outcome() == "given back"

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._connection.close()
        self._process.join(_LONG_ENOUGH)


class LockConformance:
    """The contract of `ports.ClusterLocks`, one rule a test."""

    @pytest.fixture(scope="class")
    @classmethod
    def another(cls) -> Iterator[Another]:
        with Another() as process:
            yield process

    @pytest.mark.parametrize("second", VERBS)
    @pytest.mark.parametrize("first", VERBS)
    def test_who_may_work_beside_whom(self, cluster: LockedCluster, another: Another, first: str, second: str) -> None:
        allowed = frozenset((first, second)) in TOGETHER
        assert another.take(cluster, first) == "held"
        if allowed:
            with take(cluster, second):
                pass
        else:
            with pytest.raises(Locked):
                take(cluster, second)
        another.give_back()

        with take(cluster, "ending"):
            pass

    @pytest.mark.parametrize("second", VERBS)
    @pytest.mark.parametrize("first", VERBS)
    def test_in_one_process_it_is_the_same(self, cluster: LockedCluster, first: str, second: str) -> None:
        allowed = frozenset((first, second)) in TOGETHER
        with take(cluster, first):
            if allowed:
                with take(cluster, second):
                    pass
            else:
                with pytest.raises(Locked):
                    take(cluster, second)

        with take(cluster, "ending"):
            pass

    def test_what_is_not_got_gives_back_the_rest(self, cluster: LockedCluster, another: Another) -> None:
        with take(cluster, "reading_disks"):
            refused = another.take(cluster, "ending")
        with take(cluster, "exporting"):
            pass

        assert refused != "held"

    def test_who_is_kept_out_is_told_by_whom_and_how_to_wait(self, cluster: LockedCluster, another: Another) -> None:
        another.take(cluster, "alone")
        with pytest.raises(Locked) as caught:
            take(cluster, "editing")
        another.give_back()

        assert caught.value.exit_code is ExitCode.LOCKED
        assert "`web`" in caught.value.message
        assert "`cluster import`" in caught.value.message
        assert "--lock-wait" in (caught.value.hint or "")

    def test_a_wait_that_is_too_short_ends(self, cluster: LockedCluster, another: Another) -> None:
        with take(cluster, "alone"):
            outcome = another.take(cluster, "alone", 0.05)

        assert "`cluster import`" in outcome

    @pytest.mark.parametrize("how", VERBS)
    def test_who_waits_gets_it_when_it_comes_free(self, cluster: LockedCluster, another: Another, how: str) -> None:
        with take(cluster, "ending"):
            another.begin(cluster, how, _LONG_ENOUGH)

        assert another.outcome() == "held"
        another.give_back()

    @pytest.mark.parametrize("how", VERBS)
    def test_who_is_killed_holds_nothing(self, cluster: LockedCluster, how: str) -> None:
        with Another() as killed:
            assert killed.take(cluster, how) == "held"
            killed.kill()

        with take(cluster, "ending", _LONG_ENOUGH):
            pass

    def test_who_is_at_work_is_seen_without_being_in_the_way(self, cluster: LockedCluster, another: Another) -> None:
        nobody = cluster.locks().holders()
        another.take(cluster, "exporting")
        with take(cluster, "editing"):
            both = cluster.locks().holders()
        another.give_back()

        assert nobody == ()
        assert {each.pid for each in both} == {another.pid, os.getpid()}

    def test_what_one_does_is_said_once(self, cluster: LockedCluster, another: Another) -> None:
        another.take(cluster, "ending")
        holders = cluster.locks().holders()
        another.give_back()

        assert holders == (LockHolder(another.pid, "cluster delete"),)

    @pytest.mark.parametrize("how", VERBS)
    def test_a_cluster_that_was_deleted_meanwhile_is_not_found(self, cluster: LockedCluster, how: str) -> None:
        locks = cluster.locks()
        cluster.delete()

        with pytest.raises(NotFound, match="`web`"):
            getattr(locks, how)(VERBS[how])
