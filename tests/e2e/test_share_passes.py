"""How often a document is read from front to back: each pass over a cluster's document costs as much as an import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from blixard.format.events import Event
from blixard.format.reader import DocumentReader
from blixard.ops.importing.request import ImportRequest
from blixard.ops.importing.run import import_document
from blixard.ops.peers.fetch import FetchFileOptions, fetch
from blixard.ops.peers.source import PeerSource, peer_source
from blixard.peer.fetch.options import FetchOptions
from blixard.peer.wire.ticket import parse_ticket
from blixard.plan.options import ImportOptions
from blixard.plan.rules import Rules
from blixard.plan.scope import parse_scope
from blixard.site.config import LaneChoice, load_config
from blixard.site.network import NetworkSettings
from blixard.site.site import Site
from blixard.site.who import SystemClock
from support.cluster_files import cluster_document, put, sorted_by_key
from support.clusters import Watched
from support.shares import Stand, a_stand


class Passes:
    """Counts the documents whose reading began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        events = DocumentReader.events

        def counted(reader: DocumentReader) -> Iterator[Event]:
            self.count += 1
            return events(reader)

        monkeypatch.setattr(DocumentReader, "events", counted)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Stand]:
    """A sender of a document with telemetry, disks and references across them."""
    with a_stand(Path(put(tmp_path, cluster_document(compress=True)))) as stand:
        stand.serve()
        yield stand


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Another machine, with nothing in it."""
    return Site(load_config({"data_dir": str(tmp_path / "there")}, {}))


@pytest.fixture
def passes(served: Stand, site: Site, monkeypatch: pytest.MonkeyPatch) -> Passes:
    """Counts from now on: the sender has read its file."""
    return Passes(monkeypatch)


def at_senders(site: Site, served: Stand) -> AbstractContextManager[PeerSource]:
    network = NetworkSettings(lane=LaneChoice.IROH, listen="127.0.0.1:0")
    tickets = [parse_ticket(served.ticket)]
    limits = site.config.limits
    return peer_source(site.home, tickets, network, options=FetchOptions(timeout=20), limits=limits, verb="a test")


def imported(site: Site, served: Stand, only: tuple[str, ...] = ()) -> int:
    """Import by ticket; bytes of disks that came."""
    options = ImportOptions(rules=Rules(scope=parse_scope(only, ())))
    report = import_document(
        site.home,
        site.open,
        ImportRequest(source="a ticket", options=options, cluster="web", consent=True),
        clock=SystemClock(),
        progress=Watched(),
        consent=lambda _plan, _target: None,
        opened=lambda: at_senders(site, served),
    )
    return report.staged_bytes


def test_a_fetch_reads_the_document_twice(served: Stand, site: Site, passes: Passes, tmp_path: Path) -> None:
    """To prove it against the ticket and know what it holds; to write it."""
    target = tmp_path / "fetched.json"
    with at_senders(site, served) as source:
        fetch(source, FetchFileOptions(output=str(target), compress=False), progress=Watched(), home=site.home)

    assert passes.count == 2
    assert target.read_bytes() == cluster_document()


def test_an_import_by_ticket_reads_the_document_twice(served: Stand, site: Site, passes: Passes) -> None:
    """To prove it against the ticket; to plan and stage."""
    assert imported(site, served) > 0
    assert passes.count == 2


def test_an_import_of_a_part_by_ticket_looks_once_more_for_what_the_part_refers_to(
    served: Stand, site: Site, passes: Passes
) -> None:
    assert imported(site, served, ("vm=web-1",)) > 0
    assert passes.count == 3


def test_a_fetch_of_a_document_in_another_order_is_the_same_file(
    served: Stand, site: Site, passes: Passes, tmp_path: Path
) -> None:
    """Its digest says nothing of the order in which a sender gives it: one pass more for each streamed part."""
    with served.served.open_document() as document:
        served.served.text = sorted_by_key(document.read())
    target = tmp_path / "fetched.json"
    with at_senders(site, served) as source:
        fetch(source, FetchFileOptions(output=str(target), compress=False), progress=Watched(), home=site.home)

    assert passes.count == 4
    assert target.read_bytes() == cluster_document()
