"""A ticket opens what it names to whoever has it: wherever it is given from, it stands nowhere else.

Looked for in every spelling: process titles, environments, messages, JSON, history, logs, every file of both nodes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.canary import begun, files, garbled, given, leaks, said
from support.commands import Ran
from support.cuts import an_original
from support.gate import Gate
from support.processes import blixard, finish, until
from support.shares import a_stand, running, sharing
from support.world import World, picture

TELLING = (("cluster", "history"), ("telemetry", "show"), ("cluster", "status"))
WAYS = ("file", "stdin", "environment", "argument", "position")


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    """A cluster with a disk of 4 MiB, and its export."""
    with an_original(4 << 20) as original:
        yield original.world


@pytest.fixture
def there(bare: World) -> World:
    return bare


def title(process: subprocess.Popen[bytes]) -> bytes:
    return Path(f"/proc/{process.pid}/cmdline").read_bytes()


def told(world: World) -> tuple[Ran, ...]:
    """What a node tells of what was done."""
    runs = tuple(blixard(world, *command, "-c", "web", "--json") for command in TELLING)
    assert [ran.code for ran in runs] == [0] * len(TELLING), runs
    return runs


@pytest.mark.parametrize("way", WAYS)
def test_a_receiver_does_not_let_its_ticket_out(made: World, there: World, way: str) -> None:
    with a_stand(made.out / "web.json") as stand:
        stand.served.frame_of = gate = Gate(frozenset(), a_while=60)
        stand.serve()
        ticket = stand.ticket
        how = given(way, ticket, there)
        with running(begun(there, how, "cluster", "import", "--p2p", "-c", "web", "-y", "-v", "--json")) as process:
            until(gate.reached.is_set, process)
            seen = {"environ": Path(f"/proc/{process.pid}/environ").read_bytes(), "title": title(process)}
            under_way = files(there)
            gate.open()
            ran = finish(process)

    assert ran.code == 0, ran
    assert picture(there)["web"].disks == picture(made)["web"].disks
    assert leaks(ticket, seen) == {"environment": ["environ"], "argument": ["title"], "position": ["title"]}.get(
        way, []
    )
    assert leaks(ticket, {**under_way, **files(there), **said(ran, *told(there))}) == []


@pytest.mark.parametrize("way", WAYS)
def test_a_fetch_does_not_either(made: World, there: World, way: str) -> None:
    target = there.out / "fetched.json"
    with a_stand(made.out / "web.json") as stand:
        stand.serve()
        ticket = stand.ticket
        ran = finish(begun(there, given(way, ticket, there), "cluster", "fetch", "-o", str(target), "-v", "--json"))

    assert ran.code == 0, ran
    assert leaks(ticket, {**files(there), **said(ran), "file": target.read_bytes()}) == []


def whole(ticket: str) -> str:
    return ticket


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("change", "code"), [(garbled, 41), (whole, 42)])
def test_a_ticket_that_does_not_work_is_not_told_in_the_error(
    made: World, there: World, way: str, change: Callable[[str], str], code: int
) -> None:
    with a_stand(made.out / "web.json") as stand:  # nobody serves there
        ticket = stand.ticket
        how = given(way, change(ticket), there)
        ran = finish(begun(there, how, "cluster", "import", "--p2p", "-y", "-v", "--timeout", "1s"))

    assert ran.code == code, ran
    texts = {**files(there), **said(ran, *told(there))}
    assert leaks(ticket, texts) == []
    assert not any(ticket[8:-1].encode() in text for text in texts.values())


def test_a_sender_tells_its_ticket_once(made: World, there: World) -> None:
    with sharing(made, made.out / "web.json", "--share-uses", "1", "-c", "web", "-v") as share:
        ticket = share.ticket
        seen = {
            "title": title(share.process),
            "environ": Path(f"/proc/{share.process.pid}/environ").read_bytes(),
            "files": b"".join(files(made).values()),
        }
        ran = finish(begun(there, given("file", ticket, there), "cluster", "import", "--p2p", "-c", "web", "-y"))
        out, err = share.process.communicate(timeout=60)

    assert (ran.code, share.process.returncode) == (0, 0), (ran, err)
    rest = {"out": out, "err": err, **files(made, there), **said(*told(made))}
    assert leaks(ticket, {**seen, **rest}) == []
