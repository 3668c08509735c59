"""The disks of the bench, made from this machine's own files, the same from the same seed and files.

A base root file system, clones in which files were added, changed and removed by ext4 itself (debugfs needs no loop
device), random data, and a nearly empty large disk: what a host of VMs holds.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from .measure import BenchError

GIB = 1 << 30
MIB = 1 << 20
KIB = 1 << 10
SEED = 8
CLONES = 3
_LARGEST_FILE = 32 * MIB
_ADDED, _CHANGED, _REMOVED = 0.05, 0.03, 0.02
"""Of the base's bytes: what makes a clone another machine."""
_FILL = 0.8
_EXT4_BLOCK = 4096
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._+@/-]+")
"""debugfs splits its commands at blanks and quotes."""


class Inputs(Struct, frozen=True):
    """Where the disks are: `raw` by VM, and `qcow2` versions of the base by VM."""

    folder: Path
    raw: dict[str, Path]
    qcow2: dict[str, Path]


def make_inputs(work: Path, scale: float) -> Inputs:
    """Make the disks in `work`, or find those of an earlier run of the same scale."""
    folder = work / f"inputs-{scale:g}-{SEED}"
    disks, qcow2 = folder / "disks", folder / "qcow2"
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for each in (disks, qcow2):
            each.mkdir(parents=True)
        _make(folder, disks, qcow2, scale)
        _run("sync", "-f", str(folder))
        (folder / "made").touch()
    return Inputs(
        folder=disks,
        raw={path.stem: path for path in sorted(disks.glob("*.raw"))},
        qcow2={path.stem: path for path in sorted(qcow2.glob("*.qcow2"))},
    )


def allocated(path: Path) -> int:
    """Bytes that a file takes on its disk."""
    return path.stat().st_blocks * 512


def stored_bytes(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size


def warm(paths: Iterable[Path]) -> None:
    """Read what the paths store, so that every tool finds the same in the page cache."""
    for path in paths:
        for each in (path,) if path.is_file() else path.rglob("*"):
            if each.is_file():
                _read(each)


def data_ranges(fd: int) -> Iterator[tuple[int, int]]:
    """What the file system says is stored, as (start, end)."""
    end = 0
    size = os.fstat(fd).st_size
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole is left
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def _read(path: Path) -> None:
    buffer = bytearray(4 * MIB)
    fd = os.open(path, os.O_RDONLY)
    try:
        for start, end in data_ranges(fd):
            for at in range(start, end, len(buffer)):
                os.preadv(fd, [memoryview(buffer)[: min(len(buffer), end - at)]], at)
    finally:
        os.close(fd)


def _make(folder: Path, disks: Path, qcow2: Path, scale: float) -> None:
    dice = random.Random(SEED)
    groups = _machine_files()
    dice.shuffle(groups)
    wanted = int(min(_FILL * GIB * scale, 0.8 * sum(size for _, size in groups)))
    base, rest = _split(groups, wanted)
    root = folder / "root"
    for path in base:
        _copy(path, root)
    raw = disks / "base.raw"
    _ext4(raw, int(wanted / _FILL), root)
    spare = iter(rest)
    for number in range(1, CLONES + 1):
        clone = disks / f"clone-{number}.raw"
        _run("cp", "--sparse=always", str(raw), str(clone))
        _Changes(dice, root, folder / "changed", wanted).make(clone, base, spare)
    shutil.rmtree(root)
    with (disks / "random.raw").open("wb") as random_disk:
        for _ in range(int(512 * scale)):
            random_disk.write(dice.randbytes(MIB))
    _ext4(disks / "sparse.raw", int(20 * GIB * scale), None)
    for name, options in (("plain", ()), ("compressed", ("-c", "-o", "compression_type=zstd"))):
        _run("qemu-img", "convert", "-O", "qcow2", *options, str(raw), str(qcow2 / f"{name}.qcow2"))


def _machine_files() -> list[tuple[list[Path], int]]:
    """The plain files of /usr, folder by folder, each with the bytes it takes on ext4."""
    found = []
    for folder, _, names in os.walk("/usr"):
        if not _PLAIN_NAME.fullmatch(folder):
            continue
        paths = [Path(folder, name) for name in sorted(names) if _PLAIN_NAME.fullmatch(name)]
        files = [path for path in paths if not path.is_symlink() and path.is_file()]
        sizes = [-(-path.stat().st_size // _EXT4_BLOCK) * _EXT4_BLOCK for path in files]
        if files and max(sizes) <= _LARGEST_FILE:
            found.append((files, sum(sizes)))
    return sorted(found)


def _split(groups: list[tuple[list[Path], int]], wanted: int) -> tuple[list[Path], list[Path]]:
    """Whole folders until `wanted` bytes are reached, and the files of the others."""
    taken, rest, size = [], [], 0
    for files, more in groups:
        if size + more <= wanted:
            taken += files
            size += more
        else:
            rest += files
    return taken, rest


def _copy(path: Path, root: Path) -> None:
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _ext4(disk: Path, size: int, root: Path | None) -> None:
    with disk.open("wb") as file:
        file.truncate(size // MIB * MIB)
    # a fixed block size and ratio: mkfs chooses others for small disks, and a bench at --scale 0.1 shall show the same
    options = ["-q", "-F", "-b", str(_EXT4_BLOCK), "-i", "8192", "-m", "0", *(["-d", str(root)] if root else [])]
    _run("mkfs.ext4", *options, str(disk))


class _Changes:
    """Makes a clone another machine: commands for debugfs, which writes through ext4's own allocator."""

    def __init__(self, dice: random.Random, root: Path, changed: Path, bytes_of_base: int) -> None:
        self._dice = dice
        self._root = root
        self._changed = changed
        self._bytes = bytes_of_base
        self._commands: list[str] = []
        self._made: set[Path] = set()

    def make(self, clone: Path, base: list[Path], spare: Iterator[Path]) -> None:
        """Apply the changes to `clone`; files that are added are taken from `spare`."""
        self._changed.mkdir()
        shuffled = self._dice.sample(base, len(base))
        for path in _worth(shuffled, self._bytes * _REMOVED):
            shuffled.remove(path)
            self._commands.append(f"rm {path}")
        for path in _worth(shuffled, self._bytes * _CHANGED):
            self._commands.append(f"rm {path}")
            self._write(self._edited(path), path)
        for path in _worth(spare, self._bytes * _ADDED):
            self._write(path, path)
        script = self._changed / "script"
        script.write_text("\n".join(self._commands) + "\n")
        _run("debugfs", "-w", "-f", str(script), str(clone))
        _run("e2fsck", "-f", "-y", str(clone), accept=(0, 1))
        shutil.rmtree(self._changed)

    def _write(self, source: Path, target: Path) -> None:
        for folder in reversed(target.parents[:-1]):
            if folder not in self._made and not (self._root / folder.relative_to("/")).exists():
                self._commands.append(f"mkdir {folder}")
            self._made.add(folder)
        # `write` takes a name, not a path
        self._commands += [f"cd {target.parent}", f"write {source} {target.name}"]

    def _edited(self, path: Path) -> Path:
        """The file as somebody left it: a piece in the middle replaced, a line more at its end."""
        content = bytearray((self._root / path.relative_to("/")).read_bytes())
        middle = len(content) // 2
        content[middle : middle + 64] = self._dice.randbytes(64)
        edited = self._changed / f"{len(self._commands)}"
        edited.write_bytes(bytes(content) + b"# edited\n")
        return edited


def _worth(paths: Iterable[Path], wanted: float) -> list[Path]:
    """Paths from the front until they hold `wanted` bytes."""
    taken: list[Path] = []
    size = 0
    for path in paths:
        if size >= wanted:
            break
        taken.append(path)
        size += path.stat().st_size
    return taken


def _run(*command: str, accept: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode not in accept:
        raise BenchError(f"{command} ended with {done.returncode}: {done.stdout[-2000:].decode(errors='replace')}")
