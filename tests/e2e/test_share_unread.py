"""A script reads the ticket of a share, and nothing that the share says afterwards."""

from __future__ import annotations

import fcntl
import json
import secrets
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from blixard.errors import PeerRefused
from blixard.peer.fetch.remote import Remote
from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint
from blixard.peer.wire.secret import Secret
from blixard.peer.wire.ticket import Ticket, parse_ticket
from support.cuts import MIB, Original, an_empty_world, an_original
from support.processes import blixard
from support.shares import sharing
from support.world import fast_folder

STRANGERS = 40
PIPE_BYTES = 4096
"""The smallest that Linux makes: a score of events fill it."""


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    with an_original(4 * MIB) as made:
        yield made


def is_refused(ticket: Ticket) -> bool:
    """Come with a secret that is not the one."""
    endpoint = IrohEndpoint(secrets.token_bytes(32), EndpointOptions(listen="127.0.0.1:0"))
    with pytest.raises(PeerRefused):
        Remote.connect([replace(ticket, secret=Secret.new())], endpoint)
    return True


def test_nobody_waits_for_who_reads_what_a_share_tells(original: Original) -> None:
    with sharing(original.world, original.file) as share, fast_folder() as folder:
        assert share.process.stdout is not None
        fcntl.fcntl(share.process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        assert all(is_refused(parse_ticket(share.ticket)) for _ in range(STRANGERS))
        there = an_empty_world(folder)
        ran = blixard(there, "cluster", "fetch", "-i", share.ticket, "-o", there.root / "got.json.gz")
        share.interrupt()
        out, _ = share.process.communicate()

    assert ran.code == 0, ran
    assert share.process.returncode == 0
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert events.count("refused") >= STRANGERS - 1  # the reader of the ticket may have taken one with it
    assert events[-1] == "summary"
