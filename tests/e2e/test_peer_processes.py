"""Two processes over Iroh: they find each other, part cleanly, and leave without a word when nobody closes anything."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.processes import environment

PEER = Path(__file__).parent.parent / "support" / "iroh_peer.py"
SIZE = 5 << 20


def start(*arguments: str) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-W", "error", str(PEER), *arguments]
    return subprocess.Popen(command, text=True, env=environment(), **pipes)


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    with start("serve", "127.0.0.1:0") as process:
        yield process
        process.kill()


def test_two_processes_exchange_five_megabytes_and_end_without_a_word(server: subprocess.Popen[str]) -> None:
    where = heard(server)
    with start("fetch", where["id"], str(SIZE), *where["addresses"]) as client:
        answer = heard(client)
        assert client.communicate(timeout=20) == ("", "")

    assert (answer["same"], answer["bytes"]) == (True, SIZE)
    assert {each.rpartition(":")[0] for each in answer["seen"]} <= {"127.0.0.1", "[::1]"}
    assert client.returncode == 0
    assert server.communicate(timeout=20) == ("", "")
    assert server.returncode == 0


def test_a_process_that_closes_nothing_ends_all_the_same_and_the_other_serves_on(
    server: subprocess.Popen[str],
) -> None:
    where = heard(server)
    for verb in (["leave", where["id"]], ["fetch", where["id"], "1"]):
        with start(*verb, *where["addresses"]) as client:
            heard(client)
            assert client.communicate(timeout=20) == ("", "")
        assert client.returncode == 0


def test_ctrl_c_ends_whoever_waits(server: subprocess.Popen[str]) -> None:
    heard(server)
    server.send_signal(signal.SIGINT)

    assert heard(server) == {"interrupted": True}
    assert server.communicate(timeout=20) == ("", "")
    assert server.returncode == 0
