"""The progress of a fetch: how many bytes are to come, and how many have come.

Counted when a frame is here, not when it is asked for: on a slow line what was asked for ahead takes minutes.
"""

from __future__ import annotations

from collections.abc import Callable

from blixard.disks.records.walk import Rejectable
from blixard.model.structs import Record
from blixard.ops.importing.foreknown import Foreknown
from blixard.ports import Progress

TASK = "fetching"


def announce(progress: Progress, foreknown: Foreknown, wanted: Callable[[int], bool]) -> None:
    """Say how many bytes the records of the wanted images are, where that is known beforehand."""
    if not foreknown.carried_bytes:
        return
    total = sum(carried for image, carried in foreknown.carried_bytes.items() if wanted(image))
    progress.expect(total)
    progress.begin(TASK, total)


class Arriving:
    """`Rejectable` of one record that tells the progress, once, when its frame is here."""

    def __init__(self, load: Rejectable, record: Record, progress: Progress) -> None:
        self._load = load
        self._length = record.length
        self._progress = progress

    def __call__(self) -> bytes | memoryview:
        """See `Load`."""
        frame = self._load()
        self._progress.advance(self._length)
        self._length = 0  # when it was wrong it comes once more
        return frame

    def reject(self, why: str) -> None:
        """See `Rejectable.reject`."""
        self._load.reject(why)
