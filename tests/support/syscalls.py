"""What a command asks the kernel to do to files: the system calls of a real run, recorded by strace and read back.

Strings are recorded in hexadecimal and flags as numbers, so that a line is split without knowing a grammar.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

_CHANGING = (
    *("open", "openat", "openat2", "creat", "close", "close_range", "dup", "dup2", "dup3", "fcntl", "lseek"),
    *("read", "readv", "write", "writev", "pwrite64", "pwritev", "pwritev2", "truncate", "ftruncate", "fallocate"),
    *("copy_file_range", "sendfile", "splice", "ioctl", "mmap", "fsync", "fdatasync", "sync", "syncfs", "chdir"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir"),
)
_LONGEST = 64 << 20
_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*?),? *<unfinished \.\.\.>$")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|0x[0-9a-f]+|\?)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class Call(Struct, frozen=True, kw_only=True):
    """One call that succeeded. `began` and `ended` count the lines of the log: two calls overlap when theirs do."""

    name: str
    text: str
    result: int
    began: int
    ended: int

    @property
    def numbers(self) -> list[int]:
        """Its arguments, in order; what is not a number counts as -1."""
        return [_number(word) for word in self.text.split(", ")]

    @property
    def strings(self) -> list[bytes]:
        """Its arguments that are strings, paths or data."""
        return [bytes.fromhex(found.replace("\\x", "")) for found in _STRING.findall(self.text)]


@cache
def missing() -> str | None:
    """Why nothing can be recorded here; None when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    if subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
        return "this machine does not permit ptrace"
    return None


def record(
    command: Sequence[str | Path], log: Path, *, stdin: int | None, env: Mapping[str, str]
) -> subprocess.CompletedProcess[Any]:
    """Run `command` to its end; its calls go to the file `log`."""
    options = ["-f", "--seccomp-bpf", "-qq", "-xx", "-X", "raw", "-s", str(_LONGEST), "-e", "raw=read,readv"]
    traced = ["strace", *options, "-e", f"trace={','.join(_CHANGING)}", "-o", str(log), "--", *command]
    stdin = subprocess.DEVNULL if stdin is None else stdin
    # a relative path could only be one in /, and so is never one of the recorded files
    return subprocess.run(traced, check=False, stdin=stdin, capture_output=True, env=env, cwd="/")


def calls(log: Path) -> Iterator[Call]:
    """The successful calls of a log, in the order in which they took effect: a `close` when it began."""
    found = sorted(_calls(log), key=lambda call: call.began if call.name == "close" else call.ended)
    return iter(found)


def _calls(log: Path) -> Iterator[Call]:
    begun: dict[str, tuple[int, str]] = {}
    with log.open() as lines:
        for at, line in enumerate(lines):
            if match := _WHOLE.match(line):
                _, name, text, result = match.groups()
                began = at
            elif match := _BEGUN.match(line):
                begun[match[1]] = (at, match[3])
                continue
            elif match := _ENDED.match(line):
                thread, name, rest, result = match.groups()
                began, first = begun.pop(thread)
                text = first + rest
            else:
                continue
            if result != "?" and (number := int(result, 0)) >= 0:
                yield Call(name=name, text=text, result=number, began=began, ended=at)


def _number(word: str) -> int:
    try:
        return int(word, 8) if re.fullmatch(r"0[0-7]+", word) else int(word, 0)
    except ValueError:
        return -1
