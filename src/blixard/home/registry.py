"""Who writes to which disk file that lies outside the clusters: one file, one writable use.

Two VMs on one image destroy it, and two names (a symlink, a hard link, a bind mount) hide that; so a use is looked up
by device and inode. Rows only remind: each is checked against what is there now, because device numbers change with a
reboot, files are replaced, clusters deleted, and a `vm create` may be killed between its claim and its VM.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from blixard import files
from blixard.errors import Conflict, NotFound
from blixard.files.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS disks (
    cluster_key TEXT NOT NULL,
    vm_id TEXT NOT NULL,
    disk TEXT NOT NULL,
    vm_name TEXT NOT NULL,
    path TEXT NOT NULL,
    inode TEXT NOT NULL,
    claimer TEXT NOT NULL,
    PRIMARY KEY (cluster_key, vm_id, disk)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS disks_by_inode ON disks (inode);
"""


_FORGET = "DELETE FROM disks WHERE cluster_key = ? AND vm_id = ? AND disk = ?"

IsLive = Callable[["DiskOwner"], bool]


class DiskOwner(msgspec.Struct, frozen=True):
    """A VM's disk: `cluster` and `vm` are names, for people; `vm_id` and `disk` say which."""

    cluster: str
    vm: str
    vm_id: str
    disk: str


class Registry:
    """The registry in the file `path`.

    Args:
        path: of the database, made when the first disk is claimed.
        clusters_dir: disks inside it belong to clusters by where they lie, and are never claimed.
        keys: gives the names of the clusters that there are, by the key of their directories.
    """

    def __init__(self, path: Path, clusters_dir: Path, keys: Callable[[], Mapping[str, str]]) -> None:
        self._path = path
        self._clusters_dir = clusters_dir
        self._keys = keys

    def claim(self, path: Path, owner: DiskOwner, is_live: IsLive | None = None) -> None:
        """Note that `owner` writes to the file at `path`; again by the same owner is fine.

        Args:
            path: of an existing file or block device.
            owner: whose claim it is, in a cluster that exists.
            is_live: asked whether a VM of another claim still has that disk; without it every claim counts.

        Raises:
            Conflict: somebody else does; the error says who.
            NotFound: the owner's cluster is not there.
            StorageError: the file is not there, or the registry cannot be written.
        """
        with files.translated("look at", path):
            real = path.resolve(strict=True)
            inode = str(real.stat().st_ino)
        self._refuse_cluster_file(real)
        key = self._key_of(owner.cluster)
        if key is None:
            raise NotFound(f"no cluster `{owner.cluster}` in `{self._clusters_dir.parent}`")
        with self._writing() as database:
            other = self._live_owner(database, real, owner, is_live or (lambda _owner: True))
            if other is not None:
                raise Conflict(
                    f"`{path}` is written to by disk `{other.disk}` of VM `{other.vm}` in cluster `{other.cluster}`",
                    hint="copy the image (leave out `--image-in-place`), or delete that disk first",
                )
            row = (key, owner.vm_id, owner.disk, owner.vm, os.fspath(real), inode, _process(os.getpid()))
            database.write("INSERT OR REPLACE INTO disks VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def writer_of(self, path: Path) -> DiskOwner | None:
        """Who writes to the existing file at `path`, as far as it was claimed.

        Raises:
            StorageError: the registry cannot be read.
        """
        if not files.is_there(self._path):
            return None
        with files.translated("look at", path):
            there = path.stat()
        names = self._keys()
        with closing(Database(self._path)) as database:
            rows = database.read("SELECT * FROM disks WHERE inode = ?", (str(there.st_ino),))
        for key, vm_id, disk, vm_name, claimed, *_ in rows:
            if key in names and _is_file(claimed, there):
                return DiskOwner(names[key], vm_name, vm_id, disk)
        return None

    def release(self, owner: DiskOwner) -> None:
        """Forget one disk's claim, if there is one.

        Raises:
            StorageError: the registry cannot be written.
        """
        if not files.is_there(self._path):
            return
        with self._writing() as database:
            database.write(_FORGET, (self._key_of(owner.cluster) or "", owner.vm_id, owner.disk))

    def _refuse_cluster_file(self, real: Path) -> None:
        clusters = self._clusters_dir.resolve()
        if real.is_relative_to(clusters):
            name = real.relative_to(clusters).parts[0]
            raise Conflict(f"`{real}` belongs to cluster `{name}`", hint="copy it: leave out `--image-in-place`")

    def _key_of(self, cluster: str) -> str | None:
        return next((key for key, name in self._keys().items() if name == cluster), None)

    def _live_owner(self, database: Database, real: Path, asking: DiskOwner, is_live: IsLive) -> DiskOwner | None:
        """The owner by device and inode, other than `asking`; rows that mean nothing any more are dropped."""
        there = real.stat()
        names = self._keys()
        rows = database.read("SELECT * FROM disks WHERE inode = ?", (str(there.st_ino),))
        for key, vm_id, disk, vm_name, path, _inode, claimer in rows:
            owner = DiskOwner(names.get(key, ""), vm_name, vm_id, disk)
            if (owner.cluster, vm_id, disk) == (asking.cluster, asking.vm_id, asking.disk):
                continue
            # a claim whose VM is not there counts as long as the process that makes the VM lives
            if key in names and _is_file(path, there) and (is_live(owner) or _is_running(claimer)):
                return owner
            database.write(_FORGET, (key, vm_id, disk))
        return None

    @contextmanager
    def _writing(self) -> Iterator[Database]:
        database = Database(self._path, make=True)
        try:
            database.script(_SCHEMA)
            with database.writing():
                yield database
        finally:
            database.close()


def _is_file(path: str, there: os.stat_result) -> bool:
    """True when `path` still names the file that `there` describes."""
    try:
        now = Path(path).stat()
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (there.st_dev, there.st_ino)


def _process(pid: int) -> str:
    """What names a process for good: its pid with its start time, because pids are used again."""
    try:
        # proc_pid_stat(5): the name in parentheses may hold anything; starttime is field 22, the 20th behind it
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{pid}:{started}"


def _is_running(claimer: str) -> bool:
    pid = claimer.partition(":")[0]
    return pid.isdigit() and _process(int(pid)) == claimer
