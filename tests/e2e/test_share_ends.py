"""A share ends by itself when its time is up, whoever still holds a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from blixard.home import Home
from blixard.ops.network import Network
from blixard.peer.client import Remote
from blixard.peer.ticket import parse_ticket
from support.cuts import MIB, Original, an_original
from support.shares import sharing
from support.world import fast_folder

LOOPBACK = Network(listen="127.0.0.1:0")


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    with an_original(MIB) as made:
        yield made


def test_a_receiver_that_asks_for_nothing_does_not_hold_a_share_open(original: Original) -> None:
    with (
        fast_folder() as folder,
        sharing(original.world, original.file, "--share-for", "1s", "--share-uses", "1") as share,
        LOOPBACK.node(Home(folder), "test") as node,
        Remote.connect([parse_ticket(share.ticket)], node.endpoint),
    ):
        report = share.end(3)

    assert report["completed"] == 0
    assert [receiver["problem"] for receiver in report["receivers"]] == ["the share is over"]
