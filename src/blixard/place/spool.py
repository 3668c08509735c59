"""Inputs that stand in a temporary file without a name: copies of what cannot seek, and what came piece by piece."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, cast

from blixard import files
from blixard.errors import StorageError
from blixard.limits import MIB
from blixard.place.source import FileInput
from blixard.ports import Input


def spool(pieces: Iterable[bytes], name: str, *, task: str, hint: str | None = None) -> Input:
    """All of `pieces`, kept until the input is closed.

    Args:
        pieces: in order; what they raise goes through.
        name: of the input, for people.
        task: what the error says that could not be done, an infinitive.
        hint: what may be done about it.

    Raises:
        StorageError: no space, or an I/O error.
    """
    folder = files.roomy_folder()
    try:
        with tempfile.TemporaryFile(dir=folder) as kept:
            for piece in pieces:
                kept.write(piece)
            kept.flush()
            return FileInput(os.dup(kept.fileno()), name)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise StorageError(f"cannot {task} in `{folder}`: {reason}", hint=hint) from error


@contextmanager
def spooled(given: Input) -> Iterator[Input]:
    """`given`, or what stands in it where it can seek: a copy when it cannot itself.

    Raises:
        StorageError: it cannot be read, or there is no space for the copy.
    """
    if given.seekable:
        yield given
        return
    pieces = iter(partial(given.stream.read, MIB), b"")
    hint = "give the file by name, or set TMPDIR to where there is space"
    with spool(pieces, given.name, task=f"spool `{given.name}`", hint=hint) as source:
        yield source


def reread(given: Input) -> BinaryIO:
    """A stream of its own over all of an input that can seek, beside its `stream` and any others.

    Closing it is not needed, and closes nothing.
    """
    return cast("BinaryIO", files.SpanStream(given.read_at, (0, given.size or 0)))
