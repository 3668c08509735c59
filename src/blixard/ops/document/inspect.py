"""What is inside an export file: quick however large it is, without a cluster, believing nothing that it proves not.

Along the index the disks are not read, so how well they deduplicate is known only from `full`; all together they are so
many bytes of data in so many bytes of file, and that is known at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, UnsetType

from blixard.format.survey import Survey
from blixard.limits import DEFAULT, Limits
from blixard.model.codec import to_object
from blixard.model.incoming import IncomingState, IncomingVm
from blixard.model.owners import owners
from blixard.model.pointer import join
from blixard.model.structs import Consistency, JsonObject
from blixard.ops.document.glance import glance_at
from blixard.ops.document.inspect_report import InspectedImage, InspectReport, Sizes, VmRow
from blixard.place import open_input
from blixard.redact import Finding, find_secrets, parse_paths

_WORST_LAST = tuple(Consistency)
_UNKNOWN_LISTED = 200


class InspectOptions(Struct, frozen=True, kw_only=True):
    """One inspection's options."""

    source: str
    """A path, or `-` for standard input."""
    full: bool = False
    """Read every record, for exact figures."""
    secrets: bool = False
    clear: bool = False
    """Show secrets as they are."""
    redact_paths: tuple[str, ...] = ()
    limits: Limits = DEFAULT


def inspect_file(options: InspectOptions) -> InspectReport:
    """Look into a file.

    Raises:
        MalformedExport, UnsupportedVersion, LimitExceeded, StorageError, UsageError: it cannot be read.
    """
    paths = parse_paths(options.redact_paths)
    found: list[Finding] = []

    def look(key: str, position: int, element: JsonObject) -> None:
        found.extend(find_secrets(element, ("telemetry", key, str(position)), paths=paths, clear=options.clear))

    with open_input(options.source) as given:
        seen = glance_at(given, options.limits, full=options.full, look=look if options.secrets else None)
        size = given.size
    secrets = (*_secrets(seen, paths, clear=options.clear), *found) if options.secrets else None
    return _report(options.source, seen, size, secrets)


def _report(place: str, seen: Survey, file_bytes: int | None, secrets: tuple[Finding, ...] | None) -> InspectReport:
    head, metadata = seen.state.head, seen.state.head.metadata
    images = tuple(_image_rows(seen))
    sizes = _sizes(seen, file_bytes)
    unknown = list(_unknown(seen))
    return InspectReport(
        place=place,
        quick=seen.quick,
        compressed=seen.report.compressed,
        version=head.version,
        exported_at=head.exported_at,
        exporter=metadata.exporter,
        cluster_name=head.cluster_name,
        cluster_id=metadata.cluster_id,
        exported_by_node=head.exported_by_node,
        revision=metadata.revision,
        provenance=metadata.provenance,
        scope=metadata.scope,
        template=_variables(metadata.template),
        redacted=metadata.redacted,
        sealed=seen.report.present,
        document=seen.document,
        edited=seen.report.edited,
        nodes=len(seen.state.nodes),
        vms=tuple(_vm_rows(seen.state.vms, images)),
        images=images,
        images_included="images" in seen.report.integrity.sections,
        sizes=sizes,
        ratio=sizes.ratio,
        dedup_ratio=sizes.dedup_ratio,
        compression_ratio=sizes.compression_ratio,
        telemetry=seen.telemetry,
        telemetry_stored_bytes=seen.telemetry_stored_bytes,
        unknown=tuple(unknown[:_UNKNOWN_LISTED]),
        unknown_count=len(unknown),
        secrets=secrets,
    )


def _image_rows(seen: Survey) -> Iterator[InspectedImage]:
    whose = owners(seen.state.vms)
    for number, image in seen.images.items():
        owner = whose.get(number)
        yield InspectedImage(
            image=number,
            vm=owner.vm if owner else image.head.vm,
            name=owner.name if owner else image.head.disk,
            named=owner is not None,
            format=image.head.format,
            size_bytes=image.head.size_bytes,
            data_bytes=image.tail.data_bytes,
            records=image.records,
            stored_bytes=image.stored_bytes,
            consistency=image.tail.consistency,
            failed=image.tail.failed,
            digest=image.tail.digest,
        )


def _vm_rows(vms: Mapping[str, IncomingVm], images: tuple[InspectedImage, ...]) -> Iterator[VmRow]:
    by_number = {row.image: row for row in images}
    for name in sorted(vms):
        vm = vms[name].vm
        held = [by_number[part.image] for part in vm.parts if not isinstance(part.image, UnsetType)]
        good = [row for row in held if row.failed is None]
        yield VmRow(
            name=name,
            id=vm.id,
            desired_state=vm.desired_state.value,
            node_id=vm.node_id,
            disks=len(vm.disks),
            files=len(vm.files),
            virtual_bytes=sum(disk.size_bytes for disk in vm.disks),
            contents=len(good),
            data_bytes=sum(row.data_bytes for row in good) if held else None,
            stored_bytes=_sum(row.stored_bytes for row in held) if held else None,
            consistency=_worst(row.consistency for row in good),
            failed=tuple(f"{row.name}: {row.failed}" for row in held if row.failed is not None),
        )


def _sizes(seen: Survey, file_bytes: int | None) -> Sizes:
    return Sizes(
        file_bytes=file_bytes,
        virtual_bytes=sum(image.head.size_bytes for image in seen.images.values()),
        data_bytes=sum(image.tail.data_bytes for image in seen.images.values()),
        unique_bytes=_sum(image.carried_bytes for image in seen.images.values()),
        frame_bytes=_sum(image.frame_bytes for image in seen.images.values()),
    )


def _worst(levels: Iterable[Consistency | None]) -> Consistency | None:
    known = [level for level in levels if level is not None]
    return max(known, key=_WORST_LAST.index) if known else None


def _sum(numbers: Iterable[int | None]) -> int | None:
    """The sum; None when one of them is not known."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def _variables(template: JsonObject | None) -> dict[str, JsonObject] | None:
    """What a template says of its variables; whatever is not an object says nothing."""
    if template is None:
        return None
    variables = template.get("variables")
    known = variables if isinstance(variables, dict) else {}
    return {name: value for name, value in known.items() if isinstance(value, dict)}


def _unknown(seen: Survey) -> Iterator[str]:
    """JSON pointers of the keys that this version does not know."""
    for at, unknown in _unknown_by_place(seen):
        if not isinstance(unknown, UnsetType):
            yield from (join((*at, key)) for key in unknown)


def _unknown_by_place(seen: Survey) -> Iterator[tuple[tuple[str | int, ...], JsonObject | UnsetType]]:
    head = seen.state.head
    yield (), {**head.unknown, **seen.late}
    yield ("metadata",), head.metadata.unknown
    for position, each in enumerate(seen.state.nodes):
        yield ("nodes", position), each.node.unknown
    for name, incoming in seen.state.vms.items():
        yield ("vms", name), incoming.vm.unknown
        for kind in ("disks", "files", "networks"):
            for position, part in enumerate(getattr(incoming.vm, kind)):
                yield ("vms", name, kind, position), part.unknown


def _secrets(seen: Survey, paths: Any, *, clear: bool) -> tuple[Finding, ...]:
    return tuple(
        finding
        for value, at in _parts(seen.state, seen.late)
        for finding in find_secrets(value, at, paths=paths, clear=clear)
    )


def _parts(state: IncomingState, late: JsonObject) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The document piece by piece, each with its place; disks are not looked into."""
    for position, node in enumerate(state.nodes):
        yield node.given, ("nodes", str(position))
    for name, vm in state.vms.items():
        yield vm.given, ("vms", name)
    yield to_object(state.head.metadata), ("metadata",)
    for key, value in (*state.head.unknown.items(), *late.items()):
        yield value, (key,)
