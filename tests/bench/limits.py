"""Bars that have no peer: memory with images, a large hole, a look into a large file, start-up."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct

from . import ours
from .contest import remove
from .inputs import MIB
from .measure import Usage, in_turns, median, run

_HOLE = 1 << 40
_QUICK = 15
"""Runs of what takes milliseconds."""


class Pair(Struct, frozen=True):
    """Medians of two things in turns: what the bar is about, and what it is held against."""

    large: Usage
    small: Usage


def memory_pair(data_dir: Path, rounds: int, *selection: str) -> Pair:
    """The same export with images and without."""
    target = data_dir / "memory.json.gz"
    with_images = partial(_export, data_dir, target, "--include-images", *selection)
    return _pair(with_images, partial(_export, data_dir, target, *selection), rounds)


def hole_pair(work: Path) -> Pair:
    """A disk of 1 TiB that holds 2 MiB, and one of 2 MiB that holds the same."""
    folder = work / "hole"
    remove(folder)
    folder.mkdir()
    ends = [os.urandom(MIB), os.urandom(MIB)]
    for name, size in (("large", _HOLE), ("small", 2 * MIB)):
        with (folder / f"{name}.raw").open("wb") as disk:
            disk.write(ends[0])
            disk.seek(size - MIB)
            disk.write(ends[1])
    data_dir = folder / "data"
    ours.make_cluster(data_dir, {name: folder / f"{name}.raw" for name in ("large", "small")})
    target = folder / "hole.json.gz"
    exports = [
        partial(_export, data_dir, target, "--include-images", "--only", f"vm={vm}") for vm in ("large", "small")
    ]
    pair = _pair(exports[0], exports[1], 5)
    remove(folder)
    return pair


def inspect_pair(work: Path, large: Path) -> tuple[Pair, int]:
    """`inspect` of a large file and of a small one, and the small one's bytes."""
    folder = work / "inspect"
    remove(folder)
    folder.mkdir()
    disk = folder / "small.raw"
    disk.write_bytes(os.urandom(6 << 10) + bytes(58 << 10))
    data_dir = folder / "data"
    ours.make_cluster(data_dir, {f"vm-{number}": disk for number in range(1)})
    small = folder / f"small{''.join(large.suffixes)}"
    plain = [] if small.suffix == ".gz" else ["--no-compress"]
    ours.blixard(data_dir, "cluster", "export", "-o", small, "--include-images", *plain)
    looks = [partial(_run, data_dir, "cluster", "inspect", str(path)) for path in (large, small)]
    pair = _pair(looks[0], looks[1], _QUICK)
    size = small.stat().st_size
    remove(folder)
    return pair, size


def start_up(work: Path) -> dict[str, Usage]:
    """A bare interpreter, `--version` and `cluster status`, in turns."""
    data_dir = work / "start-up"
    remove(data_dir)
    data_dir.mkdir()
    ours.blixard(data_dir, "cluster", "init", ours.CLUSTER)
    bare = [ours.PYTHON, "-c", "pass"]
    jobs: dict[str, Callable[[], Usage]] = {
        "python": partial(run, bare, environment=ours.environment(data_dir), folder=work, durable=False),
        "version": partial(_run, data_dir, "--version"),
        "status": partial(_run, data_dir, "cluster", "status"),
    }
    found = {key: median(usages[1:]) for key, usages in in_turns(jobs, 3 * _QUICK + 1).items()}
    remove(data_dir)
    return found


def _pair(large: Callable[[], Usage], small: Callable[[], Usage], rounds: int) -> Pair:
    # one more that does not count: the first finds a cold page cache
    found = in_turns({"large": large, "small": small}, rounds + 1)
    return Pair(median(found["large"][1:]), median(found["small"][1:]))


def _export(data_dir: Path, target: Path, *options: str) -> Usage:
    target.unlink(missing_ok=True)
    usage = run(
        [ours.BLIXARD, "cluster", "export", "-q", "-o", str(target), *options],
        environment=ours.environment(data_dir),
        folder=data_dir,
    )
    target.unlink()
    return usage


def _run(data_dir: Path, *arguments: str) -> Usage:
    command = [ours.BLIXARD, *arguments]
    return run(command, environment=ours.environment(data_dir), folder=data_dir, durable=False)
