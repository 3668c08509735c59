import io
import json
from pathlib import Path

import pytest

from blixard.cli.screen.output import Console, wants_colour
from blixard.errors import ExitCode
from support.tickets import make_ticket


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_colour_is_for_terminals_unless_the_environment_says(
    environment: dict[str, str], *, terminal: bool, expected: bool
) -> None:
    assert wants_colour(environment, Terminal() if terminal else io.StringIO()) is expected


def test_an_error_is_a_message_and_a_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    Console(json=False, quiet=True, colour=False).error("x", "what and where", "next step", ExitCode.USAGE)

    assert capsys.readouterr() == ("", "error: what and where\nhint: next step\n")


def test_an_error_is_one_json_object_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Console(json=True, quiet=False, colour=False).error("x.y", "what", None, ExitCode.CONFLICT)

    told = json.loads(capsys.readouterr().err)
    assert told == {"error": {"id": "x.y", "message": "what", "hint": None, "exit_code": 22}}


def test_quiet_hides_notes_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    out = Console(json=False, quiet=True, colour=False)

    out.note("n")
    out.warn("w")

    assert capsys.readouterr() == ("", "")


def test_a_warning_is_marked_in_colour_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    Console(json=False, quiet=False, colour=True).warn("w")

    assert capsys.readouterr().err == "\x1b[1;33mwarning:\x1b[0m w\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_on_stderr_holds_a_ticket(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    ticket = make_ticket().encode()
    out = Console(json=as_json, quiet=False, colour=False)

    for each in (
        ticket,
        ticket.upper(),
        f"x{ticket}",
        f"{ticket[:80]}\n{ticket[80:]}",
        repr(f"{ticket[:80]}\n{ticket[80:]}"),
    ):
        out.note(each)
        out.status(each)
        out.warn(each)
        out.error("x", each, each, ExitCode.USAGE)
        try:
            Path(each).stat()
        except OSError:
            out.traceback()

    told = capsys.readouterr().err.lower()
    assert "blixardaeaa…" in told
    assert "FileNotFoundError".lower() in told
    assert not any(ticket[at : at + 12] in told for at in range(11, len(ticket) - 12))


def test_a_ticket_is_printed_whole_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    ticket = make_ticket().encode()

    Console(json=False, quiet=False, colour=False).line(ticket)

    assert capsys.readouterr().out == f"{ticket}\n"


@pytest.mark.parametrize(
    "text",
    [
        "blixard cluster import takes it, and everything that stands behind these words too, however long it is",
        f"a/blixard-{'a' * 64}/x",
        f"`blixard{'a' * 30}` is too short",
        f"document {'d1' * 32}",
    ],
)
def test_what_is_no_ticket_stays(capsys: pytest.CaptureFixture[str], text: str) -> None:
    Console(json=False, quiet=False, colour=False).note(text)

    assert capsys.readouterr().err == f"{text}\n"
