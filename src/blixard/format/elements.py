"""Values that are decoded whole: VMs, nodes, telemetry elements, the small sections.

Guesses where they end, by the indentation that every pretty-printer writes, and lets the decoder be the judge: a text
that decodes as an object is that object, because no object is the start of another one. A window of VMs costs one call
then instead of one a VM; whatever is laid out otherwise goes step by step, and gets its errors there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from blixard.format import strict_json
from blixard.format.cursor import SPACE, Cursor
from blixard.limits import KIB

_WINDOW = 64 * KIB
_GUESSED = 256 * KIB
_CLOSES = {b"{"[0]: b"}", b"["[0]: b"]"}
Fast = Callable[[bytes, int], list[tuple[str, Any, bytes]] | None]
_NEXT = re.compile(SPACE + rb"," + SPACE + rb'(?=")')


def element(cursor: Cursor, limit: str = "element_bytes", *, strings: int = 0, values: int = 0) -> tuple[Any, bytes]:
    """Pass a value and decode it: the value and its canonical form.

    Args:
        cursor: stands before the value.
        limit: the name of the bound on its text.
        strings: bound on one string in it, in bytes of text; `string_bytes` when 0.
        values: bound on the values in it; `element_values` when 0.

    Raises:
        MalformedExport, LimitExceeded: a rule of FORMAT.md section 7 is broken.
    """
    return _guess(cursor) or _step_by_step(cursor, limit, strings, values)


def members(
    cursor: Cursor, *, strings: int = 0, fast: Fast = strict_json.parse_members_fast
) -> Iterator[tuple[str, Any, bytes]]:
    """Pass an object: each key, its value decoded, and the value's canonical form.

    Args:
        cursor: stands before the object.
        strings: as in `element`.
        fast: decodes many members from the text of an object, each with at most so many levels; None when it cannot
            prove what they are.

    Raises:
        MalformedExport, LimitExceeded: as in `element`; not an object, or a key is there twice.
    """
    seen: set[str] = set()
    patience = 0
    for key in cursor.members(seen):
        yield key, *element(cursor, strings=strings)
        # one odd VM spoils its window: no other try before it has passed
        patience -= 1
        while patience <= 0:
            window = _Window(cursor)
            found = window.members(seen, fast)
            if not found:
                patience = window.lines()
                break
            yield from found


class _Window:
    """The members that follow in the buffer, up to the last line that looks like the end of one."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._begin, self._end = 0, -1
        self._closing = cursor.line + b"}"
        next_ = _NEXT.match(cursor.buffer, cursor.pos) if cursor.line else None
        if next_ is None:
            return
        self._begin = next_.end()
        last = cursor.buffer.rfind(self._closing + b",", self._begin, self._begin + _reach(cursor, _WINDOW))
        if last >= 0:
            self._end = last + len(self._closing)

    def lines(self) -> int:
        """How many lines look like the end of a member."""
        return self._cursor.buffer.count(self._closing, self._begin, self._end) if self._end >= 0 else 0

    def members(self, seen: set[str], fast: Fast) -> list[tuple[str, Any, bytes]] | None:
        """Pass and decode them; None when one of them wants to be looked at alone."""
        if self._end < 0:
            return None
        cursor = self._cursor
        text = b"{" + cursor.buffer[self._begin : self._end] + b"}"
        found = fast(text, cursor.limits.depth - cursor.depth)
        if found is None or not seen.isdisjoint(keys := [key for key, _, _ in found]):
            return None
        cursor.count(text)
        seen.update(keys)
        cursor.pos = self._end
        return found


def _guess(cursor: Cursor) -> tuple[Any, bytes] | None:
    closing = _CLOSES.get(cursor.peek())
    if not cursor.line or closing is None:
        return None
    end = cursor.buffer.find(cursor.line + closing, cursor.pos, cursor.pos + _reach(cursor, _GUESSED))
    if end < 0:
        return None
    end += len(cursor.line) + 1
    text = cursor.buffer[cursor.pos : end]
    if text.count(b"{") + text.count(b"[") > cursor.limits.depth - cursor.depth:
        return None
    parsed = strict_json.parse_fast(text)
    if parsed is not None:
        cursor.count(text)
        cursor.pos = end
    return parsed


def _step_by_step(cursor: Cursor, limit: str, strings: int, values: int) -> tuple[Any, bytes]:
    text = cursor.text(limit, strings=strings or cursor.limits.string_bytes, values=values)
    cursor.count(text, values or cursor.limits.element_values)
    return strict_json.parse_at(cursor.at - len(text), text)


def _reach(cursor: Cursor, most: int) -> int:
    # what is shorter than a bound keeps it
    limits = cursor.limits
    return min(most, limits.string_bytes, limits.element_bytes, limits.telemetry_element_bytes)
