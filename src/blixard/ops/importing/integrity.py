"""What follows from a document's digests: an error, a warning, or nothing (FORMAT.md section 4).

A gzip that does not match was damaged; a plain file was perhaps edited on purpose, and the operator is told where.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, structs

from blixard.disks.staging.staging import Staged
from blixard.errors import DigestMismatch, ExitCode
from blixard.format.events import IntegrityReport
from blixard.model.agreement import Shape, check_agreement
from blixard.model.structs import ExportHead
from blixard.ops.importing.phases import Ended, Job, Read
from blixard.ops.importing.request import ImportRequest
from blixard.plan.values import ContentAction, ImportPlan


def judged(job: Job, ended: Ended) -> Read:
    """A document that was read to its end and may be imported.

    Raises:
        DigestMismatch: it may not be imported as it is, or it is not the one that was announced.
    """
    report, request = ended.report, job.request
    if request.skip_damaged and report.only_images and report.claimed is not None:
        # it lacks damaged images and nothing else: it is the one that it says it is
        report = structs.replace(report, document=report.claimed, edited=())
    warnings = _warnings(report, request, ended.state.head)
    if job.source.foreknown.document not in (None, report.document):
        raise DigestMismatch("the document is not the one that its index names")
    return Read(ended.state, report, ended.late, warnings)


def _warnings(report: IntegrityReport, request: ImportRequest, head: ExportHead) -> tuple[str, ...]:
    if not report.present:
        return _without_integrity(request, head)
    if not report.edited and report.claimed == report.document:
        return ()
    sections = ", ".join(f"`{name}`" for name in report.edited) or "`integrity`"
    if request.strict:
        raise DigestMismatch(
            f"{sections} do not match the file's digests", hint="leave out `--strict` if you edited it"
        )
    if report.compressed and not request.accept_edited:
        raise DigestMismatch(
            f"{sections} do not match the file's digests: it was damaged or edited",
            hint="`blixard cluster verify FILE` says where; `--accept-edited` imports it all the same",
        )
    return (f"the file was edited after it was exported: {sections} do not match its digests",)


def check_stated(plan: ImportPlan, staged: Mapping[int, Staged]) -> None:
    """Hold what the VMs say of their disks against the images that came.

    Raises:
        MalformedExport: an image has another size or format than the disk that names it.
    """
    for change in plan.contents:
        image = staged.get(change.image) if change.image is not None else None
        if image is None or change.image is None or change.action is not ContentAction.STAGE:
            continue
        stated = Shape(change.format or image.format, UNSET if change.size_bytes is None else change.size_bytes)
        label = f"{change.vm}/{change.key.name}"
        check_agreement(label, stated, change.image, Shape(image.format, image.size_bytes))


def exit_code_of(plan: ImportPlan) -> ExitCode:
    """Partial when an image that the plan wanted could not be taken."""
    return ExitCode.PARTIAL if plan.failed_images else ExitCode.DONE


def _without_integrity(request: ImportRequest, head: ExportHead) -> tuple[str, ...]:
    if request.strict:
        raise DigestMismatch("the file has no `integrity`, so nothing vouches for it", hint="leave out `--strict`")
    if head.metadata.template is not None:
        return ()
    return ("the file has no `integrity`: that it is whole cannot be proven",)
