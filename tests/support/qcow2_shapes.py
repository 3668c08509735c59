"""Images of every shape that QEMU makes: each builder leaves an image in a folder and returns its path."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from support.qemu import qemu_img, qemu_io

Builder = Callable[[Path], Path]
MIB = 1 << 20
ODD_SIZE = 5 * MIB + 3 * 512

WRITES = (
    "write -P 0x11 0 512",
    "write -P 0x22 65024 1024",
    "write -P 0x33 1M 300k",
    "write -z 1100k 64k",
    "write -z -u 3M 512k",
    "write -P 0x44 3200k 4k",
    "discard 1280k 32k",
    "write -P 0x55 5M 1536",
)
"""Guest writes, zeros and discards, ending with the odd tail."""


def created(options: str = "", size: int = ODD_SIZE, writes: tuple[str, ...] = WRITES) -> Builder:
    """`qemu-img create -o OPTIONS`, then guest writes."""

    def build(folder: Path) -> Path:
        image = folder / "disk.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", *(("-o", options) if options else ()), image, str(size))
        if writes:
            qemu_io(image, *writes)
        return image

    return build


def mixed_raw(path: Path, size: int = ODD_SIZE) -> Path:
    """A raw disk with random, repetitive and zero parts, written sparse."""
    rng = random.Random(size)
    with path.open("wb") as file:
        file.truncate(size)
        for at in range(0, size, 192 * 1024):
            file.seek(at)
            kind = rng.randrange(3)
            length = min(rng.randrange(512, 192 * 1024), size - at)
            if kind:
                file.write(rng.randbytes(length) if kind == 1 else (b"the same again, " * (length // 16 + 1))[:length])
    return path


def compressed(options: str, size: int = ODD_SIZE) -> Builder:
    """`qemu-img convert -c` of mixed content."""

    def build(folder: Path) -> Path:
        raw, image = mixed_raw(folder / "disk.raw", size), folder / "disk.qcow2"
        qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", *(("-o", options) if options else ()), raw, image)
        return image

    return build


def then(first: Builder, *more: Callable[[Path], object]) -> Builder:
    """Build, then do more to the image."""

    def build(folder: Path) -> Path:
        image = first(folder)
        for step in more:
            step(image)
        return image

    return build


def io(*commands: str) -> Callable[[Path], object]:
    return lambda image: qemu_io(image, *commands)


def img(verb: str, *before: str, after: tuple[str, ...] = ()) -> Callable[[Path], object]:
    return lambda image: qemu_img(verb, *before, image, *after)


def crashed(*commands: str) -> Callable[[Path], object]:
    """Guest writes by a QEMU that dies before it closes the image."""

    def run(image: Path) -> None:
        script = [part for command in (*commands, "flush", "abort") for part in ("-c", command)]
        subprocess.run(["qemu-io", "-f", "qcow2", *script, image], check=False, capture_output=True)

    return run


def over(
    base: Builder, base_format: str = "qcow2", options: str = "", size: int | None = None, writes: tuple[str, ...] = ()
) -> Builder:
    """An overlay on the image that `base` builds."""

    def build(folder: Path) -> Path:
        below = base(folder)
        below = below.rename(folder / f"base{len(list(folder.iterdir()))}.{base_format}")
        image = folder / "disk.qcow2"
        extra = ("-o", options) if options else ()
        length = (str(size),) if size is not None else ()
        qemu_img("create", "-q", "-f", "qcow2", "-b", below.name, "-F", base_format, *extra, image, *length)
        if writes:
            qemu_io(image, *writes)
        return image

    return build


def raw(size: int = ODD_SIZE) -> Builder:
    return lambda folder: mixed_raw(folder / "disk.raw", size)


OVERWRITES = ("write -P 0x66 64k 4k", "write -z 256k 256k", "write -z -u 2M 512k", "write -P 0x77 2100k 512")

SHAPES: dict[str, Builder] = {
    **{f"v2, clusters of {size}": created(f"compat=0.10,cluster_size={size}") for size in (512, 65536, 2 * MIB)},
    **{
        f"v3, clusters of {size}": created(f"cluster_size={size}")
        for size in (512, 1024, 4096, 16384, 65536, 262144, MIB, 2 * MIB)
    },
    **{
        f"extended L2, clusters of {size}": created(f"extended_l2=on,cluster_size={size}")
        for size in (16384, 65536, 131072, 2 * MIB)
    },
    **{f"refcounts of {bits} bits": created(f"refcount_bits={bits}") for bits in (1, 2, 4, 8, 32, 64)},
    **{f"preallocation {kind}": created(f"preallocation={kind}") for kind in ("metadata", "falloc", "full")},
    "preallocation and extended L2": created("preallocation=metadata,extended_l2=on"),
    "lazy refcounts": created("lazy_refcounts=on"),
    "lazy refcounts left dirty": then(created("lazy_refcounts=on"), crashed("write -P 0x12 2M 70k")),
    "nothing in it": created(size=64 * MIB, writes=()),
    "no size": created(size=0, writes=()),
    "one sector": created(size=512, writes=("write -P 0x21 0 512",)),
    "one sector more than an L2 table": created("cluster_size=512", 32768 + 512, ("write -P 9 32256 1024",)),
    "1 TiB, a little at its end": created(size=1 << 40, writes=("write -P 0x31 1023G 64k",)),
    "zlib": compressed(""),
    "zlib, v2": compressed("compat=0.10"),
    "zlib, clusters of 512": compressed("cluster_size=512", MIB + 512),
    "zlib, clusters of 4096": compressed("cluster_size=4096", MIB + 512),
    "zlib, clusters of 2 MiB": compressed("cluster_size=2097152"),
    "zlib, extended L2": compressed("extended_l2=on"),
    "zstd": compressed("compression_type=zstd"),
    "zstd, clusters of 512": compressed("compression_type=zstd,cluster_size=512", MIB + 512),
    "zstd, clusters of 2 MiB": compressed("compression_type=zstd,cluster_size=2097152"),
    "zstd, extended L2": compressed("compression_type=zstd,extended_l2=on"),
    "compressed, then written to": then(compressed(""), io(*OVERWRITES)),
    "raw below": over(raw(), "raw", writes=OVERWRITES),
    "raw below, not whole sectors": over(raw(4 * MIB + 77), "raw", writes=OVERWRITES),
    "qcow2 below": over(created(), writes=OVERWRITES),
    "compressed below": over(compressed(""), writes=OVERWRITES),
    "below is shorter": over(created(), size=9 * MIB, writes=(*OVERWRITES, "write -P 0x13 7M 4k")),
    "raw below is shorter": over(raw(2 * MIB + 1024), "raw", size=6 * MIB, writes=OVERWRITES),
    "below is longer": over(created(), size=3 * MIB + 512, writes=OVERWRITES),
    "raw below is longer": over(raw(), "raw", size=2 * MIB + 512 * 1024 + 512, writes=OVERWRITES),
    "nothing over something": over(created()),
    "three deep": over(over(created(), writes=OVERWRITES), size=8 * MIB, writes=("write -z 1M 128k",)),
    "four deep on raw": over(over(over(raw(), "raw"), writes=OVERWRITES), writes=("write -P 0x19 68k 512",)),
    "extended L2 over raw": over(
        raw(), "raw", "extended_l2=on", writes=("write -P 0x66 66k 2k", "write -z 70k 4k", "write -z -u 1M 6k")
    ),
    "v2 over v3": over(created(), options="compat=0.10", writes=OVERWRITES),
    "small clusters over large": over(created(), options="cluster_size=512", writes=OVERWRITES),
    "snapshot": then(created(), img("snapshot", "-c", "one"), io(*OVERWRITES)),
    "three snapshots": then(
        created(),
        img("snapshot", "-c", "one"),
        io(*OVERWRITES),
        img("snapshot", "-c", "zwei"),
        io("write -P 0x29 0 128k"),
        img("snapshot", "-c", "drei, mit Umlaut ä"),
    ),
    "snapshot deleted": then(created(), img("snapshot", "-c", "one"), io(*OVERWRITES), img("snapshot", "-d", "one")),
    "bitmap": then(created(), img("bitmap", "--add", "-f", "qcow2", after=("b0",)), io(*OVERWRITES)),
    "two bitmaps and a snapshot": then(
        created(),
        img("bitmap", "--add", "-f", "qcow2", after=("b0",)),
        img("bitmap", "--add", "-g", "4096", "-f", "qcow2", after=("b1",)),
        io(*OVERWRITES),
        img("snapshot", "-c", "one"),
    ),
    "grown": then(created(), img("resize", "-q", after=("9M",)), io("write -P 0x39 8M 64k")),
    "shrunk": then(created(), img("resize", "-q", "--shrink", after=("1200k",))),
    "amended from v2 to v3": then(created("compat=0.10"), img("amend", "-o", "compat=1.1"), io(*OVERWRITES)),
    "amended from v3 to v2": then(created(), img("amend", "-o", "compat=0.10"), io(*OVERWRITES)),
}
