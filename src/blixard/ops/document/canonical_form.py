"""An examined document as our writer writes it: keys in order, counts true, digests and index made anew.

Records pass through as they are: their frames are not decoded again, and what they say was checked before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, TypeVar

from msgspec import UNSET, Struct, structs

from blixard.disks.records.pipeline import Encode
from blixard.errors import MalformedExport
from blixard.format.events import Event, ImageBegun, ImageRead, RecordRead, TelemetryRead
from blixard.format.records import encode_record, frame
from blixard.format.survey import Survey
from blixard.format.writer import ExportWriter
from blixard.limits import Limits
from blixard.model.owners import Owner, owners
from blixard.model.structs import ExportHead, ImageHead, JsonObject, Record, Vm

_TELEMETRY_FIRST = ("resourceMetrics", "resourceLogs")


T = TypeVar("T", bound=Struct)


class Encoded(Struct, frozen=True):
    """A record as it is stored: its zstd frame, None for a reference, and the text of both."""

    record: Record
    frame: bytes | memoryview | None
    line: tuple[bytes, ...]


Storing = Callable[[Iterator[Event]], Iterator[Event | Encoded]]
"""Puts in the place of each `RecordRead` what is stored of it."""


def encoding(*, compress: bool) -> Encode:
    """How records are stored in a file that is, or is not, gzip."""
    return partial(encode_record, compress=compress)


class CanonicalForm(Struct, frozen=True, kw_only=True):
    """A document, ready to be written in order as often as wanted. `heads` None: it has no `images`."""

    head: ExportHead
    vms: tuple[Vm, ...]
    telemetry: tuple[str, ...] | None
    heads: tuple[ImageHead, ...] | None
    in_order: bool
    """Telemetry and images stand in the document in the order in which they are written."""
    limits: Limits

    @property
    def sealed(self) -> bool:
        """It gets `integrity`; a template does not, because it is edited by hand."""
        return self.head.metadata.template is None

    @property
    def has_layout(self) -> bool:
        """It gets an index."""
        return self.sealed and self.heads is not None

    def write(
        self,
        look: Callable[[], Iterator[Event]],
        sink: BinaryIO,
        *,
        compress: bool,
        layout: bool = True,
        storing: Storing | None = None,
    ) -> str:
        """Write the document.

        Args:
            look: gives the original document's events; called once for each pass that is needed.
            sink: only `write` is called.
            compress: gzip.
            layout: write the index, where there is one to write.
            storing: given the events as they are to be written, when frames are not in the document itself.

        Returns:
            The document's digest.
        """
        stored = storing or partial(_from_text, encoding(compress=compress))
        with ExportWriter(
            sink,
            compress=compress,
            layout=layout and self.sealed,
            integrity=self.sealed,
            limits=self.limits,
        ) as writer:
            writer.write_state(self.head, self.vms)
            if self.telemetry is not None:
                writer.begin_telemetry()
            if self.telemetry or self.heads:
                self._copy(stored(self._streamed(look)), self.heads or (), writer)
            if self.heads == ():
                writer.begin_images()
            return writer.finish().document

    def _streamed(self, look: Callable[[], Iterator[Event]]) -> Iterator[Event]:
        """Telemetry and images in the order of the form: in one pass if they stand so, else in one for each part."""
        if self.in_order:
            yield from look()
            return
        for key in self.telemetry or ():
            yield from (event for event in look() if isinstance(event, TelemetryRead) and event.key == key)
        if self.heads:
            yield from (event for event in look() if isinstance(event, ImageBegun | RecordRead | ImageRead))

    def _copy(self, events: Iterator[Event | Encoded], heads: tuple[ImageHead, ...], writer: ExportWriter) -> None:
        for event in events:
            if isinstance(event, Encoded):
                writer.write_record(event.record, event.frame, event.line)
            elif isinstance(event, ImageBegun):
                if not event.image:
                    writer.begin_images()
                writer.begin_image(heads[event.image])
            elif isinstance(event, ImageRead):
                writer.end_image(consistency=event.tail.consistency, failed=event.tail.failed)
            elif isinstance(event, TelemetryRead):
                writer.telemetry(event.key, event.element)


def _from_text(encode: Encode, events: Iterator[Event]) -> Iterator[Event | Encoded]:
    for event in events:
        if isinstance(event, RecordRead):
            data = None if event.text is None else frame(event.text)
            yield Encoded(event.record, data, encode(event.record, data))
        else:
            yield event


def canonical_form(found: Survey, limits: Limits) -> CanonicalForm:
    """The form of a document that was read to its end.

    Raises:
        MalformedExport: a disk names an image that is another disk's.
    """
    sections = found.report.integrity.sections
    state = found.state
    metadata = structs.replace(
        state.head.metadata,
        node_count=len(state.nodes),
        vm_count=len(state.vms),
        telemetry_included="telemetry" in sections,
        images_included="images" in sections,
    )
    head = structs.replace(
        state.head,
        nodes=tuple(as_given(each.node, each.given) for each in state.nodes),
        metadata=metadata,
        unknown={**state.head.unknown, **found.late},
    )
    there = tuple(found.telemetry or ())
    known = [key for key in _TELEMETRY_FIRST if key in there]
    telemetry = (*known, *sorted(set(there).difference(known)))
    return CanonicalForm(
        head=head,
        vms=tuple(as_given(each.vm, each.given) for _, each in sorted(state.vms.items())),
        telemetry=telemetry if "telemetry" in sections else None,
        heads=_heads(found) if "images" in sections else None,
        in_order=there == telemetry and found.order != ("images", "telemetry"),
        limits=limits,
    )


def _heads(found: Survey) -> tuple[ImageHead, ...]:
    """The heads of the images, following a VM or disk that was given another name by hand."""
    whose = owners(found.state.vms)
    labels = {f"{read.head.vm}/{read.head.disk}": image for image, read in found.images.items()}
    heads = []
    dangling = []
    for image in range(len(found.images)):
        head, owner = found.images[image].head, whose.get(image)
        if owner is None or owner.label == f"{head.vm}/{head.disk}":
            heads.append(head)
        elif owner.label not in labels and _was_renamed(found, head, owner):
            heads.append(structs.replace(head, vm=owner.vm, disk=owner.name))
        else:
            dangling.append(f"`{owner.label}` names image {image}, which is `{head.vm}/{head.disk}`")
    if dangling:
        right = [f"`{each.label}` is image {labels[each.label]}" for each in whose.values() if each.label in labels]
        raise MalformedExport(
            "; ".join(dangling) + (f" ({', '.join(right)})" if right else ""),
            hint="an image was taken out or moved: correct `image` of these disks, counted from 0",
        )
    return tuple(heads)


def _was_renamed(found: Survey, head: ImageHead, owner: Owner) -> bool:
    """The VM or the disk has another name now, and nothing else has the old one."""
    return (head.vm == owner.vm or head.disk == owner.name) and not _exists(found, head)


def _exists(found: Survey, head: ImageHead) -> bool:
    """True when the document still has the disk or file that an image says it is of."""
    incoming = found.state.vms.get(head.vm)
    return incoming is not None and any(part.name == head.disk for part in incoming.vm.parts)


def as_given(value: T, given: JsonObject) -> T:
    """`value`, decoded from `given`, so that it encodes to the keys of `given` in the model's order, and no others.

    An absent key means something (a merge leaves ours, a replace keeps disks that a file does not speak of), so a file
    that is only put in order must not come out with defaults that nobody wrote.
    """
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        if name == "unknown":
            continue
        if name not in given:
            # encoders leave out what is UNSET, whatever the field's type says
            changes[name] = UNSET
        else:
            before = getattr(value, name)
            after = _nested(before, given[name])
            if after is not before:
                changes[name] = after
    return structs.replace(value, **changes) if changes else value


def _nested(value: Any, given: Any) -> Any:
    if isinstance(value, Struct):
        return as_given(value, given)
    if isinstance(value, tuple) and value and isinstance(value[0], Struct):
        return tuple(as_given(item, each) for item, each in zip(value, given, strict=True))
    return value
