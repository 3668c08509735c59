"""Who fetched from a share, written into the history while it runs: a kill or a power cut must not lose it.

A receiver is written when it leaves for the first time, when it has got all, and at the end when more became of it
since: three entries at most, however often it comes and goes.
"""

from __future__ import annotations

from contextlib import suppress

from blixard.errors import ExitCode, StorageError
from blixard.peer.share.receivers import Receiver
from blixard.site.open_cluster import OpenCluster


class ShareHistory:
    """Writes the entries about one share. From one thread.

    Args:
        cluster: whose history it is; None: there is none, and nothing is written.
        verb: of the share.
        document: digest of what is served.
        place: the file that is served.
        uses: how many may have it; None: any number.
    """

    def __init__(self, cluster: OpenCluster | None, *, verb: str, document: str, place: str, uses: int | None) -> None:
        self._cluster = cluster
        self._verb = verb
        self._document = document
        self._place = place
        self._uses = uses
        self._written: dict[str, Receiver] = {}
        """Receivers as they were when they were last written, by endpoint id."""

    def follow(self, receivers: tuple[Receiver, ...]) -> None:
        """Write those that have got all since the last look, or left for the first time."""
        for receiver in receivers:
            before = self._written.get(receiver.id)
            left = before is None and not receiver.sessions
            if left or (receiver.completed and not (before and before.completed)):
                self._write(receiver)

    def finish(self, receivers: tuple[Receiver, ...]) -> None:
        """The share is over: write whoever got more since it was written."""
        for receiver in receivers:
            before = self._written.get(receiver.id)
            if before is None or (before.sent_bytes, before.completed) != (receiver.sent_bytes, receiver.completed):
                self._write(receiver)

    def _write(self, receiver: Receiver) -> None:
        """Who, from where, how much, and whether it got all of it."""
        self._written[receiver.id] = receiver
        if self._cluster is None:
            return
        about = {"address": receiver.address, "bytes": receiver.sent_bytes, "uses": self._uses}
        with suppress(StorageError):  # what was served was served
            self._cluster.note(
                self._verb,
                {key: value for key, value in about.items() if value is not None},
                ExitCode.DONE if receiver.completed else ExitCode.PARTIAL,
                document=self._document,
                place=self._place,
                receivers=(receiver.id,),
                error=receiver.problem,
            )
