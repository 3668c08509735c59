"""Every error that blixard raises, its id, its exit code and its hint.

One tree in one file, so that the exit codes of DESIGN.md section 9 have one home and the docs are generated from it.

    BlixardError
    |- UsageError 2            InvalidField
    |- RefusedError 4          would destroy or start something without consent
    |- ExportFileError         MalformedExport 10, DigestMismatch 11, UnsupportedVersion 12, LimitExceeded 13
    |- StateError              NotFound 20, Locked 21, Conflict 22
    |- StorageError 30         StoreUnavailable 31, StoreDamaged 30
    |- TransferError 40        PeerRefused 40, InvalidTicket 41, PeerUnreachable 42, PeerMisbehaved 43
    |- HypervisorError 50
    |- InternalError 70        a bug of ours

A partial result (exit 3), pending changes (5) and a stale export (6) are results, not exceptions: see `ExitCode`.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import ClassVar, Self


class ExitCode(IntEnum):
    """The exit codes of DESIGN.md section 9; new ones may appear, so an unknown code is a failure."""

    meaning: str

    def __new__(cls, code: int, meaning: str = "") -> Self:
        """A code, and a few words on it for help and docs."""
        made = int.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made

    DONE = 0, "done"
    UNEXPECTED = 1, "unexpected"
    USAGE = 2, "usage"
    PARTIAL = 3, "done but partial"
    REFUSED = 4, "refused, consent needed"
    CHANGES_PENDING = 5, "changes pending"
    STALE = 6, "last export is stale"
    MALFORMED = 10, "malformed export"
    DIGEST_MISMATCH = 11, "digest mismatch"
    UNSUPPORTED_VERSION = 12, "unsupported version"
    LIMIT = 13, "over a limit"
    NOT_FOUND = 20, "not found"
    LOCKED = 21, "locked"
    CONFLICT = 22, "conflict"
    STORAGE = 30, "storage (space, permission, I/O)"
    STORE_UNAVAILABLE = 31, "state store unreachable"
    TRANSFER = 40, "transfer"
    BAD_TICKET = 41, "bad ticket"
    PEER_UNREACHABLE = 42, "peer unreachable"
    PEER_MISBEHAVED = 43, "peer misbehaved"
    HYPERVISOR = 50, "hypervisor"
    BUG = 70, "a bug of ours"
    INTERRUPTED = 130, "interrupted"
    BROKEN_PIPE = 141, "stdout was closed"
    TERMINATED = 143, "terminated"


_TICKET_SHAPED = re.compile(r"blixard[a-z0-9]{20,}(?:(?:\s|\\+[nrt])+[a-z0-9]{16,})*", re.IGNORECASE)
"""Also with digits that no ticket has, and over lines, real or escaped ones: it was mistyped, or broken by a mail."""
_TICKET_CHARS = 60
_SHOWN_OF_A_TICKET = 11


def without_tickets(text: str) -> str:
    """`text` with what looks like a ticket cut to its first characters, which hold nothing of its secret.

    Messages quote what was typed, and a ticket typed in the wrong place is still one: whoever reads the log must not
    get in. Every error passes here when it is made, everything else where it leaves the program (`cli.output`).
    """
    return _TICKET_SHAPED.sub(_cut, text)


def is_ticket_shaped(text: str) -> bool:
    """True when all of `text` looks like a ticket; it may be garbled."""
    return len(text) > _TICKET_CHARS and _TICKET_SHAPED.fullmatch(text.strip()) is not None


def _cut(found: re.Match[str]) -> str:
    return f"{found[0][:_SHOWN_OF_A_TICKET]}…" if len(found[0]) > _TICKET_CHARS else found[0]


class BlixardError(Exception):
    """What went wrong and where, the next step, and the exit code.

    Args:
        message: lower case, no full stop, values in backticks; tickets in it are cut.
        hint: the next step, or None when there is none worth giving.
    """

    id: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED

    def __init_subclass__(cls, error_id: str | None = None, exit_code: ExitCode | None = None) -> None:
        super().__init_subclass__()
        cls.id = error_id or cls.id
        cls.exit_code = exit_code or cls.exit_code

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = without_tickets(message)
        self.hint = None if hint is None else without_tickets(hint)
        super().__init__(self.message)


class UsageError(BlixardError, error_id="usage", exit_code=ExitCode.USAGE):
    """The command line or a call's arguments ask for something that makes no sense."""


class InvalidField(UsageError, error_id="usage.field"):
    """A field of a node, VM, disk, file or network breaks its rule; `path` names it (`vms.web-1.vcpus`)."""

    def __init__(self, path: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"`{path}`: {problem}", hint=hint)
        self.path = path
        self.problem = problem


class RefusedError(BlixardError, error_id="refused", exit_code=ExitCode.REFUSED):
    """Going on would destroy, start or trust something that nobody consented to."""


class ExportFileError(BlixardError, error_id="export", exit_code=ExitCode.MALFORMED):
    """The export file (or a disk image inside or beside it) is not acceptable."""


class MalformedExport(ExportFileError, error_id="export.malformed"):
    """Not an export, cut short, or it breaks a rule of the file format."""


class DigestMismatch(ExportFileError, error_id="export.digest", exit_code=ExitCode.DIGEST_MISMATCH):
    """Content does not match the digest that the export carries for it."""


class UnsupportedVersion(ExportFileError, error_id="export.version", exit_code=ExitCode.UNSUPPORTED_VERSION):
    """The file or the store was written by a version that this one cannot read."""


class LimitExceeded(ExportFileError, error_id="export.limit", exit_code=ExitCode.LIMIT):
    """One of the limits was passed; the message names it, so that it can be raised knowingly."""


class StateError(BlixardError, error_id="state"):
    """The cluster is not in a state in which this can be done."""


class NotFound(StateError, error_id="state.not-found", exit_code=ExitCode.NOT_FOUND):
    """No such cluster, node, VM, disk or undo entry; the message names the data directory that was searched."""


class Locked(StateError, error_id="state.locked", exit_code=ExitCode.LOCKED):
    """Somebody else holds the lock; the message names who."""


class Conflict(StateError, error_id="state.conflict", exit_code=ExitCode.CONFLICT):
    """What is there and what comes cannot both be; or the state moved since it was read."""


class StorageError(BlixardError, error_id="storage", exit_code=ExitCode.STORAGE):
    """Space, permission or I/O: the message names the path and the operation."""


class StoreUnavailable(StorageError, error_id="store.unavailable", exit_code=ExitCode.STORE_UNAVAILABLE):
    """The state store cannot be reached or has no quorum."""


class StoreDamaged(StorageError, error_id="store.damaged"):
    """A database was read, and is none or does not hold together: asked again, it would say the same."""


class TransferError(BlixardError, error_id="transfer", exit_code=ExitCode.TRANSFER):
    """Moving an export to or from a peer failed, or the peer refused."""


class PeerRefused(TransferError, error_id="transfer.refused"):
    """The sender serves us nothing; `reason` is the protocol's word for it (`expired`, `used`, ...)."""

    def __init__(self, reason: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class InvalidTicket(TransferError, error_id="transfer.ticket", exit_code=ExitCode.BAD_TICKET):
    """The text is not a ticket, or a garbled one; the message says where, never what the ticket holds."""


class PeerUnreachable(TransferError, error_id="transfer.unreachable", exit_code=ExitCode.PEER_UNREACHABLE):
    """Nobody answers, or the connection was lost and did not come back in time."""


class PeerMisbehaved(TransferError, error_id="transfer.misbehaved", exit_code=ExitCode.PEER_MISBEHAVED):
    """The peer broke the protocol or sent wrong bytes; nothing of it is kept."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = "nothing of it was kept; ask who runs that machine, or take another sender",
    ) -> None:
        super().__init__(message, hint=hint)


class HypervisorError(BlixardError, error_id="hypervisor", exit_code=ExitCode.HYPERVISOR):
    """What runs the VMs cannot be reached, or cannot do what was asked of it."""


BUG_HINT = "this is a bug of ours: please report it with what `-v` prints and with `blixard doctor --json`"


class InternalError(BlixardError, error_id="bug", exit_code=ExitCode.BUG):
    """A bug of ours; the only error that asks for a report."""
