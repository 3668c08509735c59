"""Hostile qcow2 images, one failure each: what is wrong, how it is made from a valid image, and what must be said."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard
from msgspec import Struct

from blixard.errors import ExitCode, ExportFileError, LimitExceeded, MalformedExport
from support.qcow2_builder import (
    CLUSTER,
    COPIED,
    DATA,
    END,
    L1,
    L2,
    PACKED,
    REFCOUNT_BLOCK,
    REFCOUNT_TABLE,
    ImageBuilder,
)

Build = Callable[[Path], Path]


class Vector(Struct, frozen=True):
    """One image: its builder, and the error that reading it must raise, with `says` somewhere in the message."""

    name: str
    build: Build
    says: str
    error: type[ExportFileError] = MalformedExport
    exit_code: ExitCode = ExitCode.MALFORMED


def image() -> ImageBuilder:
    return ImageBuilder()


def deflated(data: bytes, window_bits: int = -12) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes, *, content_size: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=content_size).compress(data)


def in_file(builder: ImageBuilder) -> Build:
    return lambda folder: builder.save(folder / "disk.qcow2")


NOISE = random.Random(5).randbytes(CLUSTER)
SNAPSHOT_AT = END
BITMAPS = 0x23852875


def snapshot(**changes: int) -> ImageBuilder:
    """One snapshot in its table at the end, whose L1 table follows; `changes` to its fields."""
    values = {"l1": END + CLUSTER, "l1_entries": 1, "id": 1, "name": 3, "extra": 16} | changes
    entry = struct.pack(
        ">QIHHIIQII", values["l1"], values["l1_entries"], values["id"], values["name"], 0, 0, 0, 0, values["extra"]
    )
    builder = image().put(SNAPSHOT_AT, entry + bytes(16) + b"1one").put(END + CLUSTER, bytes(CLUSTER))
    return builder.fields(snapshots=1, snapshots_offset=SNAPSHOT_AT)


def bitmaps(directory_bytes: int, offset: int, *, reserved: int = 0) -> ImageBuilder:
    return image().extension(BITMAPS, struct.pack(">IIQQ", 1, reserved, directory_bytes, offset)).fields(autoclear=1)


def second_l2(offset: int) -> ImageBuilder:
    """Two L1 entries, the second as given."""
    return image().fields(l1_entries=2).word(L1 + 8, offset | COPIED)


HEADERS: dict[str, tuple[ImageBuilder, str]] = {
    "nothing but a magic": (image().cut(4), "no complete qcow2 header"),
    "cut one byte before the end of a version 2 header": (image().cut(71), "no complete qcow2 header"),
    "version 3 cut inside its header": (image().cut(103), "ends inside its header"),
    "version 0": (image().fields(version=0), "version 0"),
    "version 1": (image().fields(version=1), "version 1"),
    "version 4": (image().fields(version=4), "version 4"),
    "clusters too small": (image().fields(cluster_bits=8), "cluster_bits 8"),
    "clusters too large": (image().fields(cluster_bits=22), "cluster_bits 22"),
    "cluster bits that overflow a shift": (image().fields(cluster_bits=0xFFFF_FFFF), "cluster_bits 4294967295"),
    "encrypted with AES": (image().fields(encryption=1), "encrypted"),
    "encrypted with LUKS": (image().fields(encryption=2), "encrypted"),
    "marked corrupt": (image().fields(incompatible=2), "marked corrupt"),
    "external data file": (image().fields(incompatible=4), "data in another file"),
    "unknown incompatible bit 5": (image().fields(incompatible=32), "features that are not known"),
    "unknown incompatible bit 63": (image().fields(incompatible=1 << 63), "features that are not known"),
    "unknown compression": (image().fields(incompatible=8, compression=2), "compression type 2"),
    "zstd without its bit": (image().fields(compression=1), "feature bit says otherwise"),
    "zlib with the bit of others": (image().fields(incompatible=8), "feature bit says otherwise"),
    "compression bit without a type": (
        image().fields(incompatible=8, compression=1, header_length=104),
        "feature bit says otherwise",
    ),
    "refcounts of 128 bits": (image().fields(refcount_order=7), "refcount_order 7"),
    "no header length": (image().fields(header_length=0), "header_length of 0"),
    "header length of version 2": (image().fields(header_length=72), "header_length of 72"),
    "header length not in eights": (image().fields(header_length=109), "header_length of 109"),
    "header longer than its cluster": (image().fields(header_length=CLUSTER + 8), "header_length of 4104"),
    "header length that overflows": (image().fields(header_length=0xFFFF_FFF8), "header_length of 4294967288"),
    "extended L2 with small clusters": (image().fields(incompatible=16), "extended L2"),
}

TABLES: dict[str, tuple[ImageBuilder, str]] = {
    "L1 over 32 MiB": (image().fields(l1_entries=(32 << 20) // 8 + 1), "L1 table of 33554440 bytes"),
    "L1 too small for the size": (image().fields(size=3 << 20), "too few for its size"),
    "L1 of nothing": (image().fields(l1_entries=0), "too few for its size"),
    "L1 not at a cluster's beginning": (image().fields(l1_offset=L1 + 512), "L1 table at 12800"),
    "L1 beyond the end": (image().fields(l1_offset=END), "beyond its end"),
    "L1 at the end of the number range": (image().fields(l1_offset=2**64 - CLUSTER), "beyond its end"),
    "L1 runs out of the file": (image().fields(l1_entries=4 << 20), "beyond its end"),
    "L1 entry with low reserved bits": (image().word(L1, L2 | 1), "reserved bits set in entry 0 of its L1"),
    "L1 entry with high reserved bits": (image().word(L1, L2 | 1 << 60), "reserved bits set in entry 0 of its L1"),
    "no refcount table": (image().fields(refcount_table_clusters=0), "no refcount table"),
    "refcount table over 8 MiB": (image().fields(refcount_table_clusters=2049), "8388608 is the most"),
    "refcount table not at a cluster's beginning": (image().fields(refcount_table_offset=8), "refcount table at 8"),
    "refcount table beyond the end": (image().fields(refcount_table_offset=1 << 50), "beyond its end"),
    "refcount block with reserved bits": (image().word(REFCOUNT_TABLE + 8, 1), "reserved bits set in entry 1"),
    "refcount block not at a cluster's beginning": (image().word(REFCOUNT_TABLE + 8, 512), "entry 1 of its refcount"),
    "refcount block beyond the end": (image().word(REFCOUNT_TABLE + 8, END), "refcount block at 32768, beyond"),
    "too many snapshots": (image().fields(snapshots=65537, snapshots_offset=END), "65537 snapshots"),
    "snapshot table not at a cluster's beginning": (snapshot().fields(snapshots_offset=END + 8), "snapshot table at"),
    "snapshot table beyond the end": (snapshot().fields(snapshots_offset=1 << 40), "ends inside entry 0"),
    "no snapshots, in a table not at a cluster's beginning": (
        image().fields(snapshots_offset=END + 8),
        "snapshot table at",
    ),
    "more snapshots than table": (snapshot().fields(snapshots=40_000), "ends inside entry"),
    "snapshot with a megabyte of extra data": (snapshot(extra=1 << 20), "ends inside entry 0"),
    "snapshot name that runs out of the file": (snapshot(name=0xFFFF), "ends inside entry 0"),
    "snapshot L1 over 32 MiB": (snapshot(l1_entries=0xFFFF_FFFF), "snapshot 0 with 4294967295"),
    "snapshot L1 not at a cluster's beginning": (snapshot(l1=END + 8), "snapshot 0"),
    "snapshot L1 beyond the end": (snapshot(l1=1 << 62), "snapshot L1 table at"),
    "extension runs over the header's cluster": (
        image().extension(0x1234, b"", length=CLUSTER),
        "runs over its end",
    ),
    "extension cut by the backing name": (image().backing(b"base").fields(backing_offset=132), "within 8 bytes"),
    "extension length that overflows": (image().extension(0x1234, b"", length=0xFFFF_FFFF), "runs over its end"),
    "extension runs into the backing name": (
        image().backing(b"base").extension(0x1234, b"", length=1000),
        "runs over its end",
    ),
    "extension runs into where no backing name is": (
        image().fields(backing_offset=1024).extension(0x1234, b"", length=1000),
        "runs over its end",
    ),
    "encryption extension": (image().extension(0x0537BE77, bytes(16)), "is encrypted"),
    "data file extension": (image().extension(0x44415441, b"/etc/shadow"), "external data file"),
    "backing format twice": (
        image().backing(b"base").extension(0xE2792ACA, b"qcow2\0\0\0", at=128),
        "0xe2792aca twice",
    ),
    "bitmaps extension too short": (image().extension(BITMAPS, bytes(23)), "bitmaps extension of 23 bytes"),
    "bitmaps extension with reserved bits": (bitmaps(8, END, reserved=1), "bitmaps extension"),
    "bitmap directory beyond the end": (bitmaps(1 << 30, END), "bitmap directory at"),
}

OVERLAPS: dict[str, tuple[ImageBuilder, str]] = {
    "L1 in the header": (image().fields(l1_offset=0).put(0, image().fields(l1_offset=0).bytes()[:112]), "L1"),
    "L1 is the refcount table": (image().fields(l1_offset=REFCOUNT_TABLE), "overlapping"),
    "refcount table in the header": (image().fields(refcount_table_offset=0), "refcount table"),
    "refcount block is the L1 table": (image().word(REFCOUNT_TABLE + 8, L1), "overlapping"),
    "refcount block is the L2 table": (image().word(REFCOUNT_TABLE + 8, L2), "overlapping"),
    "refcount block is used twice": (image().word(REFCOUNT_TABLE + 8, REFCOUNT_BLOCK), "refcount block at 8192 twice"),
    "L2 is the L1 table": (image().word(L1, L1 | COPIED), "overlapping"),
    "L2 is the refcount table": (image().word(L1, REFCOUNT_TABLE | COPIED), "overlapping"),
    "L2 is a refcount block": (image().word(L1, REFCOUNT_BLOCK | COPIED), "overlapping"),
    "L2 is used twice": (second_l2(L2), "uses the L2 table at 16384 twice"),
    "L2 beyond the end": (second_l2(END), "L2 table at 32768, beyond"),
    "L2 cut by the end": (second_l2(END).put(END, bytes(CLUSTER - 1)), "L2 table at 32768, beyond"),
    "L2 not at a cluster's beginning": (second_l2(L2 + 512), "entry 1 of its L1 table"),
    "snapshot table is the refcount table": (
        image().fields(snapshots=1, snapshots_offset=REFCOUNT_TABLE),
        "overlapping",
    ),
    "snapshot L1 is the L2 table": (snapshot(l1=L2), "overlapping"),
    "snapshot L1 runs into the refcount table": (snapshot(l1=0, l1_entries=513), "overlapping"),
    "bitmap directory is the L1 table": (bitmaps(8, L1), "overlapping"),
    "data in the refcount table": (image().entry(1, REFCOUNT_TABLE | COPIED), "inside its metadata"),
    "data in a refcount block": (image().entry(1, REFCOUNT_BLOCK | COPIED), "inside its metadata"),
    "data in the L1 table": (image().entry(1, L1 | COPIED), "inside its metadata"),
    "data in its own L2 table": (image().entry(1, L2 | COPIED), "inside its metadata"),
    "data in the snapshot table": (snapshot().entry(1, END | COPIED), "inside its metadata"),
    "zero cluster kept in the L1 table": (image().entry(1, L1 | 1), "inside its metadata"),
    "compressed cluster in the header": (image().descriptor(1, 64, 0), "inside its metadata"),
    "compressed cluster runs into metadata": (
        second_l2(END).put(END, bytes(CLUSTER)).descriptor(1, END - 100, 1),
        "inside its metadata",
    ),
}

ENTRIES: dict[str, tuple[ImageBuilder, str]] = {
    "data beyond the end": (image().entry(1, END | COPIED), "beyond the end of the file"),
    "data at the end of the offset range": (image().entry(1, 0x00FF_FFFF_FFFF_F000), "beyond the end of the file"),
    "data not at a cluster's beginning": (image().entry(1, (DATA + 512) | COPIED), "not at a cluster's beginning"),
    "low reserved bits in an L2 entry": (image().entry(1, DATA | 2), "reserved bits set in an L2 entry"),
    "high reserved bits in an L2 entry": (image().entry(1, DATA | 1 << 56), "reserved bits set in an L2 entry"),
    "zero flag in version 2": (image().fields(version=2).entry(1, 1), "reserved bits set in an L2 entry"),
    "compressed cluster beyond the end": (image().descriptor(1, END, 0), "beyond the end of the file"),
    "compressed cluster cut by the end": (image().descriptor(1, END - 512, 1), "beyond the end of the file"),
    "compressed cluster at the end of the offset range": (
        image().descriptor(1, (1 << 58) - 1, 15),
        "beyond the end of the file",
    ),
    "subcluster both allocated and zero": (
        image().extended(4 * DATA | COPIED, 1 << 32 | 1),
        "both allocated and zero",
    ),
    "allocated subcluster nowhere": (image().extended(0, 1), "nowhere"),
    "zero flag beside a subcluster bitmap": (image().extended(4 * DATA | 1, 1), "reserved bits set in an L2 entry"),
    "bitmap beside a compressed cluster": (image().extended(PACKED | 4 * DATA, 1), "beside a compressed cluster"),
}

STREAMS: dict[str, tuple[ImageBuilder, str]] = {
    "deflate of noise": (image().packed(b"\xff" * 600), "does not decompress"),
    "deflate of too little": (image().packed(deflated(NOISE[:-1])), "decompresses to 4095 bytes"),
    "deflate of too much": (image().packed(deflated(NOISE + b"x")), "more than 4096"),
    "deflate of nothing": (image().packed(deflated(b"")), "decompresses to 0 bytes"),
    "deflate bomb": (image().packed(deflated(bytes(3 << 20))), "more than 4096"),
    "deflate cut short": (image().packed(deflated(NOISE)[:2000].ljust(2048, b"\0")), "compressed cluster at"),
    "deflate with a zlib header": (image().packed(zlib.compress(NOISE)), "compressed cluster at"),
    "zstd of noise": (image().packed(NOISE[:600], zstd=True), "not a zstd frame"),
    "zstd of too little": (image().packed(zstd(NOISE[:-1]), zstd=True), "declares 4095 bytes"),
    "zstd of too little, not declared": (
        image().packed(zstd(NOISE[:-1], content_size=False), zstd=True),
        "decompresses to 4095 bytes",
    ),
    "zstd of too much": (image().packed(zstd(NOISE + b"x"), zstd=True), "declares 4097 bytes"),
    "zstd bomb": (image().packed(zstd(bytes(64 << 20)), zstd=True), "declares 67108864 bytes"),
    "zstd bomb, not declared": (
        image().packed(zstd(bytes(64 << 20), content_size=False), zstd=True),
        "does not decompress",
    ),
    "zstd cut short": (image().packed(zstd(NOISE)[:1000], zstd=True, at=END - 1000), "compressed cluster at"),
    "zstd skippable frame first": (
        image().packed(struct.pack("<II", 0x184D2A50, 8) + bytes(8) + zstd(b"s" * CLUSTER), zstd=True),
        "not a zstd frame",
    ),
    "zstd with a dictionary": (
        image().packed(b"\x28\xb5\x2f\xfd\x63\x01\x00\x00\x00" + b"\x00\x0f" + bytes(20), zstd=True),
        "dictionary",
    ),
    "zstd that wants a window of 2 GiB": (
        image().packed(b"\x28\xb5\x2f\xfd\x00" + b"\xa8" + b"\x01\x00\x00" + bytes(20), zstd=True),
        "wants a window of 2147483648 bytes",
    ),
}


def repeated_cluster(folder: Path) -> Path:
    """One cluster of 64 KiB, mapped 8,192 times: half a gigabyte of guest data in a file of 384 KiB."""
    big = 1 << 16
    builder = ImageBuilder().fields(
        cluster_bits=16, size=512 << 20, l1_offset=2 * big, refcount_table_offset=big, header_length=112
    )
    builder.put(big, bytes(CLUSTER)).put(4 * big, b"x" * big).put(6 * big - 1, b"\0")
    builder.put(REFCOUNT_TABLE, bytes(7 * CLUSTER))
    builder.word(2 * big, 3 * big | COPIED)
    builder.put(3 * big, struct.pack(">Q", 4 * big) * 8192)
    return builder.save(folder / "disk.qcow2")


def chained(names: list[str], last: bytes) -> Build:
    """Images that each name the next, and the last `last`."""

    def build(folder: Path) -> Path:
        for name, below in zip(names, [*(n.encode() for n in names[1:]), last], strict=True):
            image().backing(below, b"qcow2").save(folder / name)
        return folder / names[0]

    return build


def beside(name: bytes, *, other: str = "base", image_format: bytes | None = b"raw") -> Build:
    """An image that names `name`, in a folder with the file `other` and a symlink and a folder symlink to it."""

    def build(folder: Path) -> Path:
        inner = folder / "inner"
        inner.mkdir()
        (inner / other).write_bytes(bytes(CLUSTER))
        (folder / "outside").write_bytes(b"secret" * 100)
        (inner / "link").symlink_to(other)
        (inner / "up").symlink_to(folder, target_is_directory=True)
        return image().backing(name, image_format).save(inner / "disk.qcow2")

    return build


BACKING: dict[str, tuple[Build, str]] = {
    "backing name of 1024 bytes": (in_file(image().backing(b"x" * 1024)), "name of 1024 bytes"),
    "backing name in the header's fields": (in_file(image().backing(b"b").fields(backing_offset=64)), "outside"),
    "backing name beyond the first cluster": (in_file(image().backing(b"b").fields(backing_offset=5000)), "outside"),
    "backing name across the cluster's end": (
        in_file(image().backing(b"base").fields(backing_offset=CLUSTER - 2)),
        "outside",
    ),
    "backing name at the end of the number range": (
        in_file(image().backing(b"base").fields(backing_offset=2**64 - 2)),
        "outside",
    ),
    "backing name of nothing, nowhere": (in_file(image().fields(backing_offset=1 << 40)), "outside"),
    "backing json": (beside(b'json:{"driver":"file","filename":"/etc/shadow"}'), "not a plain path"),
    "backing URL": (beside(b"https://example.org/x"), "not a plain path"),
    "backing nbd": (beside(b"nbd:unix:/run/x"), "not a plain path"),
    "backing with a protocol": (beside(b"file:base"), "not a plain path"),
    "backing fat folder": (beside(b"fat:rw:inner"), "not a plain path"),
    "backing with a NUL": (beside(b"base\0.raw"), "not a plain path"),
    "backing absolute": (beside(b"/etc/shadow"), "not beneath"),
    "backing that climbs": (beside(b"../outside"), "not beneath"),
    "backing that climbs later": (beside(b"x/../../outside"), "not beneath"),
    "backing is its folder": (beside(b"."), "not beneath"),
    "backing through a symlink": (beside(b"link"), "symlink"),
    "backing through a symlinked folder": (beside(b"up/outside"), "symlink"),
    "backing without a format": (beside(b"base", image_format=None), "does not name the format"),
    "backing in a format that is not ours": (beside(b"base", image_format=b"vmdk"), "format `vmdk`"),
    "backing with an escape sequence": (beside(b"\x1b]0;x\x07/../../y"), "\\x1b]0;x\\x07"),
    "backing qcow2 that is none": (beside(b"base", image_format=b"qcow2"), "no complete qcow2 header"),
    "backing is the image itself": (chained(["disk"], b"disk"), "its own backing file"),
    "backing cycle of three": (chained(["a", "b", "c"], b"a"), "its own backing file"),
    "chain of seventeen": (chained([f"n{n}" for n in range(17)], b"end"), "longer than 16 images"),
    "mapped over and over": (repeated_cluster, "stores more than"),
}


def vectors() -> Iterator[Vector]:
    """All of them."""
    for group in (HEADERS, TABLES, OVERLAPS, ENTRIES, STREAMS):
        for name, (builder, says) in group.items():
            yield Vector(name, in_file(builder), says)
    for name, (build, says) in BACKING.items():
        yield Vector(name, build, says)
    for name, size in (("size over the limit", (64 << 40) + 512), ("size of all ones", 2**64 - 1)):
        yield Vector(name, in_file(image().fields(size=size)), "limits.disk_bytes", LimitExceeded, ExitCode.LIMIT)


VECTORS = {vector.name: vector for vector in vectors()}
