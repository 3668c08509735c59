"""The seams: what the verbs need of a store, a disk, a clock and a screen.

Each Protocol's docstrings are the contract; one conformance suite per port runs against every adapter and every fake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Protocol

from msgspec import Struct

from blixard.closing import Closing
from blixard.model.changes import ImportRow, StateChange, UndoEntry, UndoSide, UndoSummary
from blixard.model.structs import ClusterSnapshot, JsonObject, RaftState
from blixard.ports.disks import DiskReader, DiskWriter, Extent
from blixard.ports.hypervisor import DiskSnapshot, Domain, FoundDisk, Hypervisor

__all__ = [
    "Clock",
    "ClusterLocks",
    "DiskReader",
    "DiskSnapshot",
    "DiskWriter",
    "Domain",
    "Extent",
    "FoundDisk",
    "Hypervisor",
    "ImportRow",
    "Input",
    "LockHolder",
    "NodeBooks",
    "Output",
    "Progress",
    "StateChange",
    "StateStore",
    "TelemetrySource",
    "UndoEntry",
    "UndoSide",
    "UndoSummary",
]


class Input(Closing, Protocol):
    """One export being read, wherever it lies and however it is wrapped; `close` lets go of the stream too.

    Whoever reads all of it takes `stream`, once; whoever jumps takes `read_at`, from as many threads as wanted. Neither
    moves the other.
    """

    @property
    def name(self) -> str:
        """For people."""

    @property
    def size(self) -> int | None:
        """In bytes; None where it cannot be known before the end."""

    @property
    def seekable(self) -> bool:
        """True when `read_at` works and `size` is known; the index of a large export can then be used."""

    @property
    def stream(self) -> BufferedReader:
        """All of it, front to back, once; `peek` shows the first bytes without taking them.

        Raises (when it is read):
            StorageError: it cannot be read any further, naming it.
        """

    def read_at(self, offset: int, n: int) -> bytes:
        """The `n` bytes at `offset`; fewer only at the end, none behind it.

        Raises:
            StorageError: it cannot be read there, naming it.
            UnsupportedOperation: it cannot seek.
            ValueError: it is closed.
        """


class Output(Closing, Protocol):
    """A document being written. `close` without `commit` gives it up; what is not a stream leaves nothing then."""

    @property
    def file(self) -> BinaryIO:
        """Write here, forwards only."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def folder(self) -> Path | None:
        """Where it grows, private, to appear whole or not at all, and can be verified; None: a stream."""

    def commit(self, verify: Callable[[Input], None] | None = None) -> None:
        """Everything is written: make it durable and give it its name.

        Args:
            verify: is given what was written, read back, before it has its name; raises when it is not good.

        Raises:
            StorageError: nothing stands there that was not there before.
            UsageError: `verify` was given for a stream.
            BrokenPipeError: nobody reads stdout any more.
        """


class StateStore(Closing, Protocol):
    """What a cluster agrees on: nodes, VMs, contents by node, networks, provenance and undo entries, at one revision.

    What a node keeps for itself is in its `NodeBooks`. The embedded store is both in one file, and there a change and
    what the books say of it are one transaction. A store on other machines (etcd) implements this port alone; see
    `NodeBooks` for what may be relied on then. One conformance suite (tests/support/store_conformance.py) runs on every
    adapter.
    """

    def snapshot(self) -> ClusterSnapshot:
        """The whole state at one revision, in one read transaction."""

    def apply(self, change: StateChange, expected_revision: int) -> int:
        """Apply all or nothing; return the new revision.

        `change.import_done` and `change.history` belong to the change: once it is applied they are kept, whatever is
        killed then, and the books of the node that asked say so when it opens its store and books the next time.

        Raises:
            Conflict: the revision is not `expected_revision` any more, two VMs would have one name, or the books of
                this node do not know the import that the change completes; nothing was changed.
            StorageError: nothing was changed.
        """

    def raft_state(self) -> RaftState:
        """Facts about the agreement itself, for reference."""

    def undo_entry(self, entry_id: int) -> UndoEntry:
        """One entry, whole.

        Raises:
            NotFound: there is no such entry.
        """

    def undo_entries(self) -> tuple[UndoSummary, ...]:
        """Kept undo entries, newest first."""

    def pin_undo(self, entry_id: int, *, pinned: bool) -> None:
        """Keep an entry whatever its age, or stop doing so.

        Raises:
            NotFound: there is no such entry.
        """


class NodeBooks(Closing, Protocol):
    """What one node keeps for itself: imports that it has begun, and history entries that its history has not yet.

    They lie on the node itself: they can be written before anything is staged, and read when no store answers. They
    may fall behind the state, but never run ahead of it: a row that is done and an entry in the outbox tell of a change
    that is applied.

    The embedded store writes them in the transaction of the change. A store on other machines keeps `import_done` and
    `history` with the change, in its own transaction; they are brought here after it, and again whenever a node opens
    its books, any number of times. So whoever opened both knows whether the import of a row that is not done was
    applied. A row is given up only under `ClusterLocks.alone`, so such a store may look for an import's row under that
    lock before the change, instead of in it. One conformance suite (tests/support/books_conformance.py) runs on every
    adapter.
    """

    def begin_import(self, row: ImportRow) -> None:
        """Record an import that is about to stage; durable when this returns. Replaces a row of the same id."""

    def imports(self) -> tuple[ImportRow, ...]:
        """Rows of imports that were begun and not forgotten."""

    def forget_import(self, import_id: str) -> None:
        """Remove a row whose files are gone or committed."""

    def history_outbox(self) -> tuple[tuple[str, JsonObject], ...]:
        """History entries of applied changes, oldest first, each with a unique key, until they are cleared."""

    def clear_history_outbox(self, keys: Iterable[str]) -> None:
        """Remove entries that stand in the history; keys that are not there are fine."""


class LockHolder(Struct, frozen=True):
    """Who is at work on a cluster: `verb` is the command, as on the command line."""

    pid: int
    verb: str


class ClusterLocks(Protocol):
    """What may work on a cluster at once. One suite (tests/support/lock_conformance.py) runs on every adapter.

    Side by side may work: an export, edits and readers of disks; an import (`alone`) and readers; the deletion of disk
    files with an edit or an import. Everything else excludes each other, in one process too: two exports, two imports,
    an import and an export or an edit, the deletion of disk files and whoever reads them, `ending` and everybody.

    Every method returns when everything is held, and holds it until the end of the `with` block, or until the process
    dies. It gets all or nothing, and waits `wait_seconds` for all together; 0 asks once. `verb` is what others are told
    is at work. Where locks are leases, a holder may lose its own without knowing: then `StateStore.apply` refuses it.

    Every method but `holders` raises:
        Locked: somebody is at work, still after `wait_seconds`; the error names who, and the hint how to wait.
        NotFound: the cluster was deleted or renamed since these locks were made, also where another has its name.
    """

    def exporting(self, verb: str, wait_seconds: float = 0) -> AbstractContextManager[object]:
        """Read state and disks for an export: one export at a time, no import meanwhile, no disk file is deleted."""

    def reading_disks(self, verb: str, wait_seconds: float = 0) -> AbstractContextManager[object]:
        """Read disk files without being an export (`extract`, a running share): none is deleted meanwhile."""

    def editing(self, verb: str, wait_seconds: float = 0) -> AbstractContextManager[object]:
        """Change single nodes or VMs, beside exports and other edits; the store's revision settles who was first."""

    def alone(self, verb: str, wait_seconds: float = 0) -> AbstractContextManager[object]:
        """Replace state: an import or an undo, with no export and no edit beside it."""

    def deleting_disks(self, verb: str, wait_seconds: float = 0) -> AbstractContextManager[object]:
        """Delete disk files that nothing names any more: nobody may be reading one."""

    def ending(self, verb: str, wait_seconds: float = 0) -> AbstractContextManager[object]:
        """Rename or delete the whole cluster: nobody else does anything with it."""

    def same_cluster(self) -> AbstractContextManager[object]:
        """Prove that what was opened inside is of the cluster that these locks were made for, and of none of its name.

        To take any of the locks proves it too. Nothing is waited for, and nothing held.
        """

    def holders(self) -> tuple[LockHolder, ...]:
        """Who holds any of them now, as far as can be seen; looked up without being in anybody's way."""


class Clock(Protocol):
    """Time, injected so that the same state gives the same bytes."""

    def now(self) -> datetime:
        """The current time, aware, UTC."""


class Progress(Protocol):
    """Where long work reports; a listener without a screen does nothing."""

    def expect(self, total_bytes: int) -> None:
        """All tasks together are this many guest bytes; without it there is no time left to tell."""

    def begin(self, task: str, total_bytes: int | None) -> None:
        """A part of the work starts: `task` is what people call it (`web-1/root`)."""

    def advance(self, amount_bytes: int) -> None:
        """Count guest bytes of the current task that are done."""

    def end(self) -> None:
        """The current task is done."""

    def warn(self, message: str) -> None:
        """Something the operator must know that does not stop the work; lower case, no full stop."""


class TelemetrySource(Protocol):
    """OTLP/JSON elements of this node for a window of time; an agent that samples all the time is another adapter."""

    def resource_metrics(self, since: datetime, until: datetime) -> Iterable[JsonObject]:
        """Elements of `resourceMetrics`, each under the limit `telemetry_element_bytes`."""

    def resource_logs(self, since: datetime, until: datetime) -> Iterable[JsonObject]:
        """Elements of `resourceLogs`, each under the limit `telemetry_element_bytes`."""
