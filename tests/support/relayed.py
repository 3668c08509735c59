"""Two sites that cannot reach each other, and a third that both can reach: a relay stands there, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from support import sites
from support.processes import DEADLINE
from support.sites import Site, ip

PROGRAM = Path(__file__).with_name("iroh_relay.py")
HOST, PORT = "10.77.9.9", 7400
URL = f"http://{HOST}:{PORT}"


class Middle:
    """The site between; its relay can come and go."""

    def __init__(self, inside: tuple[str, ...], marker: str) -> None:
        self._inside = inside
        self._marker = marker
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Have a relay, and wait until it listens."""
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [*self._inside, sys.executable, str(PROGRAM), str(PORT), self._marker]
        self._process = subprocess.Popen(command, text=True, **pipes)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def stop(self) -> dict[str, Any]:
        """End the relay; what it saw."""
        assert self._process is not None
        process, self._process = self._process, None
        out, _ = process.communicate(timeout=DEADLINE)
        seen: dict[str, Any] = json.loads(out)
        return seen

    def close(self) -> None:
        """End the relay if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@contextmanager
def relayed_sites(marker: str) -> Iterator[tuple[Site, Site, Middle]]:
    """Two sites and what is between them, where a relay runs that looks for `marker` in what it carries."""
    with ExitStack() as stack:
        names = sites.namespaces(stack, "a", "m", "b")
        cables = [sites.cable(name, names[1]) for name in (names[0], names[2])]
        ends = [("10.77.1.1", "10.77.1.2"), ("10.77.2.1", "10.77.2.2")]
        ip("-n", names[1], "link", "set", "lo", "up")
        ip("-n", names[1], "address", "add", f"{HOST}/32", "dev", "lo")
        found = []
        for name, (near_end, far_end), (address, gateway) in zip((names[0], names[2]), cables, ends, strict=True):
            ip("-n", names[1], "address", "add", f"{gateway}/24", "dev", far_end)
            ip("-n", names[1], "link", "set", far_end, "up")
            found.append(sites.site(stack, name, near_end, address))
            ip("-n", name, "route", "add", HOST, "via", gateway)
        middle = Middle(("ip", "netns", "exec", names[1]), marker)
        stack.callback(middle.close)
        middle.start()
        yield found[0], found[1], middle
