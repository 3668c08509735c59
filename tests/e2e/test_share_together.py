"""Several at once: one receiver from two senders, four receivers of one, and one that is killed beside another."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from support.cuts import MIB, Original, an_empty_world, an_original, staged_positions
from support.processes import blixard, environment, finish, start, until
from support.shares import Share, running, sharing
from support.world import World, fast_folder, picture


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    with an_original(40 * MIB) as made:
        yield made


@pytest.fixture
def worlds() -> Iterator[list[World]]:
    """Five other machines: the last is a second sender."""
    with ExitStack() as stack:
        yield [an_empty_world(stack.enter_context(fast_folder())) for _ in range(5)]


def importing(world: World, share: Share, *more: str) -> subprocess.Popen[bytes]:
    return start(world, "cluster", "import", "--p2p", "-y", *more, env=environment(BLIXARD_TICKET=share.ticket))


def killed(world: World, share: Share) -> None:
    """A receiver that is killed when it has made sure of the first 8 MiB; slow enough to be met."""
    world.must("cluster", "init", "web")
    with running(importing(world, share, "-c", "web", "--limit-rate", "10MiB")) as process:
        until(lambda: len(staged_positions(world)) >= 8, process)
        process.kill()
        process.communicate()


def has_all(world: World, original: Original) -> bool:
    return picture(world)["web"].disks == picture(original.world)["web"].disks


def by_completion(report: dict[str, Any]) -> dict[bool, dict[str, Any]]:
    assert len(report["receivers"]) == 2
    return {receiver["completed"]: receiver for receiver in report["receivers"]}


def test_of_two_senders_each_gives_a_part(original: Original, worlds: list[World]) -> None:
    here, second = worlds[0], worlds[4]
    with (
        sharing(original.world, original.file, "--share-uses", "1") as one,
        sharing(second, original.file, "--share-uses", "1") as two,
    ):
        ran = blixard(here, "cluster", "import", "--p2p", "-y", "-i", one.ticket, "-i", two.ticket)
        assert ran.code == 0, ran
        given = [share.end(0)["receivers"][0]["sent_bytes"] for share in (one, two)]

    assert has_all(here, original)
    assert min(given) > 2 * MIB, given
    assert original.size < sum(given) < original.size + 20 * MIB, given


def test_four_receivers_at_once_each_get_all_of_it_over_the_lane(original: Original, worlds: list[World]) -> None:
    with sharing(original.world, original.file, "--share-uses", "4", "--lane", "auto") as share, ExitStack() as stack:
        processes = [stack.enter_context(running(importing(world, share))) for world in worlds[:4]]
        ran = [finish(process) for process in processes]
        report = share.end(0)

    assert [each.code for each in ran] == [0] * 4, ran
    assert all(has_all(world, original) for world in worlds[:4])
    assert report["completed"] == len(report["receivers"]) == 4
    for receiver in report["receivers"]:
        assert receiver["sent_by_kind"]["tcp"] > original.size / 2, receiver


def test_a_receiver_that_was_killed_does_not_stop_a_share(original: Original, worlds: list[World]) -> None:
    with sharing(original.world, original.file) as share:
        killed(worlds[0], share)
        with running(importing(worlds[1], share)) as process:
            ran = finish(process)
        while not (event := share.next_event()["receiver"])["problem"]:
            assert event["id"]
        share.interrupt()
        receivers = by_completion(share.end(0))

    assert ran.code == 0, ran
    assert has_all(worlds[1], original)
    assert receivers[True]["sent_bytes"] > original.size
    assert 8 * MIB <= receivers[False]["sent_bytes"] < original.size
    assert event["id"] == receivers[False]["id"]
    assert event["problem"] == receivers[False]["problem"]


def test_a_share_that_nobody_finished_ends_with_3_and_says_what_was_sent(
    original: Original, worlds: list[World]
) -> None:
    with sharing(original.world, original.file, "--share-uses", "1") as share:
        killed(worlds[0], share)
        share.interrupt()
        report = share.end(3)

    [receiver] = report["receivers"]
    assert (report["completed"], receiver["completed"]) == (0, False)
    assert 8 * MIB <= receiver["sent_bytes"] < original.size
