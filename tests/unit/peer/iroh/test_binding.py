from __future__ import annotations

import asyncio
import functools
import importlib.util
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from blixard.peer.iroh import binding


@functools.cache
def generated() -> Any:
    """The binding as it was generated, beside the one that is repaired. Kept: its library has pointers into it."""
    name = "iroh_ffi_as_generated"
    spec = importlib.util.spec_from_file_location(name, binding.load().__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fresh() -> Iterator[Any]:
    """The generated binding, put back as it was afterwards."""
    module = generated()
    builder, converter = module._UniffiRustBufferBuilder, module._UniffiFfiConverterBytes
    write, lift = builder.write, converter.lift
    yield module
    builder.write = write
    converter.lift = lift


def seconds_of(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def lowered(ffi: Any, data: bytes | bytearray | memoryview) -> bytes:
    buffer = ffi._UniffiFfiConverterBytes.lower(data)
    try:
        return bytes(binding.content_of(buffer))
    finally:
        buffer.free()


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 255, 4096, 65537])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_repaired_writer_writes_what_the_generated_one_writes(fresh: Any, length: int, kind: type) -> None:
    data = bytes(n * 7 % 251 for n in range(length))
    as_generated = lowered(fresh, kind(data))

    assert binding.repair(fresh)
    assert lowered(fresh, kind(data)) == as_generated


def test_the_generated_writer_still_needs_the_repair(fresh: Any) -> None:
    data = bytes(1 << 18)
    before = min(seconds_of(lambda: lowered(fresh, data)) for _ in range(3))
    binding.repair(fresh)
    after = min(seconds_of(lambda: lowered(fresh, data)) for _ in range(3))

    # measured: a factor of 300. When this fails, the binding copies well by itself: remove `repair`
    assert before > 10 * after


def test_the_binding_in_use_is_repaired() -> None:
    assert binding.load()._UniffiRustBufferBuilder.write is binding.write_at_once
    assert binding.load() is binding.load()


class Builder:
    def write(self, value: bytes) -> None:
        raise AssertionError(value)

    def _reserve(self, count: int) -> None:
        raise AssertionError(count)


class OtherBuffer:
    _fields_: ClassVar = [("data", int), ("length", int)]


UNKNOWN = {
    "nothing of it": types.SimpleNamespace(),
    "no buffer": types.SimpleNamespace(_UniffiRustBufferBuilder=Builder),
    "other fields": types.SimpleNamespace(_UniffiRustBufferBuilder=Builder, _UniffiRustBuffer=OtherBuffer),
}


@pytest.mark.parametrize("ffi", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_binding_of_another_shape_is_left_alone_with_a_warning(ffi: Any) -> None:
    write = Builder.write

    with pytest.warns(RuntimeWarning, match="writing to a peer over Iroh is slow"):
        assert not binding.repair(ffi)
    with pytest.warns(RuntimeWarning, match="reading from a peer over Iroh is slow"):
        assert binding.reader_of(ffi) is binding.read_as_generated
    assert Builder.write is write


def test_a_binding_that_does_not_read_what_we_wrote_is_left_alone_with_a_warning(fresh: Any) -> None:
    write = fresh._UniffiRustBufferBuilder.write
    lift = fresh._UniffiFfiConverterBytes.lift
    fresh._UniffiFfiConverterBytes.lift = lambda buffer: lift(buffer)[::-1]

    with pytest.warns(RuntimeWarning, match="slow"):
        assert not binding.repair(fresh)
    assert fresh._UniffiRustBufferBuilder.write is write


@pytest.mark.parametrize(
    ("there", "counts", "held"),
    [
        (b"abcdefghij", (5, 3), b"abcdefgh"),
        (b"abcdef", (5, 1), b"abcdef"),
        (b"abc", (3, 0), b"abc"),
        (b"", (0, 0), b""),
    ],
)
def test_without_the_view_a_read_goes_through_the_generated_call(
    there: bytes, counts: tuple[int, int], held: bytes
) -> None:
    class Stream:
        async def read(self, size: int) -> bytes:
            return there[:size]

    room, beyond = bytearray(5), bytearray(3)

    assert asyncio.run(binding.read_as_generated(Stream(), memoryview(room), memoryview(beyond))) == counts
    assert room[: counts[0]] + beyond[: counts[1]] == held
