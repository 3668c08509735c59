"""Runs a documentation page as a reader would type it.

A page is one story: its blocks run from top to bottom in one shell with `-euo pipefail`, in a clean directory with a
HOME and a data directory of its own. The shell says at which line it is through a file, so that a failure names it.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from msgspec import Struct

from support.pages import Block, Exchange, Kind, PageError, blocks_of, exchanges_of, schedules_of, shows

ROOT = Path(__file__).parents[2]
PRELUDE = Path(__file__).parent / "docs_prelude.sh"
BIN = Path(sys.executable).parent
SECONDS = 120


class Stage(Struct, frozen=True):
    """The directories of one page's run."""

    work: Path
    """Where the reader stands."""
    notes: Path
    """Where the shell leaves line numbers, programs and outputs for us."""

    @property
    def environment(self) -> dict[str, str]:
        """What the reader's shell has, and nothing of ours."""
        home = self.notes / "home"
        return {
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(home),
            "BLIXARD_DATA_DIR": str(home / "blixard"),
            "TMPDIR": str(self.notes),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "REPO": str(ROOT),
            "NOTES": str(self.notes),
        }


def run_page(page: Path, folder: Path) -> None:
    """Run every block of `page`.

    Raises:
        PageError: naming the line that failed, with what it printed.
    """
    run_text(page.read_text(), str(page.relative_to(ROOT)), folder)


def run_text(text: str, page: str, folder: Path) -> None:
    """Run every block of a page's text; `folder` is empty or not there yet."""
    blocks = [each for each in blocks_of(text, page) if each.not_run is None]
    _parse_data(blocks, page)
    stage = Stage(folder / "work", folder / "notes")
    for path in (stage.work, stage.notes, stage.notes / "home"):
        path.mkdir(parents=True)
    script = stage.notes / "page.sh"
    script.write_text(_script(blocks, stage))
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", str(script)],
        cwd=stage.work,
        env=stage.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    _check_sessions(blocks, stage, page)
    if ended.returncode:
        line = (stage.notes / "line").read_text().strip()
        raise PageError(f"{page}:{line}: exit {ended.returncode}\n{_tail(ended.stdout)}{_last_output(stage)}")


def _script(blocks: list[Block], stage: Stage) -> str:
    parts = [f"source {shlex.quote(str(PRELUDE))}"]
    for block in blocks:
        parts += [f'echo {block.line} > "$NOTES/line"', *_lines(block, stage)]
    return "\n".join(parts) + "\n"


def _lines(block: Block, stage: Stage) -> list[str]:
    if block.file:
        name = shlex.quote(block.file)
        written = f"cat > {name} <<'END_OF_BLOCK'\n{block.body}END_OF_BLOCK"
        return [f'mkdir -p "$(dirname {name})"', written, *([f"chmod +x {name}"] if block.kind is Kind.SH else [])]
    if block.kind in {Kind.SETUP, Kind.SH}:
        return [block.body]
    if block.kind is Kind.CONSOLE:
        return _console(exchanges_of(block))
    if block.kind is Kind.PYTHON:
        program = stage.notes / f"block-{block.line}.py"
        program.write_text(block.body)
        return [f"python -W error {shlex.quote(str(program))}"]
    if block.kind is Kind.CRON:
        return [_as_cron(variables, command) for variables, command in schedules_of(block)]
    return []


def _console(exchanges: tuple[Exchange, ...]) -> list[str]:
    lines = ["last=0"]
    for number, each in enumerate(exchanges):
        may_fail = number + 1 < len(exchanges) and exchanges[number + 1].asks_for_status
        # `status` gives the command the `$?` that the one before it left
        run = f"eval {shlex.quote('status $last; ' + each.command)}"
        output = f'"$NOTES/out-{each.line}"'
        lines.append(f'echo {each.line} > "$NOTES/line"')
        lines.append(f"set +e; {run} > {output} 2>&1; last=$?; set -e")
        if not may_fail:
            lines.append("[ $last = 0 ]")
    return lines


def _as_cron(variables: dict[str, str], command: str) -> str:
    """`env -i` with what cron sets (crontab(5)): no terminal, LANG unset, /bin/sh."""
    settings = {
        "LOGNAME": "root",
        "SHELL": "/bin/sh",
        **variables,
        "PATH": f"{BIN}:{variables.get('PATH', '/usr/bin:/bin')}",
    }
    given = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    kept = 'HOME="$HOME" BLIXARD_DATA_DIR="$BLIXARD_DATA_DIR" ${BACKUP_DIR:+BACKUP_DIR="$BACKUP_DIR"}'
    return f"(umask 022; cd /; env -i {kept} {given} /bin/sh -c {shlex.quote(command)} < /dev/null)"


def _check_sessions(blocks: list[Block], stage: Stage, page: str) -> None:
    for block in blocks:
        if block.kind is not Kind.CONSOLE or block.file:
            continue
        for each in exchanges_of(block):
            written = stage.notes / f"out-{each.line}"
            if written.exists() and not shows(each.shown, written.read_text()):
                expected = "\n".join(each.shown)
                raise PageError(
                    f"{page}:{each.line}: `{each.command}` shows\n{expected}\nand prints\n{written.read_text()}"
                )


def _parse_data(blocks: list[Block], page: str) -> None:
    for block in blocks:
        try:
            if block.kind is Kind.JSON:
                json.loads(block.body)
            elif block.kind is Kind.TOML:
                tomllib.loads(block.body)
        except ValueError as error:
            raise PageError(f"{page}:{block.line}: not {block.kind}: {error}") from error


def _last_output(stage: Stage) -> str:
    outputs = sorted(stage.notes.glob("out-*"), key=os.path.getmtime)
    return _tail(outputs[-1].read_text()) if outputs else ""


def _tail(text: str) -> str:
    return text[-4000:]
