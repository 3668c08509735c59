"""What follows from a document's digests: an error, a warning, or nothing (FORMAT.md section 4).

A gzip that does not match was damaged; a plain file was perhaps edited on purpose, and the operator is told where.
"""

from __future__ import annotations

from blixard.errors import DigestMismatch, ExitCode
from blixard.format.events import IntegrityReport
from blixard.model.structs import ExportHead
from blixard.ops.import_request import ImportRequest
from blixard.plan.values import ImportPlan


def judge(report: IntegrityReport, request: ImportRequest, head: ExportHead) -> list[str]:
    """The warnings that a document deserves.

    Raises:
        DigestMismatch: it may not be imported as it is.
    """
    if not report.present:
        return _without_integrity(request, head)
    if not report.edited and report.claimed == report.document:
        return []
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
    return [f"the file was edited after it was exported: {sections} do not match its digests"]


def exit_code_of(plan: ImportPlan) -> ExitCode:
    """Partial when an image that the plan wanted could not be taken."""
    return ExitCode.PARTIAL if plan.failed_images else ExitCode.DONE


def _without_integrity(request: ImportRequest, head: ExportHead) -> list[str]:
    if request.strict:
        raise DigestMismatch("the file has no `integrity`, so nothing vouches for it", hint="leave out `--strict`")
    if head.metadata.template is not None:
        return []
    return ["the file has no `integrity`: that it is whole cannot be proven"]
