"""What an import is asked for, and what it answers: the values between the command line and the work."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

from blixard.errors import ExitCode
from blixard.limits import DEFAULT, Limits
from blixard.model.structs import JsonObject
from blixard.plan.options import ImportOptions
from blixard.plan.saved import SavedPlan
from blixard.plan.values import ImportPlan

VERB = "cluster import"


class ImportRequest(Struct, frozen=True, kw_only=True):
    """One import."""

    source: str
    """A path, or `-` for standard input."""
    options: ImportOptions = field(default_factory=ImportOptions)
    cluster: str | None = None
    """`-c NAME`."""
    environment_cluster: str | None = None
    dry_run: bool = False
    consent: bool = False
    """`-y`."""
    strict: bool = False
    accept_edited: bool = False
    skip_damaged: bool = False
    force_in_use: bool = False
    saved: SavedPlan | None = None
    """Apply exactly this plan."""
    threads: int = 2
    limits: Limits = DEFAULT

    def asked(self) -> JsonObject:
        """For the history; no secrets and no values of variables."""
        rules = self.options.rules
        made: JsonObject = {"input": self.source, "mode": self.options.mode.value}
        given = {
            "strict": self.strict,
            "accept_edited": self.accept_edited,
            "skip_damaged": self.skip_damaged,
            "force_in_use": self.force_in_use,
            "plan": self.saved is not None,
            "new_identity": self.options.new_identity,
            "replace_disks": self.options.replace_disks,
            "scope": rules.scope.to_object(),
        }
        return made | {name: value for name, value in given.items() if value}


class ImportReport(Struct, frozen=True, kw_only=True):
    """What an import did, or with `dry_run` would do."""

    dry_run: bool
    cluster: str
    cluster_id: str
    new_cluster: bool
    becomes_current: bool
    data_dir: str
    place: str
    document: str
    exporter: str | None
    exported_at: datetime
    plan: ImportPlan
    revision: int
    undo: int | None = None
    """Id of the undo entry; None when nothing was replaced."""
    import_id: str | None = None
    staged_bytes: int = 0
    resumed: bool = False
    damaged: tuple[str, ...] = ()
    """`VM/DISK` whose content could not be taken, with why."""
    telemetry_elements: int = 0
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    exit_code: ExitCode = ExitCode.DONE
