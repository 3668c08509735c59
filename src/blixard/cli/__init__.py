"""The command line: arguments in, exit code out.

Nothing but the version is answered here, so that a start costs what it must: click comes with `run`, and a command's
module comes when that command is called (measured: `import click` alone is 35 ms of CPU).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from gc import freeze, set_threshold  # not `import gc`: our module of that name would take its place


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code (DESIGN.md section 9).

    Args:
        argv: the arguments without the program's name; the process's own when None.
    """
    if argv is not None:
        return _run(list(argv), last=False)
    # imports leave no garbage and a process that ends needs none collected: 13 of 115 ms of `cluster status`
    set_threshold(100_000, 20, 50)
    try:
        return _run(sys.argv[1:], last=True)
    except KeyboardInterrupt:  # while `run`, which tells of it otherwise, was being loaded
        from blixard.cli.run import interrupted

        return interrupted(sys.argv[1:])
    finally:
        freeze()


def _run(arguments: list[str], *, last: bool) -> int:
    if arguments == ["--version"]:
        return _print_version()
    from blixard.cli.run import run, run_last

    return run_last(arguments) if last else run(arguments)


def _print_version() -> int:
    from blixard.version import __version__

    try:
        print(f"blixard {__version__}", flush=True)  # noqa: T201 - this is the program's answer
    except OSError:
        from blixard.cli.screen.output import forget
        from blixard.errors import ExitCode

        forget(sys.stdout)
        return ExitCode.STORAGE
    return 0
