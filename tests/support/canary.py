"""A ticket on its way into a command, and where it is found afterwards, in whatever spelling."""

from __future__ import annotations

import base64
import subprocess

from msgspec import Struct

from blixard.peer.wire.ticket import parse_ticket
from support.commands import Ran
from support.processes import environment, start
from support.world import World


class Given(Struct, frozen=True):
    """A ticket on its way into a command."""

    options: tuple[str, ...] = ()
    env: dict[str, str] = {}
    stdin: str = ""


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


def garbled(ticket: str) -> str:
    return ticket[:-1] + ("a" if ticket[-1] != "a" else "b")
