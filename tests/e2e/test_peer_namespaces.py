"""Two network namespaces with one cable between them: no route to anywhere, no DNS, not even a loopback interface."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import sites
from support.processes import environment
from support.sites import Site, ip, two_sites

pytestmark = [pytest.mark.root, pytest.mark.skipif(sites.missing() is not None, reason=str(sites.missing()))]

PEER = Path(__file__).parent.parent / "support" / "iroh_peer.py"
SIZE = 5 << 20


def start(site: Site, *arguments: str) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*site.inside, sys.executable, "-W", "error", str(PEER), *arguments]
    return subprocess.Popen(command, text=True, env=environment(), **pipes)


def test_two_sites_without_route_or_dns_exchange_five_megabytes() -> None:
    with two_sites() as (near, far), start(near, "serve") as server:
        assert "default" not in ip("-n", near.name, "route") + ip("-n", far.name, "route")
        assert server.stdout is not None
        where = json.loads(server.stdout.readline())
        with start(far, "fetch", where["id"], str(SIZE), *where["addresses"]) as client:
            out, err = client.communicate(timeout=60)
        said, _ = server.communicate(timeout=20)

    assert (client.returncode, err) == (0, "")
    answer = json.loads(out)
    assert [each.rpartition(":")[0] for each in where["addresses"]] == [near.address]
    assert (answer["same"], answer["bytes"], answer["seen"]) == (True, SIZE, where["addresses"])
    assert (server.returncode, said) == (0, "")
