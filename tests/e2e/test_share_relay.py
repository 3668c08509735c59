"""A share and an import by ticket between two sites that only meet at a relay, which is a third and sees no content."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from support import sites
from support.cuts import Original, an_original
from support.processes import finish, start, until
from support.relayed import URL, Middle, relayed_sites
from support.shares import sharing
from support.sites import Site
from support.world import World, picture

pytestmark = [pytest.mark.root, pytest.mark.skipif(sites.missing() is not None, reason=str(sites.missing()))]

SIZE = 6_000_000
MARKER = '"blake3": "'
"""Once for each record in a document."""
RELAY = ("--relay", URL)


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    with an_original(SIZE) as made:
        yield made


@pytest.fixture
def there(empty: World) -> World:
    return empty


@pytest.fixture
def apart() -> Iterator[tuple[Site, Site, Middle]]:
    with relayed_sites(MARKER) as made:
        yield made


def importing(ticket: str) -> list[str]:
    return ["cluster", "import", "-i", ticket, "--p2p", "--json"]


def test_two_sites_that_meet_only_at_a_relay_move_a_cluster_which_the_relay_cannot_read(
    original: Original, there: World, apart: tuple[Site, Site, Middle]
) -> None:
    near, far, middle = apart
    with sharing(original.world, original.file, "--share-uses", "1", *RELAY, site=near) as share:
        ran = finish(start(there, *importing(share.ticket), *RELAY, before=far.inside))
        [receiver] = share.end(0)["receivers"]
    seen = middle.stop()

    assert ran.code == 0, ran
    assert picture(there)["web"].disks == picture(original.world)["web"].disks
    assert MARKER.encode() in original.file.read_bytes()
    assert (share.told["relay"], seen["in_the_clear"]) == (f"{URL}/", False)
    assert set(seen["clients"]) == {share.told["endpoint_id"], receiver["id"]}
    assert (receiver["address"], seen["bytes"] > SIZE) == ("", True)


def test_who_was_not_told_to_use_relays_uses_none_and_hears_of_it(
    original: Original, there: World, apart: tuple[Site, Site, Middle]
) -> None:
    near, far, middle = apart
    with sharing(original.world, original.file, *RELAY, site=near) as share:
        ran = finish(start(there, *importing(share.ticket), "--timeout", "3s", before=far.inside))
    seen = middle.stop()

    assert ran.code == 42
    assert json.loads(ran.err)["error"]["hint"] == f"the sender can also be reached by a relay: `--relay {URL}/`"
    assert seen["clients"] == [share.told["endpoint_id"]]


def test_a_transfer_goes_on_when_its_relay_comes_back(
    original: Original, there: World, apart: tuple[Site, Site, Middle]
) -> None:
    near, far, middle = apart
    slowly = ("--limit-rate", "2MiB")
    with sharing(original.world, original.file, "--share-uses", "1", *slowly, *RELAY, site=near) as share:
        before = far.received()
        process = start(there, *importing(share.ticket), *RELAY, before=far.inside)
        until(lambda: far.received() - before > SIZE // 3, process)
        first = middle.stop()
        middle.start()
        ran = finish(process)
        share.end(0)
    second = middle.stop()

    assert ran.code == 0, ran
    assert picture(there)["web"].disks == picture(original.world)["web"].disks
    assert 0 < first["bytes"] < SIZE
    assert 0 < second["bytes"] < SIZE
