import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import click
import pytest

from blixard.cli import main, tree
from blixard.cli.commands import Entry, LazyGroup
from blixard.cli.options import command
from blixard.cli.session import Session
from blixard.errors import (
    BlixardError,
    Conflict,
    ExitCode,
    InternalError,
    Locked,
    MalformedExport,
    NotFound,
    PeerMisbehaved,
    StorageError,
)
from blixard.site.signals import handling, heard


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Session], ExitCode | None]], None]:
    """Put a command named `try` into the tree that does what a test says."""

    def install(action: Callable[[Session], ExitCode | None]) -> None:
        @command(examples=["blixard try"])
        def _try(session: Session) -> ExitCode | None:
            """Do what the test says."""
            return action(session)

        class OneCommand(LazyGroup):
            def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
                return _try if cmd_name == "try" else None

        group = OneCommand("blixard", {"try": Entry("none:none", "Try")}, examples=["blixard try"])
        monkeypatch.setattr(tree, "root", group)

    return install


Behave = Callable[[Callable[[Session], ExitCode | None]], None]


def failing(error: BaseException) -> Callable[[Session], None]:
    def action(_session: Session) -> None:
        raise error

    return action


@pytest.mark.parametrize(
    "error",
    [NotFound("a"), Locked("b"), Conflict("c"), StorageError("d"), MalformedExport("e"), InternalError("f")],
    ids=lambda error: error.id,
)
def test_each_error_ends_with_its_own_code(behave: Behave, error: BlixardError) -> None:
    behave(failing(error))

    assert main(["try"]) == error.exit_code


def test_an_error_is_told_with_its_hint(behave: Behave, capsys: pytest.CaptureFixture[str]) -> None:
    behave(failing(NotFound("no VM `x`", hint="`vm list`")))

    main(["try"])

    assert capsys.readouterr() == ("", "error: no VM `x`\nhint: `vm list`\n")


def test_a_peer_that_lies_comes_with_a_next_step(behave: Behave, capsys: pytest.CaptureFixture[str]) -> None:
    behave(failing(PeerMisbehaved("the sender lied")))

    assert main(["try"]) == 43
    assert "hint: nothing of it was kept; ask who runs that machine" in capsys.readouterr().err


def test_with_json_the_error_is_an_object(behave: Behave, capsys: pytest.CaptureFixture[str]) -> None:
    behave(failing(NotFound("no VM `x`")))

    main(["try", "--json"])

    error = json.loads(capsys.readouterr().err)["error"]
    assert error == {"id": "state.not-found", "message": "no VM `x`", "hint": None, "exit_code": 20}


def test_an_unknown_exception_is_a_bug_without_a_traceback(behave: Behave, capsys: pytest.CaptureFixture[str]) -> None:
    behave(failing(ValueError("odd")))

    assert main(["try"]) == ExitCode.BUG

    told = capsys.readouterr().err
    assert told.startswith("error: unexpected ValueError: odd\nhint: ")
    assert "Traceback" not in told


def test_verbose_shows_the_traceback(behave: Behave, capsys: pytest.CaptureFixture[str]) -> None:
    behave(failing(ValueError("odd")))

    main(["try", "-v"])

    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_one_line_and_130(behave: Behave, capsys: pytest.CaptureFixture[str]) -> None:
    behave(lambda _session: os.kill(os.getpid(), signal.SIGINT))

    assert main(["try"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_polite_kill_unwinds_and_is_143(behave: Behave, number: signal.Signals) -> None:
    unwound: list[bool] = []

    def action(_session: Session) -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            unwound.append(True)

    behave(action)
    before = signal.getsignal(number)

    assert main(["try"]) == 143
    assert unwound == [True]
    assert signal.getsignal(number) == before


SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


def told_to_end(behave: Behave, action: Callable[[Session], None]) -> int:
    """How a command ended that a signal meets; it must not take long."""
    behave(action)
    started = time.monotonic()
    code = main(["try"])
    assert time.monotonic() - started < 15
    return code


@SIGNALS
def test_a_signal_that_python_passes_over_comes_again(
    behave: Behave, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)

    def action(_session: Session) -> None:
        Finalized()
        time.sleep(30)  # the signal ends it

    assert told_to_end(behave, action) == code
    assert capsys.readouterr().err.splitlines()[1:] == []


@SIGNALS
def test_a_signal_whose_exception_is_lost_comes_again(behave: Behave, number: signal.Signals, code: int) -> None:
    def action(_session: Session) -> None:
        with suppress(KeyboardInterrupt):  # as C code does that clears what a look-up raised
            os.kill(os.getpid(), number)
        time.sleep(30)

    assert told_to_end(behave, action) == code


@SIGNALS
def test_a_signal_that_is_being_handled_does_not_come_again(behave: Behave, number: signal.Signals, code: int) -> None:
    tidied = []

    def action(_session: Session) -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                time.sleep(0.01)
            tidied.append(True)

    assert told_to_end(behave, action) == code
    assert tidied == [True]


@SIGNALS
def test_what_an_interrupt_breaks_is_told_as_the_interrupt(behave: Behave, number: signal.Signals, code: int) -> None:
    def action(_session: Session) -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            raise RuntimeError("cannot release un-acquired lock")  # as a condition whose wait was interrupted

    assert told_to_end(behave, action) == code


def test_a_signal_comes_again_as_whoever_handles_it_by_then_wants_it(behave: Behave) -> None:
    stop = threading.Event()

    def action(_session: Session) -> None:
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with handling({signal.SIGTERM: lambda _number, _frame: stop.set()}):
            assert stop.wait(10)

    assert told_to_end(behave, action) == 0


def test_what_has_heard_an_interrupt_goes_on(behave: Behave) -> None:
    def action(_session: Session) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            heard()
        time.sleep(0.2)

    before = signal.getsignal(signal.SIGALRM)

    assert told_to_end(behave, action) == 0
    assert signal.getsignal(signal.SIGALRM) == before


def test_asking_for_progress_where_there_is_none_kills_nothing(behave: Behave) -> None:
    behave(lambda _session: os.kill(os.getpid(), signal.SIGUSR1))

    assert main(["try"]) == 0


def test_a_broken_pipe_is_silent(behave: Behave, capsys: pytest.CaptureFixture[str]) -> None:
    behave(failing(BrokenPipeError()))

    assert main(["try"]) == 141
    assert capsys.readouterr().err == ""


def test_a_command_may_end_with_a_result_that_is_no_error(behave: Behave) -> None:
    behave(lambda _session: ExitCode.STALE)

    assert main(["try"]) == 6


def test_a_misspelt_command_is_told_the_close_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "statsu"]) == 2
    assert "did you mean `blixard cluster status`?" in capsys.readouterr().err


def test_a_command_without_its_group_is_told_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "backup.json.gz"]) == 2
    assert "did you mean `blixard cluster inspect`?" in capsys.readouterr().err


def test_a_misspelt_option_is_told_the_close_one(behave: Behave, capsys: pytest.CaptureFixture[str]) -> None:
    behave(lambda _session: None)

    assert main(["try", "--jsn"]) == 2
    assert "`--json`" in capsys.readouterr().err


def test_the_version_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("blixard ")


def test_the_version_is_also_known_to_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "cluster"]) == 0
    assert capsys.readouterr().out.startswith("blixard ")
