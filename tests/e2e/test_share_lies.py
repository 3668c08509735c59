"""Senders that lie, and tickets that open nothing: refused with the right exit code, and the cluster is untouched."""

from __future__ import annotations

import base64
import io
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import zstandard
from msgspec.structs import replace

from blixard.peer.pace.patience import GRACE_SECONDS, REPLY_SECONDS
from blixard.peer.wire.secret import Secret
from blixard.peer.wire.ticket import parse_ticket
from support.commands import Ran
from support.cuts import an_empty_world, an_original
from support.gate import Gate
from support.processes import blixard, environment
from support.shares import Stand, a_stand, take, zeros_instead
from support.world import World, fast_folder, litter, picture

QUICK = ("--timeout", "5s")


def longer(_digest: bytes, frame: bytes | None) -> bytes:
    """A frame that decodes to more than the record has."""
    assert frame is not None
    data = zstandard.ZstdDecompressor().decompress(frame, max_output_size=1 << 24)
    return zstandard.ZstdCompressor(level=1).compress(data + bytes(1))


def enormous(_digest: bytes, _frame: bytes | None) -> bytes:
    """More on the wire than any record of this document takes."""
    return bytes(8 << 20)


class Endless(io.BytesIO):
    """A document that never ends."""

    def read(self, size: int | None = -1, /) -> bytes:
        return b" " * (1 << 16 if size is None or size < 0 else size)


def refused(there: World, tickets: str | list[str], code: int, *more: str, **how: Any) -> Ran:
    """An import that ends with `code` and leaves everything as it was."""
    before = picture(there)
    if isinstance(tickets, str):
        ran = take(there, tickets, "-y", *QUICK, *more, **how)
    else:
        named = [part for each in tickets for part in ("-i", each)]
        ran = blixard(there, "cluster", "import", "--p2p", "-y", *QUICK, *named, *more, **how)
    assert ran.code == code, ran
    assert "Traceback" not in ran.err
    after = picture(there)
    assert after == before
    return ran


def test_a_sender_of_wrong_frames_misbehaves(stand: Stand, there: World) -> None:
    stand.served.frame_of = zeros_instead
    stand.serve()

    assert "wrong record" in refused(there, stand.ticket, 43).err
    assert not [each for each in litter(there, staged=True) if "node.key" not in each]


def test_nothing_is_kept_of_a_sender_that_lies_after_twenty_true_records() -> None:
    given: set[bytes] = set()

    def true_at_first(digest: bytes, frame: bytes | None) -> bytes:
        assert frame is not None
        given.add(digest)
        return frame if len(given) <= 20 else zeros_instead(digest, frame)

    with an_original(24 << 20) as original, a_stand(original.file) as stand, fast_folder() as folder:
        there = an_empty_world(folder)
        assert blixard(there, "cluster", "init", "web").code == 0
        stand.served.frame_of = true_at_first
        stand.serve()

        assert "wrong record" in refused(there, stand.ticket, 43).err
        assert len(given) > 20
        assert [each for each in litter(there) if "node.key" not in each] == []


@pytest.mark.parametrize("bend", [longer, enormous])
def test_a_sender_of_too_much_misbehaves(stand: Stand, there: World, bend: Callable[..., bytes]) -> None:
    stand.served.frame_of = bend
    stand.serve()

    refused(there, stand.ticket, 43)


def test_a_sender_whose_document_does_not_end_misbehaves(stand: Stand, there: World) -> None:
    stand.served.opened = Endless
    stand.serve()

    refused(there, stand.ticket, 43)


@pytest.mark.long
def test_a_sender_that_gives_nothing_is_given_up(stand: Stand, there: World) -> None:
    """Its heart beats, so only what it does not bring tells: half a minute for one frame, and the time for it."""
    stand.served.frame_of = gate = Gate(frozenset(), a_while=300)
    stand.serve()
    began = time.monotonic()
    refused(there, stand.ticket, 42)
    seconds = time.monotonic() - began
    gate.open()

    assert seconds < REPLY_SECONDS + GRACE_SECONDS + 30


def test_a_ticket_that_points_elsewhere_makes_nobody_send_much_there(stand: Stand, there: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.settimeout(0)
        address = f"127.0.0.1:{elsewhere.getsockname()[1]}"
        ticket = replace(parse_ticket(stand.ticket), addresses=(address,)).encode()
        refused(there, ticket, 42, "--timeout", "2s")
        packets = 0
        with suppress(BlockingIOError):
            while elsewhere.recv(1 << 16):
                packets += 1

    assert 0 < packets < 100


def test_a_sender_of_another_document_misbehaves(stand: Stand, there: World, made: World) -> None:
    with a_stand(made.out / "old.json.gz") as other, other.served.open_document() as document:
        stand.served.text = document.read()
    stand.serve()

    assert "document" in refused(there, stand.ticket, 43).err


@pytest.mark.parametrize(
    ("before", "after", "code", "said"),
    [
        (b'"version": "1.', b'"version": "9.', 12, "unsupported export format version `9."),
        (b"{", b'{"deep": ' + 65 * b"[" + 65 * b"]" + b", ", 13, "over the limit `depth`"),
    ],
)
def test_a_document_that_cannot_be_read_here_is_told_as_of_a_file(
    stand: Stand, there: World, *, before: bytes, after: bytes, code: int, said: str
) -> None:
    with stand.served.open_document() as document:
        stand.served.text = document.read().replace(before, after, 1)
    stand.serve()
    target = there.out / "other.json"
    target.write_bytes(stand.served.text)

    of_sender = refused(there, stand.ticket, code)
    fetched = blixard(there, "cluster", "fetch", "-o", there.out / "f.json", *QUICK, "-i", stand.ticket)
    of_file = blixard(there, "cluster", "import", "-i", target, "-y")

    assert said in of_sender.err
    assert "hint:" in of_sender.err
    assert (of_file.code, fetched.code) == (code, code)


def test_a_fetch_from_a_liar_leaves_no_file(stand: Stand, there: World) -> None:
    stand.served.frame_of = zeros_instead
    stand.serve()
    target = there.out / "fetched.json"
    target.write_text("what was there")

    ran = blixard(there, "cluster", "fetch", "-o", target, *QUICK, env=environment(BLIXARD_TICKET=stand.ticket))

    assert ran.code == 43, ran
    assert target.read_text() == "what was there"


def test_two_senders_of_different_documents_are_refused(made: World, stand: Stand, there: World) -> None:
    with a_stand(made.out / "old.json.gz") as other:
        refused(there, [stand.ticket, other.ticket], 41)


def test_an_expired_ticket_opens_nothing(stand: Stand, there: World) -> None:
    stand.serve(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert "expired" in refused(there, stand.ticket, 40).err


def test_a_share_for_others_lets_nobody_else_in(stand: Stand, there: World) -> None:
    stand.serve(allowed=frozenset({"ab" * 32}))
    assert "not" in refused(there, stand.ticket, 40).err


def test_a_wrong_secret_opens_nothing(stand: Stand, there: World) -> None:
    server = stand.serve()
    assert "does not know this ticket" in refused(there, stand.ticket_with(Secret.new()), 40).err
    assert server.receivers() == ()
    assert stand.served.asked == []


def test_a_used_ticket_is_used_and_its_user_may_come_again(stand: Stand, there: World, made: World) -> None:
    stand.serve(uses=1)
    with fast_folder() as folder:
        first = World(folder)
        assert take(first, stand.ticket, "-y").code == 0
        assert "used" in refused(there, stand.ticket, 40).err
        assert take(first, stand.ticket, "-y").code == 0


@pytest.mark.parametrize("at", [20, -1])
def test_a_garbled_ticket_is_said_to_be_one(stand: Stand, there: World, at: int) -> None:
    letters = list(stand.ticket)
    letters[at] = "a" if letters[at] != "a" else "b"
    refused(there, "".join(letters), 41)


def test_a_ticket_of_base32_nonsense_is_none(there: World) -> None:
    refused(there, "blixard" + base64.b32encode(bytes(100)).decode().lower().rstrip("="), 41)


def test_a_sender_that_is_gone_is_unreachable(made: World, there: World) -> None:
    with a_stand(made.out / "new.json.gz") as gone:
        ticket = gone.ticket
    refused(there, ticket, 42, "--timeout", "2s")
