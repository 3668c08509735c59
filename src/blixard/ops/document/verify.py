"""Verify an export file without a cluster: structure, every digest, every record decoded.

A backup is damaged when somebody needs it, so the report does not end at the first fault: it says which VMs are intact,
and how to get just those.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from msgspec import Struct

from blixard.disks.records.verify import Damage
from blixard.errors import DigestMismatch, ExitCode, MalformedExport
from blixard.format.events import IntegrityReport
from blixard.limits import DEFAULT, Limits
from blixard.model.agreement import Shape, check_agreement, stated_shape
from blixard.model.owners import Owner, linked, owners
from blixard.ops.document.examine import Examined, examine, expect_data, starts_as_gzip
from blixard.ops.document.rescue import Rescue, rescue_commands
from blixard.place import open_input
from blixard.ports import Input, Progress
from blixard.site.silence import SILENT

_THREADS = min(4, os.cpu_count() or 1)


class VerifyOptions(Struct, frozen=True, kw_only=True):
    """One verification's options."""

    source: str
    """A path, or `-` for standard input."""
    allow_edited: bool = False
    """Edited sections of a plain file are no failure. Damaged content always is."""
    threads: int = _THREADS
    limits: Limits = DEFAULT


class ImageVerdict(Struct, frozen=True, kw_only=True):
    """One image. `damaged` says what is wrong with it; `failed` that the export could not read its disk."""

    image: int
    vm: str
    disk: str
    data_bytes: int
    damaged: str | None = None
    failed: str | None = None
    malformed: bool = False
    """It is whole, and not the disk that names it."""


class VmVerdict(Struct, frozen=True, kw_only=True):
    """A VM that cannot be brought back whole from this file, and which of its disks and files are why."""

    vm: str
    contents: tuple[str, ...]


class VerifyReport(Struct, frozen=True, kw_only=True):
    """What a verification found. `intact` is the whole answer; the rest says why not, and what is good nevertheless."""

    place: str
    intact: bool
    compressed: bool
    sealed: bool
    """The file has `integrity`."""
    document: str | None
    """Computed digest of the document; None when its end was not reached."""
    problem: str | None
    """Where and why the file cannot be read further."""
    edited: tuple[str, ...]
    """Sections that are not what `integrity` says."""
    images: tuple[ImageVerdict, ...]
    vms_intact: tuple[str, ...]
    vms_damaged: tuple[VmVerdict, ...]
    vms_incomplete: tuple[VmVerdict, ...]
    """VMs with a disk that the export could not read: what is in the file is good, not all of it is in the file."""
    records: int
    data_bytes: int
    restore: tuple[str, ...]
    """Command lines that bring back what is intact; empty when everything or nothing is."""
    exit_code: ExitCode


def verify_file(options: VerifyOptions, *, progress: Progress) -> VerifyReport:
    """Verify a file.

    Raises:
        MalformedExport: it ends or breaks before there is a VM to tell about.
        UnsupportedVersion, LimitExceeded, StorageError, UsageError: as reading it says.
    """
    with open_input(options.source) as given:
        expect_data(given, options.limits, progress)
        compressed = starts_as_gzip(given.stream)
        found = examine(
            given.stream,
            threads=options.threads,
            limits=options.limits,
            progress=progress,
            skip_damaged=True,
        )
        return _report(options, found, compressed=compressed)


def verify_written(given: Input) -> None:
    """Read a finished export back: what `export --verify` does before it has its name (`Output.commit`).

    Raises:
        MalformedExport, DigestMismatch: the file is not what was written.
        StorageError: it cannot be read.
    """
    found = examine(given.stream, threads=_THREADS, limits=DEFAULT, progress=SILENT)
    if found.problem is not None:
        raise found.problem
    if found.damage:
        first = found.damage[0]
        raise DigestMismatch(
            f"read back from the disk, image {first.image} is damaged: {_where(first)}", hint=_BAD_DISK
        )
    if found.seal is not None and found.seal.present and not found.seal.intact:
        raise DigestMismatch("read back from the disk, the export is not what was written", hint=_BAD_DISK)


_BAD_DISK = "the disk, its cable or the memory of this machine loses data: write to another one and check them"


def _report(options: VerifyOptions, found: Examined, *, compressed: bool) -> VerifyReport:
    whose = owners(found.state.vms)
    images = tuple(_verdicts(found, whose))
    damaged = _by_vm(found, whose, {verdict.image for verdict in images if verdict.damaged})
    incomplete = _by_vm(found, whose, {verdict.image for verdict in images if verdict.failed and not verdict.damaged})
    bad = {verdict.vm for verdict in (*damaged, *incomplete)}
    seal = found.seal
    exit_code = _exit_code(options, found, images, whole=not incomplete)
    intact_vms = tuple(name for name in sorted(found.state.vms) if name not in bad)
    rescue = Rescue(
        source=options.source,
        readable=found.problem is None,
        accept_edited=bool(seal and seal.edited and seal.compressed and not seal.only_images),
        intact=intact_vms,
        damaged=tuple(verdict.vm for verdict in damaged),
        contents=tuple(_good_contents(found, whose, images)),
    )
    return VerifyReport(
        place=options.source,
        intact=exit_code is ExitCode.DONE and not (seal and seal.edited),
        compressed=compressed,
        sealed=seal is not None and seal.present,
        document=None if seal is None else seal.document,
        problem=None if found.problem is None else found.problem.message,
        edited=() if seal is None or seal.only_images else seal.edited,
        images=images,
        vms_intact=intact_vms,
        vms_damaged=damaged,
        vms_incomplete=incomplete,
        records=found.records,
        data_bytes=found.data_bytes,
        restore=rescue_commands(rescue) if found.problem or any(verdict.damaged for verdict in images) else (),
        exit_code=exit_code,
    )


def _verdicts(found: Examined, whose: dict[int, Owner]) -> Iterator[ImageVerdict]:
    """One verdict for each image that was read or lost, or that a VM names."""
    first: dict[int, Damage] = {}
    for damage in found.damage:
        first.setdefault(damage.image, damage)
    stated = set(found.seal.damaged_images) if found.seal else set()
    others = _other_disks(found)
    for image in sorted(found.images.keys() | whose.keys() | found.lost):
        read = found.images.get(image)
        if read is None:
            owner = whose.get(image, Owner("-", str(image)))
            yield ImageVerdict(
                image=image, vm=owner.vm, disk=owner.name, data_bytes=0, damaged=_not_reached(first, image)
            )
            continue
        why = None
        if image in first:
            why = _where(first[image])
        elif image in found.damaged_images:
            why = "a record is damaged"
        elif not read.whole or image in stated:
            why = "its digest does not match: it was edited, or records were lost"
        elif image in others:
            why = others[image]
        yield ImageVerdict(
            image=image,
            vm=read.head.vm,
            disk=read.head.disk,
            data_bytes=read.tail.data_bytes,
            damaged=why,
            failed=read.tail.failed,
            malformed=why is not None and why == others.get(image),
        )


def _other_disks(found: Examined) -> dict[int, str]:
    """Images that are another disk than the one that names them, and how they differ."""
    differ = {}
    for image, owner, part in linked(found.state.vms):
        read = found.images.get(image)
        if read is None:
            continue
        try:
            check_agreement(owner.label, stated_shape(part), image, Shape(read.head.format, read.head.size_bytes))
        except MalformedExport as problem:
            differ[image] = problem.message
    return differ


def _not_reached(first: dict[int, Damage], image: int) -> str:
    return _where(first[image]) if image in first else "it was not read to its end"


def _where(damage: Damage) -> str:
    place = "" if damage.offset is None else f" (offset {damage.offset})"
    return f"record {damage.position}{place}: {damage.problem}"


def _by_vm(found: Examined, whose: dict[int, Owner], bad: set[int]) -> tuple[VmVerdict, ...]:
    contents: dict[str, list[str]] = {}
    for image in sorted(bad & whose.keys()):
        contents.setdefault(whose[image].vm, []).append(whose[image].name)
    return tuple(
        VmVerdict(vm=name, contents=tuple(contents[name])) for name in sorted(found.state.vms) if name in contents
    )


def _good_contents(
    found: Examined, whose: dict[int, Owner], images: tuple[ImageVerdict, ...]
) -> Iterator[tuple[Owner, str]]:
    """Each content that is whole, with the ending that a file of it would have."""
    for verdict in images:
        if verdict.image in whose and not verdict.damaged and not verdict.failed:
            yield whose[verdict.image], found.images[verdict.image].head.format.value


def _exit_code(options: VerifyOptions, found: Examined, images: tuple[ImageVerdict, ...], *, whole: bool) -> ExitCode:
    if found.problem is not None:
        return found.problem.exit_code
    if any(verdict.malformed for verdict in images):
        return ExitCode.MALFORMED
    if any(verdict.damaged for verdict in images):
        return ExitCode.DIGEST_MISMATCH
    seal = found.report
    if _unacceptable(seal, allow_edited=options.allow_edited):
        return ExitCode.DIGEST_MISMATCH
    return ExitCode.DONE if seal.present and whole else ExitCode.PARTIAL


def _unacceptable(seal: IntegrityReport, *, allow_edited: bool) -> bool:
    """Only a plain file can have been edited by hand with intent."""
    if not seal.present or seal.intact:
        return False
    return seal.compressed or not allow_edited
