"""A share on a terminal: the ticket reaches whoever is to have it, whole, and the bar does not get in its way."""

import json
import os
import re
from pathlib import Path

import pytest

from blixard.peer.ticket import parse_ticket
from support.shell import blixard
from support.terminal import Terminal

HERE = ("--p2p-listen", "127.0.0.1:0")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    blixard(tmp_path / "data", "cluster", "init", "lab")
    image = tmp_path / "image.raw"
    image.write_bytes(os.urandom(4 << 20))
    blixard(tmp_path / "data", "vm", "create", "web-1", "--disk", image)
    blixard(tmp_path / "data", "cluster", "export", "--include-images", "-o", tmp_path / "lab.json.gz")
    return tmp_path / "data"


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_the_ticket_leaves_by_stdout_while_the_bar_is_on_the_terminal(
    data: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    out, into = os.pipe()
    with os.fdopen(out, encoding="utf-8") as stdout, os.fdopen(into, "wb") as theirs:
        terminal = Terminal(data, "cluster", "share", str(tmp_path / "lab.json.gz"), *HERE, *more, stdout=theirs)
        theirs.close()
        line = stdout.readline().strip()
        terminal.interrupt()
        assert terminal.end() == 3

    ticket = json.loads(line)["ticket"] if more else line.removeprefix("Share this ticket with other nodes: ")
    assert parse_ticket(ticket).peer_id
    assert "\x1b[?25l" in terminal.shown  # there was a bar
    assert ticket[:40] not in terminal.shown


def test_the_ticket_stands_on_a_terminal_in_one_line_that_is_not_broken(data: Path, tmp_path: Path) -> None:
    terminal = Terminal(data, "cluster", "share", str(tmp_path / "lab.json.gz"), *HERE, columns=80)
    terminal.read_until("serving; Ctrl-C ends it\r\n")
    terminal.interrupt()

    assert terminal.end() == 3
    [line] = [line for line in CONTROL.sub("", terminal.shown).split("\r\n") if "Share this ticket" in line]
    assert len(line) > 80
    assert parse_ticket(line.rsplit(" ", 1)[1]).peer_id
