"""Hands each connection to a command, with a congestion control that it did not choose.

    inetd.py HOST CONGESTION COMMAND...     prints the port

What the system's default is cannot be set for one network namespace everywhere; for a listening socket root can.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys


def main() -> None:
    """Serve until SIGTERM; connections end with it, for their link may be gone and nothing would tell them."""
    host, congestion, *command = sys.argv[1:]
    serving: list[subprocess.Popen[bytes]] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        with socket.create_server((host, 0)) as listening:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
            print(listening.getsockname()[1], flush=True)
            while True:
                sock, _ = listening.accept()
                with sock:
                    serving.append(subprocess.Popen(command, stdin=sock.fileno(), stdout=sock.fileno()))
    finally:
        for process in serving:
            process.terminate()  # its monitor passes that on to the one that serves


if __name__ == "__main__":
    main()
