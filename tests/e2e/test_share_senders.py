"""Several senders of one export: they share the work, and of one that lies the others make up, and somebody is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from blixard.peer.wire.ticket import parse_ticket
from support.commands import Ran
from support.gate import Gate
from support.processes import blixard, finish, start
from support.shares import Stand, a_stand, running, zeros_instead
from support.world import World, picture


def arrived(there: World, ran: Ran) -> None:
    assert ran.code == 0, ran
    assert set(picture(there)["web"].vms) == {"app", "db"}


@contextmanager
def beside_a_liar(made: World, stand: Stand, behind: Gate | None = None) -> Iterator[list[str]]:
    """Tickets of a sender that lies and of an honest one, which serves as soon as the liar was asked for something.

    The honest one's records lie `behind` a gate, if there is one.
    """
    with a_stand(made.out / "new.json.gz") as honest:
        honest.served.frame_of = behind or honest.served.frame_of
        serving = threading.Lock()

        def bend(digest: bytes, frame: bytes | None) -> bytes:
            if serving.acquire(blocking=False):
                honest.serve()
            return zeros_instead(digest, frame)

        stand.served.frame_of = bend
        server = stand.serve()
        yield ["-i", stand.ticket, "-i", honest.ticket]
        server.stop()


def test_a_liar_beside_an_honest_sender_does_no_harm_and_is_told(made: World, stand: Stand, there: World) -> None:
    liar = parse_ticket(stand.ticket).peer_id
    told = f"a sender was given up: `{liar[:16]}`: the sender sent a wrong record"
    with beside_a_liar(made, stand) as named:
        ran = blixard(there, "cluster", "import", "--p2p", "-y", *named)
    arrived(there, ran)
    with beside_a_liar(made, stand) as named:
        fetched = blixard(there, "cluster", "fetch", "-o", there.out / "fetched.json", "--json", *named)

    assert told in ran.err
    (entry, *_) = json.loads(there.must("cluster", "history", "--json", "--verb", "cluster import").out)["entries"]
    assert [each.startswith(told) for each in entry["entry"]["warnings"]] == [True]
    assert [each.startswith(told) for each in json.loads(fetched.out)["warnings"]] == [True]


@pytest.mark.parametrize("verb", [("import", "--p2p", "-y"), ("fetch", "-o", "fetched.json")], ids=["import", "fetch"])
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["human", "json"])
def test_a_liar_is_told_of_while_the_others_go_on(
    made: World, stand: Stand, there: World, verb: tuple[str, ...], more: tuple[str, ...]
) -> None:
    gate = Gate(frozenset(), a_while=60)
    with (
        beside_a_liar(made, stand, behind=gate) as named,
        running(start(there, "cluster", *verb, *named, *more, cwd=there.out)) as process,
    ):
        assert process.stderr is not None
        line = next(line for line in process.stderr if b"a sender was given up" in line).decode()
        gate.open()
        ran = finish(process)

    assert ran.code == 0, ran
    told = json.loads(line)["warning"]["message"] if more else line.strip().removeprefix("warning: ")
    assert told not in ran.err
    if more:
        assert told in json.loads(ran.out)["warnings"]


def test_two_senders_give_one_import(made: World, stand: Stand, there: World) -> None:
    with a_stand(made.out / "new.json.gz") as other:
        servers = [stand.serve(), other.serve()]
        arrived(there, blixard(there, "cluster", "import", "--p2p", "-y", "-i", stand.ticket, "-i", other.ticket))

        known = {digest for each in (stand, other) for digest in each.served.asked}
        assert known
        assert all(receiver.problem is None for server in servers for receiver in server.receivers())
