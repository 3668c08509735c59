"""What the screen of a fetch tells besides its bar: links that come and go, senders given up, by which way it came.

All of it when it happens: a fetch takes hours, and whoever reads of a liar then can still look what is wrong there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from blixard.cli.screen import human
from blixard.cli.screen.output import Console
from blixard.cli.screen.progress import Ticker

if TYPE_CHECKING:
    from blixard.ops.peers.source import PeerSource
    from blixard.peer.pace.meter import Statistics

_LOOK_SECONDS = 1.0
_WAYS = {"tcp": "the direct lane", "iroh": "Iroh"}


class Links:
    """Tells of connections as they go and come; `look` is called now and then."""

    def __init__(self, out: Console, statistics: Callable[[], Statistics]) -> None:
        self._out = out
        self._statistics = statistics
        self._reconnects = 0
        self._lost = False

    def look(self) -> None:
        """Say what has changed since the last time."""
        now = self._statistics()
        if now.senders and now.reconnects > self._reconnects:
            self._out.note("the connection to the sender was lost and made again")
            self._reconnects = now.reconnects
        elif not (now.senders or self._lost):
            self._out.note("the connection to the sender is lost; trying to make it again")
        self._lost = not now.senders


class Warnings:
    """Tells each warning once, however often it is handed it."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._told: set[str] = set()

    def tell(self, warnings: Iterable[str]) -> None:
        """Those that are new, in order. For one thread at a time."""
        for warning in warnings:
            if warning not in self._told:
                self._told.add(warning)
                self._out.warn(warning)


class Followed:
    """Opens a document at its senders, and tells of lost connections and warnings for as long as it is open.

    Args:
        out: where they are told.
        opened: opens the document.
        warnings: tells those of the source.
    """

    def __init__(
        self, out: Console, opened: Callable[[], AbstractContextManager[PeerSource]], warnings: Warnings
    ) -> None:
        self._out = out
        self._opened = opened
        self._warnings = warnings
        self._source: PeerSource | None = None

    @contextmanager
    def __call__(self) -> Iterator[PeerSource]:
        """Open the document, as `opened` does."""
        with self._opened() as source:
            self._source = source
            links = Links(self._out, source.remote.statistics)

            def look() -> None:
                links.look()
                self._warnings.tell(source.warnings())

            look()
            try:
                with Ticker(_LOOK_SECONDS, look):
                    yield source
            finally:
                self._warnings.tell(source.warnings())

    @property
    def statistics(self) -> Statistics | None:
        """What came in; None when it was never opened."""
        return None if self._source is None else self._source.remote.statistics()


def received(statistics: Statistics, seconds: float) -> str:
    """`1.2 GiB in 4.0 s, 310.0 MiB/s (98 % over the direct lane)`."""
    return human.transfer(statistics.received_bytes, seconds) + _by_way(statistics)


def _by_way(statistics: Statistics) -> str:
    kind = max(statistics.by_kind, key=lambda kind: statistics.by_kind[kind], default="")
    if kind not in _WAYS:
        return ""
    per_cent = 100 * statistics.by_kind[kind] // max(1, statistics.received_bytes)
    return f" ({per_cent} % over {_WAYS[kind]})"
