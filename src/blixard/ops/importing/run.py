"""Import a document into a cluster: read, plan, stage beside, commit in one transaction, report.

Each phase gives a value that the next one takes (phases.py), so that none can come before its time. The plan is made as
soon as the state is known, which in our own order is before the first staged byte; nothing is committed before the end
of the document was reached and its digests were judged.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import assert_never

from msgspec import structs

from blixard.errors import DigestMismatch
from blixard.home import Home
from blixard.model.collection import no_collection
from blixard.ops.importing.commit import commit
from blixard.ops.importing.dry_run import rehearse
from blixard.ops.importing.intake import Intake, TakenImages
from blixard.ops.importing.integrity import check_stated, judged
from blixard.ops.importing.phases import (
    Arrived,
    Consent,
    Ended,
    ImagesFirst,
    Job,
    Planned,
    Read,
    Ready,
    StateFirst,
)
from blixard.ops.importing.planning import plan_document, proven, told
from blixard.ops.importing.preflight import look_ahead, make_room
from blixard.ops.importing.reading import read_front, read_images
from blixard.ops.importing.request import VERB, ImportReport, ImportRequest
from blixard.ops.importing.source import Opened, file_source
from blixard.ops.importing.stage import StagedImport, stage_in_cluster
from blixard.ops.importing.target import Opening, hold_target
from blixard.ops.importing.telemetry import TelemetrySpool
from blixard.ops.keeping.leftovers import sweep_at_the_end
from blixard.ops.keeping.unfinished import sweep_founded
from blixard.plan.change import refuse_conflicts, without_images
from blixard.ports import Clock, ImportRow, Progress
from blixard.site.uninterrupted import uninterrupted


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
    source_of = opened or partial(file_source, request.source, request.limits, skip_damaged=request.skip_damaged)
    with source_of() as source, TelemetrySpool(home.root if home.root.is_dir() else None) as telemetry:
        job = Job(home, opening, request, source, telemetry, clock, progress, consent, time.monotonic())
        return rehearse(job) if request.dry_run else _import(job)


def _import(job: Job) -> ImportReport:
    front = read_front(job)
    match front:
        case StateFirst():
            return _plan_then_stage(job, front)
        case ImagesFirst():
            return _stage_then_plan(job, front)
        case Ended():
            return _without_images(job, front)
        case _:
            assert_never(front)


def _plan_then_stage(job: Job, front: StateFirst) -> ImportReport:
    with (
        _planned(job, front) as planned,
        stage_in_cluster(job, planned) as (staged, intake),
    ):
        read = judged(job, read_images(front, intake.take))
        return _finish(job, _ready(job, planned, read, intake.finish), staged)


def _stage_then_plan(job: Job, front: ImagesFirst) -> ImportReport:
    """Stage before the target is known. No later import can go on with it: it goes with its scratch folder."""
    import_id, taken = uuid.uuid4().hex, TakenImages()
    row = ImportRow(id=import_id, key=import_id, started_at=job.clock.now())
    with job.home.scratch(VERB) as scratch, Intake(job, scratch / "images", taken) as intake:
        read = judged(job, read_images(front, intake.take))
        with _planned(job, read) as planned:
            taken.settle(planned.plan)
            ready = _ready(job, planned, read, intake.finish)
            with StagedImport(planned.target.cluster, row, scratch / "images") as staged:
                return _finish(job, ready, staged)


def _without_images(job: Job, ended: Ended) -> ImportReport:
    read = judged(job, ended)
    with _planned(job, read) as planned:
        return _finish(job, _ready(job, planned, read, Arrived), None)


@contextmanager
def _planned(job: Job, known: StateFirst | Read) -> Iterator[Planned]:
    """Hold the target, plan, look ahead, ask: the last moment at which a refusal costs nothing."""
    data_bytes = job.source.foreknown.data_bytes
    with hold_target(job.home, job.opening, job.request, known.state) as target:
        plan = plan_document(job, target, known)
        refuse_conflicts(plan)
        look_ahead(plan, target.cluster, job.request, data_bytes)
        job.consent(plan, target)
        make_room(plan, target.cluster, data_bytes)
        yield Planned(target, known.state, plan)


def _ready(job: Job, planned: Planned, read: Read, arrive: Callable[[], Arrived]) -> Ready:
    """Prove the plan, wait for the disks, and leave out what is damaged where that is asked for."""
    plan = proven(planned.plan, read, job.request)
    arrived, skip = arrive(), job.request.skip_damaged
    damaged = dict(arrived.damaged)
    if damaged and not skip:
        image, why = min(damaged.items())
        raise DigestMismatch(
            f"image {image} (`{arrived.titles.get(image, str(image))}`) is damaged: {why}",
            hint="`--skip-damaged` imports the others; `blixard cluster verify FILE` says which are intact",
        )
    if skip and read.report.present:  # what agrees with itself and not with `integrity` is damaged too
        for image in read.report.damaged_images:
            damaged.setdefault(image, "it does not match its digest in `integrity`")
    plan = without_images(plan, {**arrived.failed, **damaged})
    check_stated(plan, arrived.disks)
    return Ready(planned.target, plan, read, arrived)


def _finish(job: Job, ready: Ready, staged: StagedImport | None) -> ImportReport:
    target, cluster = ready.target, ready.target.cluster
    with no_collection(), uninterrupted():
        done = commit(job, ready, staged)
        target.publish()
    if not target.new:
        target.release()
        sweep_at_the_end(cluster, VERB)
    return structs.replace(
        told(job, target, ready.plan, ready.read, ready.read.warnings),
        revision=done.revision,
        undo=done.undo,
        import_id=done.import_id,
        staged_bytes=sum(disk.data_bytes for disk in ready.arrived.disks.values()),
        resumed=ready.arrived.resumed,
    )
