"""Looks on for one top-level key after a document turned out to be odd.

A file of a later major version may break any rule before its `version` comes (`jq -S` puts that key last). What its
owner needs to hear is the version, not the first oddity.
"""

from __future__ import annotations

from typing import Any

from blixard.errors import ExportFileError
from blixard.format.cursor import STEP, Cursor
from blixard.format.elements import element

_STEPS = 1 << 20


def find_value(cursor: Cursor, key: str) -> Any:
    """The value of top-level `key` behind the cursor; None when there is none or the text makes no sense."""
    if not cursor.depth or cursor.cut_short:
        return None
    try:
        cursor.allow(cursor.limits.state_bytes, "state_bytes")
        return _find(cursor, f'"{key}"'.encode())
    except ExportFileError:
        return None


def _find(cursor: Cursor, wanted: bytes) -> Any:
    depth = cursor.depth
    for _ in range(_STEPS):
        if not depth:
            break
        step = STEP.match(cursor.buffer, cursor.pos)
        if step is None:
            cursor.fetch()
            continue
        token = step[1]
        cursor.pos = step.end()
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        else:
            size = cursor.string_size(0, cursor.limits.record_text_bytes, "record_text_bytes")
            text = b'"' + cursor.buffer[cursor.pos : cursor.pos + size]
            cursor.pos += size
            if depth == 1 and text == wanted and cursor.peek() == b":"[0]:
                cursor.pos += 1
                cursor.depth = 1
                return element(cursor)[0]
    return None
