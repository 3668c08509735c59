"""A damaged gzip document, member by member: what is lost with one of them is no more than that one.

Our writer's members begin with the same bytes, which nothing that is deflated in them is likely to hold (2^-64 at each
place). So no member is fed what stands behind the next beginning: each byte is inflated once, whatever a file does, and
after damage the text goes on there. Source: RFC 1952 section 2.3.
"""

from __future__ import annotations

from isal import igzip_lib

from blixard.format.envelope import CHUNK, MAGIC, ByteSource, GzipText, ends_early

# deflate, no flags, no time; what follows tells of level and system
BEGIN = MAGIC + b"\x08" + b"\0" * 5


class MemberByMember(GzipText):
    """The text of a gzip document; after `MemberDamaged`, `skip` goes on with the next member."""

    def __init__(self, stream: ByteSource, head: bytes = b"") -> None:
        super().__init__(stream, head)
        self._over = False
        self._border = -1
        """Place in the chunk up to which the member at hand may be fed: the next beginning, or what may be one."""

    def skip(self) -> bool:
        """Drop the damaged member; False when none of ours follows it."""
        self._member = None
        while True:
            self._see()
            found = self._find(self._at)
            self._at = found if found >= 0 else self._horizon()
            if found >= 0 or self._over:
                return found >= 0

    def _next_member(self) -> igzip_lib.IgzipDecompressor | None:
        self._see()
        self._border = -1
        return super()._next_member()

    def _next_input(self) -> memoryview:
        self._see()
        if self._at == len(self._chunk):
            raise ends_early(self._before + self._at, ", inside a gzip member")
        if self._border < self._at:
            begun = self._before + self._at == self._member_at
            found = self._find(self._at + begun)
            self._border = found if found >= 0 else self._horizon()
        if self._border == self._at:
            raise self._damaged("it does not end where the next one begins")
        piece = self._chunk[self._at : min(self._at + self._feed, self._border)]
        self._at += len(piece)
        self._feed = CHUNK
        return piece

    def _see(self) -> None:
        """Have enough of the file at hand to see whether a member begins here, if there is so much."""
        while not self._over and len(self._chunk) - self._at <= len(BEGIN):
            piece = self._stream.read(CHUNK)
            self._over = not piece
            rest = bytes(self._chunk[self._at :])
            self._before += self._at
            self._chunk, self._at, self._border = memoryview(rest + piece), 0, -1

    def _find(self, start: int) -> int:
        held: bytes = self._chunk.obj  # type: ignore[assignment]  # a view of bytes, as `_see` and the base make it
        return held.find(BEGIN, start)

    def _horizon(self) -> int:
        """Where the chunk may hold the start of a beginning that it does not hold whole."""
        return len(self._chunk) if self._over else len(self._chunk) - len(BEGIN) + 1
