"""Standard output and input as places: the ends of a pipeline.

Nobody reading stdout any more is not an error of storage: BrokenPipeError goes through to the command line, which ends
quietly as other tools do.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from blixard import files
from blixard.errors import StorageError, UsageError
from blixard.place.stream import StreamOutput

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN, STDOUT = 0, 1


class _StandardSink(files.SinkStream):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except StorageError as error:
            if isinstance(error.__cause__, BrokenPipeError):
                raise error.__cause__ from None
            raise


def standard_output(fd: int = STDOUT) -> StreamOutput:
    """Standard output as an output.

    Raises:
        UsageError: it is a terminal.
        StorageError: it is closed.
    """
    _check_open(fd, "standard output")
    if os.isatty(fd):
        raise UsageError(
            "an export is not for a terminal", hint="redirect it: `-o - > FILE`, or name a file: `-o FILE`"
        )
    return StreamOutput(fd, "standard output", owned=False, sink=_StandardSink(fd, "standard output"))


def standard_input(fd: int = STDIN) -> int:
    """A descriptor of stdin that may be closed without closing stdin.

    Raises:
        UsageError: it is a terminal.
        StorageError: it is closed.
    """
    _check_open(fd, "standard input")
    if os.isatty(fd):
        raise UsageError("an export cannot be typed in", hint="name a file: `-i FILE`, or feed one: `-i - < FILE`")
    return os.dup(fd)


def _check_open(fd: int, name: str) -> None:
    try:
        os.fstat(fd)
    except OSError as error:
        raise StorageError(f"{name} is closed") from error
