"""The only writer of paths: every operation that changes a file passes the seam.

Every failure is a StorageError that names the path, whether a function's docstring says so or not.

Tests observe the seam (`observe`) to count, fail or kill at each operation; nothing else in blixard calls os.rename,
os.open for writing, os.fsync or their like.
"""

from blixard.files.atomic import AtomicFile, atomic_write
from blixard.files.copying import reflink_or_copy
from blixard.files.descriptors import fdatasync, fsync, pread, pwrite_all, read_bytes, truncate, write_all
from blixard.files.journal import Journal, clean_up
from blixard.files.locks import FileLock, HeldLock, Holder
from blixard.files.paths import (
    create,
    fsync_dir,
    identity_of,
    is_dir,
    is_there,
    make_dir,
    make_file,
    mode_of,
    open_beneath,
    open_existing,
    remove_tree,
    rename,
    unlink,
)
from blixard.files.seam import observe, storage_error, translated
from blixard.files.space import allocated_bytes, free_bytes, roomy_folder
from blixard.files.streams import SinkStream, SourceStream, SpanStream, buffered_sink, buffered_source

__all__ = [
    "AtomicFile",
    "FileLock",
    "HeldLock",
    "Holder",
    "Journal",
    "SinkStream",
    "SourceStream",
    "SpanStream",
    "allocated_bytes",
    "atomic_write",
    "buffered_sink",
    "buffered_source",
    "clean_up",
    "create",
    "fdatasync",
    "free_bytes",
    "fsync",
    "fsync_dir",
    "identity_of",
    "is_dir",
    "is_there",
    "make_dir",
    "make_file",
    "mode_of",
    "observe",
    "open_beneath",
    "open_existing",
    "pread",
    "pwrite_all",
    "read_bytes",
    "reflink_or_copy",
    "remove_tree",
    "rename",
    "roomy_folder",
    "storage_error",
    "translated",
    "truncate",
    "unlink",
    "write_all",
]
