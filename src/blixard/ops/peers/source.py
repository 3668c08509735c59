"""A document at its senders, as an import sees it: the hollow document first, proven, then frames as they are needed.

What a ticket names is the digest of the document, so the hollow document is held against it before anything else is
asked for; from then on every byte is checked against it. A sender that lies is dropped, and the others asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from blixard.closing import Closing
from blixard.disks.records.memory import keep_freed_memory
from blixard.disks.records.walk import Load
from blixard.errors import ExportFileError, InternalError, LimitExceeded, PeerMisbehaved, UnsupportedVersion
from blixard.format.events import Event, RecordRead
from blixard.format.reader import read_export
from blixard.format.survey import Survey, survey
from blixard.home import Home
from blixard.limits import MIB, Limits
from blixard.ops.importing.foreknown import foreknown_from
from blixard.peer.fetch.options import FetchOptions
from blixard.peer.fetch.remote import Remote
from blixard.peer.wire.ticket import Ticket
from blixard.place import reread, spool
from blixard.ports import Input
from blixard.site.network import NetworkSettings

_PIECE = MIB
_HINT = "raise the limits if you trust the sender"
_KEYS_BYTES = 512
"""Text of one record without its frame, generously."""


@contextmanager
def peer_source(
    home: Home, tickets: Sequence[Ticket], network: NetworkSettings, *, options: FetchOptions, limits: Limits, verb: str
) -> Iterator[PeerSource]:
    """Connect to the senders and have their document; when the block ends well, they are told that we have all.

    However else it ends, they are told that we leave.

    Args:
        home: the data directory; its node key is our identity.
        tickets: of one document.
        network: where this node listens, and by which relay and lanes.
        options: how patiently, and over how many connections.
        limits: the bounds in force.
        verb: for the node's lock.

    Raises:
        TransferError and its kind: no sender is left.
        UnsupportedVersion, LimitExceeded: this version, or these limits, do not take their document.
        Locked, StorageError: `failed to create Iroh node`, and why.
    """
    keep_freed_memory()
    with ExitStack() as stack:
        node = stack.enter_context(network.node(home, verb))
        remote = stack.enter_context(Remote.connect(tickets, node.endpoint, options, lanes=node.lanes))
        stack.callback(remote.leave)
        source = stack.enter_context(PeerSource(remote, *_proven(remote, limits), limits))
        source.without = node.warnings
        yield source
        if source.wanted:
            remote.done()


class PeerSource(Closing):
    """`ImportSource` of a document at its senders. Set `wanted` to False when nothing was taken after all.

    Attributes:
        without: warnings of what this node goes without on the network.
    """

    at_hand = False

    def __init__(self, remote: Remote, document: Input, found: Survey, limits: Limits) -> None:
        self.foreknown = foreknown_from(found)
        self.remote = remote
        self.wanted = True
        self.without: tuple[str, ...] = ()
        self._survey: Survey | None = found
        self._document = document
        self._limits = limits

    def take_survey(self) -> Survey:
        """What was seen when the document was proven; once, and before `events`.

        Handed over and not kept: an import reads the state anew, and two of a large cluster need not stand in memory.
        """
        found, self._survey = self._survey, None
        if found is None:
            raise InternalError("the survey of the senders' document was taken, or is too late")
        return found

    def events(self) -> Iterator[Event]:
        """See `ImportSource.events`; `RecordRead.text` is empty where a frame has to be asked for."""
        self._survey = None
        return read_export(reread(self._document), limits=self._limits)

    def again(self) -> Iterator[Event]:
        """See `ImportSource.again`."""
        return self.events()

    def load(self, event: RecordRead, *, held: bool) -> Load | None:
        """See `ImportSource.load`; the frame is asked for now, unless it is held."""
        if event.text is None:
            return None
        return FrameFromPeer(self.remote, event.record.digest, event.record.length, asked=not held)

    def close(self) -> None:
        """Let go of the document."""
        self._document.close()

    def stop(self) -> None:
        """See `ImportSource.stop`."""
        self.remote.stop()

    def warnings(self) -> tuple[str, ...]:
        """See `ImportSource.warnings`."""
        return (*self.without, *self.remote.warnings)


class FrameFromPeer:
    """`Load` of one record from the senders; when its frame is wrong, another sender is asked."""

    def __init__(self, remote: Remote, digest: bytes, length: int, *, asked: bool) -> None:
        self._remote = remote
        self._digest = digest
        self._length = length
        self._asked = False
        if asked:
            self._ask()

    def __call__(self) -> bytes | memoryview:
        """Wait for the frame, asking for it first where that was not done yet."""
        if not self._asked:
            self._ask()
        return self._remote.wait(self._digest)

    def _ask(self) -> None:
        self._asked = True
        self._remote.request(self._digest, self._length)

    def reject(self, why: str) -> None:
        """Say that the frame was wrong: its sender is dropped, and another asked."""
        self._remote.reject(self._digest, why)


def _proven(remote: Remote, limits: Limits) -> tuple[Input, Survey]:
    """Have the hollow document, and hold it against the tickets; a sender whose document is of no use is dropped.

    What cannot be read to its end cannot be held against a ticket. When a document says that it is of another version,
    or larger than is taken here, that is told as of a file: there is something to do about it. All else is a lie, for a
    share serves only what it could read.
    """
    while True:
        try:
            document = spool(_received(remote, limits), "the senders' document", task="keep the document")
            try:
                return document, _judged(document, remote.document_digest, limits)
            except BaseException:
                document.close()
                raise
        except (UnsupportedVersion, LimitExceeded) as problem:
            remote.reject_document(problem)
        except (ExportFileError, PeerMisbehaved) as problem:
            remote.reject_document(PeerMisbehaved(f"the sender's document is wrong: {problem.message}"))


def _received(remote: Remote, limits: Limits) -> Iterator[bytes]:
    most = limits.state_bytes + limits.telemetry_bytes + _KEYS_BYTES * limits.records
    received = 0
    with remote.document() as stream:
        while piece := stream.read(_PIECE):
            received += len(piece)
            if received > most:
                raise LimitExceeded("the document is longer than any within the limits", hint=_HINT)
            yield piece


def _judged(document: Input, digest: str, limits: Limits) -> Survey:
    """The survey of a document that is what the ticket names.

    Raises:
        ExportFileError: it is malformed.
        PeerMisbehaved: it is another one.
    """
    found = survey(read_export(document.stream, limits=limits))
    if not (found.report.intact and found.report.document == digest):
        raise PeerMisbehaved("it is not the one that the ticket names")
    return found
