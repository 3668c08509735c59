"""The data directory as a whole: clusters are made, renamed and deleted, each by one rename.

A cluster is built under a hidden name and renamed when it is complete; it is deleted by renaming it to a hidden name
first. What the next writing command finds under a hidden name is rubbish, because all of this happens under one lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from blixard import files
from blixard.errors import Conflict, LimitExceeded, Locked, NotFound, RefusedError, StorageError
from blixard.home.cluster import ClusterDir
from blixard.model.codec import check_name, is_name

if TYPE_CHECKING:
    from blixard.home.registry import Registry

_CURRENT_LIMIT = 4096
_BUILDING = ".new-"
_TRASH = ".trash-"
_SCRATCH = "scratch"
_FOUNDING = ".importing-"
"""Not rubbish: an import that was killed goes on in there. `discard` ends it."""
_HOME_LOCK_SECONDS = 30.0
"""Creating and deleting hold the lock for moments (a deletion moves aside first); nobody should see exit 21 for it."""


class Home:
    """The data directory at `root`, which need not exist until something is written."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.clusters_dir = self.root / "clusters"
        self.node_key = self.root / "node.key"
        self.journal = files.Journal(self.root / "pending")
        self._current = self.root / "current"

    def clusters(self) -> tuple[str, ...]:
        """Names of all clusters here, sorted.

        Raises:
            StorageError: the directory cannot be read.
        """
        return tuple(self._entries(lambda entry: entry.is_dir() and is_name(entry.name)))

    def cluster(self, name: str) -> ClusterDir:
        """The directory of cluster `name`.

        Raises:
            NotFound: there is none; the error names the data directory.
            InvalidField: `name` is not a name.
        """
        check_name(name, "cluster")
        path = self.clusters_dir / name
        if files.is_dir(path):
            return ClusterDir(path, name)
        there = self.clusters()
        known = ", ".join(f"`{each}`" for each in there[:8]) + (" ..." if len(there) > 8 else "")
        raise NotFound(
            f"no cluster `{name}` in `{self.root}`",
            hint=f"there is {known}; another data directory is chosen with `--data-dir`"
            if there
            else f"no cluster is there yet: `blixard cluster init {name}`, or choose another with `--data-dir`",
        )

    def current(self) -> str | None:
        """Name of the current cluster, when one was chosen and is still there."""
        return next((name for name in self._read_current() if files.is_dir(self.clusters_dir / name)), None)

    def set_current(self, name: str) -> None:
        """Make `name` the current cluster.

        Raises:
            NotFound: there is no such cluster.
            StorageError: it cannot be noted.
        """
        with self._locked("cluster use"):
            self.cluster(name)
            self._write_current(name)

    def create(self, name: str, build: Callable[[ClusterDir], None] | None = None) -> ClusterDir:
        """Make a cluster: it is there whole or not at all.

        `build` puts what belongs into the new directory (`state.db`), under its hidden name; everything that it opens
        there must be closed when it returns.

        Raises:
            Conflict: a cluster has that name.
            InvalidField: `name` is not a name.
            StorageError: nothing was made.
        """
        check_name(name, "cluster")
        with self._locked("cluster init"):
            self._check_free(name)
            made = ClusterDir(self.clusters_dir / name, name)
            self._build(made, build)
        return made

    def found(self, name: str, build: Callable[[ClusterDir], None]) -> ClusterDir:
        """The hidden directory in which an import makes cluster `name`; what a killed one left is taken up.

        `build` is as for `create`, and called only when nothing was left.

        Raises:
            Conflict: a cluster has that name.
            StorageError: nothing was made.
        """
        check_name(name, "cluster")
        hidden = ClusterDir(self.clusters_dir / f"{_FOUNDING}{name}", name)
        with self._locked("cluster import"):
            self._check_free(name)
            if files.is_there(hidden.store_toml) and files.is_there(hidden.state_db):
                return hidden
            self._build(hidden, build)
        return hidden

    def publish(self, founded: ClusterDir) -> None:
        """Give a founded cluster its name; everything that was opened in it must be closed.

        Raises:
            Conflict: a cluster got that name meanwhile.
            StorageError: it is still hidden, or (fsync only) it has its name.
        """
        with self._locked("cluster import"):
            self._check_free(founded.name)
            files.rename(founded.path, self.clusters_dir / founded.name)
            files.fsync_dir(self.clusters_dir)

    def founded(self) -> tuple[ClusterDir, ...]:
        """The hidden directories in which imports have begun to make a cluster and have not finished."""
        hidden = self._entries(lambda entry: entry.name.startswith(_FOUNDING))
        return tuple(ClusterDir(self.clusters_dir / name, name.removeprefix(_FOUNDING)) for name in hidden)

    def discard(self, founded: ClusterDir) -> None:
        """Remove what an import had begun to make.

        Raises:
            StorageError: some of it may remain for the next sweep.
        """
        with self._locked("cluster import"):
            trash = self._to_trash(founded.path)
            files.fsync_dir(self.clusters_dir)  # a power loss must not give what is half removed its old name again
        files.remove_tree(trash, beneath=self.clusters_dir)

    @contextmanager
    def scratch(self, verb: str) -> Iterator[Path]:
        """A folder for what has no cluster yet, on the file system of the clusters; gone at the end, or swept later.

        Raises:
            StorageError: it cannot be made.
        """
        folder = self.root / _SCRATCH / os.urandom(8).hex()
        with self._locked(verb):
            lock = self._make_scratch(folder, verb)
        with lock:
            try:
                yield folder
            finally:
                with suppress(StorageError):
                    files.remove_tree(folder, beneath=self.root)

    def _make_scratch(self, folder: Path, verb: str) -> files.HeldLock:
        files.make_dir(self.root / _SCRATCH)
        try:
            files.make_dir(folder)
            return self._scratch_lock(folder, verb).exclusive(0)
        except BaseException:
            with suppress(StorageError):
                files.remove_tree(folder, beneath=self.root)
            raise

    def _scratch_lock(self, folder: Path, verb: str) -> files.FileLock:
        return files.FileLock(folder / "lock", subject=f"scratch folder `{folder}`", verb=verb)

    def _sweep_scratch(self) -> list[Path]:
        """Remove scratch folders that nobody holds; called under the lock, so none is just being made."""
        parent = self.root / _SCRATCH
        swept = []
        for folder in sorted(parent.iterdir()) if files.is_dir(parent) else []:
            with suppress(Locked), self._scratch_lock(folder, "sweep").exclusive(0):
                files.remove_tree(folder, beneath=self.root)
                swept.append(folder)
        return swept

    def rename(self, old: str, new: str) -> ClusterDir:
        """Give a cluster another name; `current` goes with it. The caller holds `ClusterLocks.ending`.

        Raises:
            NotFound: there is no cluster `old`.
            Conflict: a cluster has the name `new`.
            StorageError: it has its old name, or (fsync only) the new one.
        """
        check_name(new, "cluster")
        cluster = self.cluster(old)
        with self._locked("cluster rename"):
            self._check_free(new)
            is_current = self.current() == old
            if is_current:
                # the first that exists counts: right before the rename and after it
                self._write_current(new, old)
            files.rename(cluster.path, self.clusters_dir / new)
            files.fsync_dir(self.clusters_dir)
            if is_current:
                self._write_current(new)
        return ClusterDir(self.clusters_dir / new, new)

    def delete(self, name: str) -> None:
        """Delete a cluster with its disks and history; files kept in place elsewhere are not touched.

        The caller holds `ClusterLocks.ending`.

        Raises:
            NotFound: there is no such cluster.
            StorageError: it is still there; or it is gone and some of its files remain for the next sweep.
        """
        cluster = self.cluster(name)
        with self._locked("cluster delete"):
            trash = self._to_trash(cluster.path)
            files.fsync_dir(self.clusters_dir)
            if name in self._read_current():
                files.unlink(self._current, missing_ok=True)
        # without the lock, as it may take long; a sweep that does the same meanwhile does no harm
        files.remove_tree(trash, beneath=self.clusters_dir)

    def sweep(self) -> tuple[Path, ...]:
        """Remove what killed commands left; every command that writes begins with it. Names what was removed.

        Raises:
            StorageError: the data directory cannot be written.
        """
        if not files.is_dir(self.root):
            return ()
        swept = list(self.journal.sweep())
        with self._locked("sweep"):
            unfinished = self._entries(lambda entry: entry.name.startswith((_BUILDING, _TRASH)))
            rubbish = [self._to_trash(self.clusters_dir / name) for name in unfinished]
            swept += self._sweep_scratch()
            self._tidy_current()
        for path in rubbish:
            files.remove_tree(path, beneath=self.clusters_dir)
        return (*swept, *rubbish)

    def refuse_own(self, path: Path) -> None:
        """Stop when what is to be written at `path` would take the place of what blixard or a VM works with.

        Raises:
            RefusedError: it lies in this data directory, or in a cluster of another one, or is a disk kept in place.
            StorageError: it cannot be looked at.
        """
        with files.translated("look at", path):
            real = Path(os.path.realpath(path.parent), path.name)
        root = Path(os.path.realpath(self.root))
        clusters = [each for each in real.parents if each.parent.name == self.clusters_dir.name]
        if root in real.parents or any(files.is_there(each / ClusterDir.STORE_TOML) for each in clusters):
            raise RefusedError(
                f"`{path}` lies in a data directory, which holds what blixard works with",
                hint="write it to another directory, best on another disk",
            )
        if files.is_there(real):
            owner = self.registry().writer_of(real)
            if owner is not None:
                raise RefusedError(
                    f"`{path}` is disk `{owner.disk}` of VM `{owner.vm}` in cluster `{owner.cluster}`, kept in place",
                    hint="name another file",
                )

    @property
    def journal_here(self) -> files.Journal | None:
        """Where temporary names are noted; None without a data directory, which looking into a file must not make."""
        return self.journal if files.is_dir(self.root) else None

    def registry(self) -> Registry:
        """The registry of writable disk files, shared by all clusters here."""
        from blixard.home.registry import Registry

        return Registry(self.root / "registry.db", self.clusters_dir, self._keys)

    def _build(self, target: ClusterDir, build: Callable[[ClusterDir], None] | None) -> None:
        """Make a cluster's directory under a hidden name and rename it to `target`."""
        made = ClusterDir(self.clusters_dir / f"{_BUILDING}{os.urandom(8).hex()}", target.name)
        try:
            made.make(key=os.urandom(16).hex())
            if build is not None:
                build(made)
            files.fsync_dir(made.path)
            files.rename(made.path, target.path)
        except BaseException:
            with suppress(StorageError):
                files.remove_tree(made.path, beneath=self.clusters_dir)
            raise
        files.fsync_dir(self.clusters_dir)

    def _keys(self) -> dict[str, str]:
        """Names of the clusters by the key of their directories."""
        return {ClusterDir(self.clusters_dir / name, name).store_choice().key: name for name in self.clusters()}

    def _locked(self, verb: str) -> files.HeldLock:
        files.make_dir(self.clusters_dir)
        lock = files.FileLock(self.root / "lock", subject=f"data directory `{self.root}`", verb=verb)
        return lock.exclusive(_HOME_LOCK_SECONDS)

    def _check_free(self, name: str) -> None:
        if files.is_there(self.clusters_dir / name):
            raise Conflict(
                f"there is a cluster `{name}` in `{self.root}` already",
                hint="choose another name, or delete or rename that one",
            )

    def _entries(self, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
        """Names beside the clusters and theirs, sorted; none where there is no folder of clusters yet."""
        with files.translated("list", self.clusters_dir):
            try:
                return sorted(entry.name for entry in os.scandir(self.clusters_dir) if wanted(entry))
            except FileNotFoundError:
                return []

    def _to_trash(self, path: Path) -> Path:
        """A cluster, whole or half built, becomes trash, which may be removed without the lock."""
        if path.name.startswith(_TRASH):
            return path
        trash = path.with_name(f"{_TRASH}{os.urandom(8).hex()}")
        files.rename(path, trash)
        return trash

    def _tidy_current(self) -> None:
        """Repair `current`: a killed rename leaves two names in it, a killed deletion a name that nothing has."""
        files.unlink(self.root / ".current.new", missing_ok=True)
        named, current = self._read_current(), self.current()
        if current is None:
            files.unlink(self._current, missing_ok=True)
        elif named != (current,):
            self._write_current(current)

    def _read_current(self) -> tuple[str, ...]:
        try:
            text = files.read_bytes(self._current, _CURRENT_LIMIT)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return ()
            raise
        except LimitExceeded:
            return ()
        return tuple(name for name in text.decode(errors="replace").split() if is_name(name))

    def _write_current(self, *names: str) -> None:
        files.atomic_write(self._current, "".join(f"{name}\n" for name in names).encode())
