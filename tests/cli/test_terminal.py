"""The program on a terminal: it asks before it destroys, and draws a bar; both ends are a real pseudo-terminal."""

import os
from pathlib import Path

import pytest

from blixard.model.structs import JsonObject
from support.shell import blixard
from support.terminal import Terminal


@pytest.fixture
def data(tmp_path: Path) -> Path:
    blixard(tmp_path / "data", "cluster", "init", "lab")
    blixard(tmp_path / "data", "vm", "create", "web-1")
    return tmp_path / "data"


def vms(data: Path) -> list[JsonObject]:
    import json

    listed: list[JsonObject] = json.loads(blixard(data, "vm", "list", "--json").stdout)["vms"]
    return listed


def test_a_deletion_asks_for_the_name_and_takes_it_as_consent(data: Path) -> None:
    terminal = Terminal(data, "vm", "delete", "web-1")
    terminal.read_until("type the name `web-1` to go on: ")
    assert len(vms(data)) == 1

    terminal.type("web-1\n")

    assert terminal.end() == 0
    assert vms(data) == []


def test_another_answer_does_nothing(data: Path) -> None:
    terminal = Terminal(data, "vm", "delete", "web-1")
    terminal.read_until("to go on: ")

    terminal.type("yes\n")

    assert terminal.end() == 4
    assert len(vms(data)) == 1


def test_the_end_of_input_is_no_consent(data: Path) -> None:
    terminal = Terminal(data, "cluster", "delete", "lab")
    terminal.read_until("to go on: ")

    terminal.type("\x04")

    assert terminal.end() == 4
    assert len(vms(data)) == 1


@pytest.mark.parametrize(("arguments", "variables"), [(("-y",), {}), ((), {"BLIXARD_NO_INPUT": "1"})])
def test_nobody_is_asked_who_said_so(data: Path, arguments: tuple[str, ...], variables: dict[str, str]) -> None:
    terminal = Terminal(data, "vm", "delete", "web-1", *arguments, variables=variables)

    assert terminal.end() == 0
    assert "type the name" not in terminal.shown


def test_a_copy_shows_a_bar_and_takes_it_away(data: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(os.urandom(1 << 20) * 64)

    terminal = Terminal(data, "vm", "create", "big", "--disk", str(image))

    assert terminal.end() == 0
    # the cursor is hidden while there is a bar, and shown again
    assert "\x1b[?25l" in terminal.shown
    assert terminal.shown.rindex("\x1b[?25h") > terminal.shown.rindex("\x1b[?25l")
    assert "copied in" in terminal.shown


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"BLIXARD_PROGRESS": "off"}])
def test_no_bar_where_it_is_not_wanted(data: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(b"x" * 100_000)

    terminal = Terminal(data, "vm", "create", "big", "--disk", str(image), variables=variables)

    assert terminal.end() == 0
    assert "\x1b[?25l" not in terminal.shown
