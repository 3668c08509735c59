"""One cluster's directory: its paths, and what its `store.toml` says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from blixard import files
from blixard.errors import LimitExceeded, UsageError
from blixard.model.structs import Content

_STORE_TOML_LIMIT = 64 << 10


class StoreChoice(msgspec.Struct, frozen=True):
    """What `store.toml` says.

    `key` names this directory in the registry of disks: it is made once and, unlike the name, never changes.
    """

    store: str = "sqlite"
    key: str = ""


class ClusterDir:
    """The directory of cluster `name`; nothing is opened until asked for."""

    STORE_TOML = "store.toml"

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.store_toml = path / self.STORE_TOML
        self.state_db = path / "state.db"
        self.disks = path / "disks"
        self.incoming = path / "disks" / ".incoming"
        self.undo = path / "undo"
        self.history_db = path / "history.db"
        self.telemetry_db = path / "telemetry.db"
        self.locks_dir = path / "locks"

    @property
    def data_dir(self) -> Path:
        """The data directory that this cluster lies in."""
        return self.path.parent.parent

    def content_path(self, content: Content) -> Path:
        """Where a content of this cluster lies on this node."""
        return Path(content.path) if content.path is not None else self.disks / (content.file or "")

    def make(self, key: str) -> None:
        """Fill a new, empty directory: folders, locks and `store.toml`; durable when this returns."""
        for folder in (self.path, self.disks, self.incoming, self.undo, self.locks_dir):
            files.make_dir(folder)
        text = f'# the store that holds this cluster\'s state: `sqlite`, in state.db\nstore = "sqlite"\nkey = "{key}"\n'
        files.atomic_write(self.store_toml, text.encode())

    def store_choice(self) -> StoreChoice:
        """What `store.toml` says, also when no version has such a store.

        Raises:
            UsageError: it is not what it should be.
            StorageError: it cannot be read.
        """
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
