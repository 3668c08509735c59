"""One record's bytes as a zstd frame, and back.

The libraries trust what a frame declares: `max_output_size` is ignored when the header states a size, and what follows
a frame is skipped in silence. So the header is judged before anything is allocated (FORMAT.md section 7).
"""

from __future__ import annotations

import threading

import zstandard

from blixard.errors import DigestMismatch, LimitExceeded, MalformedExport
from blixard.limits import DEFAULT, ZSTD_LEVEL


class _OfThisThread(threading.local):
    """A context serves one thread at a time, and making one costs more than a small record: they are kept."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        """By level."""
        self.decompressor = zstandard.ZstdDecompressor()


_of_this_thread = _OfThisThread()


def make_frame(data: bytes | bytearray | memoryview, level: int = ZSTD_LEVEL) -> bytes:
    """Compress `data` into one frame: zstd's `level`, content size, no checksum, no dictionary. Same in, same out."""
    compressor = _of_this_thread.compressors.get(level)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=False)
        _of_this_thread.compressors[level] = compressor
    return compressor.compress(data)


def open_frame(frame: bytes | memoryview, length: int, *, record_bytes: int = DEFAULT.record_bytes) -> bytes:
    """Decompress one frame that must hold exactly `length` bytes and nothing else.

    Args:
        frame: the whole frame and only it.
        length: what the record says, in bytes.
        record_bytes: the bound on `length` and on the window, in bytes.

    Raises:
        LimitExceeded: `length` is over `record_bytes`.
        MalformedExport: a rule of FORMAT.md section 7 is broken; nothing was allocated for it.
        DigestMismatch: the frame is well formed and its content is damaged.

    Source: RFC 8878 section 3.1.1.
    """
    if length < 1:
        # besides, the library gives b"" for a stated size of 0 without looking at what follows the header
        raise MalformedExport(f"a record of `{length}` bytes holds nothing")
    if length > record_bytes:
        raise LimitExceeded(f"a record of `{length}` bytes is over the limit `record_bytes` (`{record_bytes}`)")
    _judge_header(frame, length, record_bytes)
    try:
        data = _of_this_thread.decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as problem:
        raise _body_error(str(problem)) from problem
    if len(data) != length:
        raise DigestMismatch(f"the zstd frame gave `{len(data)}` bytes instead of `{length}`")
    return data


def _judge_header(frame: bytes | memoryview, length: int, window_bytes: int) -> None:
    if frame[:4] != zstandard.FRAME_HEADER:
        raise MalformedExport(f"a record does not begin with a zstd frame but with `{frame[:4].hex()}`")
    try:
        header = zstandard.get_frame_parameters(frame)
    except zstandard.ZstdError as problem:
        raise MalformedExport(f"the header of a zstd frame is not valid: {problem}") from problem
    if header.content_size == zstandard.CONTENTSIZE_UNKNOWN:
        raise MalformedExport("a zstd frame does not state its content size")
    if header.content_size != length:
        raise MalformedExport(f"a zstd frame states `{header.content_size}` bytes, its record `{length}`")
    if header.dict_id:
        raise MalformedExport(f"a zstd frame asks for dictionary `{header.dict_id}`")
    # a single-segment frame has no window of its own: the library gives its content size, judged already
    if header.window_size > window_bytes:
        raise MalformedExport(f"a zstd frame asks for a window of `{header.window_size}` bytes")


def _body_error(problem: str) -> MalformedExport | DigestMismatch:
    """Trailing bytes break a rule of the format; anything else in the body is damage, as a wrong digest is."""
    if "unused data" in problem:
        return MalformedExport(f"something follows a record's zstd frame: {problem}")
    return DigestMismatch(f"a record's zstd frame cannot be decoded: {problem}")
