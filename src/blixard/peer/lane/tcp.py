"""Options of a TCP socket that carries a lane.

BBR is the reason why a lane is fast on a path that loses packets: it does not take every loss for a full queue
(research/p2p-anchors.md section 2). It works on the side that sends, so both sides ask for it, and a kernel without it
goes on with what it has. Buffer sizes are left alone: a fixed one turns the kernel's own growth off, and is capped
lower.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import suppress

_TIOCOUTQ = 0x5411
_CONGESTION = b"bbr"
_IDLE_SECONDS = 3
_PROBE_SECONDS = 2
_PROBES = 4


def prepare(sock: socket.socket, *, congestion: bytes | None = _CONGESTION) -> None:
    """Send small frames at once, notice a dead path after about ten seconds of silence, and use BBR where it is."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    if congestion is not None:
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion)


def congestion_of(sock: socket.socket) -> str:
    """The congestion control in force: `bbr`, `cubic`."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode("ascii", "replace")


def bbr_works() -> bool:
    """True when this process may use BBR: the kernel has it and allows it; `doctor` asks."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        prepare(sock)
        return congestion_of(sock) == _CONGESTION.decode()


def undelivered(sock: socket.socket) -> int:
    """Bytes that the peer's kernel has not confirmed yet."""
    answer = fcntl.ioctl(sock.fileno(), _TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", answer)[0])
