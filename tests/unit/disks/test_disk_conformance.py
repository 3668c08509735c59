"""Every reader and writer, ours and the fakes, under the one suite of their port."""

from __future__ import annotations

from pathlib import Path

from blixard.disks.detect import open_reader, open_writer
from blixard.limits import KIB
from blixard.model.structs import DiskFormat
from blixard.ports import DiskReader, DiskWriter
from support.disk_conformance import PIECES, SIZE, ReaderConformance, WriterConformance, whole
from support.disks import MemoryDisk, MemoryWriter
from support.qemu import assert_clean, guest_bytes, needs_qemu, qemu_img


def write_raw(path: Path) -> Path:
    with path.open("wb") as file:
        for offset, piece in PIECES.items():
            file.seek(offset)
            file.write(piece)
    return path


def converted(folder: Path, *options: str) -> DiskReader:
    """A reader of the image that QEMU makes with `options`."""
    image = folder / "disk.qcow2"
    qemu_img("convert", "-f", "raw", "-O", "qcow2", *options, write_raw(folder / "disk.raw"), image)
    return open_reader(image)


class TestMemoryDisk(ReaderConformance):
    def make(self, folder: Path) -> DiskReader:
        del folder
        blocks = [at for at in range(0, SIZE, 64 * KIB) if any(whole()[at : at + 64 * KIB])]
        return MemoryDisk(whole(), [(at, min(64 * KIB, SIZE - at)) for at in blocks])


class TestRawReader(ReaderConformance):
    def make(self, folder: Path) -> DiskReader:
        return open_reader(write_raw(folder / "disk.raw"), DiskFormat.RAW)


class TestQcow2ReaderOfOurImage(ReaderConformance):
    disk_format = DiskFormat.QCOW2

    def make(self, folder: Path) -> DiskReader:
        writer = open_writer(folder / "disk.qcow2", DiskFormat.QCOW2, SIZE)
        for offset, piece in PIECES.items():
            writer.write(offset, piece)
        writer.finish()
        writer.close()
        return open_reader(folder / "disk.qcow2")


@needs_qemu
class TestQcow2ReaderOfQemusImage(ReaderConformance):
    disk_format = DiskFormat.QCOW2

    def make(self, folder: Path) -> DiskReader:
        return converted(folder)


@needs_qemu
class TestQcow2ReaderOfZlib(ReaderConformance):
    disk_format = DiskFormat.QCOW2

    def make(self, folder: Path) -> DiskReader:
        return converted(folder, "-c")


@needs_qemu
class TestQcow2ReaderOfZstdAndSubclusters(ReaderConformance):
    disk_format = DiskFormat.QCOW2

    def make(self, folder: Path) -> DiskReader:
        return converted(folder, "-c", "-o", "compression_type=zstd,extended_l2=on")


@needs_qemu
class TestQcow2ReaderOfSmallestClusters(ReaderConformance):
    disk_format = DiskFormat.QCOW2

    def make(self, folder: Path) -> DiskReader:
        return converted(folder, "-o", "cluster_size=512")


@needs_qemu
class TestQcow2ReaderOfChain(ReaderConformance):
    disk_format = DiskFormat.QCOW2

    def make(self, folder: Path) -> DiskReader:
        write_raw(folder / "base.raw")
        qemu_img("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", folder / "disk.qcow2")
        return open_reader(folder / "disk.qcow2", DiskFormat.QCOW2)


class TestMemoryWriter(WriterConformance):
    def make(self, folder: Path, size_bytes: int) -> DiskWriter:
        del folder
        self.writer_made = MemoryWriter(size_bytes)
        return self.writer_made

    def content(self, folder: Path) -> bytes:
        del folder
        assert self.writer_made.finished
        return bytes(self.writer_made.data)


class TestRawWriter(WriterConformance):
    def make(self, folder: Path, size_bytes: int) -> DiskWriter:
        (folder / "disk").unlink(missing_ok=True)
        return open_writer(folder / "disk", DiskFormat.RAW, size_bytes)

    def content(self, folder: Path) -> bytes:
        return (folder / "disk").read_bytes()


@needs_qemu
class TestQcow2Writer(WriterConformance):
    def make(self, folder: Path, size_bytes: int) -> DiskWriter:
        (folder / "disk").unlink(missing_ok=True)
        return open_writer(folder / "disk", DiskFormat.QCOW2, size_bytes)

    def content(self, folder: Path) -> bytes:
        assert_clean(folder / "disk")
        return guest_bytes(folder / "disk")
