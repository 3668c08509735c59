"""A dry run: the same plan of the same document, read to its end and judged, and nothing is locked or written.

It consumes the plan as the import does, so what it tells is what an import would do; what an import would refuse to
start with is a warning here.
"""

from __future__ import annotations

from blixard.errors import RefusedError, StorageError
from blixard.format.events import ImageLost, ImageRead
from blixard.ops.importing.intake import why_missing
from blixard.ops.importing.integrity import judged
from blixard.ops.importing.phases import Ended, ImageEvent, Job, StateFirst
from blixard.ops.importing.planning import plan_document, proven, told
from blixard.ops.importing.preflight import look_ahead
from blixard.ops.importing.reading import read_front, read_images
from blixard.ops.importing.request import ImportReport
from blixard.ops.importing.target import look_at_target
from blixard.plan.change import without_images
from blixard.plan.values import ImportPlan
from blixard.site.open_cluster import OpenCluster


def rehearse(job: Job) -> ImportReport:
    """Read the document, and report what an import of it would do.

    Raises:
        ExportFileError: the document is not acceptable.
        RefusedError: consent to its target is needed.
        Conflict: a saved plan does not hold any more.
    """
    front = read_front(job)
    images = _Images()
    if isinstance(front, StateFirst):
        with look_at_target(job.home, job.opening, job.request, front.state) as (target, cluster):
            plan = plan_document(job, target, front)
            refused = _refused(job, plan, cluster)
            read = judged(job, read_images(front, images.take))
            warnings = (*refused, *read.warnings)
    else:
        read = judged(job, front if isinstance(front, Ended) else read_images(front, images.take))
        with look_at_target(job.home, job.opening, job.request, read.state) as (target, cluster):
            plan = plan_document(job, target, read)
            warnings = (*read.warnings, *_refused(job, plan, cluster))
    plan = proven(plan, read, job.request)
    return told(job, target, without_images(plan, images.failed), read, warnings)


class _Images:
    """Which images an import could not take, and why; their records are read and not decoded."""

    def __init__(self) -> None:
        self.failed: dict[int, str] = {}

    def take(self, event: ImageEvent) -> None:
        if isinstance(event, ImageLost):
            self.failed[event.image] = event.problem
        elif isinstance(event, ImageRead) and (why := why_missing(event)):
            self.failed[event.image] = why


def _refused(job: Job, plan: ImportPlan, cluster: OpenCluster | None) -> tuple[str, ...]:
    """What the preflight would refuse; a cluster that is not there has no disks to be in use."""
    if cluster is None:
        return ()
    try:
        look_ahead(plan, cluster, job.request, job.source.foreknown.data_bytes)
    except (RefusedError, StorageError) as error:
        return (f"the import would be refused: {error.message}",)
    return ()
