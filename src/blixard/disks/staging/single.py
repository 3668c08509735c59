"""A disk that is written beside its name and takes it when it is whole.

`files.AtomicFile` is for streams; a disk is written by offset, by the writer of its format.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from blixard import files
from blixard.closing import Closing
from blixard.disks.detect import open_writer
from blixard.errors import StorageError
from blixard.files.journal import temporary_name
from blixard.model.structs import DiskFormat
from blixard.ports import DiskWriter


class StagedFile(Closing):
    """A new disk for `target`, which keeps its old content until `commit`. Write to `writer`.

    Args:
        target: the name to take; whether what has it may be replaced is the caller's decision.
        shape: how the content lies in the file.
        size_bytes: virtual size.
        journal: where the temporary name is noted first; None when there is no data directory.
    """

    def __init__(self, target: Path, shape: DiskFormat, size_bytes: int, *, journal: files.Journal | None) -> None:
        self._target = target
        self._entry = journal.note(target.parent) if journal else None
        self._temporary = self._entry.temporary if self._entry else target.with_name(temporary_name())
        self._done = False
        try:
            self.writer: DiskWriter = open_writer(self._temporary, shape, size_bytes)
        except BaseException:
            self._forget()
            raise

    def commit(self) -> None:
        """Make the disk durable and give it its name.

        Raises:
            StorageError: the target is as it was, unless only the last step (fsync of the directory) failed.
        """
        self.writer.finish()
        files.rename(self._temporary, self._target)
        self._done = True
        files.fsync_dir(self._target.parent)

    def close(self) -> None:
        """Leave the disk under its name when it was committed, and nothing when not."""
        self.writer.close()
        if not self._done:
            with suppress(StorageError):
                files.unlink(self._temporary, missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        if self._entry is not None:
            with suppress(StorageError):
                self._entry.close()
