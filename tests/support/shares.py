"""Shares for tests: the installed command as a process, and a server in this one whose document does as a test says."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from blixard.ops.peers.served_file import ServedFile
from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint
from blixard.peer.share.admission import Terms
from blixard.peer.share.server import Server
from blixard.peer.wire.secret import Secret
from blixard.peer.wire.ticket import Ticket
from support.clusters import Watched
from support.commands import Ran
from support.peers import Notes
from support.processes import DEADLINE, blixard, start
from support.sites import Site
from support.world import World

LOOPBACK = ("--p2p-listen", "127.0.0.1:0")


class Share:
    """`blixard cluster share --json` that runs; `ticket` is the one it told."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, process.communicate(timeout=DEADLINE)
        self.told: dict[str, Any] = json.loads(first)
        assert self.told["event"] == "ticket"
        self.ticket: str = self.told["ticket"]
        self.err = ""

    def next_event(self) -> dict[str, Any]:
        """The next line of its standard output."""
        assert self.process.stdout is not None
        event: dict[str, Any] = json.loads(self.process.stdout.readline())
        return event

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self, code: int) -> dict[str, Any]:
        """Wait for its end; its report."""
        out, err = self.process.communicate(timeout=DEADLINE)
        self.err = err.decode()
        assert self.process.returncode == code, (out, err)
        [summary] = [event for event in map(json.loads, out.decode().splitlines()) if event["event"] == "summary"]
        report: dict[str, Any] = summary["report"]
        return report


@contextmanager
def sharing(world: World, file: Path, *more: str, site: Site | None = None) -> Iterator[Share]:
    """Share `file` from the data directory of `world`, at a site of its own perhaps; killed when it still runs."""
    where, before = (LOOPBACK, ()) if site is None else ((), site.inside)
    with running(start(world, "cluster", "share", file, "--json", *where, *more, before=before)) as process:
        yield Share(process)


@contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive its test."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def take(world: World, ticket: str, *more: str, **how: Any) -> Ran:
    """`cluster import --p2p` by ticket, the ticket out of sight."""
    from support.processes import environment

    how.setdefault("env", environment(BLIXARD_TICKET=ticket))
    return blixard(world, "cluster", "import", "--p2p", *more, **how)


class BentDocument:
    """An export that a test bends: `frame_of` sees each digest and what the file has."""

    def __init__(self, real: ServedFile) -> None:
        self.real = real
        self.title = real.title
        self.document = real.document
        self.asked: list[bytes] = []
        self.frame_of: Callable[[bytes, bytes | None], bytes | None] = lambda _digest, frame: frame
        self.text: bytes | None = None
        self.opened: Callable[[], BinaryIO] | None = None
        self._lock = threading.Lock()

    @property
    def document_size(self) -> int:
        return self.real.document_size if self.text is None else len(self.text)

    @property
    def share_bytes(self) -> int:
        return self.real.share_bytes

    def open_document(self) -> BinaryIO:
        import io

        if self.opened is not None:
            return self.opened()
        return self.real.open_document() if self.text is None else io.BytesIO(self.text)

    def frame(self, digest: bytes) -> bytes | None:
        with self._lock:
            self.asked.append(digest)
        return self.frame_of(digest, self.real.frame(digest))


def zeros_instead(_digest: bytes, frame: bytes | None) -> bytes:
    """`ServedDocument.frame_of` of a liar: a frame of as many bytes, all of them zero."""
    assert frame is not None
    length = len(zstandard.ZstdDecompressor().decompress(frame, max_output_size=1 << 24))
    return zstandard.ZstdCompressor(level=1).compress(bytes(length))


class Stand:
    """One Iroh endpoint and a document; `serve` as often as a test likes, always under the same ticket."""

    def __init__(self, stack: ExitStack, file: Path) -> None:
        self.served = BentDocument(stack.enter_context(ServedFile(str(file), progress=Watched())))
        options = EndpointOptions(listen="127.0.0.1:0")
        self._endpoint = stack.enter_context(IrohEndpoint(secrets.token_bytes(32), options))
        self.secret = Secret.new()
        self._stack = stack

    @property
    def ticket(self) -> str:
        """What opens it."""
        return self.ticket_with(self.secret)

    def ticket_with(self, secret: Secret) -> str:
        """A ticket of this stand with another secret."""
        return Ticket(
            endpoint_id=bytes.fromhex(self._endpoint.id),
            addresses=self._endpoint.addresses(),
            relay=None,
            document=self.served.document,
            secret=secret,
            expires_at=(datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0),
        ).encode()

    def serve(self, **terms: Any) -> Server:
        """Begin to serve; it is stopped with the stand."""
        terms_of_share = Terms(secret=self.secret, **terms)
        server = Server(self.served, terms_of_share, now=lambda: datetime.now(UTC), witness=Notes())
        self._stack.callback(server.stop)
        server.serve(self._endpoint.listen())
        return server


@contextmanager
def a_stand(file: Path) -> Iterator[Stand]:
    """A server in this process."""
    with ExitStack() as stack:
        yield Stand(stack, file)
