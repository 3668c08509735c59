"""One command line from start to exit code: the only place where errors become text and numbers.

Commands raise and return; they never print an error nor call `exit`. Signals are turned into exceptions, so that every
`with` on the way out removes its temporary files and lets go of its locks.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from blixard.cli.commands import failure_of
from blixard.cli.screen.output import Console, forget
from blixard.errors import BUG_HINT, BlixardError, ExitCode, StorageError, UsageError
from blixard.site.signals import handling, interrupt_behind, interrupting

PROGRAM = "blixard"


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: unwinds exactly as Ctrl-C does."""


def run_last(arguments: Sequence[str]) -> int:
    """`run` as the last that this process does: a signal while Python ends would take back what was just told."""
    try:
        return run(arguments)
    finally:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments`; everything that can be raised becomes stderr text and an exit code."""
    _occupy_standard_descriptors()
    given = list(arguments)
    out = _output(given)
    try:
        with _signals_as_exceptions():
            code = _invoke(given)
            _flush_stdout()
    except (KeyboardInterrupt, click.Abort) as error:
        return _ended(out, interrupt_behind(error))
    except BrokenPipeError:
        forget(sys.stdout)
        return ExitCode.BROKEN_PIPE
    except click.ClickException as error:
        failure = failure_of(error)
        return _tell(out, failure.id, failure.message, failure.hint, failure.exit_code)
    except BlixardError as error:
        return _tell(out, error.id, error.message, error.hint, error.exit_code, trace=_verbose(given))
    except Exception as error:  # noqa: BLE001 - the last net: an unknown exception is our bug, told as one
        # or that of a lock of `threading`, which an interrupt of its wait leaves as it should not be
        found = interrupt_behind(error)
        return _ended(out, found) if found is not None else _bug(out, error, given)
    return code


def interrupted(arguments: Sequence[str]) -> int:
    """Tell that Ctrl-C ended the command line `arguments`."""
    return _ended(_output(arguments), None)


def _ended(out: Console, interrupt: KeyboardInterrupt | None) -> int:
    if isinstance(interrupt, Terminated):
        return _stopped(out, "terminated by a signal", ExitCode.TERMINATED)
    return _stopped(out, "interrupted", ExitCode.INTERRUPTED)


def _output(arguments: Sequence[str]) -> Console:
    return Console.from_environment(json="--json" in arguments, quiet=False)


def _invoke(arguments: list[str]) -> int:
    from blixard.cli.tree import root

    _check_text(arguments)
    if f"_{PROGRAM.upper()}_COMPLETE" in os.environ:
        root.main(arguments, prog_name=PROGRAM)  # click answers the shell and exits
    try:
        # not root.main(): it would print a blank line on Ctrl-C and hide SIGTERM
        with root.make_context(PROGRAM, arguments) as context:
            result: Any = root.invoke(context)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    return ExitCode.DONE if result is None else ExitCode(result)


def _check_text(arguments: list[str]) -> None:
    """Refuse bytes that are no text: everything that is given may end up in the state, which is JSON."""
    for each in arguments:
        try:
            each.encode()
        except UnicodeEncodeError as error:
            hint = "a file can be reached under another name, by a rename or a symbolic link"
            raise UsageError(f"`{ascii(each)[1:-1]}` is not UTF-8", hint=hint) from error


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    kinds = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated, signal.SIGHUP: Terminated}
    # `nohup` ignores SIGHUP before us and means it
    wanted = {each: kind for each, kind in kinds.items() if signal.getsignal(each) is not signal.SIG_IGN}
    # SIGUSR1 asks for a line of progress; where there is none to tell, it must not kill
    with handling({signal.SIGUSR1: lambda _number, _frame: None}), interrupting(wanted):
        yield


def _occupy_standard_descriptors() -> None:
    """Fill closed descriptors 0 to 2: the next file opened would become stdout, and a message would overwrite it.

    The wrong direction on purpose, as glibc does for setuid programs: using them fails.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if number == 0 else os.O_RDONLY)


def _flush_stdout() -> None:
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        forget(sys.stdout)
        raise StorageError(f"cannot write to stdout: {error.strerror}") from error


def _stopped(out: Console, message: str, code: ExitCode) -> ExitCode:
    from blixard import files

    files.clean_up()  # it may have come where no `with` knew yet of what was just made
    return _tell(out, "interrupted", message, None, code)


def _tell(
    out: Console, error_id: str, message: str, hint: str | None, code: ExitCode, *, trace: bool = False
) -> ExitCode:
    if trace:
        out.traceback()
    out.error(error_id, message, hint, code)
    return code


def _bug(out: Console, error: Exception, arguments: list[str]) -> ExitCode:
    message = f"unexpected {type(error).__name__}: {error}" if str(error) else f"unexpected {type(error).__name__}"
    return _tell(out, "bug", message, BUG_HINT, ExitCode.BUG, trace=_verbose(arguments))


def _verbose(arguments: list[str]) -> bool:
    return any(each == "--verbose" or each in ("-v", "-vv", "-vvv") for each in arguments)
