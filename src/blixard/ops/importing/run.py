"""Import a document into a cluster: read, plan, stage beside, commit in one transaction, report.

Events of the reader drive it. The plan is made as soon as the state is known, which in our own order is before the
first staged byte; nothing is committed before the end of the document was reached and its digests were judged.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import assert_never

from msgspec import UNSET, Struct, structs

from blixard.disks.staging.staging import CHECKPOINT_BYTES
from blixard.errors import (
    Conflict,
    DigestMismatch,
    ExportFileError,
    InternalError,
    PeerMisbehaved,
    RefusedError,
    StorageError,
)
from blixard.format.events import (
    DocumentEnd,
    Event,
    ImageBegun,
    ImageLost,
    ImageRead,
    IntegrityReport,
    RecordRead,
    StateRead,
    TelemetryRead,
)
from blixard.home import Home
from blixard.limits import MIB
from blixard.model.collection import no_collection
from blixard.model.incoming import IncomingState
from blixard.model.structs import JsonObject, Kept
from blixard.ops.importing.commit import commit
from blixard.ops.importing.integrity import as_claimed, check_stated, exit_code_of, judge
from blixard.ops.importing.preflight import check_space, make_room
from blixard.ops.importing.referred import ReferredRecords
from blixard.ops.importing.request import VERB, ImportReport, ImportRequest
from blixard.ops.importing.source import ImportSource, Opened, file_source
from blixard.ops.importing.stage import (
    ImageEvent,
    StagedImport,
    TakenImages,
    stage_in_cluster,
    stage_loose,
    why_missing,
)
from blixard.ops.importing.target import ImportTarget, Opening, find_target
from blixard.ops.importing.telemetry import TelemetrySpool
from blixard.ops.keeping.in_use import check_in_use
from blixard.ops.keeping.leftovers import sweep_at_the_end
from blixard.ops.keeping.stamps import with_proven_digests
from blixard.ops.keeping.unfinished import sweep_founded
from blixard.plan.change import refuse_conflicts, without_images
from blixard.plan.document import document_name
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions
from blixard.plan.saved import check_saved
from blixard.plan.values import ImportPlan
from blixard.ports import Clock, Progress
from blixard.site.open_cluster import OpenCluster
from blixard.site.uninterrupted import uninterrupted

_FETCHED_CHECKPOINT_BYTES = 8 * MIB
"""What a kill may cost once more when every byte has come over a network."""

Consent = Callable[[ImportPlan, ImportTarget], None]
"""Shown the plan before anything is written; raises RefusedError when the operator says no."""


def import_document(
    home: Home,
    opening: Opening,
    request: ImportRequest,
    *,
    clock: Clock,
    progress: Progress,
    consent: Consent,
    opened: Opened | None = None,
) -> ImportReport:
    """Bring a document into a cluster of `home`.

    Args:
        home: the data directory.
        opening: opens a cluster's directory.
        request: what is asked for.
        clock: time.
        progress: told about every image, and about what the operator must know.
        consent: asked once, with the plan.
        opened: opens the document when it is not the file that `request.source` names.

    Raises:
        ExportFileError: the document is not acceptable (10 to 13).
        RefusedError: consent is needed.
        Conflict: the plan has conflicts, or a saved plan does not hold any more.
        StorageError: no space, or an I/O error; the cluster is as it was.
    """
    if not request.dry_run:
        home.sweep()
        sweep_founded(home, VERB, clock.now())
    with ExitStack() as stack:
        source = stack.enter_context(opened() if opened else _file_source(request))
        run = _Import(home, opening, request, source, stack, clock=clock, progress=progress, consent=consent)
        return run.read()


def _file_source(request: ImportRequest) -> AbstractContextManager[ImportSource]:
    return file_source(request.source, request.limits, skip_damaged=request.skip_damaged)


class _Prepared(Struct, frozen=True):
    """The target, locked, and what will be done to it."""

    target: ImportTarget
    plan: ImportPlan

    @property
    def cluster(self) -> OpenCluster:
        """The open target of an import that writes."""
        if self.target.cluster is None:
            raise InternalError("an import that writes has an open cluster")
        return self.target.cluster


class _Import:
    """One run. `stack` closes whatever it opened, also when it fails."""

    def __init__(
        self,
        home: Home,
        opening: Opening,
        request: ImportRequest,
        source: ImportSource,
        stack: ExitStack,
        *,
        clock: Clock,
        progress: Progress,
        consent: Consent,
    ) -> None:
        self._source = source
        self._home = home
        self._opening = opening
        self._request = request
        self._clock = clock
        self._progress = progress
        self._consent = consent
        self._stack = stack
        self._started = time.monotonic()
        self._state: IncomingState | None = None
        self._prepared: _Prepared | None = None
        self._failing: OpenCluster | None = None
        self._wanted = TakenImages()
        self._needs = ReferredRecords(request.limits)
        stack.callback(self._needs.close)
        self._staged: StagedImport | None = None
        self._failed: dict[int, str] = {}
        self._warnings: list[str] = []
        self._telemetry = TelemetrySpool(home.root if home.root.is_dir() else None)
        stack.callback(self._telemetry.close)

    def read(self) -> ImportReport:
        """Take every event; the last one brings the report. A failure stands in the history of the target."""
        try:
            return self._read(self._source.events())
        except BaseException as error:
            self._source.stop()
            if isinstance(error, ExportFileError | PeerMisbehaved):
                self._give_up(error)
            if self._failing is None:
                raise
            with self._failing.recording(VERB, self._request.asked()):
                raise

    def _give_up(self, error: ExportFileError | PeerMisbehaved) -> None:
        """One bad record may come better with the next copy of the file, or be left out; anything else stays as bad.

        Of a peer that lies nothing is kept (PEER.md section 2).
        """
        if self._staged is not None and not isinstance(error.__cause__, ExportFileError):
            self._staged.give_up()

    def _read(self, events: Iterable[Event]) -> ImportReport:
        for event in events:
            match event:
                case StateRead(state):
                    self._state = state
                case TelemetryRead():
                    self._telemetry.add(event)
                case ImageBegun() | RecordRead() | ImageRead() | ImageLost():
                    self._take(event)
                case DocumentEnd(report, late):
                    return self._end(report, late)
                case _:
                    assert_never(event)
        raise InternalError("the reader ended without an end")

    def _take(self, event: ImageEvent) -> None:
        """The images: planned for already when the state came first, else staged to be planned for at the end."""
        if self._state is not None and self._prepared is None:
            self._prepare(self._source.foreknown.document, ())
        if self._request.dry_run:
            if isinstance(event, ImageLost):
                self._failed[event.image] = event.problem
            elif isinstance(event, ImageRead) and (why := why_missing(event)):
                self._failed[event.image] = why
            return
        if self._staged is None:
            self._staged = self._begin_staging()
        self._staged.take(event, self._source)

    def _prepare(self, document: str | None, edited: tuple[str, ...]) -> _Prepared:
        """Choose and lock the target, plan, look ahead, ask."""
        request, state = self._request, self._given()
        name = document_name(state, request.options)
        target = find_target(self._home, self._opening, request, state.head, name)
        self._stack.callback(target.close)
        if not (request.dry_run or target.new):
            self._failing = target.cluster
        if self._staged is not None:
            self._stack.callback(self._staged.close)  # before its cluster is closed
        options = structs.replace(request.options, new_cluster=target.new)
        plan = self._planned(target, options, document, edited)
        prepared = self._prepared = _Prepared(target, plan)
        self._wanted.settle(plan)
        if not request.dry_run:
            refuse_conflicts(plan)
        self._look_ahead(prepared)
        if not request.dry_run:
            self._consent(plan, target)
            make_room(plan, prepared.cluster, self._source.foreknown.data_bytes)
        return prepared

    @no_collection()
    def _planned(
        self, target: ImportTarget, options: ImportOptions, document: str | None, edited: tuple[str, ...]
    ) -> ImportPlan:
        saved, snapshot = self._request.saved, target.snapshot
        if saved is not None:
            return check_saved(
                saved,
                document=document or saved.document,
                options=options,
                revision=snapshot.revision,
                cluster_id=snapshot.id,
            )
        if target.cluster is not None:
            snapshot = with_proven_digests(snapshot, target.cluster.directory)
        return plan_import(
            snapshot,
            self._given(),
            options,
            document=document,
            edited=edited,
            image_digests=self._source.foreknown.image_digests,
            others=target.others(),
        )

    def _look_ahead(self, prepared: _Prepared) -> None:
        """Preflight; what would be refused is only told in a dry run."""
        cluster, plan = prepared.target.cluster, prepared.plan
        if cluster is None:
            return
        try:
            check_space(plan, cluster, self._source.foreknown.data_bytes)
            if not self._request.force_in_use:
                check_in_use(plan.contents, cluster, option="--force-in-use")
        except (RefusedError, StorageError) as error:
            if not self._request.dry_run:
                raise
            self._warnings.append(f"the import would be refused: {error.message}")

    def _begin_staging(self) -> StagedImport:
        request, progress = self._request, self._progress
        if self._prepared is None:
            folder = self._stack.enter_context(self._home.scratch(VERB)) / "images"
            staged = stage_loose(folder, (self._wanted, self._needs), request, progress, self._clock)
        else:
            self._look_for_needs(self._prepared)
            taking = (self._wanted, self._needs)
            staged = stage_in_cluster(
                self._prepared.cluster,
                self._source.foreknown,
                taking,
                request,
                progress,
                checkpoint_bytes=CHECKPOINT_BYTES if self._source.at_hand else _FETCHED_CHECKPOINT_BYTES,
            )
        self._stack.callback(staged.close)
        return staged

    def _look_for_needs(self, prepared: _Prepared) -> None:
        """When disks stay out, see what the others need of them, so that no more than that is kept of them."""
        plan = prepared.plan
        linked = sum(
            part.image is not UNSET
            for each in self._given().vms.values()
            for parts in (each.vm.disks, each.vm.files)
            for part in parts
        )
        if len(plan.images()) < linked:
            self._needs.look(self._source, plan, prepared.cluster.directory.path)

    def _end(self, report: IntegrityReport, late: JsonObject) -> ImportReport:
        """The document was read to its end: judge it, then commit or, in a dry run, only tell."""
        report = as_claimed(report, self._request)
        self._warnings += judge(report, self._request, self._given().head)
        if self._source.foreknown.document is not None and self._source.foreknown.document != report.document:
            raise DigestMismatch("the document is not the one that its index names")
        prepared = self._prepared or self._prepare(report.document, report.edited)
        if self._request.saved is not None and self._request.saved.document != report.document:
            raise Conflict("the plan does not hold any more: the file is another one", hint="make the plan again")
        source = structs.replace(
            prepared.plan.source, document=report.document, edited=report.edited, kept=_with_late(prepared, late)
        )
        plan = structs.replace(prepared.plan, source=source)
        if self._request.dry_run:
            return self._told(prepared.target, without_images(plan, self._failed), report)
        return self._commit(prepared, plan, report)

    def _commit(self, prepared: _Prepared, plan: ImportPlan, report: IntegrityReport) -> ImportReport:
        staged, cluster, target = self._staged, prepared.cluster, prepared.target
        if staged is not None:
            staged.finish()
            self._refuse_damage(staged)
            plan = without_images(plan, {**staged.failed, **staged.damaged, **self._other_than_sealed(report, staged)})
            check_stated(plan, staged.disks)
        import_id = uuid.uuid4().hex if staged is None else staged.row.id
        with no_collection(), uninterrupted():
            done = commit(
                cluster,
                plan,
                self._request,
                import_id,
                staged=staged,
                telemetry=self._telemetry,
                warnings=self._source.warnings(),
            )
            target.publish()
        if not target.new:
            target.release()
            sweep_at_the_end(cluster, VERB)
        return structs.replace(
            self._told(target, plan, report),
            revision=done.revision,
            undo=done.undo,
            import_id=import_id,
            staged_bytes=0 if staged is None else staged.staged_bytes,
            resumed=staged is not None and staged.resumed,
        )

    def _given(self) -> IncomingState:
        if self._state is None:
            raise InternalError("the reader gives the state before the end")
        return self._state

    def _other_than_sealed(self, report: IntegrityReport, staged: StagedImport) -> dict[int, str]:
        """What agrees with itself and not with `integrity` is damaged too, where damage is skipped."""
        if not self._request.skip_damaged or not report.present:
            return {}
        others = (image for image in report.damaged_images if image not in staged.damaged)
        return dict.fromkeys(others, "it does not match its digest in `integrity`")

    def _refuse_damage(self, staged: StagedImport) -> None:
        if not staged.damaged or self._request.skip_damaged:
            return
        image, why = min(staged.damaged.items())
        raise DigestMismatch(
            f"image {image} (`{staged.title(image)}`) is damaged: {why}",
            hint="`--skip-damaged` imports the others; `blixard cluster verify FILE` says which are intact",
        )

    def _told(self, target: ImportTarget, plan: ImportPlan, report: IntegrityReport) -> ImportReport:
        head = self._given().head
        return ImportReport(
            dry_run=self._request.dry_run,
            cluster=plan.target.name,
            cluster_id=plan.target.id,
            new_cluster=target.new,
            becomes_current=target.choice.becomes_current,
            data_dir=str(self._home.root),
            place=self._request.source,
            document=report.document,
            exporter=head.metadata.exporter,
            exported_at=head.exported_at,
            plan=plan,
            revision=plan.base_revision,
            telemetry_elements=self._telemetry.count,
            warnings=(*self._warnings, *plan.warnings, *self._source.warnings()),
            seconds=time.monotonic() - self._started,
            exit_code=exit_code_of(plan),
        )


def _with_late(prepared: _Prepared, late: JsonObject) -> Kept:
    """Keys that this version does not know may stand behind the images too."""
    kept = prepared.plan.source.kept
    return structs.replace(kept, document={**kept.document, **late}) if late else kept
