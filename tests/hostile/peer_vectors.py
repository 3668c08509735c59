"""Peers made to hurt: bytes that are no frames, clients that abuse a share, senders that lie to a fetch.

A client's act ends when it has done its worst: the share must stand, hold nothing of it, and go on serving. A sender's
act is met by the error that it names, within the options' time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from msgspec import Struct

from blixard.errors import PeerMisbehaved, PeerRefused, PeerUnreachable, TransferError
from blixard.limits import KIB, MIB
from blixard.peer.ports import BODY_BYTES, HEAD_BYTES
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import head
from blixard.peer.wire.secret import Secret
from support.loopback import LoopbackLink
from support.loopback_channel import LoopbackChannel
from support.peers import MemoryDocument, proven, welcomed

Act = Callable[[LoopbackLink, MemoryDocument], None]
Answer = Callable[[LoopbackChannel, list[str], MemoryDocument], None]
U32 = struct.Struct(">I")


class BytesVector(Struct, frozen=True):
    """Bytes that begin a stream and must be refused."""

    name: str
    data: bytes


def framed(text: bytes, rest: bytes = b"\0\0\0\0") -> bytes:
    return U32.pack(len(text)) + text + rest


BYTES = [
    BytesVector("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    BytesVector("TLS hello", bytes.fromhex("16030100f8010000f40303")),
    BytesVector("a head of no bytes", U32.pack(0)),
    BytesVector("a head of one byte", framed(b"{")),
    BytesVector("a head of 64 KiB and one", U32.pack(HEAD_BYTES + 1)),
    BytesVector("a head of 4 GiB", b"\xff\xff\xff\xff"),
    BytesVector("a body of one more than the longest", framed(b"{}", U32.pack(BODY_BYTES + 1))),
    BytesVector("a body of 4 GiB", framed(b"{}", b"\xff\xff\xff\xff")),
    BytesVector("a head that is an array", framed(b"[{}]")),
    BytesVector("a head that is a string", framed(b'"{}"')),
    BytesVector("a head that is null", framed(b"null")),
    BytesVector("a head of white space", framed(b"    ")),
    BytesVector("two objects in one head", framed(b"{}{}")),
    BytesVector("a head that is cut", framed(b'{"type":"pi')),
    BytesVector("a trailing comma", framed(b'{"a":1,}')),
    BytesVector("a comment", framed(b'{"a":1}//')),
    BytesVector("a duplicate key", framed(b'{"type":"ping","type":"done"}')),
    BytesVector("a duplicate key further down", framed(b'{"a":{"b":1,"b":1}}')),
    BytesVector("a duplicate key written in two ways", framed(b'{"a":1,"\\u0061":2}')),
    BytesVector("NaN", framed(b'{"a":NaN}')),
    BytesVector("Infinity", framed(b'{"a":-Infinity}')),
    BytesVector("a fraction", framed(b'{"a":1.5}')),
    BytesVector("an exponent", framed(b'{"a":1e999}')),
    BytesVector("a number of 60,000 digits", framed(b'{"a":' + b"9" * 60_000 + b"}")),
    BytesVector("65 arrays deep", framed(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}")),
    BytesVector("30,000 arrays deep", framed(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}")),
    BytesVector("16,000 objects beside each other", framed(b'{"a":[' + b"{},{}," * 8_000 + b"{}]}")),
    BytesVector("not UTF-8", framed(b'{"a":"\xff"}')),
    BytesVector("UTF-16", framed('{"a":1}'.encode("utf-16"))),
    BytesVector("a byte order mark", framed(b"\xef\xbb\xbf{}")),
    BytesVector("half of a character", framed(b'{"a":"\\ud800"}')),
    BytesVector("half of a character as a key", framed(b'{"\\udfff":1}')),
    BytesVector("a control character in a string", framed(b'{"a":"\x00"}')),
    BytesVector("little-endian lengths", b"\2\0\0\0{}\0\0\0\0"),
]


class ClientVector(Struct, frozen=True):
    """What a client does to a share; `refusal` is what the share then notes, if anything."""

    name: str
    act: Callable[[LoopbackLink], None]
    refusal: str | None = None


def hello_of(link: LoopbackLink) -> LoopbackChannel:
    control = link.open(10)
    assert control.receive(10) is not None
    return control


def says(text: bytes) -> Callable[[LoopbackLink], None]:
    def act(link: LoopbackLink) -> None:
        hello_of(link).raw(text)

    return act


def sends(message: dict[str, object], body: bytes = b"") -> Callable[[LoopbackLink], None]:
    def act(link: LoopbackLink) -> None:
        hello_of(link).send(message, body)

    return act


def requests(*messages: dict[str, object], body: bytes = b"") -> Callable[[LoopbackLink], None]:
    """A client that is let in, and then asks for this."""

    def act(link: LoopbackLink) -> None:
        control = proven(link)
        assert control.receive(10) is not None
        channel = link.open(10)
        for message in messages:
            channel.send(message, body)
        while channel.receive(10) is not None:
            pass

    return act


def controls(*messages: dict[str, object], times: int = 1) -> Callable[[LoopbackLink], None]:
    """A client that is let in, and then says this on its control channel."""

    def act(link: LoopbackLink) -> None:
        control = proven(link)
        for _ in range(times):
            for message in messages:
                control.send(message)
        while control.receive(10) is not None:
            pass

    return act


def asks_before_the_proof(link: LoopbackLink) -> None:
    hello_of(link)
    channel = link.open(10)
    channel.send(head(protocol.GetDocument()))
    frame = channel.receive(10)
    raise AssertionError(f"a stranger was served {frame}")


def wrong_secret(link: LoopbackLink) -> None:
    proven(link, Secret(bytes(16))).receive(10)


def proof_of_another_nonce(link: LoopbackLink) -> None:
    proven(link, nonce="00" * 32).receive(10)


def proof_of_another_client(link: LoopbackLink) -> None:
    proven(link, client_id="99" * 32).receive(10)


def unknown_feature(link: LoopbackLink) -> None:
    answer = proven(link, require=("telepathy",)).receive(10)
    assert answer is not None
    assert answer[0]["code"] == "version"


def leaves_in_the_middle(link: LoopbackLink) -> None:
    control = proven(link)
    assert control.receive(10) is not None
    link.open(10).send(head(protocol.GetDocument()))


def takes_nothing(link: LoopbackLink) -> None:
    """Asks for everything on every channel it gets and reads nothing; the share must not hold it all."""
    control = proven(link)
    assert control.receive(10) is not None
    for _ in range(8):
        link.open(10).send(head(protocol.GetDocument()))
    while control.receive(10) is not None:
        pass


def nothing(_link: LoopbackLink) -> None:
    pass


PROOF = {"type": "hello", "version": 1, "proof": "00" * 32}
CLIENTS = [
    ClientVector("connects and leaves", nothing),
    ClientVector("opens a channel and says nothing", lambda link: void(link.open(10).receive(10))),
    ClientVector("hears the nonce and leaves", lambda link: hello_of(link).close()),
    ClientVector("hears the nonce and finishes", lambda link: hello_of(link).finish()),
    ClientVector("half a frame", says(b"\0\0\0\x10{")),
    ClientVector("HTTP", says(b"GET / HTTP/1.1\r\n\r\n")),
    ClientVector("a proof with a body of 16 MiB", sends(PROOF, bytes(100))),
    ClientVector("a body of 16 MiB for a hello", says(framed(b"{}", U32.pack(16 * MIB)))),
    ClientVector("asks before the proof", asks_before_the_proof),
    ClientVector("a document request for a hello", sends(head(protocol.GetDocument()))),
    ClientVector("a hello without a proof", sends({"type": "hello", "version": 1})),
    ClientVector("a proof that is too short", sends({**PROOF, "proof": "00"})),
    ClientVector("a proof that is a number", sends({**PROOF, "proof": 0})),
    ClientVector("a thousand features", sends({**PROOF, "features": ["x"] * 1000})),
    ClientVector("a proof of zeros", sends(dict(PROOF)), "secret"),
    ClientVector("another secret", wrong_secret, "secret"),
    ClientVector("a proof of another nonce", proof_of_another_nonce, "secret"),
    ClientVector("a proof of another client", proof_of_another_client, "secret"),
    ClientVector("requires a feature that nobody has", unknown_feature, "version"),
    ClientVector("257 digests", requests({"type": "records", "digests": ["00" * 32] * 257})),
    ClientVector("no digests", requests({"type": "records", "digests": []})),
    ClientVector("digests that are none", requests({"type": "records", "digests": ["../../etc/shadow"]})),
    ClientVector("an unknown request", requests({"type": "shutdown"})),
    ClientVector("a document offset behind the end", requests({"type": "document", "offset": 1 << 40})),
    ClientVector("a negative document offset", requests({"type": "document", "offset": -1})),
    ClientVector("a request with a body", requests(head(protocol.GetDocument()), body=b"x" * KIB)),
    ClientVector("a second hello", controls(dict(PROOF))),
    ClientVector("a server's words", controls(head(protocol.Bye()))),
    ClientVector("pings without end", controls(head(protocol.Ping()), times=2000)),
    ClientVector("is done without end", controls(head(protocol.Done()), times=2000)),
    ClientVector("leaves in the middle of the document", leaves_in_the_middle),
    ClientVector("takes nothing of what it asked for", takes_nothing),
]


def void(_value: object) -> None:
    pass


class ServerVector(Struct, frozen=True):
    """How a sender behaves to each link, and the error that a fetch must end with."""

    name: str
    act: Act
    error: type[TransferError]
    says: str = ""


def hello(**fields: object) -> dict[str, object]:
    return {"type": "hello", "version": 1, "features": [], "require": [], "nonce": "00" * 32, **fields}


def opens_with(message: dict[str, object], body: bytes = b"") -> Act:
    def act(link: LoopbackLink, _served: MemoryDocument) -> None:
        control = link.accept(10)
        control.send(message, body)
        control.receive(10)
        control.receive(10)

    return act


def answers_hello_with(message: dict[str, object]) -> Act:
    def act(link: LoopbackLink, _served: MemoryDocument) -> None:
        control = link.accept(10)
        control.send(hello())
        control.receive(10)
        control.send(message)
        control.receive(10)

    return act


def refuses(code: str) -> Act:
    return answers_hello_with({"type": "refused", "code": code, "message": "\x1b]0;pwned\x07"})


def on_document(*frames: tuple[dict[str, object], bytes]) -> Act:
    """Lets the client in, and answers its request for the document with these frames."""

    def act(link: LoopbackLink, served: MemoryDocument) -> None:
        control = welcomed(link, served)
        channel = link.accept(10)
        channel.receive(10)
        for message, body in frames:
            channel.send(message, body)
        while control.receive(10) is not None:
            control.send(head(protocol.Ping()))

    return act


def endless_document(link: LoopbackLink, served: MemoryDocument) -> None:
    welcomed(link, served)
    channel = link.accept(10)
    channel.receive(10)
    while True:
        channel.send(head(protocol.Part()), bytes(protocol.PART_BYTES))


def dripping_document(link: LoopbackLink, served: MemoryDocument) -> None:
    control = welcomed(link, served)
    channel = link.accept(10)
    channel.receive(10)
    while True:
        try:
            control.receive(0.4)  # a wait that also notices that the client has left
        except PeerUnreachable:
            return
        channel.send(head(protocol.Part()), b"x")


def on_records(
    answer: Callable[[LoopbackChannel, list[str], MemoryDocument], None],
) -> Callable[[LoopbackLink, MemoryDocument], None]:
    """Lets the client in, and answers its first request for records like this."""

    def act(link: LoopbackLink, served: MemoryDocument) -> None:
        control = welcomed(link, served)
        channel = link.accept(10)
        request = channel.receive(10)
        assert request is not None
        answer(channel, request[0]["digests"], served)
        while control.receive(10) is not None:
            control.send(head(protocol.Ping()))

    return act


def sends_record(**fields: object) -> Answer:
    def answer(channel: LoopbackChannel, digests: list[str], served: MemoryDocument) -> None:
        frame = served.frames[bytes.fromhex(digests[0])]
        channel.send({"type": "record", "blake3": digests[0], "length": len(frame), **fields}, frame)

    return answer


def another_record(channel: LoopbackChannel, digests: list[str], served: MemoryDocument) -> None:
    frame = served.frames[bytes.fromhex(digests[1])]
    channel.send(head(protocol.RecordFrame(digests[1], len(frame))), frame)


def too_long(channel: LoopbackChannel, digests: list[str], _served: MemoryDocument) -> None:
    channel.send(head(protocol.RecordFrame(digests[0], MIB)), bytes(MIB))


def announces_16_mib(channel: LoopbackChannel, digests: list[str], _served: MemoryDocument) -> None:
    text = f'{{"type":"record","blake3":"{digests[0]}","length":100}}'.encode()
    channel.raw(framed(text, U32.pack(16 * MIB)))


def wrong_bytes(channel: LoopbackChannel, digests: list[str], _served: MemoryDocument) -> None:
    for digest in digests:
        channel.send(head(protocol.RecordFrame(digest, 100)), bytes(100))


def missing(channel: LoopbackChannel, digests: list[str], _served: MemoryDocument) -> None:
    channel.send(head(protocol.Missing(digests[0])))


def part_for_record(channel: LoopbackChannel, _digests: list[str], _served: MemoryDocument) -> None:
    channel.send(head(protocol.Part()), b"x")


def garbage(channel: LoopbackChannel, _digests: list[str], _served: MemoryDocument) -> None:
    channel.raw(b"\xff" * 100)


def silence(_channel: LoopbackChannel, _digests: list[str], _served: MemoryDocument) -> None:
    pass


def finishes(channel: LoopbackChannel, _digests: list[str], _served: MemoryDocument) -> None:
    channel.finish()


def other_document(link: LoopbackLink, _served: MemoryDocument) -> None:
    welcomed(link, MemoryDocument(seed=99))


def silent_from_the_start(link: LoopbackLink, _served: MemoryDocument) -> None:
    link.accept(10).receive(10)


def silent_after_the_welcome(link: LoopbackLink, served: MemoryDocument) -> None:
    control = welcomed(link, served)
    while control.receive(30) is not None:
        pass


def closes_at_once(link: LoopbackLink, _served: MemoryDocument) -> None:
    link.close("go away")


def closes_after_the_welcome(link: LoopbackLink, served: MemoryDocument) -> None:
    welcomed(link, served)
    link.accept(10)
    link.close()


def floods_control(link: LoopbackLink, served: MemoryDocument) -> None:
    control = welcomed(link, served)
    while True:
        control.send(head(protocol.Ping()))


def babbles_on_control(link: LoopbackLink, served: MemoryDocument) -> None:
    welcomed(link, served).send({"type": "format-your-disk"})


def refuses_later(link: LoopbackLink, served: MemoryDocument) -> None:
    control = welcomed(link, served)
    control.send(head(protocol.Refused("used")))
    control.receive(10)


PART = head(protocol.Part())
END = head(protocol.DocumentSent())
SERVERS = [
    ServerVector("silent from the start", silent_from_the_start, PeerUnreachable),
    ServerVector("closes at once", closes_at_once, PeerUnreachable),
    ServerVector("welcomes and closes, again and again", closes_after_the_welcome, PeerUnreachable),
    ServerVector("welcomes and is silent", silent_after_the_welcome, PeerUnreachable),
    ServerVector("an answer before the question", opens_with({"type": "welcome"}), PeerMisbehaved),
    ServerVector("a hello without a nonce", opens_with({"type": "hello", "version": 1}), PeerMisbehaved),
    ServerVector("a short nonce", opens_with(hello(nonce="00")), PeerMisbehaved),
    ServerVector("a hello with a body", opens_with(hello(), b"x"), PeerMisbehaved),
    ServerVector("another version", opens_with(hello(version=2)), TransferError, "version 2"),
    ServerVector("an unknown feature", opens_with(hello(require=["telepathy"])), TransferError, "`telepathy`"),
    ServerVector("a feature without a name", opens_with(hello(require=["\x1b[2J"])), TransferError, "a feature, which"),
    ServerVector("refuses the secret", refuses("secret"), PeerRefused, "does not know this ticket"),
    ServerVector("refuses as expired", refuses("expired"), PeerRefused, "expired"),
    ServerVector("refuses as used", refuses("used"), PeerRefused, "used up"),
    ServerVector("refuses this node", refuses("not-allowed"), PeerRefused, "list"),
    ServerVector("refuses without a known reason", refuses("\x1b[2J"), PeerRefused, "refuses"),
    ServerVector("is always busy", refuses("busy"), PeerRefused, "too many"),
    ServerVector("refuses after the welcome", refuses_later, PeerRefused, "used up"),
    ServerVector("welcomes without saying what", answers_hello_with({"type": "welcome"}), PeerMisbehaved),
    ServerVector("serves another document", other_document, PeerMisbehaved, "another document"),
    ServerVector("floods the control channel", floods_control, PeerMisbehaved, "floods"),
    ServerVector("babbles on the control channel", babbles_on_control, PeerMisbehaved),
    ServerVector("a document that ends at once", on_document((END, b"")), PeerMisbehaved, "shorter"),
    ServerVector("a document that ends early", on_document((PART, b"x" * 99), (END, b"")), PeerMisbehaved, "shorter"),
    ServerVector("an empty part", on_document((PART, b"")), PeerMisbehaved),
    ServerVector("a part of 2 MiB", on_document((PART, bytes(2 * MIB))), PeerMisbehaved),
    ServerVector("an end with a body", on_document((END, b"x")), PeerMisbehaved),
    ServerVector("a record for a document", on_document((head(protocol.Missing("00" * 32)), b"")), PeerMisbehaved),
    ServerVector("an endless document", endless_document, PeerMisbehaved, "longer"),
    ServerVector("a document that drips", dripping_document, PeerUnreachable, "slowly"),
]
RECORD_SERVERS = [
    ServerVector("another record than asked for", on_records(another_record), PeerMisbehaved, "another record"),
    ServerVector("a record of another length", on_records(sends_record(length=5)), PeerMisbehaved, "another length"),
    ServerVector("a negative length", on_records(sends_record(length=-1)), PeerMisbehaved),
    ServerVector("a digest that is none", on_records(sends_record(blake3="x")), PeerMisbehaved),
    ServerVector("a record that is too long", on_records(too_long), PeerMisbehaved, "announced"),
    ServerVector("a record that says 16 MiB", on_records(announces_16_mib), PeerMisbehaved, "announced"),
    ServerVector("wrong bytes", on_records(wrong_bytes), PeerMisbehaved, "wrong record"),
    ServerVector("has not got its own record", on_records(missing), PeerMisbehaved, "has not got"),
    ServerVector("a part for a record", on_records(part_for_record), PeerMisbehaved),
    ServerVector("garbage for a record", on_records(garbage), PeerMisbehaved),
    ServerVector("silence for a record", on_records(silence), PeerUnreachable),
    ServerVector("an end for a record", on_records(finishes), PeerUnreachable),
]
