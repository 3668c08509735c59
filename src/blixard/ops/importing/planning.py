"""What an import and its dry run have in common: the plan of a document, proven at its end, and told in a report."""

from __future__ import annotations

import time

from msgspec import structs

from blixard.errors import Conflict
from blixard.model.collection import no_collection
from blixard.ops.importing.integrity import exit_code_of
from blixard.ops.importing.phases import Job, Read, StateFirst
from blixard.ops.importing.request import ImportReport, ImportRequest
from blixard.ops.importing.target import ImportTarget
from blixard.plan.importing import plan_import
from blixard.plan.saved import check_saved
from blixard.plan.values import ImportPlan


@no_collection()
def plan_document(job: Job, target: ImportTarget, known: StateFirst | Read) -> ImportPlan:
    """What the import would do to the target, as far as the document is known; a saved plan, when it still holds.

    Raises:
        Conflict: a saved plan does not hold any more.
        UsageError, InvalidField, MalformedExport: as `plan_import`.
    """
    saved, snapshot, foreknown = job.request.saved, target.snapshot, job.source.foreknown
    document = known.report.document if isinstance(known, Read) else foreknown.document
    options = structs.replace(job.request.options, new_cluster=target.new)
    if saved is not None:
        return check_saved(
            saved,
            document=document or saved.document,
            options=options,
            revision=snapshot.revision,
            cluster_id=snapshot.id,
        )
    return plan_import(
        snapshot,
        known.state,
        options,
        document=document,
        edited=known.report.edited if isinstance(known, Read) else (),
        image_digests=foreknown.image_digests,
        others=target.others(),
    )


def proven(plan: ImportPlan, read: Read, request: ImportRequest) -> ImportPlan:
    """The plan with what only the end of its document tells: the digest, what was edited, keys behind the images.

    Raises:
        Conflict: a saved plan is of another document.
    """
    if request.saved is not None and request.saved.document != read.report.document:
        raise Conflict("the plan does not hold any more: the file is another one", hint="make the plan again")
    kept = plan.source.kept
    if read.late:
        kept = structs.replace(kept, document={**kept.document, **read.late})
    source = structs.replace(plan.source, document=read.report.document, edited=read.report.edited, kept=kept)
    return structs.replace(plan, source=source)


def told(job: Job, target: ImportTarget, plan: ImportPlan, read: Read, warnings: tuple[str, ...]) -> ImportReport:
    """The report of a plan that nothing was done of yet."""
    head = read.state.head
    return ImportReport(
        dry_run=job.request.dry_run,
        cluster=plan.target.name,
        cluster_id=plan.target.id,
        new_cluster=target.new,
        becomes_current=target.choice.becomes_current,
        data_dir=str(job.home.root),
        place=job.request.source,
        document=read.report.document,
        exporter=head.metadata.exporter,
        exported_at=head.exported_at,
        plan=plan,
        revision=plan.base_revision,
        telemetry_elements=job.telemetry.count,
        warnings=(*warnings, *plan.warnings, *job.source.warnings()),
        seconds=time.monotonic() - job.began,
        exit_code=exit_code_of(plan),
    )
