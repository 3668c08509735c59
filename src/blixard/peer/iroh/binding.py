"""The generated Python binding of Iroh, repaired where it copies a byte at a time and where it waits for itself.

`_UniffiRustBufferBuilder.write` of iroh 1.2 fills the Rust buffer in a Python loop: 3-7 MB/s. One memmove does the same
(PEER.md section 1). Reading skips the binding's own `bytes`: what arrived goes from the Rust buffer into the room of a
frame. Both lean on private names, so their shape is checked first and a probe is sent through; when anything differs,
the binding stays as it is, with a warning: slow, never wrong.
"""

from __future__ import annotations

import ctypes
import struct
import threading
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from blixard.model.collection import no_collection
from blixard.peer.iroh.freeing import defer_frees

if TYPE_CHECKING:
    from iroh import RecvStream

READ_BYTES = 256 << 10
"""Bytes asked for in one call: below it each call costs more, above it the caches miss (research/p2p-anchors.md)."""

_LENGTH = struct.Struct(">i")
"""What uniffi puts before a byte string in a Rust buffer."""
_FIELDS = {"capacity": ctypes.c_uint64, "len": ctypes.c_uint64, "data": ctypes.POINTER(ctypes.c_char)}
_READ = "uniffi_iroh_ffi_fn_method_recvstream_read"
_FUTURE = "ffi_iroh_ffi_rust_future_{}_rust_buffer"
_PROBE = bytes(range(256)) * 5 + b"end"

# a ctypes array type for each length would cost 37 us instead of 1.5
_MEMORY_VIEW = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ("PyMemoryView_FromMemory", ctypes.pythonapi)
)
_WRITABLE = 0x200
"""PyBUF_WRITE."""

ReadInto = Callable[["RecvStream", memoryview, memoryview], Awaitable[tuple[int, int]]]
"""A function as `read_into`."""


class _Loaded:
    """The binding as it was loaded and repaired: a module global that is set once without `global`."""

    lock = threading.Lock()
    ffi: Any = None
    read_into: ReadInto


def load() -> Any:
    """The binding's module `iroh.iroh_ffi`, repaired; the first call imports it (70 ms)."""
    with _Loaded.lock:
        if _Loaded.ffi is None:
            with no_collection():
                from iroh import iroh_ffi

            repair(iroh_ffi)
            if not defer_frees(iroh_ffi):
                _warn("a transfer over Iroh may stand still")
            _Loaded.read_into = reader_of(iroh_ffi)
            _Loaded.ffi = iroh_ffi
        return _Loaded.ffi


async def read_into(stream: RecvStream, room: memoryview, beyond: memoryview) -> tuple[int, int]:
    """Read what is there, at least one byte, at most `READ_BYTES`: into `room`, and what comes behind into `beyond`.

    Returns:
        How many bytes went into each; none into `room` at the end of the stream.

    Raises:
        IrohError: the stream or its connection ended otherwise.
    """
    return await _Loaded.read_into(stream, room, beyond)


def repair(ffi: Any) -> bool:
    """Replace the slow writer of the binding `ffi`; False, with a warning, when its shape is not the one we know."""
    builder: Any = getattr(ffi, "_UniffiRustBufferBuilder", None)
    generated = getattr(builder, "write", None)
    if not _has_known_buffer(ffi) or not hasattr(builder, "_reserve") or generated is None:
        return _give_up("writing to a peer")
    builder.write = write_at_once
    if _survives(ffi, _PROBE) and _survives(ffi, memoryview(_PROBE)) and _survives(ffi, b""):
        return True
    builder.write = generated
    return _give_up("writing to a peer")


def reader_of(ffi: Any) -> ReadInto:
    """How to read from streams of the binding `ffi`: from the Rust buffer where its shape is known."""
    library = getattr(ffi, "_UniffiLib", None)
    names = [_READ, *(_FUTURE.format(step) for step in ("poll", "complete", "free"))]
    call: Any = getattr(ffi, "_uniffi_rust_call_async", None)
    errors = getattr(ffi, "_UniffiFfiConverterTypeIrohError__as_error", None)
    known = call is not None and errors is not None and all(hasattr(library, name) for name in names)
    if not known or not _has_known_buffer(ffi) or not _lies_behind_its_length(ffi):
        _give_up("reading from a peer")
        return read_as_generated
    read, poll, complete, free = (getattr(library, name) for name in names)

    async def read_view(stream: Any, room: memoryview, beyond: memoryview) -> tuple[int, int]:
        future = read(stream._uniffi_clone_handle(), _most(room, beyond))  # noqa: SLF001 - as the generated `read` does
        buffer = await call(future, poll, complete, free, lambda buffer: buffer, errors)
        try:
            return _spread(content_of(buffer)[_LENGTH.size :], room, beyond)
        finally:
            buffer.free()

    return read_view


async def read_as_generated(stream: Any, room: memoryview, beyond: memoryview) -> tuple[int, int]:
    """As `read_into`, by the generated call: for a binding whose Rust buffers have another shape than we know."""
    return _spread(memoryview(await stream.read(_most(room, beyond))), room, beyond)


def _most(room: memoryview, beyond: memoryview) -> int:
    return min(READ_BYTES, len(room) + len(beyond))


def _spread(content: memoryview, room: memoryview, beyond: memoryview) -> tuple[int, int]:
    count = min(len(content), len(room))
    room[:count] = content[:count]
    more = len(content) - count
    beyond[:more] = content[count:]
    return count, more


def write_at_once(self: Any, value: bytes | memoryview) -> None:
    """Append bytes to a Rust buffer with one memmove; it takes the place of `_UniffiRustBufferBuilder.write`."""
    with self._reserve(len(value)):
        if len(value):
            start = ctypes.addressof(self.rbuf.data.contents) + self.rbuf.len
            _memory(start, len(value))[:] = value


def content_of(buffer: Any) -> memoryview:
    """The used part of a Rust buffer; not to be touched after `buffer.free()`."""
    return _memory(ctypes.addressof(buffer.data.contents), buffer.len) if buffer.len else memoryview(b"")


def _memory(address: int, length: int) -> memoryview:
    view: memoryview = _MEMORY_VIEW(address, length, _WRITABLE)
    return view


def _has_known_buffer(ffi: Any) -> bool:
    """True when a Rust buffer has exactly the three fields that we read and write."""
    buffer = getattr(ffi, "_UniffiRustBuffer", None)
    fields = getattr(buffer, "_fields_", None)
    return fields is not None and dict(fields) == _FIELDS and hasattr(buffer, "free") and hasattr(buffer, "alloc")


def _survives(ffi: Any, probe: bytes | memoryview) -> bool:
    """True when our writer and the generated reader agree on `probe`."""
    try:
        buffer = ffi._UniffiFfiConverterBytes.lower(probe)  # noqa: SLF001 - the converter that every write goes through
        return bool(ffi._UniffiFfiConverterBytes.lift(buffer) == probe)  # noqa: SLF001 - same
    except Exception:  # noqa: BLE001 - whatever it is, this is not the binding that we know
        return False


def _lies_behind_its_length(ffi: Any) -> bool:
    """True when a byte string lies in a Rust buffer as we read it: an i32 length, then the bytes."""
    try:
        buffer = ffi._UniffiFfiConverterBytes.lower(_PROBE)  # noqa: SLF001 - the converter that every read goes through
    except Exception:  # noqa: BLE001 - as above
        return False
    try:
        return bytes(content_of(buffer)) == _LENGTH.pack(len(_PROBE)) + _PROBE
    finally:
        buffer.free()


def _give_up(what: str) -> bool:
    _warn(f"{what} over Iroh is slow")
    return False


def _warn(what: str) -> None:
    warnings.warn(
        f"{what}: this version of `iroh` is not the one that blixard repairs (1.2)", RuntimeWarning, stacklevel=5
    )
