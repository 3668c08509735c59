"""What a recorded command did to the files beneath a folder: writes, sizes, names and syncs, file by file.

Files are known by number, not by path: a file without a name, a rename and two names of one file are what power-loss
bugs are made of. At its end the log can be held against the real folder, so that no call is overlooked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct, field

from support.syscalls import Call

Slot = tuple[int, bytes]
"""A directory and a name in it."""
ROOT = 0
_HERE = -100
_CREATE, _CUT, _APPEND, _NAMELESS = 0x40, 0x200, 0x400, 0x410000
_DUPLICATE = (0, 0x406)
_FICLONE = 0x40049409
_KEEP_SIZE, _PUNCH = 1, 2


class Change(Struct, frozen=True, kw_only=True):
    """Something that was done: exactly one of `data`, `size`, `names` and `sync` tells what.

    `file` is whose data or size, or what was synced; `names` says what names mean from now on, all of them at once.
    """

    began: int
    ended: int
    call: str
    file: int = -1
    offset: int = 0
    data: bytes | None = None
    size: int | None = None
    names: dict[Slot, int | None] | None = None
    sync: bool = False


class _Open(Struct):
    file: int
    position: int = 0
    append: bool = False


class FileLog(Struct):
    """The folder as it was (`files` by number, `names`), and the changes since."""

    root: Path
    files: dict[int, bytes] = field(default_factory=dict)
    names: dict[Slot, int] = field(default_factory=dict)
    folders: set[int] = field(default_factory=lambda: {ROOT})
    changes: list[Change] = field(default_factory=list)

    def paths_of(self, file: int) -> list[str]:
        """All paths that the file had at any time, the last one last; none for what never had a name."""
        if file == ROOT:
            return [""]
        slots = list(self.names.items())
        slots += [(slot, to) for each in self.changes for slot, to in (each.names or {}).items() if to is not None]
        own = dict.fromkeys(slot for slot, to in slots if to == file)
        return [f"{at}/{name.decode()}" for folder, name in own for at in self.paths_of(folder)]


def look(root: Path) -> FileLog:
    """The folder `root` as it is now; taken to be durable, all of it."""
    log = FileLog(root)

    def visit(folder: Path, number: int) -> None:
        for path in sorted(folder.iterdir()):
            inner = len(log.files) + len(log.folders)
            log.names[number, path.name.encode()] = inner
            if path.is_dir():
                log.folders.add(inner)
                visit(path, inner)
            else:
                log.files[inner] = path.read_bytes()

    visit(root, ROOT)
    return log


def follow(log: FileLog, calls: Iterable[Call]) -> None:
    """Add what `calls` did to the folder of `log`."""
    _Follower(log).follow(calls)


class _Follower:
    """Keeps what a kernel keeps: names, contents, and what each descriptor is open on."""

    def __init__(self, log: FileLog) -> None:
        self._log = log
        self._root = str(log.root).encode()
        self._names = dict(log.names)
        self._files = {number: bytearray(content) for number, content in log.files.items()}
        self._next = len(log.files) + len(log.folders)
        self._open: dict[int, _Open] = {}
        self._call: Call
        self._do: dict[str, Callable[[list[int], list[bytes]], None]] = {
            "open": lambda n, s: self._opened(self._slot(_HERE, s[0]), n[1], s[0]),
            "openat": lambda n, s: self._opened(self._slot(n[0], s[0]), n[2], s[0]),
            "close": lambda n, _s: self._closed(n[0]),
            "dup": lambda n, _s: self._duplicated(n[0]),
            "dup2": lambda n, _s: self._duplicated(n[0]),
            "dup3": lambda n, _s: self._duplicated(n[0]),
            "fcntl": lambda n, _s: self._duplicated(n[0]) if n[1] in _DUPLICATE else None,
            "lseek": lambda n, _s: self._moved(n[0], self._call.result),
            "read": lambda n, _s: self._advanced(n[0]),
            "readv": lambda n, _s: self._advanced(n[0]),
            "write": lambda n, s: self._written(n[0], None, s),
            "writev": lambda n, s: self._written(n[0], None, s),
            "pwrite64": lambda n, s: self._written(n[0], n[-1], s),
            "pwritev": lambda n, s: self._written(n[0], n[-1], s),
            "ftruncate": lambda n, _s: self._resized(self._file(n[0]), n[1]),
            "truncate": lambda n, s: self._resized(self._named(_HERE, s[0]), n[1]),
            "fallocate": lambda n, _s: self._allocated(self._file(n[0]), *n[1:4]),
            "copy_file_range": lambda n, _s: self._copied(n),
            "ioctl": lambda n, _s: self._cloned(n[0], n[2]) if n[1] == _FICLONE else None,
            "mmap": lambda n, _s: self._mapped(n),
            "fsync": lambda n, _s: self._synced(n[0]),
            "fdatasync": lambda n, _s: self._synced(n[0]),
            "rename": lambda _n, s: self._renamed(self._slot(_HERE, s[0]), self._slot(_HERE, s[1])),
            "renameat": lambda n, s: self._renamed(self._slot(n[0], s[0]), self._slot(n[2], s[1])),
            "link": lambda _n, s: self._linked(self._named(_HERE, s[0]), self._slot(_HERE, s[1])),
            "linkat": lambda n, s: self._linked(self._named(n[0], s[0]), self._slot(n[2], s[1])),
            "unlink": lambda _n, s: self._name(self._slot(_HERE, s[0]), None),
            "unlinkat": lambda n, s: self._name(self._slot(n[0], s[0]), None),
            "rmdir": lambda _n, s: self._name(self._slot(_HERE, s[0]), None),
            "mkdir": lambda _n, s: self._made_folder(self._slot(_HERE, s[0])),
            "mkdirat": lambda n, s: self._made_folder(self._slot(n[0], s[0])),
            "chdir": lambda _n, _s: None,
        }

    def follow(self, calls: Iterable[Call]) -> None:
        for self._call in calls:
            if self._call.name not in self._do:
                raise NotImplementedError(f"{self._call.name}({self._call.text[:80]}) is not followed")
            self._do[self._call.name](self._call.numbers, self._call.strings)

    def _note(self, **what: object) -> None:
        call = self._call
        self._log.changes.append(Change(began=call.began, ended=call.ended, call=call.name, **what))  # type: ignore[arg-type]

    # names

    def _slot(self, folder: int, path: bytes) -> Slot | None:
        """Folder and name of a path; None for what lies elsewhere."""
        if path.startswith(self._root + b"/"):
            at, parts = ROOT, path[len(self._root) + 1 :].split(b"/")
        elif not path.startswith(b"/") and (start := self._file(folder)) is not None:
            at, parts = start, path.split(b"/")
        else:
            return None
        for part in parts[:-1]:
            at = self._names[at, part]
        return at, parts[-1]

    def _named(self, folder: int, path: bytes) -> int | None:
        """The file that a path means; one that is open, by the name that /proc gives it."""
        if path.startswith(b"/proc/self/fd/"):
            return self._file(int(path.rpartition(b"/")[2]))
        if path == self._root:
            return ROOT
        slot = self._slot(folder, path)
        return slot[0] if slot and slot[1] == b"." else self._names[slot] if slot else None

    def _name(self, slot: Slot | None, to: int | None) -> None:
        if slot is not None:
            self._rename_all({slot: to})

    def _rename_all(self, names: dict[Slot, int | None]) -> None:
        for slot, to in names.items():
            if to is None:
                self._names.pop(slot)
            else:
                self._names[slot] = to
        self._note(names=names)

    def _renamed(self, old: Slot | None, new: Slot | None) -> None:
        if old is None and new is None:
            return
        if old is None or new is None:
            raise NotImplementedError("a rename out of the folder or into it")
        self._rename_all({old: None, new: self._names[old]})

    def _linked(self, file: int | None, slot: Slot | None) -> None:
        if slot is not None:
            self._name(slot, file)

    def _made_folder(self, slot: Slot | None) -> None:
        if slot is not None:
            self._log.folders.add(self._next)
            self._name(slot, self._new())

    def _new(self) -> int:
        self._next += 1
        return self._next - 1

    # descriptors

    def _file(self, fd: int) -> int | None:
        return self._open[fd].file if fd in self._open else None

    def _opened(self, slot: Slot | None, flags: int, path: bytes) -> None:
        self._open.pop(self._call.result, None)
        if slot is not None and flags & _NAMELESS == _NAMELESS:
            file: int | None = self._new()
            self._files[file or 0] = bytearray()
        elif slot is not None and slot not in self._names and slot[1] != b"." and flags & _CREATE:
            file = self._new()
            self._files[file] = bytearray()
            self._name(slot, file)
        else:
            file = self._named(_HERE, path) if slot is None else slot[0] if slot[1] == b"." else self._names[slot]
        if file is None:
            return
        if flags & _CUT and self._files[file]:
            self._resized(file, 0)
        self._open[self._call.result] = _Open(file, append=bool(flags & _APPEND))

    def _closed(self, fd: int) -> None:
        self._open.pop(fd, None)

    def _duplicated(self, fd: int) -> None:
        self._open.pop(self._call.result, None)
        if fd in self._open:
            self._open[self._call.result] = self._open[fd]  # both share one position

    def _moved(self, fd: int, position: int) -> None:
        if fd in self._open:
            self._open[fd].position = position

    def _advanced(self, fd: int) -> None:
        if fd in self._open:
            self._open[fd].position += self._call.result

    # contents

    def _written(self, fd: int, offset: int | None, parts: list[bytes]) -> None:
        if fd not in self._open:
            return
        target = self._open[fd]
        if offset is None:
            offset = len(self._files[target.file]) if target.append else target.position
            target.position = offset + self._call.result
        self._put(target.file, offset, b"".join(parts)[: self._call.result])

    def _put(self, file: int, offset: int, data: bytes) -> None:
        content = self._files[file]
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data
        self._note(file=file, offset=offset, data=data)

    def _resized(self, file: int | None, size: int) -> None:
        if file is None:
            return
        content = self._files[file]
        del content[size:]
        content.extend(bytes(size - len(content)))
        self._note(file=file, size=size)

    def _allocated(self, file: int | None, mode: int, offset: int, length: int) -> None:
        if file is None:
            return
        size = len(self._files[file])
        if mode & _PUNCH:
            self._put(file, offset, bytes(max(0, min(length, size - offset))))
        elif not mode & _KEEP_SIZE and offset + length > size:
            self._resized(file, offset + length)

    def _copied(self, _numbers: list[int]) -> None:
        source, start, target, offset, _, _ = self._call.text.split(", ")
        file, into = self._file(int(source)), self._file(int(target))
        if into is None:
            return
        if file is None:
            raise NotImplementedError("a copy from outside of the folder")
        first = int(start.strip("[]"))
        self._put(into, int(offset.strip("[]")), bytes(self._files[file][first : first + self._call.result]))

    def _cloned(self, target: int, source: int) -> None:
        file, into = self._file(source), self._file(target)
        if into is not None and file is not None:
            self._put(into, 0, bytes(self._files[file]))

    def _mapped(self, numbers: list[int]) -> None:
        """SQLite maps its -shm alone, which no power loss leaves to anybody: it is made anew."""
        file = self._file(numbers[4])
        if file is not None and numbers[2] & 2 and numbers[3] & 1:
            names = [name for (_, name), to in self._names.items() if to == file]
            if not all(name.endswith(b"-shm") for name in names):
                raise NotImplementedError(f"a shared mapping of {names}")

    def _synced(self, fd: int) -> None:
        file = self._file(fd)
        if file is not None:
            self._note(file=file, sync=True)
