from __future__ import annotations

import threading
from functools import partial

import pytest

from blixard.disks.records import walk
from blixard.disks.records.locations import Place
from blixard.errors import ExportFileError
from blixard.limits import DEFAULT, MIB
from support.documents import data

A_WHILE = 0.5
"""Seconds after which a walk that takes no record waits for one to be done."""


class Counting:
    """`RecordSink` that only counts."""

    def __init__(self) -> None:
        self.kept = 0

    def has(self, given: walk.Given, /) -> bool:  # noqa: ARG002 - as `RecordSink`
        return False

    def keep(self, given: walk.Given, place: Place, data: bytes, /) -> None:  # noqa: ARG002
        self.kept += 1

    def copy(self, given: walk.Given, place: Place, /) -> None:
        raise AssertionError((given, place))

    def damaged(self, given: walk.Given, problem: ExportFileError, /) -> None:
        raise AssertionError((given, problem))

    def done(self, image: int, /) -> None:
        pass


def test_tiny_records_are_bounded_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "IN_FLIGHT_BYTES", MIB)
    most = MIB // walk.RECORD_BYTES
    pieces = [data(8 * number, number.to_bytes(8, "big")) for number in range(2 * most)]
    taken: list[int] = []
    moved = threading.Condition()
    at_once: list[int] = []

    def more_than(number: int) -> bool:
        return len(taken) > number

    def load(frame: bytes) -> bytes:
        """The first one waits until no more records are taken."""
        with moved:
            while not at_once:
                seen = len(taken)
                if not moved.wait_for(partial(more_than, seen), A_WHILE):
                    at_once.append(seen)
        return frame

    sink = Counting()
    records = walk.RecordWalk(sink, threads=1, limits=DEFAULT, folder=None)
    try:
        for position, piece in enumerate(pieces):
            given = walk.Given(0, position, piece.record)
            records.carry(given, Place(0, 8 * position, 8), partial(load, piece.frame or b""), 0)
            with moved:
                taken.append(position)
                moved.notify_all()
        records.drain()
    finally:
        records.close()

    assert most // 2 < at_once[0] <= most
    assert sink.kept == len(pieces)
