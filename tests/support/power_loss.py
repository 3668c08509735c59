"""The states in which a power loss may leave a folder, from the log of what a command did to it.

The file system that is assumed is worse than those we know, in all that POSIX leaves open:

- Data and size of a file are durable up to the last fsync or fdatasync of it that began after they were written. Of
  what came later any part may be there, in any order, each write torn at its sectors.
- A name is durable once its *directory* was synced; an fsync of the file itself does nothing for its name (ext4, XFS
  and btrfs do more). Of the changes of names since, any may be there and any other not, but a rename as a whole, and
  none that builds on one of the same name which is not there.
- What was synced stays: disks that lie about a flush, and bits that rot, are other tests' business.

Every crash state of a journal that keeps metadata in order is among these.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from pathlib import Path

from msgspec import Struct, structs

from support.file_log import ROOT, Change, FileLog, Slot

_WHOLE = ("disks", "images", "out")
"""Folders of files that no command writes to once they have their names."""
_SECTORS = (512, 4096)
_ODDS = (0.0, 0.1, 0.5, 0.9, 1.0)


class Kept(Enum):
    """What of that which was not synced is still there."""

    NOTHING = auto()
    ALL = auto()
    NAMES = auto()
    """And no data: empty files."""
    NAMES_AND_SIZES = auto()
    """Zeros for data."""
    DATA = auto()
    """And no names."""
    NEWER = auto()
    """All but the oldest change of names."""
    SOME = auto()
    """Any part, by chance."""


FIXED = tuple(each for each in Kept if each is not Kept.SOME)


class CrashState(Struct, frozen=True, kw_only=True):
    """One state: what lies at each path (None for a folder), `cut` changes into the log; `done`: after all of it."""

    cut: int
    done: bool
    kept: Kept
    paths: dict[bytes, bytes | None]
    lost: tuple[str, ...]

    @property
    def fingerprint(self) -> int:
        """The same for the same content; notes in locks, which are for people, do not count."""
        told = {path: None if path.endswith(b"lock") else content for path, content in self.paths.items()}
        return hash((self.done, frozenset(told.items())))

    def __str__(self) -> str:
        return f"cut {self.cut}, kept {self.kept.name}, lost: {'; '.join(self.lost) or 'nothing'}"

    def put(self, root: Path, originals: Originals) -> None:
        """Make it the new folder `root`."""
        root.mkdir(mode=0o700)
        for name, content in sorted(self.paths.items()):
            path = root / name.decode()
            if content is None:
                path.mkdir(mode=0o700)
            elif not originals.give(name.decode(), content, path):
                path.write_bytes(content)
                path.chmod(0o600)


class Originals:
    """Disks, images and exports of the folder before and after.

    A state gets these very files: inode and time of modification, by which blixard knows that nobody wrote to a disk,
    must be what they were. An import that goes on with a moved disk writes the same bytes at another time, so the time
    is set again.
    """

    def __init__(self, *roots: Path) -> None:
        self._files: dict[str, list[tuple[Path, int]]] = {}
        for path in (path for root in roots for folder in _WHOLE for path in root.rglob(f"{folder}/*")):
            if path.is_file():
                root = next(root for root in roots if path.is_relative_to(root))
                found = self._files.setdefault(path.relative_to(root).as_posix(), [])
                found.append((path, path.stat().st_mtime_ns))

    def give(self, name: str, content: bytes, path: Path) -> bool:
        """Link the file of that name and content to `path`; False when there is none."""
        for original, changed in self._files.get(name, ()):
            if original.stat().st_size == len(content) and original.read_bytes() == content:
                os.utime(original, ns=(changed, changed))
                path.hardlink_to(original)
                return True
        return False


def crash_states(
    log: FileLog, cuts: Sequence[int] | None = None, *, kept: Sequence[Kept] = FIXED, seed: str = ""
) -> Iterator[CrashState]:
    """For each cut (all of them when None) a state for each of `kept`; no content twice."""
    wanted = set(range(len(log.changes) + 1) if cuts is None else cuts)
    disk, seen = _Disk(log), set[int]()
    for cut in range(len(log.changes) + 1):
        if cut:
            disk.take(log.changes[cut - 1])
        for number, each in enumerate(kept if cut in wanted else ()):
            state = disk.state(cut, each, random.Random(f"{seed} {cut} {number}"))
            if state.fingerprint not in seen:
                seen.add(state.fingerprint)
                yield state


class _Disk:
    """What is durable by now, and what waits."""

    def __init__(self, log: FileLog) -> None:
        self._log = log
        self._files = dict(log.files)
        self._names = dict(log.names)
        self._data: dict[int, list[Change]] = {}
        self._renames: list[Change] = []

    def take(self, change: Change) -> None:
        """The next change of the log."""
        if change.names is not None:
            self._renames.append(change)
        elif not change.sync:
            self._data.setdefault(change.file, []).append(change)
        elif change.file in self._log.folders:
            self._sync_folder(change)
        else:
            waiting = self._data.pop(change.file, [])
            settled = [each for each in waiting if each.ended < change.began]
            self._files[change.file] = _applied(self._files.get(change.file, b""), settled)
            self._data[change.file] = [each for each in waiting if each.ended >= change.began]

    def _sync_folder(self, sync: Change) -> None:
        settled: list[Change] = []
        waiting: list[Change] = []
        for each in reversed(self._renames):
            synced = each.ended < sync.began and any(folder == sync.file for folder, _ in each.names or ())
            below = any(_share(each, later) for later in settled)
            (settled if synced or below else waiting).append(each)
        self._renames = waiting[::-1]
        _name(self._names, settled[::-1])

    def state(self, cut: int, kept: Kept, rng: random.Random) -> CrashState:
        """A state that a power loss may leave now."""
        odds = rng.choice(_ODDS)
        names = dict(self._names)
        chosen, lost = self._choose_renames(kept, rng, odds)
        _name(names, chosen)
        inner: dict[int, list[tuple[bytes, int]]] = {}
        for (folder, name), file in names.items():
            inner.setdefault(folder, []).append((name, file))
        paths: dict[bytes, bytes | None] = {}
        contents: dict[int, bytes] = {}
        folders = [(ROOT, b"")]
        while folders:
            folder, at = folders.pop()
            for name, file in inner.get(folder, ()):
                if file in self._log.folders:
                    folders.append((file, at + name + b"/"))
                    paths[at + name] = None
                elif not name.endswith(b"-shm"):
                    if file not in contents:
                        contents[file] = self._content(file, kept, rng, lost)
                    paths[at + name] = contents[file]
        done = cut == len(self._log.changes)
        return CrashState(cut=cut, done=done, kept=kept, paths=paths, lost=tuple(lost))

    def _choose_renames(self, kept: Kept, rng: random.Random, odds: float) -> tuple[list[Change], list[str]]:
        """Changes of names that are there, and what is told about the others."""
        chosen: list[Change] = []
        left: list[Change] = []
        for number, each in enumerate(self._renames):
            wanted = kept not in (Kept.NOTHING, Kept.DATA) and not (kept is Kept.NEWER and number == 0)
            if kept is Kept.SOME:
                wanted = rng.random() < odds
            here = wanted and not any(_share(each, earlier) for earlier in left)
            (chosen if here else left).append(each)
        return chosen, [f"{each.call} {[name.decode() for _, name in each.names or ()]}" for each in left]

    def _content(self, file: int, kept: Kept, rng: random.Random, lost: list[str]) -> bytes:
        durable, waiting = self._files.get(file, b""), self._data.get(file, [])
        if not waiting:
            return durable
        if kept in (Kept.ALL, Kept.DATA, Kept.NEWER):
            return _applied(durable, waiting)
        lost.append(f"data of {' or '.join(self._log.paths_of(file)[-1:]) or 'a file without a name'}")
        if kept is Kept.NAMES_AND_SIZES:
            size = len(_applied(durable, waiting))
            return durable[:size].ljust(size, b"\0")
        if kept is not Kept.SOME:
            return durable
        odds, sector = rng.choice(_ODDS), rng.choice(_SECTORS)
        return _applied(durable, [part for each in waiting for part in _torn(each, rng, odds, sector)])


def _name(names: dict[Slot, int], changes: Sequence[Change]) -> None:
    for change in changes:
        for slot, file in (change.names or {}).items():
            if file is None:
                names.pop(slot, None)
            else:
                names[slot] = file


def _share(one: Change, other: Change) -> bool:
    return not (one.names or {}).keys().isdisjoint(other.names or {})


def _applied(content: bytes, changes: Sequence[Change]) -> bytes:
    made = bytearray(content)
    for change in changes:
        if change.size is not None:
            del made[change.size :]
            made.extend(bytes(change.size - len(made)))
        elif change.data is not None:
            end = change.offset + len(change.data)
            made.extend(bytes(max(0, end - len(made))))
            made[change.offset : end] = change.data
    return bytes(made)


def _torn(change: Change, rng: random.Random, odds: float, sector: int) -> Iterator[Change]:
    """What is left of a change: all, nothing, or of a write some of its sectors."""
    whole = rng.random()
    if change.data is None or whole < 2 / 3:
        if rng.random() < odds:
            yield change
        return
    end = change.offset + len(change.data)
    for start in range(change.offset // sector * sector, end, sector):
        if rng.random() < odds:
            first, last = max(start, change.offset), min(start + sector, end)
            yield structs.replace(change, offset=first, data=change.data[first - change.offset : last - change.offset])
