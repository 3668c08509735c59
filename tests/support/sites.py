"""Two sites: network namespaces with one cable between them that can be pulled, and that counts what went over it.

No route leads to anywhere else and there is no DNS. A test asks `missing()` first and says why it is skipped.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

_RECEIVED = 0
"""Column of `/proc/PID/net/dev`: bytes that came in, link headers included."""


class Site(Struct, frozen=True):
    """A namespace and its end of the cable."""

    name: str
    address: str
    cable: str
    pid: int
    """Of a process that lives in there."""

    @property
    def inside(self) -> tuple[str, ...]:
        """What a command is put after to run in there."""
        return ("ip", "netns", "exec", self.name)

    def received(self) -> int:
        """Bytes that came over the cable so far."""
        for line in Path(f"/proc/{self.pid}/net/dev").read_text().splitlines():
            device, _, numbers = line.partition(":")
            if device.strip() == self.cable:
                return int(numbers.split()[_RECEIVED])
        return 0

    def pull(self) -> None:
        """Take the cable out."""
        ip("-n", self.name, "link", "set", self.cable, "down")

    def plug(self) -> None:
        """Put it in again."""
        ip("-n", self.name, "link", "set", self.cable, "up")


def missing() -> str | None:
    """Why there can be no sites here; None when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "`ip` is not installed"
    return None


@contextmanager
def two_sites() -> Iterator[tuple[Site, Site]]:
    """Sites at 10.77.0.1 and 10.77.0.2, as long as the block lasts."""
    with ExitStack() as stack:
        names = namespaces(stack, "a", "b")
        cables = cable(*names)
        ends = [site(stack, *each) for each in zip(names, cables, ("10.77.0.1", "10.77.0.2"), strict=True)]
        yield ends[0], ends[1]


def namespaces(stack: ExitStack, *letters: str) -> list[str]:
    """New ones, as long as the stack lasts; their names."""
    tag = secrets.token_hex(3)
    names = [f"blx-{letter}-{tag}" for letter in letters]
    for name in names:
        ip("netns", "add", name)
        stack.callback(ip, "netns", "delete", name)
    return names


def cable(one: str, other: str) -> tuple[str, str]:
    """A new cable between two namespaces, which takes its name in each from the other."""
    ends = (f"to-{other[4:]}", f"to-{one[4:]}")
    ip("-n", one, "link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", other)
    return ends


def ip(*arguments: str) -> str:
    """Run `ip`; what it said."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def site(stack: ExitStack, name: str, cable: str, address: str) -> Site:
    """The namespace at its end of the cable, with that address."""
    ip("-n", name, "address", "add", f"{address}/24", "dev", cable)
    ip("-n", name, "link", "set", cable, "up")
    # it says a word when it is inside, and ends with its standard input
    holder = stack.enter_context(
        subprocess.Popen(
            ["ip", "netns", "exec", name, "sh", "-c", "echo in; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"in\n"
    return Site(name, address, cable, holder.pid)
