"""One cluster's directory: its paths, which store it uses, and its locks.

The locks are handed out in the combinations that the verbs need, always taken in one order (export, operation, disks),
so that two commands can wait for each other but never in a circle.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from blixard import files
from blixard.errors import LimitExceeded, NotFound, StorageError, UsageError
from blixard.model.structs import Content

_STORE_TOML_LIMIT = 64 << 10
_REMOTE = ("etcd://", "etcds://", "http://", "https://")


class StoreChoice(msgspec.Struct, frozen=True):
    """What `store.toml` says.

    `key` names this directory in the registry of disks: it is made once and, unlike the name, never changes.
    """

    store: str = "sqlite"
    key: str = ""


class ClusterDir:
    """The directory of cluster `name`; nothing is opened until asked for."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.store_toml = path / "store.toml"
        self.state_db = path / "state.db"
        self.disks = path / "disks"
        self.incoming = path / "disks" / ".incoming"
        self.undo = path / "undo"
        self.history_db = path / "history.db"
        self.telemetry_db = path / "telemetry.db"
        self._locks = path / "locks"

    @property
    def data_dir(self) -> Path:
        """The data directory that this cluster lies in."""
        return self.path.parent.parent

    def content_path(self, content: Content) -> Path:
        """Where a content of this cluster lies on this node."""
        return Path(content.path) if content.path is not None else self.disks / (content.file or "")

    def make(self, key: str) -> None:
        """Fill a new, empty directory: folders, locks and `store.toml`; durable when this returns."""
        for folder in (self.path, self.disks, self.incoming, self.undo, self._locks):
            files.make_dir(folder)
        text = f'# the store that holds this cluster\'s state: `sqlite`, in state.db\nstore = "sqlite"\nkey = "{key}"\n'
        files.atomic_write(self.store_toml, text.encode())

    def store_choice(self) -> StoreChoice:
        """What `store.toml` says; only stores that this version has.

        Raises:
            UsageError: it names another store, or is not what it should be.
            StorageError: it cannot be read.
        """
        choice = self._read_store_toml()
        if choice.store == "sqlite":
            return choice
        if choice.store.startswith(_REMOTE):
            raise UsageError(
                f"`{self.store_toml}` names `{choice.store}`: etcd is not in this version of blixard",
                hint="use `sqlite`, or a version of blixard with etcd",
            )
        raise UsageError(
            f"`{self.store_toml}` names an unknown store `{choice.store}`", hint="this version has `sqlite`"
        )

    def key(self) -> str:
        """The name that this directory has in the registry of disks; it stays when the cluster is renamed."""
        return self._read_store_toml().key

    def exporting(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """Read state and disks for an export: one export at a time, no import meanwhile, no disk file is deleted.

        Raises:
            Locked: still after `wait_seconds`; the error names the holder.
            NotFound: the cluster was deleted meanwhile.
        """
        return self._hold(wait_seconds, self._alone("export", verb), self._shared("operation", verb), self._kept(verb))

    def reading_disks(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """Read disk files without being an export (`extract`, a running share): none is deleted meanwhile.

        Raises:
            Locked: still after `wait_seconds`.
            NotFound: the cluster was deleted meanwhile.
        """
        return self._hold(wait_seconds, self._kept(verb))

    def editing(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """Change single nodes or VMs, beside exports and other edits; the store's revision settles who was first.

        Raises:
            Locked: an import is at work, still after `wait_seconds`.
            NotFound: the cluster was deleted meanwhile.
        """
        return self._hold(wait_seconds, self._shared("operation", verb))

    def alone(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """Replace state: an import or an undo, with no export and no edit beside it.

        Raises:
            Locked: somebody is at work, still after `wait_seconds`.
            NotFound: the cluster was deleted meanwhile.
        """
        return self._hold(wait_seconds, self._alone("operation", verb))

    def deleting_disks(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """Delete disk files that nothing names any more: nobody may be reading one.

        Raises:
            Locked: somebody reads disks, still after `wait_seconds`.
            NotFound: the cluster was deleted meanwhile.
        """
        return self._hold(wait_seconds, self._alone("disks", verb))

    def ending(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """Rename or delete the whole cluster: nobody else does anything with it.

        Raises:
            Locked: somebody is at work, still after `wait_seconds`.
            NotFound: the cluster was deleted meanwhile.
        """
        return self._hold(wait_seconds, *(self._alone(name, verb) for name in ("export", "operation", "disks")))

    def _alone(self, name: str, verb: str) -> Callable[[float], files.HeldLock]:
        return self._lock(name, verb).exclusive

    def _shared(self, name: str, verb: str) -> Callable[[float], files.HeldLock]:
        return self._lock(name, verb).shared

    def _kept(self, verb: str) -> Callable[[float], files.HeldLock]:
        return self._shared("disks", verb)

    def _lock(self, name: str, verb: str) -> files.FileLock:
        return files.FileLock(self._locks / f"{name}.lock", subject=f"cluster `{self.name}`", verb=verb)

    def _hold(self, wait_seconds: float, *acquire: Callable[[float], files.HeldLock]) -> ExitStack:
        """All of the locks or none; the wait is for all of them together."""
        deadline = time.monotonic() + wait_seconds
        with ExitStack() as stack:
            for each in acquire:
                stack.enter_context(self._or_gone(each, max(0.0, deadline - time.monotonic())))
            return stack.pop_all()

    def _or_gone(self, acquire: Callable[[float], files.HeldLock], wait_seconds: float) -> files.HeldLock:
        try:
            return acquire(wait_seconds)
        except StorageError as error:
            if files.is_dir(self.path):
                raise
            raise NotFound(
                f"no cluster `{self.name}` in `{self.data_dir}` any more: it was deleted or renamed"
            ) from error

    def _read_store_toml(self) -> StoreChoice:
        try:
            text = files.read_bytes(self.store_toml, _STORE_TOML_LIMIT).decode()
            return _as_written(text) or _parsed(text)
        except (LimitExceeded, UnicodeDecodeError, msgspec.ValidationError, ValueError) as error:
            raise UsageError(
                f"`{self.store_toml}` is not readable: {error}", hint='it should say `store = "sqlite"`'
            ) from error


def _as_written(text: str) -> StoreChoice | None:
    """What `ClusterDir.make` wrote and nobody has edited; a TOML parser would cost every start 3 ms."""
    match = re.fullmatch(r'#[^\n"]*\nstore = "([a-z]+)"\nkey = "([0-9a-f]+)"\n', text)
    return StoreChoice(match[1], match[2]) if match else None


def _parsed(text: str) -> StoreChoice:
    import tomllib  # its error is a ValueError

    return msgspec.convert(tomllib.loads(text), StoreChoice)
