"""Frames from bytes that come in pieces, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Iterator

from blixard.peer.ports import Body, Frame
from blixard.peer.wire.frames import FrameReader


def fed(reader: FrameReader, data: Body) -> Iterator[Frame]:
    """The frames that become whole with `data`, of any length. Iterate to the end."""
    data = memoryview(data)
    while data:
        with reader.room() as room:
            count = min(len(room), len(data))
            room[:count] = data[:count]
        data = data[count:]
        frame = reader.filled(count)
        if frame is not None:
            yield frame
