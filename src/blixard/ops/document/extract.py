"""Take one disk or file out of an export, without a cluster.

What is written is checked record by record and as a whole, and appears under its name only then: a disk that is half
there is worse than none.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, UnsetType

from blixard import files
from blixard.did_you_mean import close_names, did_you_mean
from blixard.disks.staging.single import StagedFile
from blixard.errors import DigestMismatch, NotFound, StorageError, UsageError
from blixard.home import Home
from blixard.limits import DEFAULT, Limits
from blixard.model.agreement import Shape, check_agreement, stated_shape
from blixard.model.codec import file_bytes
from blixard.model.incoming import IncomingState
from blixard.model.owners import Owner
from blixard.model.structs import ContentKind, Disk, DiskFormat, File, Vm
from blixard.ops.document.image_window import ImageContent, Window
from blixard.ops.document.scatter import SEE_VERIFY, scatter
from blixard.place import (
    check_disk,
    is_standard,
    open_input,
    open_output,
    spooled,
)
from blixard.ports import Progress
from blixard.site.signals import too_late
from blixard.site.uninterrupted import publish


class ExtractOptions(Struct, frozen=True, kw_only=True):
    """One extraction's options."""

    source: str
    """A path, or `-` for standard input."""
    what: str
    """`VM`, `VM/DISK` or `VM/FILE`."""
    output: str
    format: DiskFormat | None = None
    """None: as the document says."""
    clobber: bool = True
    """A file that is there is replaced, whole or not at all."""
    threads: int = 2
    limits: Limits = DEFAULT


class ExtractReport(Struct, frozen=True, kw_only=True):
    """What was taken out. `digest` is the image's; None for a file that stands in the VM itself."""

    place: str
    vm: str
    name: str
    kind: ContentKind
    output: str
    format: DiskFormat
    size_bytes: int
    data_bytes: int
    digest: str | None


def extract(options: ExtractOptions, *, progress: Progress, home: Home) -> ExtractReport:
    """Write one disk or file.

    Args:
        options: what and where.
        progress: told about the bytes.
        home: the data directory, which is not written into.

    Raises:
        NotFound: no such VM, or its content is not in the file.
        UsageError: a VM of several disks, or an output that makes no sense.
        RefusedError: the output is a symlink, or exists with `clobber` off.
        DigestMismatch, MalformedExport: the content is damaged; nothing was written.
    """
    with (
        open_input(options.source) as given,
        spooled(given) as source,
        Window(source, options.limits) as window,
    ):
        vm, part = _chosen(window.state, options.what)
        owner = Owner(vm.name, part.name, part.kind)
        if isinstance(part, File) and part.inline:
            return _write_inline(options, owner, part, home)
        _check_output(options, home)
        image = _image_of(owner, part)
        content = window.content(image)
        check_agreement(owner.label, stated_shape(part), image, Shape(content.head.format, content.head.size_bytes))
        return _write_image(options, window, owner, content, progress=progress, home=home)


def _chosen(state: IncomingState, what: str) -> tuple[Vm, Disk | File]:
    name, slash, wanted = what.partition("/")
    incoming = state.vms.get(name)
    if incoming is None:
        hint = did_you_mean(close_names(name, state.vms), otherwise="`blixard cluster inspect` lists the VMs")
        raise NotFound(f"no VM `{name}` in the file", hint=hint)
    vm = incoming.vm
    if not slash:
        return vm, _only_disk(vm)
    parts = {part.name: part for part in reversed(vm.parts)}  # a disk wins over a file of its name
    part = parts.get(wanted) or parts.get(wanted.removeprefix("file:"))
    if part is None:
        raise NotFound(f"VM `{name}` has no disk or file `{wanted}`", hint=f"it has {_listed(vm)}")
    return vm, part


def _only_disk(vm: Vm) -> Disk:
    if len(vm.disks) == 1:
        return vm.disks[0]
    if not vm.disks:
        raise NotFound(f"VM `{vm.name}` has no disk", hint=f"it has {_listed(vm)}" if vm.files else None)
    raise UsageError(f"VM `{vm.name}` has {len(vm.disks)} disks", hint=f"name one: {_listed(vm)}")


def _listed(vm: Vm) -> str:
    names = [f"`{vm.name}/{part.name}`" for part in vm.parts]
    return ", ".join(names[:12]) + (" ..." if len(names) > 12 else "") if names else "none"


def _image_of(owner: Owner, part: Disk | File) -> int:
    if isinstance(part.image, UnsetType):
        raise NotFound(
            f"the content of `{owner.label}` is not in the file",
            hint="it was exported without `--include-images`",
        )
    return part.image


def _write_inline(options: ExtractOptions, owner: Owner, file: File, home: Home) -> ExtractReport:
    """A file that stands in the document itself; it may go to standard output too."""
    if not is_standard(options.output):
        _check_output(options, home)
    content = file_bytes(file) or b""
    with open_output(options.output, home=home) as output:
        output.file.write(content)
        publish(output)
    return _report(options, owner, DiskFormat.RAW, size_bytes=len(content), data_bytes=len(content), digest=None)


def _write_image(
    options: ExtractOptions,
    window: Window,
    owner: Owner,
    content: ImageContent,
    *,
    progress: Progress,
    home: Home,
) -> ExtractReport:
    head, tail = content.head, content.tail
    if tail.failed is not None:
        raise NotFound(f"`{owner.label}` is not in the file: the export could not read it: {tail.failed}")
    if not content.whole:
        raise DigestMismatch(
            f"`{owner.label}` does not match its digest: it was edited, or records were lost", hint=SEE_VERIFY
        )
    shape = options.format or head.format
    if shape is not DiskFormat.RAW and head.size_bytes % 512:
        raise UsageError(
            f"a {shape} disk has whole sectors, `{owner.label}` has {head.size_bytes} bytes", hint="`--format raw`"
        )
    target = Path(options.output)
    _check_space(target.parent, tail.data_bytes)
    progress.expect(tail.data_bytes)
    progress.begin(owner.label, tail.data_bytes)
    with StagedFile(target, shape, head.size_bytes, journal=home.journal_here) as staged:
        scatter(window, content, staged.writer, threads=options.threads, limits=options.limits, progress=progress)
        too_late()
        staged.commit()
    progress.end()
    return _report(options, owner, shape, size_bytes=head.size_bytes, data_bytes=tail.data_bytes, digest=tail.digest)


def _report(
    options: ExtractOptions, owner: Owner, shape: DiskFormat, *, size_bytes: int, data_bytes: int, digest: str | None
) -> ExtractReport:
    return ExtractReport(
        place=options.source,
        vm=owner.vm,
        name=owner.name,
        kind=owner.kind,
        output=options.output,
        format=shape,
        size_bytes=size_bytes,
        data_bytes=data_bytes,
        digest=digest,
    )


def _check_output(options: ExtractOptions, home: Home) -> None:
    if is_standard(options.output):
        raise UsageError("a disk is not written front to back, so it cannot go to standard output", hint="`-o FILE`")
    check_disk(options.output, clobber=options.clobber, home=home, apart_from=[options.source])


def _check_space(folder: Path, needed: int) -> None:
    free = files.free_bytes(folder)
    if needed > free:
        raise StorageError(f"not enough space in `{folder}`: the disk holds {needed} bytes, {free} are free")
