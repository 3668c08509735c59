"""A data directory with clusters, disks and export files, to be copied for each fault, and what to hold it against.

Everything is tiny and lies in memory where there is enough: thousands of copies are made and synced.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blake3 import blake3
from msgspec import Struct, to_builtins

from blixard.disks.detect import open_reader, open_writer
from blixard.home import ClusterDir, Home
from blixard.model.codec import to_object
from blixard.model.structs import ClusterSnapshot, Content, DiskFormat
from blixard.store.history import History
from blixard.store.sqlite.store import SqliteStore
from support.commands import Ran, run, run_here
from support.documents import noise
from support.faults import names
from support.memory import in_memory

AT = "2026-07-27T12:00:00Z"
KIB = 1 << 10


@contextmanager
def fast_folder() -> Iterator[Path]:
    """A folder of its own, in memory where possible."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        yield Path(folder)


class World:
    """A data directory `data`, a folder `out` for exports, and `images` that disks are made of, all beneath `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.out = root / "out"
        self.images = root / "images"

    def copy(self, root: Path) -> World:
        """A copy of all of it, beside."""
        shutil.copytree(self.root, root)
        return World(root)

    def linked_copy(self, root: Path) -> World:
        """A copy that shares the files of disks, so that they are the same ones by inode: nothing may write to them."""
        shutil.copytree(self.root, root, copy_function=_link_disks)
        return World(root)

    def blixard(self, *arguments: str | Path, **how: Any) -> Ran:
        """Run a command on it."""
        return run([*arguments, "--data-dir", self.data], **how)

    def must(self, *arguments: str | Path) -> Ran:
        """Run a command that succeeds."""
        ran = self.blixard(*arguments)
        assert ran.code == 0, (arguments, ran)
        return ran

    def cluster(self, name: str = "web") -> ClusterDir:
        """A cluster's directory."""
        return Home(self.data).cluster(name)


class NearWorld(World):
    """A world whose commands run in this process, for tests that run thousands of whole ones on broken worlds.

    What has to be kept apart (an observer that kills, a standard input) still has a process of its own.
    """

    def blixard(self, *arguments: str | Path, **how: Any) -> Ran:
        """Run a command on it."""
        return super().blixard(*arguments, **how) if how else run_here([*arguments, "--data-dir", self.data])


def _link_disks(source: str, target: str) -> None:
    if Path(source).parent.name == "disks":
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def build(root: Path, *, disk_bytes: int = 160 * KIB) -> World:
    """A cluster `web` with an export `new.json.gz` of how it was, since when much was changed.

    Importing the export creates `db`, updates `app` and its disks, and deletes `tmp`. `new-sorted.json` is the same
    document with its state last, `old.json.gz` an export of how it is now.
    """
    world = World(root)
    for folder in (root, world.out, world.images):
        folder.mkdir(exist_ok=True)
    _make_images(world, disk_bytes)
    raw, qcow2, other = world.images / "a.raw", world.images / "b.qcow2", world.images / "c.raw"
    world.must("cluster", "init", "web")
    world.must("vm", "create", "app", "--disk", f"{raw},name=root", "--disk", f"{qcow2},name=data")
    world.must("vm", "create", "db", "--disk", f"{other},name=root")
    _export(world, "new.json.gz")
    document = json.loads(world.must("cluster", "export", "-o", "-", "--include-images", "--no-compress").out)
    (world.out / "new-sorted.json").write_text(json.dumps(document, indent=1, sort_keys=True))
    world.must("vm", "delete", "db")
    world.must("vm", "set", "app", "--vcpus", "7")
    world.must("vm", "create", "tmp", "--disk", f"{other},name=root")
    _scribble(world)
    _export(world, "old.json.gz")
    world.must("cluster", "gc")
    return world


def _export(world: World, name: str) -> None:
    world.must("cluster", "export", "-o", world.out / name, "--include-images", "--exported-at", AT)


def _make_images(world: World, disk_bytes: int) -> None:
    half = disk_bytes // 2
    content = noise(half, 1) + bytes(disk_bytes) + noise(half, 2)
    (world.images / "a.raw").write_bytes(content)
    (world.images / "c.raw").write_bytes(noise(disk_bytes, 3) + content[: 64 * KIB])
    writer = open_writer(world.images / "b.qcow2", DiskFormat.QCOW2, disk_bytes * 2)
    writer.write(0, noise(half, 4))
    writer.write(disk_bytes, noise(half, 5))
    writer.finish()
    writer.close()


def _scribble(world: World) -> None:
    """The guest of `app` writes to its disk."""
    [path] = world.cluster().disks.glob("app-root-*")
    with path.open("r+b") as disk:
        disk.write(b"written since the export" * 300)


class Picture(Struct, frozen=True, kw_only=True):
    """What somebody sees of a cluster: its objects, the bytes of its disks, what can be undone, what was done."""

    revision: int
    nodes: dict[int, Any]
    vms: dict[str, Any]
    disks: dict[str, str]
    provenance: Any
    undo: tuple[str, ...]
    done: tuple[str, ...]


_CHANGE_NOTHING = ("cluster export", "cluster gc")


def picture(world: World) -> dict[str, Picture]:
    """All clusters, by name. Ids that a command minted are left out."""
    home = Home(world.data)
    return {name: _picture(home.cluster(name)) for name in home.clusters()}


def _picture(cluster: ClusterDir) -> Picture:
    with SqliteStore(cluster.state_db, name=cluster.name) as store, History(cluster.history_db) as history:
        snapshot = store.snapshot()
        undo = tuple(entry.title for entry in store.undo_entries())
        history.absorb(store.books)
        done = tuple(
            each.entry.verb
            for each in history.entries()
            if each.entry.exit_code == 0 and each.entry.verb not in _CHANGE_NOTHING
        )
    names_by_id = {vm.id: vm.name for vm in snapshot.vms.values()}
    return Picture(
        revision=snapshot.revision,
        nodes={number: _without(to_object(node), "data_dir") for number, node in snapshot.nodes.items()},
        vms={name: _without(to_object(vm), "id", "source") for name, vm in snapshot.vms.items()},
        disks={
            f"{names_by_id[key.vm_id]}/{key.name}": content_digest(cluster, each)
            for key, each in snapshot.contents.items()
        },
        provenance=_provenance(snapshot),
        undo=undo,
        done=done,
    )


def content_digest(cluster: ClusterDir, content: Content) -> str:
    """BLAKE3 of what a guest sees."""
    reader = open_reader(cluster.disks / (content.file or content.path or ""), content.format)
    try:
        data = bytearray(reader.size_bytes)
        reader.read_into(0, memoryview(data))
    finally:
        reader.close()
    return blake3(data).hexdigest()


def _provenance(snapshot: ClusterSnapshot) -> Any:
    if snapshot.provenance is None:
        return None
    return {**to_builtins(snapshot.provenance), "imported_at": None, "import_id": None}


def _without(value: Any, *keys: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(inner, *keys) for key, inner in value.items() if key not in keys}
    if isinstance(value, list):
        return [_without(inner, *keys) for inner in value]
    return value


def litter(world: World, *, staged: bool = False) -> list[str]:
    """Everything that lies about and that nobody needs. `staged`: what an import may go on with is fine."""
    found = [f"out/{name}" for name in names(world.out) if name.startswith(".") or name.endswith((".tmp", ".new"))]
    found += [f"data/{name}" for name in names(world.data) if name not in _KNOWN]
    for folder in ("pending", "scratch"):
        found += [f"{folder}/{name}" for name in _names(world.data / folder)]
    for name in _names(world.data / "clusters"):
        path = world.data / "clusters" / name
        if name.startswith("."):
            found += [] if staged and name.startswith(".importing-") else [name]
        else:
            found += [f"{name}/{each}" for each in _cluster_litter(ClusterDir(path, name), staged=staged)]
    return found


_KNOWN = ("clusters", "current", "lock", "pending", "registry.db", "registry.db-shm", "registry.db-wal", "scratch")


def _cluster_litter(cluster: ClusterDir, *, staged: bool) -> list[str]:
    with SqliteStore(cluster.state_db, name=cluster.name) as store:
        contents = list(store.snapshot().contents.values())
        for entry in store.undo_entries():
            whole = store.undo_entry(entry.id)
            contents += [each for side in (whole.before, whole.after) for _, each in side.contents]
        rows = store.books.imports()
        left = len(store.books.history_outbox())
    resumable = [row for row in rows if staged and not row.done and row.document is not None]
    named = {content.file for content in contents}.union(*(row.files for row in resumable))
    keys = {row.key for row in resumable}
    found = [f"disks/{name}" for name in _names(cluster.disks) if name != ".incoming" and name not in named]
    found += [f"undo/{name}" for name in _names(cluster.undo)]
    found += [f".incoming/{name}" for name in _names(cluster.incoming) if name not in keys]
    found += [f"row {row.id}" for row in rows if row not in resumable]
    missing = [f"missing {name}" for name in named if name and not (cluster.disks / name).exists()]
    return found + (missing if not resumable else []) + ["outbox"] * left


def _names(folder: Path) -> list[str]:
    return names(folder) if folder.is_dir() else []
