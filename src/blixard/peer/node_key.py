"""This node's identity among peers: `<data-dir>/node.key`, and the lock that keeps two processes from being one node.

Two endpoints with one key would take each other's packets, so the lock is held for as long as the endpoint lives. The
key is 64 hex digits in a private file: it can be backed up, and whoever can read it can be this node.
"""

from __future__ import annotations

import errno
import re
import secrets
import stat
from pathlib import Path

from blixard import files
from blixard.closing import Closing
from blixard.errors import LimitExceeded, Locked, StorageError
from blixard.home import Home

FAILED = "failed to create Iroh node"
KEY_BYTES = 32

_FORM = re.compile(rb"[0-9a-f]{64}\n?")
_FILE_LIMIT = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
_MAKING_SECONDS = 5.0
"""How long a process that reads the key waits for one that makes it, which takes moments."""


class NodeKey(Closing):
    """The key of this node, held alone until `close` or the end of the `with` block."""

    def __init__(self, secret: bytes, lock: files.HeldLock) -> None:
        self.secret = secret
        self._lock = lock

    def close(self) -> None:
        """Let another process be this node."""
        self._lock.close()

    def __repr__(self) -> str:
        return "NodeKey(***)"


def hold_node_key(home: Home, verb: str, wait_seconds: float = 0.0) -> NodeKey:
    """The key of the node at `home`, made when there is none yet, and held alone.

    Args:
        home: the data directory.
        verb: what the node is wanted for, shown to others (`cluster share`).
        wait_seconds: how long another process may still be it.

    Raises:
        Locked: another process is this node; the error names its pid.
        StorageError: the data directory cannot be written, or the key is not one, or not private.
    """
    lock = _hold(home, verb, wait_seconds)
    try:
        return NodeKey(_load_or_make(home), lock)
    except BaseException:
        lock.close()
        raise


def read_node_key(home: Home, verb: str) -> bytes:
    """The key, for showing its id: no lock is needed when it is there, so this works beside a share.

    Raises:
        Locked: it is not there, and another process that makes it does not finish.
        StorageError: as `hold_node_key`.
    """
    if files.is_there(home.node_key):
        return _load(home.node_key)
    with _hold(home, verb, _MAKING_SECONDS):
        return _load_or_make(home)


def look_at_node_key(home: Home) -> bytes | None:
    """The key when it is there; none is made.

    Raises:
        StorageError: as `hold_node_key`.
    """
    return _load(home.node_key) if files.is_there(home.node_key) else None


def node_holders(home: Home) -> tuple[files.Holder, ...]:
    """The processes that are this node now, looked up without a lock."""
    return _lock(home, "").holders()


def _lock(home: Home, verb: str) -> files.FileLock:
    path = home.node_key.with_name(home.node_key.name + ".lock")
    return files.FileLock(path, subject=f"the node at `{home.root}`", verb=verb)


def _hold(home: Home, verb: str, wait_seconds: float) -> files.HeldLock:
    """The node's lock, with the data directory made where there is none yet."""
    try:
        files.make_dir(home.root)
        return _lock(home, verb).exclusive(wait_seconds)
    except Locked as error:
        raise _in_use(home) from error
    except StorageError as error:
        raise _unwritable(home, error) from error


def _load_or_make(home: Home) -> bytes:
    if files.is_there(home.node_key):
        return _load(home.node_key)
    secret = secrets.token_bytes(KEY_BYTES)
    try:
        files.atomic_write(home.node_key, f"{secret.hex()}\n".encode(), mode=0o600)
    except StorageError as error:
        raise _unwritable(home, error) from error
    return secret


def _load(path: Path) -> bytes:
    try:
        text = files.read_bytes(path, _FILE_LIMIT)
        with files.translated("look at", path):
            mode = path.stat().st_mode
    except LimitExceeded:
        text, mode = b"", 0
    except StorageError as error:
        raise StorageError(f"{FAILED}: {error.message}", hint=error.hint) from error
    if mode & _OTHERS:
        raise StorageError(
            f"{FAILED}: `{path}` can be read or written by others (mode `{stat.S_IMODE(mode):04o}`)",
            hint=f"`chmod 600 {path}`; if somebody may have read it, remove it: the node gets a new id then",
        )
    if not _FORM.fullmatch(text):
        raise StorageError(
            f"{FAILED}: `{path}` does not hold a key",
            hint="put it back from a backup, or remove it: the node gets a new id then",
        )
    return bytes.fromhex(text.decode())


def _in_use(home: Home) -> Locked:
    names = ", ".join(f"`{each.verb}` (pid {each.pid})" for each in node_holders(home)[:4]) or "another process"
    return Locked(
        f"{FAILED}: the node at `{home.root}` is in use by {names}",
        hint="wait for it with `--lock-wait 10m`, stop it, or be another node with `--data-dir DIR`",
    )


def _unwritable(home: Home, error: StorageError) -> StorageError:
    number = getattr(error.__cause__, "errno", None)
    hint = error.hint
    if hint is None or number in _NOT_OURS:
        kept = f"its key is kept in `{home.root}`"
        hint = f"{kept}: run as the owner of that directory, or choose another with `--data-dir DIR`"
    return StorageError(f"{FAILED}: {error.message}", hint=hint)
