"""Frames from bytes and back, without a socket.

Frame: u32 big-endian head length, JSON head, u32 body length, body (PEER.md section 2). The reader gives out the room
into which the next bytes go, so that an adapter can receive straight into it; a length is judged before there is room
for it, and room for a body grows with what came, not with what was announced.
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from typing import Any, NoReturn

import msgspec

from blixard.errors import InternalError, PeerMisbehaved
from blixard.model.structs import JsonObject
from blixard.peer.ports import BODY_BYTES, HEAD_BYTES, Body, Frame

_LENGTH = struct.Struct(">I")
_CONTAINERS = 64
"""Objects and arrays in one head: ours have two. It bounds the depth too."""
_NUMBER_CHARS = 20
"""A u64 has twenty digits; int() of a long literal is quadratic."""
_FIRST_ROOM = 2 << 20
"""A record of 1 MiB fits, and is not copied as its room grows. Only who asked for bodies gets any."""
_GROWTH = 4


def encode_frame(head: JsonObject, body: Body = b"") -> list[Body]:
    """The buffers to write, in order; `body` is not copied.

    Raises:
        InternalError: we made a frame that no peer would take.
    """
    text = msgspec.json.encode(head)
    if len(text) > HEAD_BYTES or len(body) > BODY_BYTES:
        raise InternalError(f"a frame with a head of {len(text)} and a body of {len(body)} bytes is too long")
    prefix = _LENGTH.pack(len(text)) + text + _LENGTH.pack(len(body))
    return [prefix, body] if len(body) else [prefix]


def decode_head(text: bytes | bytearray) -> JsonObject:
    """The JSON object of a head: no duplicate key, no fraction, no NaN, no deep nest, no half of a character.

    Raises:
        PeerMisbehaved: anything else.
    """
    if text.count(b"{") + text.count(b"[") > _CONTAINERS:
        raise PeerMisbehaved(f"the peer sent a frame head with more than {_CONTAINERS} objects and arrays")
    try:
        value = _STRICT.decode(text.decode())
        if b"\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as problem:
        raise PeerMisbehaved("the peer sent a frame head that is not UTF-8") from problem
    except (ValueError, RecursionError) as problem:
        raise PeerMisbehaved("the peer sent a frame head that is not JSON") from problem
    if not isinstance(value, dict):
        raise PeerMisbehaved("the peer sent a frame head that is not an object")
    return value


class _Field(IntEnum):
    """The part of a frame that the reader receives now."""

    HEAD_LENGTH = 0
    HEAD = 1
    BODY_LENGTH = 2
    BODY = 3


class FrameReader:
    """Assembles one frame after the other. `limit` is the longest body taken; set it between frames.

    Use: receive into (a part of) `room()`, then call `filled(n)`, which gives a frame when one is whole. At the end of
    the stream call `end()`.

    Raises (filled, end):
        PeerMisbehaved: the bytes are not frames; the reader is of no use then.
    """

    def __init__(self, limit: int = BODY_BYTES) -> None:
        self.limit = limit
        self._state = _Field.HEAD_LENGTH
        self._head: JsonObject = {}
        self._buffer: bytearray
        self._begin(_Field.HEAD_LENGTH, _LENGTH.size)

    @property
    def body_length(self) -> int:
        """Length of the body under way; 0 while the head is not there yet."""
        return self._length if self._state is _Field.BODY else 0

    @property
    def between(self) -> bool:
        """True when no byte of a next frame was taken: the stream may end here."""
        return self._state is _Field.HEAD_LENGTH and self._at == 0

    def room(self) -> memoryview:
        """Where the next bytes go. To be released before `filled`.

        One byte at least, and never more than the field under way (a length, a head, a body) still needs.
        """
        if self._at == len(self._buffer):
            grown = bytearray(min(self._length, len(self._buffer) * _GROWTH))
            grown[: self._at] = self._buffer
            self._buffer = grown
        return memoryview(self._buffer)[self._at :]

    def filled(self, count: int) -> Frame | None:
        """Count the bytes that were received into `room()`; gives the frame when they complete one."""
        self._at += count
        return self._step() if self._at == self._length else None

    def end(self) -> None:
        """Tell the reader that the stream has ended, which it may only between two frames."""
        if not self.between:
            raise PeerMisbehaved("the peer stopped within a frame")

    def _begin(self, state: _Field, length: int) -> None:
        self._state = state
        self._length = length
        self._at = 0
        self._buffer = bytearray(min(length, _FIRST_ROOM))

    def _step(self) -> Frame | None:
        if self._state is _Field.HEAD_LENGTH:
            self._begin(_Field.HEAD, _checked(_LENGTH.unpack(self._buffer)[0], HEAD_BYTES, "head", least=2))
        elif self._state is _Field.HEAD:
            self._head = decode_head(self._buffer)
            self._begin(_Field.BODY_LENGTH, _LENGTH.size)
        elif self._state is _Field.BODY_LENGTH:
            length = _checked(_LENGTH.unpack(self._buffer)[0], min(self.limit, BODY_BYTES), "body", least=0)
            if not length:
                return self._whole(b"")
            self._begin(_Field.BODY, length)
        else:
            return self._whole(memoryview(self._buffer).toreadonly())
        return None

    def _whole(self, body: Body) -> Frame:
        head, self._head = self._head, {}
        self._begin(_Field.HEAD_LENGTH, _LENGTH.size)
        return head, body


def _checked(length: int, most: int, what: str, *, least: int) -> int:
    if length < least or length > most:
        raise PeerMisbehaved(f"the peer announced a frame {what} of {length} bytes, {least} to {most} are taken")
    return length


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("duplicate key")
    return made


def _integer(literal: str) -> int:
    if len(literal) > _NUMBER_CHARS:
        raise ValueError("long number")
    return int(literal)


def _refuse(literal: str) -> NoReturn:
    raise ValueError(literal)


_STRICT = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)
