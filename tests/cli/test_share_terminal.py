"""A share on a terminal: the ticket reaches whoever is to have it, whole, and the bar does not get in its way."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from blixard.peer.wire.ticket import parse_ticket
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


def test_both_ends_show_how_far_it_is_and_how_long_it_takes(data: Path, tmp_path: Path) -> None:
    slowly = (*HERE, "--limit-rate", "2MiB", "--share-uses", "1")
    sender = Terminal(data, "cluster", "share", str(tmp_path / "lab.json.gz"), *slowly)
    sender.read_until("serving; Ctrl-C ends it\r\n")
    [ticket] = re.findall(r"blixard[a-z2-7]{80,}", sender.shown)
    receiver = Terminal(
        tmp_path / "there", "cluster", "import", "--p2p", "-y", *HERE, variables={"BLIXARD_TICKET": ticket}
    )

    assert receiver.end() == 0
    assert sender.end() == 0
    shown = [CONTROL.sub("", each.shown) for each in (sender, receiver)]
    assert re.search(r"receiver [0-9a-f]{16} \S+ [1-4]\.\d/4\.\d MiB +\d\.\d MiB/s +0:00:0\d", shown[0])
    assert "?" not in shown[0]
    assert re.search(r"fetching \S+ [1-4]\.\d/4\.0 MiB +\d\.\d MiB/s +0:00:0\d", shown[1])
    assert re.search(r"fetched 4\.\d MiB in \d\.\d s, \d\.\d MiB/s \(\d+ % over (Iroh|the direct lane)\)", shown[1])


def test_a_share_that_is_asked_how_it_stands_says_so_above_its_bar(data: Path, tmp_path: Path) -> None:
    sender = Terminal(data, "cluster", "share", str(tmp_path / "lab.json.gz"), *HERE, "--limit-rate", "1MiB")
    sender.read_until("serving; Ctrl-C ends it\r\n")
    sender.signal(signal.SIGUSR1)
    sender.read_until("0 receivers here, 0 got all of it so far\r\n")
    [ticket] = re.findall(r"blixard[a-z2-7]{80,}", sender.shown)
    there = Terminal(tmp_path / "there", "cluster", "import", "--p2p", *HERE, variables={"BLIXARD_TICKET": ticket})
    sender.read_until("came from")
    sender.read_until("/4.0 MiB", times=sender.shown.count("/4.0 MiB") + 1)  # its bar
    sender.signal(signal.SIGUSR1)
    sender.read_until("1 receiver here, 0 got all of it so far\r\n")
    assert there.end() == 0
    sender.interrupt()
    assert sender.end() == 0

    shown = re.split(r"\r\n|\r", CONTROL.sub("", sender.shown))
    assert len([line for line in shown if re.fullmatch(SERVING, line)]) == 2
    assert [line for line in shown if re.fullmatch(RECEIVING, line)], shown


SERVING = r"serving until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ: [01] receivers? here, 0 got all of it so far"
RECEIVING = r"receiver [0-9a-f]{16}: \d+\.\d [KM]iB of 4\.\d MiB, \d+\.\d [KM]iB/s, .*\ds left"
