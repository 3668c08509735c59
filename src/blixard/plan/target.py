"""Which cluster an import goes into, and when that needs consent.

A replace of the wrong cluster is the worst that can happen here: a name that nobody typed has to be vouched for by the
file.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from blixard.errors import RefusedError, UsageError
from blixard.model.codec import check_name
from blixard.model.structs import ExportHead, Provenance
from blixard.plan.options import Mode


class ChosenBy(StrEnum):
    """Where the name of the target comes from: only `NAME` was typed with this very command."""

    NAME = "name"
    """`-c NAME`."""
    ENVIRONMENT = "environment"
    CURRENT = "current"
    FILE = "file"


class Existing(Struct, frozen=True, kw_only=True):
    """A cluster of this data directory."""

    name: str
    id: str
    provenance: Provenance | None = None
    empty: bool = False


class Choice(Struct, frozen=True, kw_only=True):
    """The target of an import. `existing` None: it has to be made, and has no id yet."""

    name: str
    existing: Existing | None
    chosen_by: ChosenBy

    @property
    def becomes_current(self) -> bool:
        """A cluster made because nothing was named is the one that the next command means."""
        return self.existing is None and self.chosen_by is ChosenBy.FILE


def choose_target(
    given: str | None,
    environment: str | None,
    current: str | None,
    head: ExportHead,
    existing: Sequence[Existing],
    *,
    mode: Mode,
    document_name: str,
    consent: bool = False,
) -> Choice:
    """The cluster that an import goes into.

    Args:
        given: `-c NAME`.
        environment: `BLIXARD_CLUSTER`.
        current: the current cluster; one that is not there any more does not count.
        head: of the document.
        existing: the clusters of the data directory.
        mode: a merge takes nothing away and is not asked about.
        document_name: the name in the document, after variables and rules.
        consent: `-y`.

    Raises:
        UsageError: a name that cannot be a cluster's.
        RefusedError: a replace of a cluster that is not empty, that nobody named and that the file does not match.
    """
    clusters = {each.name: each for each in existing}
    name, chosen_by = _first_named(given, environment, current if current in clusters else None, document_name)
    target = clusters.get(name)
    if target is None:
        hint = "`-c NAME` gives it a name of yours" if chosen_by is ChosenBy.FILE else None
        return Choice(name=_checked(name, hint), existing=None, chosen_by=chosen_by)
    named = chosen_by is ChosenBy.NAME
    if mode is Mode.REPLACE and not (named or consent or target.empty or _matches(target, head, document_name)):
        raise RefusedError(
            f"the file is of cluster `{head.cluster_name}` and would replace `{target.name}`, which nobody named",
            hint=f"`-c {target.name}` replaces it, `-c NAME` makes or replaces another one, `-y` goes on as it is",
        )
    return Choice(name=name, existing=target, chosen_by=chosen_by)


def _first_named(given: str | None, environment: str | None, current: str | None, file: str) -> tuple[str, ChosenBy]:
    if given:
        return given, ChosenBy.NAME
    if environment:
        return environment, ChosenBy.ENVIRONMENT
    if current:
        return current, ChosenBy.CURRENT
    return file, ChosenBy.FILE


def _matches(target: Existing, head: ExportHead, name: str) -> bool:
    """The file speaks of this cluster: by name, by id, or as where one of the two came from."""
    if target.name == name:
        return True
    file_id = head.metadata.cluster_id
    came_from = target.provenance
    if file_id is None:
        return came_from is not None and came_from.cluster_id is None and came_from.cluster_name == head.cluster_name
    stated = (head.metadata.provenance or {}).get("cluster_id")
    return target.id in (file_id, stated) or (came_from is not None and came_from.cluster_id == file_id)


def _checked(name: str, hint: str | None) -> str:
    try:
        return check_name(name, "cluster name")
    except UsageError as error:
        raise UsageError(error.message, hint=hint or error.hint) from error
