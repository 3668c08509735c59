"""A lane that cannot be had is no failure, and a fault in a thread is one that is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from blixard.errors import InternalError
from blixard.model.structs import JsonObject
from blixard.peer.ports import Link
from support.link_conformance import SOON, Started
from support.loopback import LoopbackEndpoint, LoopbackLink
from support.loopback_channel import LoopbackChannel
from support.peers import CLIENT, SERVER, MemoryDocument, World, collect


class PoorLane:
    """A lane of a process that has no descriptor left for it, at one step or the other."""

    def __init__(self, *, offers: bool) -> None:
        self._offers = offers
        self.closed = False

    def offer(self) -> JsonObject:
        if not self._offers:
            raise OSError(24, "Too many open files")
        return {"token": "00"}

    def begin(self, theirs: JsonObject, stands: Callable[[Link], None]) -> None:
        raise OSError(24, f"Too many open files for {theirs} and {stands}")

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("server_offers", [False, True])
@pytest.mark.parametrize("client_offers", [False, True])
def test_a_lane_that_cannot_be_had_costs_the_lane_only(
    here: World, *, client_offers: bool, server_offers: bool
) -> None:
    lanes: list[PoorLane] = []

    def poor(*, offers: bool) -> PoorLane:
        lanes.append(PoorLane(offers=offers))
        return lanes[-1]

    here.serve(lanes=lambda _link: poor(offers=server_offers))
    remote = here.fetch(lanes=lambda _link: poor(offers=client_offers))

    assert collect(remote, here.served.wanted) == here.served.records
    assert remote.statistics().reconnects == 0
    assert here.notes.warnings == []
    remote.close()
    here.stack.close()
    assert all(lane.closed for lane in lanes)


def test_a_maker_of_lanes_that_breaks_costs_the_lane_only(here: World) -> None:
    def broken(_link: Link) -> PoorLane:
        raise OSError(24, "Too many open files")

    here.serve(lanes=lambda _link: PoorLane(offers=True))

    assert collect(here.fetch(lanes=broken), here.served.wanted) == here.served.records


def test_a_fault_in_a_thread_of_a_fetch_ends_the_fetch_as_a_bug(here: World) -> None:
    class Broken(LoopbackEndpoint):
        def connect(
            self,
            endpoint_id: str,
            addresses: tuple[str, ...] = (),
            relay: str | None = None,
            timeout: float | None = None,
        ) -> LoopbackLink:
            raise ValueError(f"no such thing as {endpoint_id[:4]}, {addresses}, {relay}, {timeout}")

    here.serve()
    ours = Broken(here.network, CLIENT)

    with pytest.raises(InternalError, match="unexpected ValueError in a thread of the fetch: no such thing") as caught:
        Started(lambda: here.fetch(endpoint=ours)).result()
    assert caught.value.exit_code == 70


def test_whoever_waits_for_a_record_hears_of_a_fault_too(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    here.serve()
    ours = here.endpoint(CLIENT)
    remote = here.fetch(endpoint=ours)
    assert collect(remote, here.served.wanted[:3]) == here.served.records[:3]

    def send(*_: object) -> None:
        raise MemoryError

    digest, length = here.served.wanted[3]
    with monkeypatch.context() as patch:
        patch.setattr(LoopbackChannel, "send", send)
        remote.request(digest, length)
        with pytest.raises(InternalError, match="MemoryError"):
            remote.wait(digest, SOON)

    with pytest.raises(InternalError, match="MemoryError"):
        remote.request(digest, length)
    with pytest.raises(InternalError, match="MemoryError"):
        remote.document()


def test_a_fault_in_a_thread_of_a_share_ends_that_session_and_is_told(here: World) -> None:
    class Broken(MemoryDocument):
        def frame(self, digest: bytes) -> bytes | None:
            if self.asked < 1:
                self.asked += 1
                raise ValueError(f"no frame for {digest.hex()[:4]}")
            return super().frame(digest)

    served = Broken()
    here.serve(SERVER, served=served)
    remote = here.fetch(here.ticket(document=served.document))

    assert collect(remote, served.wanted) == served.records
    assert remote.statistics().reconnects == 1
    (warning,) = here.notes.warnings
    assert "unexpected ValueError in a thread of the share: no frame for" in warning
