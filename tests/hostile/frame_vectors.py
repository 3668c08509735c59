"""Zstd frames made to hurt a reader, each with the length its record claims and the error it must meet.

Source: RFC 8878 (frame header, skippable frames, block headers), and what the library was seen to let through.
"""

from __future__ import annotations

import struct

import zstandard
from msgspec import Struct

from blixard.errors import BlixardError, DigestMismatch, LimitExceeded, MalformedExport
from blixard.limits import GIB, MIB

MAGIC = b"\x28\xb5\x2f\xfd"
TEXT = b"blixard " * 4000
LAST_RAW, LAST_RLE, LAST_RESERVED = 0b001, 0b011, 0b111


class FrameVector(Struct, frozen=True):
    """A frame, the length of its record, and what `open_frame` must raise (None: it must give the bytes)."""

    name: str
    frame: bytes
    length: int
    error: type[BlixardError] | None
    says: str = ""


def compress(data: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(level=1, **options).compress(data)  # type: ignore[arg-type]


def frame(content_size: int, blocks: bytes, *, window: int | None = None, dictionary: bytes = b"") -> bytes:
    """A frame by hand: 8-byte content size; single segment unless `window` (the descriptor byte) is given."""
    dictionary_flag = {0: 0, 1: 1, 2: 2, 4: 3}[len(dictionary)]
    descriptor = 0b1100_0000 | (0 if window is not None else 0b0010_0000) | dictionary_flag
    window_byte = b"" if window is None else bytes([window])
    return MAGIC + bytes([descriptor]) + window_byte + dictionary + struct.pack("<Q", content_size) + blocks


def block(kind: int, size: int, body: bytes) -> bytes:
    return struct.pack("<I", size << 3 | kind)[:3] + body


def skippable(body: bytes, magic: int = 0x184D2A50) -> bytes:
    return struct.pack("<II", magic, len(body)) + body


def trained() -> zstandard.ZstdCompressionDict:
    samples: list[bytes | bytearray | memoryview] = [
        b"sample %d of a guest's file, line %d\n" % (n, n * 7) * 20 for n in range(200)
    ]
    return zstandard.train_dictionary(4096, samples)


def streamed(data: bytes) -> bytes:
    worker = zstandard.ZstdCompressor(level=1).compressobj()
    return worker.compress(data) + worker.flush()


GOOD = compress(TEXT)
CHECKED = compress(TEXT, write_checksum=True)
SIZE = len(TEXT)
RAW3 = block(LAST_RAW, 3, b"abc")
BOMB = frame(16 * MIB, block(0b010, 128 * 1024, b"\0") * 127 + block(LAST_RLE, 128 * 1024, b"\0"))

VECTORS = [
    FrameVector("one good frame", GOOD, SIZE, None),
    FrameVector("one by hand", frame(3, RAW3), 3, None),
    FrameVector("with a right checksum", CHECKED, SIZE, None),
    FrameVector("a bomb as large as a record may be", BOMB, 16 * MIB, None),
    FrameVector("empty blocks before the data", frame(3, block(0, 0, b"") * 1000 + RAW3), 3, None),
    FrameVector("of no bytes", compress(b""), 0, MalformedExport, "holds nothing"),
    FrameVector("with a wrong checksum", CHECKED[:-1] + bytes([CHECKED[-1] ^ 1]), SIZE, DigestMismatch, "checksum"),
    FrameVector("with half a checksum", CHECKED[:-2], SIZE, DigestMismatch),
    FrameVector("nothing", b"", 1, MalformedExport, "does not begin"),
    FrameVector("three bytes", MAGIC[:3], 3, MalformedExport, "does not begin"),
    FrameVector("only the magic", MAGIC, 1, MalformedExport, "not valid"),
    FrameVector("half a header", GOOD[:6], SIZE, MalformedExport, "not valid"),
    FrameVector("gzip", b"\x1f\x8b\x08" + bytes(20), 10, MalformedExport, "`1f8b0800`"),
    FrameVector("the magic of zstd 0.7", b"\x27\xb5\x2f\xfd" + GOOD[4:], SIZE, MalformedExport, "does not begin"),
    FrameVector("the magic of zstd 0.1", b"\x1e\xb5\x2f\xfd" + GOOD[4:], SIZE, MalformedExport, "does not begin"),
    FrameVector("without the magic", GOOD[4:], SIZE, MalformedExport, "does not begin"),
    FrameVector("a skippable frame alone", skippable(b"abcd"), 4, MalformedExport, "does not begin"),
    FrameVector("a skippable frame before", skippable(b"abcd") + GOOD, SIZE, MalformedExport, "does not begin"),
    FrameVector(
        "the last skippable magic", skippable(b"x", 0x184D2A5F) + GOOD, SIZE, MalformedExport, "does not begin"
    ),
    FrameVector("a skippable frame after", GOOD + skippable(b"abcd"), SIZE, MalformedExport, "follows"),
    FrameVector("two frames", GOOD + GOOD, SIZE, MalformedExport, "follows"),
    FrameVector("two frames that add up", GOOD + GOOD, 2 * SIZE, MalformedExport, "states"),
    FrameVector("an empty frame after", GOOD + compress(b""), SIZE, MalformedExport, "follows"),
    FrameVector("an empty frame before", compress(b"") + GOOD, SIZE, MalformedExport, "states `0`"),
    FrameVector("one byte after", GOOD + b"\0", SIZE, MalformedExport, "follows"),
    FrameVector("a line feed after", GOOD + b"\n", SIZE, MalformedExport, "follows"),
    FrameVector("without a content size", streamed(TEXT), SIZE, MalformedExport, "does not state"),
    FrameVector("of one byte more", GOOD, SIZE - 1, MalformedExport, "states"),
    FrameVector("of one byte less", GOOD, SIZE + 1, MalformedExport, "states"),
    FrameVector("states 2^64 - 1 bytes", frame(2**64 - 1, RAW3), 3, MalformedExport),
    FrameVector("states 2^64 - 2 bytes", frame(2**64 - 2, RAW3), 3, MalformedExport),
    FrameVector("states a terabyte", frame(1 << 40, RAW3), 3, MalformedExport, "states"),
    FrameVector("states 16 MiB and holds three bytes", frame(16 * MIB, RAW3), 16 * MIB, DigestMismatch),
    FrameVector("states less than it holds", frame(2, RAW3), 2, DigestMismatch),
    FrameVector("states nothing and holds a bomb", frame(0, BOMB[13:]), 0, MalformedExport, "holds nothing"),
    FrameVector("states one byte and holds a bomb", frame(1, BOMB[13:]), 1, DigestMismatch),
    FrameVector("a record of a gigabyte", frame(GIB, RAW3), GIB, LimitExceeded, "record_bytes"),
    FrameVector(
        "a record of one byte too much", frame(16 * MIB + 1, RAW3), 16 * MIB + 1, LimitExceeded, "record_bytes"
    ),
    FrameVector("a window of 2 TiB", frame(3, RAW3, window=0xFF), 3, MalformedExport),
    FrameVector("a window of 32 MiB", frame(3, RAW3, window=15 << 3), 3, MalformedExport, "window"),
    FrameVector("a window of 18 MiB", frame(3, RAW3, window=14 << 3 | 1), 3, MalformedExport, "window"),
    FrameVector("a window of 16 MiB", frame(3, RAW3, window=14 << 3), 3, None),
    FrameVector(
        "a dictionary of one byte's id", frame(3, RAW3, dictionary=b"\7"), 3, MalformedExport, "dictionary `7`"
    ),
    FrameVector(
        "a dictionary of four bytes' id", frame(3, RAW3, dictionary=b"\1\2\3\4"), 3, MalformedExport, "dictionary"
    ),
    FrameVector("made with a dictionary", compress(TEXT, dict_data=trained()), SIZE, MalformedExport, "dictionary"),
    FrameVector(
        "made with a dictionary it does not name",
        compress(b"sample 7 of a guest's file" * 9, dict_data=trained(), write_dict_id=False),
        234,
        DigestMismatch,
    ),
    FrameVector("the reserved bit", MAGIC + bytes([GOOD[4] | 8]) + GOOD[5:], SIZE, MalformedExport, "not valid"),
    FrameVector("the reserved block", frame(3, block(LAST_RESERVED, 3, b"abc")), 3, DigestMismatch),
    FrameVector("a block over 128 KiB", frame(MIB, block(LAST_RAW, 200_000, bytes(200_000))), MIB, DigestMismatch),
    FrameVector("no last block", frame(3, block(0, 3, b"abc")), 3, DigestMismatch),
    FrameVector("no block at all", frame(3, b""), 3, DigestMismatch),
    FrameVector("cut in its last byte", GOOD[:-1], SIZE, DigestMismatch),
    FrameVector("cut in half", GOOD[: len(GOOD) // 2 + 3], SIZE, DigestMismatch),
    FrameVector("an all-ones body", frame(100, b"\xff" * 50), 100, DigestMismatch),
]
