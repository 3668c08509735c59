"""Two network namespaces with one cable between them: no route to anywhere, no DNS, not even a loopback interface."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.processes import environment

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs `ip` of iproute2"),
]

PEER = Path(__file__).parent.parent / "support" / "iroh_peer.py"
SIZE = 5 << 20


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def sites() -> Iterator[tuple[str, str]]:
    """The names of two namespaces: 10.77.0.1 and 10.77.0.2."""
    tag = secrets.token_hex(3)
    names = (f"blx-a-{tag}", f"blx-b-{tag}")
    cables = (f"blxa{tag}", f"blxb{tag}")
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for number, (name, cable) in enumerate(zip(names, cables, strict=True), 1):
            ip("link", "set", cable, "netns", name)
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def start(site: str, *arguments: str) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = ["ip", "netns", "exec", site, sys.executable, "-W", "error", str(PEER), *arguments]
    return subprocess.Popen(command, text=True, env=environment(), **pipes)


def test_two_sites_without_route_or_dns_exchange_five_megabytes(sites: tuple[str, str]) -> None:
    assert "default" not in ip("-n", sites[0], "route") + ip("-n", sites[1], "route")
    with start(sites[0], "serve") as server:
        assert server.stdout is not None
        where = json.loads(server.stdout.readline())
        with start(sites[1], "fetch", where["id"], str(SIZE), *where["addresses"]) as client:
            out, err = client.communicate(timeout=60)
        said, _ = server.communicate(timeout=20)

    assert (client.returncode, err) == (0, "")
    answer = json.loads(out)
    assert [each.rpartition(":")[0] for each in where["addresses"]] == ["10.77.0.1"]
    assert (answer["same"], answer["bytes"], answer["seen"]) == (True, SIZE, where["addresses"])
    assert (server.returncode, said) == (0, "")
