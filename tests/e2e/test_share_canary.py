"""A ticket opens what it names to whoever has it: wherever it is given from, it stands nowhere else.

Looked for in every spelling: process titles, environments, messages, JSON, history, logs, every file of both nodes.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from blixard.peer.ticket import parse_ticket
from support.commands import Ran
from support.cuts import an_empty_world, an_original
from support.gate import Gate
from support.processes import blixard, environment, finish, start, until
from support.shares import a_stand, running, sharing
from support.tickets import make_ticket
from support.world import World, fast_folder, picture

TELLING = (("cluster", "history"), ("telemetry", "show"), ("cluster", "status"))
WAYS = ("file", "stdin", "environment", "argument", "position")


class Given(Struct, frozen=True):
    """A ticket on its way into a command."""

    options: tuple[str, ...] = ()
    env: dict[str, str] = {}
    stdin: str = ""


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    """A cluster with a disk of 4 MiB, and its export."""
    with an_original(4 << 20) as original:
        yield original.world


@pytest.fixture
def there() -> Iterator[World]:
    with fast_folder() as folder:
        world = an_empty_world(folder)
        world.must("cluster", "init", "web")
        yield world


def given(way: str, ticket: str, world: World) -> Given:
    if way == "file":
        file = world.out / "ticket.txt"
        half = len(ticket) // 2
        file.write_text(f"{ticket[:half]}\n{ticket[half:]}\n")  # a mail has broken it
        return Given(options=("--ticket-file", str(file)))
    if way == "stdin":
        return Given(options=("-i", "-"), stdin=f"{ticket}\n")
    if way == "environment":
        return Given(env={"BLIXARD_TICKET": ticket})
    return Given(options=(ticket,) if way == "position" else ("-i", ticket))


def begun(world: World, how: Given, *arguments: str) -> subprocess.Popen[bytes]:
    """A command that has got its ticket."""
    process = start(world, *arguments, *how.options, env=environment(**how.env), stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(how.stdin.encode())
    process.stdin.close()
    process.stdin = None
    return process


def spellings(ticket: str) -> list[bytes]:
    """The ticket, the part of it that holds the secret, and the secret."""
    secret = parse_ticket(ticket).secret.reveal()
    return [
        ticket.encode(),
        ticket[8:].encode(),
        secret,
        secret.hex().encode(),
        base64.b64encode(secret).rstrip(b"="),
        base64.b32encode(secret).rstrip(b"=").lower(),
    ]


def leaks(ticket: str, texts: dict[str, bytes]) -> list[str]:
    """Where it stands."""
    forms = spellings(ticket)
    return [where for where, text in texts.items() if any(form in text for form in forms)]


def files(*worlds: World) -> dict[str, bytes]:
    """Every file of the data directories."""
    paths = [path for world in worlds for path in world.data.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in paths}


def said(*runs: Ran) -> dict[str, bytes]:
    return {f"{number} {run.code}": (run.out + run.err).encode() for number, run in enumerate(runs)}


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
        stand.shelf.frame_of = gate = Gate(frozenset(), a_while=60)
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


def garbled(ticket: str) -> str:
    return ticket[:-1] + ("a" if ticket[-1] != "a" else "b")


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


@pytest.mark.parametrize(("way", "code"), [("file", 13), ("stdin", 41)])
def test_what_is_too_long_for_a_ticket_is_refused_at_once(there: World, way: str, code: int) -> None:
    ran = finish(begun(there, given(way, "blixard" + "a" * 80_000, there), "cluster", "import", "--p2p", "-y"))

    assert ran.code == code, ran
    assert len(ran.err) < 2000


def test_a_ticket_file_that_is_not_there_is_said_to_be_missing(there: World) -> None:
    ran = blixard(there, "cluster", "import", "--p2p", "-y", "--ticket-file", there.out / "none.txt")

    assert ran.code == 30, ran
    assert "none.txt" in ran.err


MISUSES = {
    "import": ("cluster", "import", "-y", "-i", "T"),
    "import by position": ("cluster", "import", "-y", "T"),
    "import two": ("cluster", "import", "-y", "-i", "T", "-i", "xT"),
    "import a broken one": ("cluster", "import", "-y", "-i", "BROKEN"),
    "import as a file of tickets": ("cluster", "import", "-y", "--p2p", "--ticket-file", "T"),
    "import too many": ("cluster", "import", "-y", "--p2p", "T", "T"),
    "import as a plan": ("cluster", "import", "-y", "-i", "none.json", "--plan", "T"),
    "import as an option": ("cluster", "import", "--T"),
    "import as a number": ("cluster", "import", "--connections", "T"),
    "fetch": ("cluster", "fetch", "T", "-o", "none.json", "--timeout", "1s"),
    "fetch nowhere": ("cluster", "fetch", "-i", "T"),
    "fetch as a file of tickets": ("cluster", "fetch", "-o", "none.json", "--ticket-file", "T"),
    "export": ("cluster", "export", "-o", "./T/none.json"),
    "inspect": ("cluster", "inspect", "T"),
    "verify": ("cluster", "verify", "-i", "T"),
    "extract": ("cluster", "extract", "T", "web-1/root", "-o", "none.raw"),
    "diff": ("cluster", "diff", "T", "cluster:"),
    "share": ("cluster", "share", "T"),
    "cluster": ("cluster", "status", "-c", "T"),
    "vm": ("vm", "show", "T"),
    "ticket": ("ticket", "T"),
    "ticket show a garbled one": ("ticket", "show", "-i", "TGARBLED"),
    "ticket show two": ("ticket", "show", "T", "-i", "T"),
    "nothing": ("T",),
}


@pytest.mark.parametrize("more", [("-v",), ("--json", "--log-json", "-vv")], ids=["human", "json"])
@pytest.mark.parametrize("misuse", MISUSES)
def test_a_ticket_in_the_wrong_place_is_not_told(there: World, misuse: str, more: tuple[str, ...]) -> None:
    ticket = make_ticket(addresses=("127.0.0.1:9",)).encode()
    forms = {"TGARBLED": garbled(ticket), "BROKEN": f"{ticket[:70]}\n{ticket[70:]}"}
    arguments = [forms.get(each, each.replace("T", ticket)) for each in MISUSES[misuse]]

    ran = blixard(there, *arguments, *more)

    assert ran.code in {2, 20, 30, 41, 42}, ran
    texts = {**said(ran), **files(there)}
    assert leaks(ticket, texts) == []
    assert not any(ticket[70:].encode() in text or ticket[100:130].encode() in text for text in texts.values())


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("cluster", "import"), "add `--p2p`"),
        (("cluster", "import", "-i"), "add `--p2p`"),
        (("cluster", "inspect"), "`blixard cluster fetch -i TICKET -o FILE`"),
        (("cluster", "share"), "`blixard cluster import --p2p -i TICKET`"),
        (("cluster", "import", "--p2p", "--ticket-file"), "`-i TICKET`"),
        (("ticket",), "`blixard ticket show TICKET`"),
    ],
)
def test_a_ticket_in_the_wrong_place_is_told_its_right_one(
    there: World, arguments: tuple[str, ...], advice: str
) -> None:
    ran = blixard(there, *arguments, make_ticket().encode())

    assert ran.code == 2, ran
    assert advice in ran.err


def test_ticket_show_takes_the_ticket_with_and_without_its_option(there: World) -> None:
    ticket = make_ticket().encode()

    runs = [blixard(there, "ticket", "show", *option, ticket, "--json") for option in ((), ("-i",))]

    assert [ran.code for ran in runs] == [0, 0], runs
    assert runs[0].out == runs[1].out
    assert leaks(ticket, said(*runs)) == []
