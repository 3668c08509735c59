"""What is good behind a damaged place: found along the index, when the file has one that proves right.

A flipped bit in a gzip member ends every stream there, and says nothing about the disks behind it. They are what the
owner of the file wants to hear about.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from blixard.errors import DigestMismatch, ExportFileError
from blixard.format.index import FastView, open_fast
from blixard.limits import Limits
from blixard.ops.examine import Examination
from blixard.place import Input


def salvage_from(given: Input, limits: Limits) -> Callable[[Examination], None]:
    """What `examine` calls when a document breaks off.

    Args:
        given: the file, seekable.
        limits: the bounds in force.
    """
    return partial(_salvage, given, limits)


def _salvage(given: Input, limits: Limits, examination: Examination) -> None:
    view = open_fast(given.stream, limits=limits)
    if view is None:
        return
    with view:
        for image in range(len(view.images)):
            if image not in examination.images:
                _image(view, image, examination)


def _image(view: FastView, image: int, examination: Examination) -> None:
    """Take the records that the stream did not reach; an image with one that cannot be read is damaged."""
    taken = examination.taken(image)
    whole = False
    if not taken:
        try:
            for event in view.records(image):
                examination.take_damaged(event)
                taken = event.position + 1
            whole = True
        except DigestMismatch:
            taken = view.index.images[image].records
        except ExportFileError:
            pass
    for position in range(taken, view.index.images[image].records):
        try:
            examination.take_damaged(view.record(image, position))
        except ExportFileError:
            examination.damaged(image, position, None, "it cannot be read")
    examination.ended(view.images[image], whole=whole)
