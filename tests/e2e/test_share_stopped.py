"""Shares and fetches that are killed or interrupted: the cluster is untouched, and the next try goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blixard.peer.wire.ticket import parse_ticket
from support.commands import Ran
from support.cuts import an_original, staged_positions
from support.gate import Gate
from support.processes import blixard, environment, finish, start, until
from support.shares import Stand, a_stand, running, sharing, take
from support.world import World, litter, picture

MIB = 1 << 20
SIZE = 40 * MIB


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    """A cluster with one disk of 40 MiB, and its export."""
    with an_original(SIZE) as original:
        yield original.world


@pytest.fixture
def there(bare: World) -> World:
    """A cluster `web` of its own, to be replaced."""
    bare.must("vm", "create", "old")
    return bare


def digests(made: World) -> list[bytes]:
    """Of the records of the disk, in order."""
    [image] = json.loads((made.out / "web.json").read_text())["images"]
    return [bytes.fromhex(record["blake3"]) for record in image["records"]]


def importing(world: World, ticket: str, *more: str) -> subprocess.Popen[bytes]:
    """A running import that replaces `web`."""
    return start(world, "cluster", "import", "--p2p", "-c", "web", "-y", *more, env=environment(BLIXARD_TICKET=ticket))


def staged(there: World, records: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until as many records are durable as those that came make sure of: one checkpoint for each 8 MiB."""
    until(lambda: len(staged_positions(there)) >= records // 8 * 8, process)


def kill_receiver(made: World, stand: Stand, there: World, records: int) -> set[int]:
    """Kill an import that has got the first `records` records; those that it had staged for good."""
    before = picture(there)
    stand.served.frame_of = gate = Gate(frozenset(digests(made)[:records]))
    server = stand.serve()
    with running(importing(there, stand.ticket)) as process:
        until(gate.reached.is_set, process)
        staged(there, records, process)
        process.kill()
        process.communicate()
    gate.open()
    server.stop()
    assert picture(there) == before
    stand.served.frame_of = lambda _digest, frame: frame
    stand.served.asked.clear()
    return staged_positions(there)


def test_a_gate_does_not_hold_what_it_would_give_for_good() -> None:
    """One of the first records, asked for behind a held one on the same channel."""
    gate = Gate(frozenset({b"first"}), a_while=0.05)

    assert [gate(digest, digest) for digest in (b"held", b"first")] == [b"held", b"first"]
    assert (gate.reached.is_set(), gate.slipped) == (True, 1)


@pytest.mark.parametrize("records", [2, 9, 20, 38])
def test_an_import_that_was_killed_goes_on_with_the_same_ticket(made: World, there: World, records: int) -> None:
    with a_stand(made.out / "web.json") as stand:
        held = kill_receiver(made, stand, there, records)
        server = stand.serve()
        ran = take(there, stand.ticket, "-c", "web", "-y", "--json")
        server.stop()
        missing = [digest for position, digest in enumerate(digests(made)) if position not in held]
        [receiver] = server.receivers()

    assert ran.code == 0, ran
    assert sorted(stand.served.asked) == sorted(missing)
    assert len(missing) * MIB * 0.9 < receiver.sent_bytes < len(missing) * MIB + MIB
    assert json.loads(ran.out)["resumed"] is bool(held)
    assert picture(there)["web"].disks == picture(made)["web"].disks


def test_the_file_itself_goes_on_where_an_import_by_ticket_was_killed(made: World, there: World) -> None:
    with a_stand(made.out / "web.json") as stand:
        assert kill_receiver(made, stand, there, 20)
    ran = blixard(there, "cluster", "import", "-i", made.out / "web.json", "-c", "web", "-y", "--json")

    assert ran.code == 0, ran
    assert json.loads(ran.out)["resumed"] is True
    assert picture(there)["web"].disks == picture(made)["web"].disks


def test_a_receiver_whose_sender_was_killed_gives_up_in_time(made: World, there: World) -> None:
    before = picture(there)
    script = Path(__file__).parent.parent / "support" / "gated_share.py"
    first = ",".join(digest.hex() for digest in digests(made)[:20])
    command = [sys.executable, str(script), str(made.out / "web.json"), first]
    with running(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())) as sender:
        assert sender.stdout is not None
        ticket = sender.stdout.readline().decode().strip()
        with running(importing(there, ticket, "--timeout", "2s")) as process:
            staged(there, 20, process)
            sender.kill()
            ran = finish(process)

    assert ran.code == 42, ran
    assert picture(there) == before
    with a_stand(made.out / "web.json") as stand:
        stand.serve()
        assert take(there, stand.ticket, "-c", "web", "-y").code == 0
        assert len(stand.served.asked) <= len(digests(made)) - 16
    assert picture(there)["web"].disks == picture(made)["web"].disks


def interrupted(process: subprocess.Popen[bytes]) -> tuple[Ran, float]:
    """What Ctrl-C makes of it, and in how many seconds."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    return finish(process), time.monotonic() - began


def assert_ended_at_once(ran: Ran, seconds: float) -> None:
    assert ran.code == 130, ran
    assert seconds < 20
    assert "Traceback" not in ran.err


def test_ctrl_c_ends_an_import_that_can_go_on(made: World, there: World) -> None:
    """Also while its workers wait for records that do not come."""
    before = picture(there)
    with a_stand(made.out / "web.json") as stand:
        stand.served.frame_of = gate = Gate(frozenset(digests(made)[:16]), a_while=60)
        server = stand.serve()
        with running(importing(there, stand.ticket)) as process:
            until(gate.reached.is_set, process)
            staged(there, 16, process)
            ran, seconds = interrupted(process)
        gate.open()
        server.stop()

    assert_ended_at_once(ran, seconds)
    assert [receiver.problem for receiver in server.receivers()] == [None], "it took its leave"
    assert picture(there) == before
    assert [each for each in litter(there, staged=True) if "node.key" not in each] == []


def test_ctrl_c_ends_a_fetch_whose_sender_has_stalled(made: World, there: World) -> None:
    target = there.out / "fetched.json"
    with a_stand(made.out / "web.json") as stand:
        stand.served.frame_of = gate = Gate(frozenset(digests(made)[:4]), a_while=60)
        server = stand.serve()
        command = ("cluster", "fetch", "-o", str(target), "--no-compress")
        with running(start(there, *command, env=environment(BLIXARD_TICKET=stand.ticket))) as process:
            until(gate.reached.is_set, process)
            ran, seconds = interrupted(process)
        gate.open()
        server.stop()

    assert_ended_at_once(ran, seconds)
    assert [receiver.problem for receiver in server.receivers()] == [None], "it took its leave"
    assert list(there.out.iterdir()) == []


def test_ctrl_c_ends_a_share_with_3_when_nobody_came(made: World) -> None:
    with sharing(made, made.out / "web.json") as share:
        share.interrupt()
        assert share.end(3)["completed"] == 0


def test_ctrl_c_ends_a_share_with_0_when_somebody_has_all(made: World, there: World) -> None:
    with sharing(made, made.out / "web.json") as share:
        assert take(there, share.ticket, "-c", "web", "-y").code == 0
        share.interrupt()
        assert share.end(0)["completed"] == 1


def test_the_ticket_is_told_once_and_nowhere_else(made: World, there: World) -> None:
    """Neither it nor its secret, in any spelling, comes up in what a receiver says or either side writes."""
    with sharing(made, made.out / "web.json", "--share-uses", "1", "-v") as share:
        secret = parse_ticket(share.ticket).secret
        forms = [share.ticket.encode(), secret.reveal(), secret.reveal().hex().encode()]
        garbled = share.ticket[:-1] + ("a" if share.ticket[-1] != "a" else "b")
        said = [
            take(there, garbled, "-c", "web", "-y", "-v"),
            take(there, share.ticket, "-c", "nowhere/at all", "-y", "-v"),
            take(there, share.ticket, "-c", "web", "-y", "-v", "--json"),
            blixard(there, "cluster", "history", "-c", "web", "--json"),
        ]
        share.end(0)
    written = [path.read_bytes() for world in (made, there) for path in world.data.rglob("*") if path.is_file()]
    spoken = [text.encode() for ran in said for text in (ran.out, ran.err)]

    assert [ran.code for ran in said][2:] == [0, 0], said
    assert said[0].code == 41
    for form in (*forms, garbled[:-1].encode()):
        assert not any(form in text for text in (*written, *spoken, share.err.encode()))
