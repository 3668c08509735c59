"""The contest's tools: how each packs the disks, and how it brings them back.

Peers as Debian has them, with the options that serve each best: sparse files known, no encryption, zstd level 1 or
what they do by default, fixed chunks for borg because disks do not shift.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote

from msgspec import Struct

from . import ours
from .inputs import Inputs


class Tool(Struct, frozen=True, kw_only=True):
    """One way to keep the disks. Lines are shell; `unpack` runs in a new empty folder."""

    name: str
    store: Path
    pack: str
    unpack: str
    found: Callable[[Path], Mapping[str, Path]]
    """Where each disk is in that folder."""
    environment: Mapping[str, str]
    before: str = ""
    """Not timed: what is done once in a repository's life."""
    is_ours: bool = False


def disk_tools(inputs: Inputs, work: Path, data_dir: Path) -> list[Tool]:
    """Ours and all peers, for raw disks."""
    return [*our_tools(inputs.raw, work, data_dir), *_peers(inputs, work)]


def our_tools(disks: Mapping[str, Path], work: Path, data_dir: Path, label: str = "") -> list[Tool]:
    """gzip and plain, of a cluster that is made in `data_dir`."""
    ours.make_cluster(data_dir, disks)
    return [
        _ours(f"blixard gzip{label}", work / f"{data_dir.name}.json.gz", "", list(disks), data_dir),
        _ours(f"blixard plain{label}", work / f"{data_dir.name}.json", "--no-compress", list(disks), data_dir),
    ]


def _ours(name: str, store: Path, options: str, vms: list[str], data_dir: Path) -> Tool:
    def found(folder: Path) -> Mapping[str, Path]:
        return ours.restored(folder / "data", vms)

    return Tool(
        name=name,
        store=store,
        pack=f"{ours.BLIXARD} cluster export -q -o {quote(str(store))} --include-images {options}",
        unpack=f"BLIXARD_DATA_DIR=$PWD/data {ours.BLIXARD} cluster import -q -i {quote(str(store))}",
        found=found,
        environment=ours.environment(data_dir),
        is_ours=True,
    )


def _peers(inputs: Inputs, work: Path) -> list[Tool]:
    disks = quote(str(inputs.folder))
    names = " ".join(quote(path.name) for path in inputs.raw.values())
    tar, borg, restic, qcow2 = (work / name for name in ("disks.tar.zst", "borg", "restic", "qcow2"))
    environment = ours.environment(work / "home") | {
        "BORG_BASE_DIR": str(work / "borg-home"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        "RESTIC_PASSWORD": "bench",
        "RESTIC_CACHE_DIR": str(work / "restic-cache"),
    }
    sparse = "--sparse" if _knows("restic", "restore", "--sparse") else ""

    def found(folder: Path) -> Mapping[str, Path]:
        return {vm: folder / path.name for vm, path in inputs.raw.items()}

    def tool(name: str, store: Path, pack: str, unpack: str, before: str = "") -> Tool:
        return Tool(
            name=name, store=store, pack=pack, unpack=unpack, found=found, environment=environment, before=before
        )

    return [
        tool(
            "tar -S, zstd -1 -T0",
            tar,
            f"tar -S -C {disks} -cf - {names} | zstd -q -f -T0 -1 -o {tar}",
            f"zstd -q -d -c {tar} | tar -xf -",
        ),
        tool(
            "borg create, zstd,1",
            borg,
            f"cd {disks} && borg create --sparse --compression zstd,1 --chunker-params fixed,1048576 {borg}::a {names}",
            f"borg extract --sparse {borg}::a",
            before=f"borg init -e none {borg}",
        ),
        tool(
            "restic backup",
            restic,
            f"cd {disks} && restic -q -r {restic} backup {names}",
            f"restic -q -r {restic} restore latest {sparse} --target .",
            before=f"restic -q -r {restic} init",
        ),
        tool(
            "qemu-img convert -c, zstd",
            qcow2,
            _each(inputs.raw, "qemu-img convert -c -f raw -O qcow2 -o compression_type=zstd {disk} {store}", qcow2),
            _each(inputs.raw, "qemu-img convert -f qcow2 -O raw {store} {name}", qcow2),
            before=f"mkdir {qcow2}",
        ),
    ]


def qcow2_tools(inputs: Inputs, work: Path, data_dir: Path) -> list[Tool]:
    """Ours and qemu-img, for qcow2 versions of the base."""
    store = work / "qcow2-of-qcow2"
    convert = "qemu-img convert -c -f qcow2 -O qcow2 -o compression_type=zstd {disk} {store}"
    peer = Tool(
        name="qemu-img convert -c, zstd (qcow2)",
        store=store,
        before=f"mkdir {store}",
        pack=_each(inputs.qcow2, convert, store),
        unpack=_each(inputs.qcow2, "qemu-img convert -f qcow2 -O qcow2 {store} {name}", store),
        found=lambda folder: {vm: folder / path.name for vm, path in inputs.qcow2.items()},
        environment=ours.environment(work / "home"),
    )
    return [*our_tools(inputs.qcow2, work, data_dir, " (qcow2)"), peer]


def _each(disks: Mapping[str, Path], line: str, store: Path) -> str:
    """The line for every disk, one after the other: qemu-img takes one."""
    return "; ".join(
        line.format(disk=quote(str(path)), name=quote(path.name), store=quote(str(store / f"{vm}.qcow2")))
        for vm, path in disks.items()
    )


def _knows(*words: str) -> bool:
    """True when a tool's help names an option; restic has it since 0.15."""
    *command, option = words
    return option in subprocess.run([*command, "--help"], capture_output=True, text=True, check=False).stdout
