"""Reads a whole export document as events, in one pass, with bounded memory, whatever the order of its keys.

Checks syntax, limits, versions and required keys. What digests mean for an import is policy and stands in ops; what
references refer to is content and stands in disks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from blixard.errors import DigestMismatch, MalformedExport
from blixard.format.cursor import Cursor
from blixard.format.digests import LinesDigest, SectionDigests
from blixard.format.elements import element
from blixard.format.envelope import MAGIC, ByteSource, MemberDamaged, TextSource, open_text
from blixard.format.events import DocumentEnd, Event, IntegrityReport, StateRead, TelemetryRead
from blixard.format.hunt import find_value
from blixard.format.images import ImagesReader
from blixard.format.layout import read_index_section, read_tables
from blixard.format.lossy import START, LossyImages
from blixard.format.seal import Claim, damaged, differences, only_images, read_claim
from blixard.format.state import StateReader, supported, unsupported
from blixard.limits import DEFAULT, MIB, Limits
from blixard.model.incoming import IncomingState

_BOM = b"\xef\xbb\xbf"
_START_BYTES = 16
_HINT = "`import --skip-damaged` brings the disks that are whole; `blixard cluster verify FILE` names them"


def read_export(stream: ByteSource, *, limits: Limits = DEFAULT, skip_damaged: bool = False) -> Iterator[Event]:
    """The events of a document, plain or gzip, up to `DocumentEnd`; what stands before damage comes before its error.

    Args:
        stream: at the document's first byte.
        limits: the bounds in force.
        skip_damaged: in the layout that our writer makes, damage inside `images` costs images (`ImageLost`) and does
            not end the document.

    Raises:
        MalformedExport: not an export, cut short, or it breaks a rule of FORMAT.md.
        DigestMismatch: a gzip member inside `images` is damaged.
        UnsupportedVersion: another major version, or it requires what we do not know.
        LimitExceeded: a bound of `limits` was passed.
    """
    if not skip_damaged:
        yield from DocumentReader(open_text(stream), limits).events()
        return
    from blixard.format.resync import MemberByMember

    source = open_text(stream, MemberByMember)
    skip = source.skip if isinstance(source, MemberByMember) else lambda: False
    yield from DocumentReader(source, limits, skip=skip).events()


class DocumentReader:
    """One pass over one document.

    Args:
        source: its text.
        limits: the bounds in force.
        skeleton: records and telemetry were cut out (skeleton.py); what is said about them is taken unproven.
        skip: when damage is to be skipped, goes on behind what the source met (resync.py).
    """

    def __init__(
        self,
        source: TextSource,
        limits: Limits,
        *,
        skeleton: bool = False,
        skip: Callable[[], bool] | None = None,
    ) -> None:
        self._compressed = source.compressed
        self._skeleton = skeleton
        self._limits = limits
        self._cursor = Cursor(source, limits)
        self._digests = SectionDigests()
        self._state = StateReader(self._cursor, self._digests)
        self._images: ImagesReader | LossyImages = ImagesReader(self._cursor, skeleton=skeleton)
        self._skip = skip
        self._hint = _HINT if skip is None else None
        self._inside_images = False
        self._images_at = 0
        self._images_seen = False
        self._given: IncomingState | None = None
        self._claim: Claim | None = None
        self._spent = 0

    def events(self) -> Iterator[Event]:
        """The document's events."""
        try:
            yield from self._document()
        except MemberDamaged as problem:
            if not self._inside_images or problem.begins < self._images_at:
                raise MalformedExport(problem.message) from problem
            raise DigestMismatch(problem.message, hint=self._hint) from problem
        except MalformedExport as problem:
            # a later version may look odd long before it says that it is one
            if self._state.version is None:
                version = find_value(self._cursor, "version")
                if isinstance(version, str) and not supported(version):
                    raise unsupported(version, self._state.exporter) from problem
            if self._inside_images:
                problem.hint = problem.hint or self._hint
            raise

    def _document(self) -> Iterator[Event]:
        self._check_start()
        seen: set[str] = set()
        for key in self._cursor.members(seen):
            if len(seen) > self._limits.sections:
                raise self._cursor.over("sections")
            yield from self._section(key)
        self._cursor.allow(MIB, "string_bytes")
        self._cursor.finish()
        yield from self._state_once()
        self._check_named_images()
        assert self._given is not None  # noqa: S101 - `_state_once` ran or raised
        late = {key: value for key, value in self._state.unknown.items() if key not in self._given.head.unknown}
        yield DocumentEnd(self._report(), late)

    def _section(self, key: str) -> Iterator[Event]:
        begun = self._cursor.at
        if key == "images":
            if self._state.whole:
                yield from self._state_once()
            self._images_seen = self._inside_images = True
            self._images_at = begun - len(b'"images":')
            if self._skip is not None and self._state.whole and START.match(self._cursor.rest(_START_BYTES)):
                self._images = LossyImages(self._cursor, self._state.named_images, self._skip, self._images_at)
            yield from self._images.read()
            self._inside_images = False
            self._digests.add_value("images", self._images.digests)
        elif key == "telemetry":
            self._cursor.allow(self._limits.telemetry_bytes, "telemetry_bytes")
            yield from self._telemetry()
        elif key == "record_tables":
            for _ in read_tables(self._cursor):
                pass
        else:
            self._small_section(key)
            self._spent += self._cursor.at - begun
        if self._spent > self._limits.state_bytes:
            raise self._cursor.over("state_bytes")
        self._cursor.allow(self._limits.state_bytes - self._spent, "state_bytes")

    def _small_section(self, key: str) -> None:
        if key == "integrity":
            self._claim = read_claim(self._cursor)
        elif key == "index":
            read_index_section(self._cursor)
        else:
            self._state.take(key)
            if key == "version":
                self._check_version()

    def _telemetry(self) -> Iterator[Event]:
        lines: dict[str, str] = {}
        for key in self._cursor.members():
            digest = LinesDigest()
            for position in self._cursor.items():
                value, canonical = element(self._cursor, "telemetry_element_bytes")
                if not isinstance(value, dict):
                    raise self._cursor.malformed(f"`telemetry.{key[:80]}[{position}]` must be an object")
                digest.add(canonical + b"\n")
                yield TelemetryRead(key, value)
            lines[key] = digest.hexdigest()
        self._digests.add_value("telemetry", lines)

    def _check_start(self) -> None:
        self._cursor.hold(len(_BOM))
        start = self._cursor.buffer[: len(_BOM)]
        if not start and not self._cursor.more():
            raise MalformedExport("the file is empty")
        if start == _BOM:
            raise MalformedExport("the file starts with a byte order mark", hint="save it as UTF-8 without BOM")
        if start.startswith(MAGIC):
            raise MalformedExport("the file is compressed twice", hint="`gunzip` it once")

    def _check_version(self) -> None:
        version = self._state.version
        if version is not None and not supported(version):
            exporter = self._state.exporter
            if exporter is None:
                metadata = find_value(self._cursor, "metadata")
                exporter = metadata.get("exporter") if isinstance(metadata, dict) else None
            raise unsupported(version, exporter if isinstance(exporter, str) else None)

    def _state_once(self) -> Iterator[Event]:
        if self._given is None:
            self._given = self._state.state()
            yield StateRead(self._given)

    def _check_named_images(self) -> None:
        count = len(self._images.digests)
        for image, name in self._state.named_images.items():
            if image >= count:
                field = ".".join(("vms", *name))
                raise MalformedExport(f"`{field}` names image {image}, the file has {count}")

    def _report(self) -> IntegrityReport:
        if self._skeleton and self._claim and "telemetry" in self._claim.sections:
            self._digests.add_digest("telemetry", self._claim.sections["telemetry"])
        found = self._digests.integrity(self._images.digests if self._images_seen else None)
        claim = self._claim
        bad = set(self._images.damaged)
        if claim:
            bad.update(damaged(claim, self._images.digests))
        return IntegrityReport(
            compressed=self._compressed,
            present=claim is not None,
            document=found.document,
            claimed=claim.document if claim else None,
            edited=differences(claim, found) if claim else (),
            damaged_images=tuple(sorted(bad)),
            only_images=claim is not None and bool(bad) and only_images(claim, found),
            integrity=found,
        )
