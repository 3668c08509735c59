"""Two hundred connections at once to a real share over QUIC: a bounded price in memory, and honest receivers get in."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from blixard.errors import TransferError
from blixard.limits import MIB
from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint
from blixard.peer.ports import Channel, Endpoint, Link
from blixard.peer.share.answers import Bounds
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import head
from blixard.peer.wire.ticket import Ticket, parse_ticket
from support.cuts import Original, an_empty_world, an_original
from support.processes import blixard
from support.shares import Share, sharing
from support.world import fast_folder

CROWD = 200
AT_ONCE = 8
SECONDS = 60

Held = tuple[Link, Channel]
"""A connection and its first channel: dropped, it would end the connection."""


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    with an_original(16 * MIB) as made:
        yield made


def connected(endpoint: Endpoint, ticket: Ticket) -> Link:
    return endpoint.connect(ticket.peer_id, ticket.addresses, None, SECONDS)


def stranger(endpoint: Endpoint, ticket: Ticket) -> Held:
    """Begins to talk, and never proves anything."""
    link = connected(endpoint, ticket)
    control = link.open(SECONDS)
    control.receive(SECONDS)
    return link, control


def holder(endpoint: Endpoint, ticket: Ticket) -> Held:
    """Has the ticket, and asks for all of the document on every channel without taking it."""
    link = connected(endpoint, ticket)
    control = link.open(SECONDS)
    hello = control.receive(SECONDS)
    assert hello is not None
    ends = {"client_id": link.local_id, "server_id": link.remote_id}
    control.send(head(protocol.ClientHello(protocol.prove(ticket.secret, nonce=hello[0]["nonce"], **ends))))
    control.receive(SECONDS)
    for _ in range(8):
        link.open(SECONDS).send(head(protocol.GetDocument()))
    return link, control


@pytest.mark.parametrize(("guest", "most"), [(stranger, 64 * MIB), (holder, Bounds().bytes_in_flight)])
@pytest.mark.parametrize("identities", [1, 20])
def test_two_hundred_at_once_cost_little_memory_and_keep_nobody_out(
    original: Original, guest: Callable[[Endpoint, Ticket], Held], most: int, identities: int
) -> None:
    with sharing(original.world, original.file) as share, ExitStack() as stack, fast_folder() as folder:
        threading.Thread(target=read_on, args=(share,), daemon=True).start()
        fetch(share, folder / "before")
        before = memory(share)
        options = EndpointOptions(listen="127.0.0.1:0")
        hosts = [stack.enter_context(IrohEndpoint(secrets.token_bytes(32), options)) for _ in range(identities)]
        standing = come(guest, hosts, parse_ticket(share.ticket))
        during = memory(share)
        threads = psutil.Process(share.process.pid).num_threads()
        stack.close()
        fetch(share, folder / "after")
        after = memory(share)

    assert any(standing)
    grown = (during - before, after - before)
    assert max(grown) < most, grown
    assert threads < 500, threads


def come(guest: Callable[[Endpoint, Ticket], Held], hosts: list[IrohEndpoint], ticket: Ticket) -> list[Held | None]:
    """All of them, from so many identities; those that are turned away are no surprise."""

    def one(number: int) -> Held | None:
        try:
            return guest(hosts[number % len(hosts)], ticket)
        except TransferError:
            return None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(one, range(CROWD)))


def read_on(share: Share) -> None:
    """Whoever asked for events reads them: a share waits for its reader."""
    assert share.process.stdout is not None
    with suppress(ValueError):  # closed with the share
        share.process.stdout.read()


def memory(share: Share) -> int:
    """Resident bytes of the process that serves."""
    resident: int = psutil.Process(share.process.pid).memory_info().rss
    return resident


def fetch(share: Share, folder: Path) -> None:
    folder.mkdir()
    ran = blixard(an_empty_world(folder), "cluster", "fetch", "-i", share.ticket, "-o", folder / "got.json.gz")
    assert ran.code == 0, ran
