"""A documentation page as the blocks that it shows: pure text in, frozen values out.

A page is Markdown with fenced blocks. What a block's language means to the tests:

    sh        runs, in the one shell of the page
    console   runs, and what it shows must come out: `$ command`, then its output; `...` stands for anything
    python    runs, as a program of its own
    cron      its command runs as cron would run it
    toml json parsed
    text      only shown

`file=NAME` behind the language writes the block to NAME instead of running it. `<!-- setup` ... `-->` is shell that a
reader does not see: disks, other machines. `*Not run in the tests: why.*` in the line before a block keeps it from
running, where the reader sees it too.
"""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What a block is to the tests; all but SETUP are languages of fences."""

    SETUP = "setup"
    SH = "sh"
    CONSOLE = "console"
    PYTHON = "python"
    CRON = "cron"
    TOML = "toml"
    JSON = "json"
    TEXT = "text"


class PageError(AssertionError):
    """A page that is not as it should be; the message begins with `page:line`."""


class Block(Struct, frozen=True):
    """A block of a page: `line` is where its body starts, `not_run` why it does not run."""

    kind: Kind
    line: int
    body: str
    file: str | None = None
    not_run: str | None = None


class Exchange(Struct, frozen=True):
    """One command of a console block, and the output that the page shows for it."""

    line: int
    command: str
    shown: tuple[str, ...]

    @property
    def asks_for_status(self) -> bool:
        """True for `echo $?`: the command before it may fail."""
        return self.command.strip() == "echo $?"


_FENCE = re.compile(r"(?P<indent> *)```(?P<language>\S*)(?: +file=(?P<file>\S+))?\s*")
_NOT_RUN = re.compile(r"\s*\*Not run in the tests: (.+)\.\*\s*")


def blocks_of(text: str, page: str) -> tuple[Block, ...]:
    """The blocks of a page, in order.

    Raises:
        PageError: a block without an end, or in a language that has no meaning.
    """
    lines = text.split("\n")
    found: list[Block] = []
    at, before = 0, ""
    while at < len(lines):
        fence = _FENCE.fullmatch(lines[at])
        if fence:
            end = _end_of(lines, at, "```", page)
            body = _dedented(lines[at + 1 : end], len(fence["indent"]))
            reason = _NOT_RUN.fullmatch(before)
            found.append(
                Block(_kind(fence["language"], page, at), at + 2, body, fence["file"], reason[1] if reason else None)
            )
            at = end
        elif lines[at] == "<!-- setup":
            end = _end_of(lines, at, "-->", page)
            found.append(Block(Kind.SETUP, at + 2, "\n".join(lines[at + 1 : end]) + "\n"))
            at = end
        elif lines[at].lstrip().startswith("```"):
            raise PageError(f"{page}:{at + 1}: cannot read the fence `{lines[at].strip()}`")
        if lines[at].strip():
            before = lines[at]
        at += 1
    return tuple(found)


def exchanges_of(block: Block) -> tuple[Exchange, ...]:
    """The commands of a console block; a line that starts with `> ` continues its command."""
    found: list[Exchange] = []
    for number, line in enumerate(block.body.rstrip("\n").split("\n"), block.line):
        if line.startswith("$ "):
            found.append(Exchange(number, line[2:], ()))
        elif not found:
            raise PageError(f"line {number}: a console block begins with `$ `")
        elif line.startswith("> ") and not found[-1].shown:
            last = found[-1]
            found[-1] = Exchange(last.line, f"{last.command}\n{line[2:]}", ())
        else:
            last = found[-1]
            found[-1] = Exchange(last.line, last.command, (*last.shown, line))
    return tuple(found)


def shows(shown: tuple[str, ...], output: str) -> bool:
    """True when `output` is what the page shows; `...` is anything in a line, alone any number of lines."""
    pattern = ""
    for line in shown:
        text = line.rstrip()
        pattern += r"(?:.*\n)*?" if text == "..." else re.escape(text).replace(re.escape("..."), ".*") + r"[ \t]*\n"
    return re.fullmatch(pattern, output if output.endswith("\n") or not output else output + "\n") is not None


def schedules_of(block: Block) -> tuple[tuple[dict[str, str], str], ...]:
    """The commands of a crontab, each with the variables that stand above it.

    Raises:
        PageError: `%` that is not escaped, which cron reads as the end of the command.
    """
    variables: dict[str, str] = {}
    found = []
    for number, line in enumerate(block.body.splitlines(), block.line):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        setting = re.fullmatch(r"(\w+)=(.*)", line)
        if setting:
            variables[setting[1]] = setting[2]
            continue
        command = line.split(None, 1)[1] if line.startswith("@") else line.split(None, 5)[5]
        if re.search(r"(?<!\\)%", command):
            raise PageError(f"line {number}: cron ends a command at `%`; write `\\%`")
        found.append((dict(variables), command.replace("\\%", "%")))
    return tuple(found)


def _kind(language: str, page: str, at: int) -> Kind:
    if language not in set(Kind) - {Kind.SETUP}:
        raise PageError(f"{page}:{at + 1}: a block in `{language}`: say one of {', '.join(sorted(set(Kind)))}")
    return Kind(language)


def _end_of(lines: list[str], start: int, mark: str, page: str) -> int:
    for number in range(start + 1, len(lines)):
        if lines[number].strip() == mark:
            return number
    raise PageError(f"{page}:{start + 1}: a block without an end")


def _dedented(lines: list[str], indent: int) -> str:
    return "".join(line[min(indent, len(line) - len(line.lstrip(" "))) :] + "\n" for line in lines)
