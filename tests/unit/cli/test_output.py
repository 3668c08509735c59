import io
import json

import pytest

from blixard.cli.output import Output, wants_colour
from blixard.errors import ExitCode


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
    Output(json=False, quiet=True, colour=False).error("x", "what and where", "next step", ExitCode.USAGE)

    assert capsys.readouterr() == ("", "error: what and where\nhint: next step\n")


def test_an_error_is_one_json_object_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True, quiet=False, colour=False).error("x.y", "what", None, ExitCode.CONFLICT)

    told = json.loads(capsys.readouterr().err)
    assert told == {"error": {"id": "x.y", "message": "what", "hint": None, "exit_code": 22}}


def test_quiet_hides_notes_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(json=False, quiet=True, colour=False)

    out.note("n")
    out.warn("w")

    assert capsys.readouterr() == ("", "")


def test_a_warning_is_marked_in_colour_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False, quiet=False, colour=True).warn("w")

    assert capsys.readouterr().err == "\x1b[1;33mwarning:\x1b[0m w\n"
