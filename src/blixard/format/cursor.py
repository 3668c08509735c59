"""A place in a stream of JSON text: finds where keys and values end, holds about one value, judges no content.

Push parsers decode everything they pass (17 us a VM in events, before anything is built from them) and buffer what has
no end (yajl: a 300 MB string). This one looks for quotes and brackets only, so that a record costs what memchr costs,
and the text of a value goes whole to `strict_json`, the judge of its syntax. Bounds hold while looking, not after.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from blixard.errors import LimitExceeded, MalformedExport
from blixard.format import strict_json
from blixard.format.envelope import CHUNK, TextSource, ends_early
from blixard.format.quoting import shown
from blixard.limits import KIB, Limits

SPACE = rb"[ \t\n\r]*+"
_SPACE = re.compile(SPACE)
_KEY = re.compile(rb'"([^"\\\x00-\x1f\x7f-\xff]*+)"' + SPACE + rb":")
_LITERAL = re.compile(rb"[-+.0-9A-Za-z]*+")
STEP = re.compile(rb'[^"{}\[\]]*+(["{}\[\]])')
"""Up to the next quote or bracket."""
_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_MESSAGE_CHARS = 400
_NUMBER = b"-+.0123456789"
_OPENING, _CLOSING = b"{[", b"}]"


def _nested(levels: int) -> bytes:
    string, other = rb'"[^"\\]*+(?:\\.[^"\\]*+)*"', rb'[^"{}\[\]]*+'
    inside = other + rb"(?:" + string + other + rb")*"
    for _ in range(levels):
        inside = other + rb"(?:(?:" + string + rb"|[{\[]" + inside + rb"[}\]])" + other + rb")*"
    return inside


# Linear time whatever the text, because at no byte more than one branch fits: a repeat that is given back fails at its
# next byte. Repeats over groups are not possessive: before Python 3.11.5 those pass one byte too many. They remember
# each turn instead, so only `_SHALLOW_BYTES` are looked at; what is longer, deeper or not held yet goes step by step.
_SHALLOW_BYTES = 64 * KIB
_SHALLOW = re.compile(rb"[{\[]" + _nested(6) + rb"[}\]]", re.DOTALL)


class Cursor:
    """Reads JSON text from a source, token by token where the reader cares, value by value where it does not.

    Attributes:
        buffer: the text at hand; `pos` is the place in it.
        depth: containers that `members` and `items` have entered.
        cut_short: the source ended where the document could not.
        line: the line break and indentation before the key or item at hand; empty when it does not start a line.
    """

    def __init__(self, source: TextSource, limits: Limits) -> None:
        self.buffer = b""
        self.pos = 0
        self.depth = 0
        self.limits = limits
        self._source = source
        self._base = 0
        self._ended = False
        self._problem: MalformedExport | None = None
        self.line = b""
        self.cut_short = False
        self._values = 0
        self._ceiling, self._ceiling_name = limits.state_bytes, "state_bytes"

    @property
    def at(self) -> int:
        """Offset in the text, in bytes."""
        return self._base + self.pos

    def allow(self, size: int, limit: str) -> None:
        """From here on, at most `size` bytes may follow before the next call; `limit` names the bound."""
        self._ceiling, self._ceiling_name = self.at + size, limit

    def more(self) -> bool:
        """Fetch text behind what is held, drop what was passed; False at the end.

        Raises:
            LimitExceeded: the ceiling was reached.
            MalformedExport: the source is damaged here; all text before that was given.
        """
        if self._fill():
            return True
        if self._problem is not None:
            raise self._problem
        return False

    def _fill(self) -> bool:
        if self._problem is not None:
            return False
        if self._base + len(self.buffer) >= self._ceiling:
            raise self.over(self._ceiling_name)
        pieces = [self.buffer[self.pos :]]
        self._base += self.pos
        self.pos = 0
        # twice as much each time: looking again from the start of a value stays linear
        wanted = max(CHUNK, len(pieces[0]))
        got = 0
        while got < wanted and not self._ended:
            try:
                piece = self._source.read(wanted - got)
            except MalformedExport as problem:
                # text is fetched ahead: what stands before the damage is looked at first
                self._problem = problem
                break
            self._ended = not piece
            pieces.append(piece)
            got += len(piece)
        self.buffer = b"".join(pieces)
        return got > 0

    def fetch(self) -> None:
        """Fetch text as `more` does; that there is none is an error here, for the document is not complete."""
        if not self.more():
            self.cut_short = True
            raise ends_early(self._base + len(self.buffer))

    def hold(self, size: int) -> None:
        """Have `size` bytes in the buffer, if there are so many left, or so many before damage."""
        while len(self.buffer) - self.pos < size and self._fill():
            pass

    def next_line(self, most: int, limit: str) -> bytes:
        """The text up to the next line feed and with it, which stays where it is; without one only at the end.

        Raises:
            LimitExceeded: it has more than `most` bytes.
            MalformedExport: as `more`.
        """
        looked = self.pos
        while True:
            found = self.buffer.find(b"\n", looked)
            looked = len(self.buffer) if found < 0 else found
            if looked - self.pos > most:
                raise self.over(limit)
            if found >= 0:
                return self.buffer[self.pos : found + 1]
            looked -= self.pos
            if not self.more():
                return self.buffer[self.pos :]

    def forget_damage(self) -> bytes:
        """After damage that `more` raised: drop and give the text before it, and go on where the source goes on."""
        cut = self.buffer[self.pos :]
        self.pos = len(self.buffer)
        self._problem = None
        return cut

    def insert(self, text: bytes) -> None:
        """Read `text` next, as if it stood in the source, which has lost it."""
        self.buffer = text + self.buffer[self.pos :]
        self._base += self.pos - len(text)
        self.pos = 0

    def rest(self, size: int) -> bytes:
        """What follows, up to `size` bytes; less only at the proven end, or before damage."""
        self.hold(size)
        return self.buffer[self.pos : self.pos + size]

    def over(self, limit: str) -> LimitExceeded:
        """The error for a bound of `Limits` that was passed here."""
        return LimitExceeded(
            f"at byte `{self.at}`: over the limit `{limit}` ({getattr(self.limits, limit)})",
            hint="raise the limit if you trust the file",
        )

    def malformed(self, problem: str) -> MalformedExport:
        """The error for text that breaks a rule here."""
        return MalformedExport(f"at byte `{self.at}`: {shown(problem, _MESSAGE_CHARS)}")

    def count(self, text: bytes, most: int = 0) -> None:
        """Account for the values in `text`, which stands before here.

        Raises:
            LimitExceeded: over `values` in all, or over `most` in this one.
        """
        # a comma or a bracket for each value but the first; those inside strings count too, which errs on the safe side
        values = len(text) - len(text.translate(None, b",[{"))
        self._values += values
        if most and values > most:
            raise self.over("element_values")
        if self._values > self.limits.values:
            raise self.over("values")

    def peek(self) -> int:
        """The next byte that is not white space, without passing it."""
        while True:
            match = _SPACE.match(self.buffer, self.pos)
            assert match is not None  # noqa: S101 - the expression matches the empty text
            self.pos = match.end()
            if self.pos < len(self.buffer):
                return self.buffer[self.pos]
            self.fetch()

    def expect(self, wanted: bytes, what: str) -> None:
        """Pass the one byte `wanted`."""
        if self.peek() != wanted[0]:
            raise self.malformed(f"expected {what}, found {self._glimpse()}")
        self.pos += 1

    def finish(self) -> None:
        """Pass white space up to the proven end of the source.

        Raises:
            MalformedExport: something else follows.
        """
        while True:
            match = _SPACE.match(self.buffer, self.pos)
            assert match is not None  # noqa: S101 - as in `peek`
            self.pos = match.end()
            if self.pos < len(self.buffer):
                raise self.malformed(f"something follows the document: {self._glimpse()}")
            if not self.more():
                return

    def members(self, seen: set[str] | None = None) -> Iterator[str]:
        """Pass an object: yields each key, and the caller passes its value.

        Raises:
            MalformedExport: not an object, or a key is there twice.
        """
        self.expect(b"{", "an object")
        self.depth += 1
        seen = set() if seen is None else seen
        if self.peek() == _CLOSING[0]:
            self.pos += 1
            self.depth -= 1
            return
        while True:
            key = self._key()
            if key in seen:
                raise self.malformed(f"duplicate key `{key[:80]}`")
            seen.add(key)
            yield key
            if self._last(_CLOSING[:1]):
                return

    def items(self) -> Iterator[int]:
        """Pass an array: yields each position, and the caller passes the value."""
        self.expect(b"[", "an array")
        self.depth += 1
        if self.peek() == _CLOSING[1]:
            self.pos += 1
            self.depth -= 1
            return
        position = 0
        while True:
            self._mark()
            yield position
            if self._last(_CLOSING[1:]):
                return
            position += 1

    def text(self, limit: str, *, strings: int, values: int = 0) -> bytes:
        """Pass a value: its text, complete as far as brackets and quotes tell; bounds as in `elements.element`."""
        first = self.peek()
        most: int = getattr(self.limits, limit)
        if first in _OPENING:
            size = self._container_size(most, limit, strings, values or self.limits.element_values)
        elif first == _QUOTE:
            size = self.string_size(1, strings, "string_bytes")
        else:
            size = self._literal_size()
        if size > most:
            raise self.over(limit)
        text = self.buffer[self.pos : self.pos + size]
        self.pos += size
        return text

    def string_size(self, start: int, most: int, limit: str) -> int:
        """Where the string ends whose text begins `start` bytes from here: behind its closing quote."""
        looked = start
        while True:
            found = self.buffer.find(b'"', self.pos + looked) - self.pos
            held = len(self.buffer) - self.pos
            if (found if found >= 0 else held) - start > most:
                raise self.over(limit)
            if found < 0:
                self.fetch()
                looked = held
                continue
            before = self.pos + found - 1
            while self.buffer[before] == _BACKSLASH:
                before -= 1
            looked = found + 1
            if (self.pos + found - 1 - before) % 2 == 0:
                return looked

    def _container_size(self, most: int, limit: str, strings: int, values: int) -> int:
        shallow = None
        if strings >= self.limits.string_bytes:
            shallow = _SHALLOW.match(self.buffer, self.pos, self.pos + _SHALLOW_BYTES)
        if shallow and shallow.end() - self.pos <= strings and self.depth + 8 < self.limits.depth:
            return shallow.end() - self.pos
        size, depth = 0, 0
        # a value costs three steps at most: its key, and its quotes or both brackets
        steps = 3 * values
        while True:
            if size > most:
                raise self.over(limit)
            steps -= 1
            if steps < 0:
                raise self.over("element_values")
            step = STEP.match(self.buffer, self.pos + size)
            if step is None:
                if len(self.buffer) - self.pos > most:
                    raise self.over(limit)
                self.fetch()
                continue
            size = step.end() - self.pos
            token = self.buffer[step.end() - 1]
            if token == _QUOTE:
                size = self.string_size(size, strings, "string_bytes")
            elif token in _OPENING:
                depth += 1
                if self.depth + depth > self.limits.depth:
                    raise self.over("depth")
            else:
                depth -= 1
                if not depth:
                    return size

    def _literal_size(self) -> int:
        while True:
            match = _LITERAL.match(self.buffer, self.pos)
            assert match is not None  # noqa: S101 - the expression matches the empty text
            size = match.end() - self.pos
            if size > self.limits.number_chars:
                if self.buffer[self.pos] in _NUMBER:
                    raise self.over("number_chars")
                break
            if match.end() < len(self.buffer):
                break
            self.fetch()
        if not size or size > self.limits.number_chars:
            raise self.malformed(f"expected a value, found {self._glimpse()}")
        return size

    def _mark(self) -> int:
        """`peek`, remembering the line break and indentation before what stands there."""
        before = self.pos
        token = self.peek()
        self.line = self.buffer[before : self.pos] if self.buffer[before : before + 1] == b"\n" else b""
        return token

    def _key(self) -> str:
        if self._mark() != _QUOTE:
            raise self.malformed(f"expected a key, found {self._glimpse()}")
        match = _KEY.match(self.buffer, self.pos)
        if match and match.end() - self.pos <= KIB:
            self.pos = match.end()
            return match[1].decode()
        size = self.string_size(1, self.limits.string_bytes, "string_bytes")
        text = self.buffer[self.pos : self.pos + size]
        key: str = strict_json.parse_at(self.at, text)[0]
        self.pos += size
        self.expect(b":", "`:`")
        return key

    def _last(self, closing: bytes) -> bool:
        token = self.peek()
        if token != _COMMA and token != closing[0]:
            raise self.malformed(f"expected `,` or `{closing.decode()}`, found {self._glimpse()}")
        self.pos += 1
        if token == _COMMA:
            return False
        self.depth -= 1
        return True

    def _glimpse(self) -> str:
        return f"`{shown(self.buffer[self.pos : self.pos + 20].decode('latin-1'))}`"
