import io

import pytest

from blixard.cli.screen.prompts import can_ask, confirm_name
from blixard.errors import RefusedError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_two_terminals_make_a_conversation() -> None:
    assert can_ask({}, Terminal(), Terminal())
    assert not can_ask({}, io.StringIO(), Terminal())
    assert not can_ask({}, Terminal(), io.StringIO())


def test_no_input_means_never() -> None:
    assert not can_ask({"BLIXARD_NO_INPUT": "1"}, Terminal(), Terminal())


def test_the_name_is_consent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("lab\n"))

    confirm_name("lab", "all of it will be gone")

    assert capsys.readouterr().err == "all of it will be gone\ntype the name `lab` to go on: "


@pytest.mark.parametrize("answer", ["y\n", "\n", "", "LAB\n"])
def test_anything_else_is_not(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    with pytest.raises(RefusedError, match="nothing was done"):
        confirm_name("lab", "")
