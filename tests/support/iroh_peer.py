"""One end of a transfer over Iroh, as a process of its own: `iroh_peer.py serve|fetch|hang ...`.

serve [LISTEN]         prints its id and addresses as one JSON line, then echoes each channel until stdin ends
fetch ID SIZE ADDR...  sends SIZE bytes, has them echoed, prints what came back as one JSON line
leave ID ADDR...       connects, opens a channel, and ends without closing anything
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
from hashlib import sha256

from blixard.errors import TransferError
from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint
from blixard.peer.ports import Link, Listener

PART = 1 << 20


def main(verb: str, *arguments: str) -> None:
    if verb == "serve":
        serve(*arguments)
    elif verb == "fetch":
        fetch(arguments[0], int(arguments[1]), arguments[2:])
    else:
        leave(arguments[0], arguments[1:])


def serve(listen: str | None = None) -> None:
    with IrohEndpoint(secrets.token_bytes(32), EndpointOptions(listen=listen)) as endpoint:
        listener = endpoint.listen()
        taking = threading.Thread(target=take, args=(listener,))
        taking.start()
        try:
            say({"id": endpoint.id, "addresses": listener.addresses()})
            sys.stdin.read()
        except KeyboardInterrupt:
            say({"interrupted": True})
        listener.close()
        taking.join()


def take(listener: Listener) -> None:
    while (link := listener.accept(None)) is not None:
        threading.Thread(target=echo, args=(link,), daemon=True).start()


def echo(link: Link) -> None:
    try:
        while True:
            channel = link.accept(None)
            while (frame := channel.receive(None)) is not None:
                channel.send(*frame)
            channel.finish()
    except TransferError:
        return


def fetch(endpoint_id: str, size: int, addresses: tuple[str, ...]) -> None:
    with IrohEndpoint(secrets.token_bytes(32)) as endpoint:
        link = endpoint.connect(endpoint_id, addresses, None, 20)
        channel = link.open(20)
        sent, got, length = sha256(), sha256(), 0
        for _ in range(0, size, PART):
            part = secrets.token_bytes(PART)
            sent.update(part)
            channel.send({"type": "part"}, part)
            frame = channel.receive(20)
            assert frame is not None
            got.update(frame[1])
            length += len(frame[1])
        channel.finish()
        assert channel.receive(20) is None
        say({"same": sent.digest() == got.digest(), "bytes": length, "seen": link.remote_addresses})


def leave(endpoint_id: str, addresses: tuple[str, ...]) -> None:
    endpoint = IrohEndpoint(secrets.token_bytes(32))
    channel = endpoint.connect(endpoint_id, addresses, None, 20).open(20)
    channel.send({"type": "part"})
    assert channel.receive(20) is not None
    threading.Thread(target=channel.receive, args=(None,), daemon=True).start()
    say({"left": True})


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
