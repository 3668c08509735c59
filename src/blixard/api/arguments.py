"""Keyword arguments of an export and an import, typed, and the options that they become."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar

from blixard.errors import StorageError, UsageError
from blixard.limits import GZIP_LEVELS

if TYPE_CHECKING:
    from blixard.ops.exporting.export import ExportOptions
    from blixard.ops.importing.request import ImportRequest
    from blixard.plan.options import ImportOptions, Values
    from blixard.plan.rules import Rules
    from blixard.plan.saved import SavedPlan
    from blixard.ports import Progress
    from blixard.site.site import Site

StrPath: TypeAlias = str | os.PathLike[str]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
Pairs: TypeAlias = Mapping[_Key, _Value] | Iterable[tuple[_Key, _Value]]
_SMALL_FILE = 16 << 20


class ExportArguments(TypedDict, total=False):
    """How an export is made; what is left out, or None, has the command's default. `output="-"` is standard output."""

    compress: bool
    """Gzip, whatever the file is called; True."""
    level: int | None
    """Of gzip, 0 to 3; None is the setting's."""
    images: bool
    """Also the content of disks and large files."""
    telemetry: bool
    """Also logs and metrics of this node."""
    telemetry_since: datetime | None
    """Aware; 24 hours ago."""
    only: Sequence[str]
    """Selectors `vm=GLOB`, `node=ID`, `label=K=V`: take only these."""
    except_: Sequence[str]
    """Selectors: leave these out."""
    redact: bool
    """Mask what looks like a secret."""
    secrets_out: StrPath | None
    """Keep what was masked in this file."""
    images_unredacted: bool
    """With `redact`: disks leave as they are."""
    template: bool
    """For git: plain, no revision, no placement, no digests, a fixed time."""
    require_consistency: Literal["stopped", "filesystem", "crash", "unknown"] | None
    """Refuse a disk that is less than this."""
    all_or_nothing: bool
    """No file when a disk cannot be read."""
    verify: bool
    """Read the file back from the disk before it gets its name."""
    exported_at: datetime | None
    """Aware; now."""
    threads: int | None
    """Workers; one for each core."""
    progress: Progress
    """Told about every disk."""


class ImportArguments(TypedDict, total=False):
    """How an import is made; what is left out, or None, has the command's default."""

    merge: bool
    """Add and update, delete nothing; False replaces."""
    dry_run: bool
    """Touch nothing; the report holds the plan, conflicts included."""
    only: Sequence[str]
    """Selectors `vm=GLOB`, `node=ID`, `label=K=V`, with names of the file."""
    except_: Sequence[str]
    """Selectors: leave these alone."""
    rename: Pairs[str, str]
    """VM names, those of the file to those of the cluster."""
    prefix: str | None
    """Put before the name of every other VM."""
    map_node: Pairs[int, int]
    """Place VMs of one node on another."""
    map_network: Pairs[str, str]
    """Join another network or bridge."""
    set: Pairs[str, Any]
    """JSON pointer, with names of the cluster, to value; in this order."""
    rules: StrPath | None
    """A TOML file that holds all of these; what is given here wins."""
    variables: Mapping[str, Any]
    """Values of a template's variables."""
    secrets_file: StrPath | None
    """What an export's `secrets_out` kept."""
    on_conflict: Literal["fail", "update", "keep", "rename"] | None
    """What a merge does with a VM whose name another VM has."""
    match: Literal["id", "name"]
    """How VMs are found."""
    replace_disks: bool
    """A merge replaces disk content that is here."""
    new_identity: bool
    """Own ids and MACs for the copies."""
    with_nodes: bool
    """Bring the nodes of another cluster as records."""
    adopt_node: int | None
    """Take labels and topology of this node of the file."""
    node_id: int | None
    """This machine's node id, where the import makes the cluster."""
    start: Sequence[str]
    """Globs of VMs that are not held; `["*"]` is all."""
    trust_host_paths: bool
    """Accept host paths, bridges and commands of another cluster."""
    strict: bool
    """Refuse an edited file, and one without digests."""
    accept_edited: bool
    """Take a gzip file whose digests do not match."""
    skip_damaged: bool
    """Leave damaged disks out instead of importing nothing."""
    force_in_use: bool
    """Replace disks that a process has open."""
    consent: bool
    """Replace a cluster that was not named and that the file does not match (`-y`)."""
    threads: int | None
    """Workers; one for each core."""
    progress: Progress
    """Told about every image."""


def export_options(site: Site, output: StrPath, given: ExportArguments) -> ExportOptions:
    """The options of `export_cluster` that an export's arguments mean.

    Raises:
        TypeError: an argument does not exist.
        UsageError: a selector is not one, or a number out of its range.
    """
    from blixard.model.structs import Consistency
    from blixard.ops.exporting.export import ExportOptions
    from blixard.plan.scope import parse_scope
    from blixard.site.quantities import within

    _check_known(given, ExportArguments)
    level, required, secrets = given.get("level"), given.get("require_consistency"), given.get("secrets_out")
    template = given.get("template", False)
    return ExportOptions(
        output=os.fspath(output),
        compress=given.get("compress", True) and not template,
        gzip_level=site.config.get("export.level", int) if level is None else within(level, GZIP_LEVELS, "`level`"),
        images=given.get("images", False),
        telemetry=given.get("telemetry", False),
        telemetry_since=given.get("telemetry_since"),
        scope=parse_scope(given.get("only", ()), given.get("except_", ())),
        redact=given.get("redact", False),
        redact_paths=site.config.get("redact.paths", tuple),
        secrets_out=Path(secrets) if secrets else None,
        images_unredacted=given.get("images_unredacted", False),
        template=template,
        require_consistency=None if required is None else Consistency(required),
        all_or_nothing=given.get("all_or_nothing", False),
        verify=given.get("verify", False),
        exported_at=given.get("exported_at"),
        threads=site.threads(given.get("threads")),
    )


def import_request(
    site: Site,
    source: StrPath,
    cluster: str | None,
    given: ImportArguments,
    *,
    values: Values | None = None,
    saved: SavedPlan | None = None,
) -> ImportRequest:
    """The request to `import_document` that an import's arguments mean.

    Args:
        site: the data directory, for its settings.
        source: a path, `-`, or how reports call the sender.
        cluster: that was named.
        given: how it is made.
        values: of a template's variables, where they have several sources; else the `variables` given.
        saved: the plan that must be applied as it is.

    Raises:
        TypeError: an argument does not exist.
        UsageError: a selector or a rule is not one, or a file of them cannot be read.
    """
    from blixard.ops.importing.request import ImportRequest
    from blixard.plan.options import Values

    _check_known(given, ImportArguments)
    return ImportRequest(
        source=os.fspath(source),
        options=_import_options(given, values or Values(file=dict(given.get("variables", {})))),
        cluster=cluster,
        environment_cluster=os.environ.get("BLIXARD_CLUSTER") or None,
        dry_run=given.get("dry_run", False),
        consent=given.get("consent", False),
        strict=given.get("strict", False),
        accept_edited=given.get("accept_edited", False),
        skip_damaged=given.get("skip_damaged", False),
        force_in_use=given.get("force_in_use", False),
        saved=saved,
        limits=site.config.limits,
        threads=site.threads(given.get("threads")),
    )


def _import_options(given: ImportArguments, values: Values) -> ImportOptions:
    from blixard.plan.options import ImportOptions, MatchBy, Mode, OnConflict
    from blixard.site.site import networks_here

    return ImportOptions(
        mode=Mode.MERGE if given.get("merge") else Mode.REPLACE,
        rules=_rules(given),
        values=values,
        secrets=_secrets(given.get("secrets_file")),
        on_conflict=OnConflict(given.get("on_conflict") or OnConflict.FAIL),
        match=MatchBy(given.get("match", MatchBy.ID)),
        replace_disks=given.get("replace_disks", False),
        new_identity=given.get("new_identity", False),
        with_nodes=given.get("with_nodes", False),
        adopt_node=given.get("adopt_node"),
        node_id=given.get("node_id"),
        start=tuple(given.get("start", ())),
        trust_host_paths=given.get("trust_host_paths", False),
        networks_here=networks_here(),
    )


def _rules(given: ImportArguments) -> Rules:
    from blixard.plan.rules import Rules, combine, parse_rules
    from blixard.plan.scope import parse_scope

    sets = given.get("set", ())
    made = Rules(
        scope=parse_scope(given.get("only", ()), given.get("except_", ())),
        rename=dict(given.get("rename", ())),
        prefix=given.get("prefix") or "",
        map_node=dict(given.get("map_node", ())),
        map_network=dict(given.get("map_network", ())),
        sets=tuple(sets.items() if isinstance(sets, Mapping) else sets),
    )
    file = given.get("rules")
    return made if file is None else combine(parse_rules(text_of(file), os.fspath(file)), made)


def _secrets(file: StrPath | None) -> dict[str, Any]:
    from blixard.redact.document import read_secrets

    return {} if file is None else read_secrets(bytes_of(file), os.fspath(file))


def bytes_of(file: StrPath) -> bytes:
    """A small file that an argument names: a plan, or secrets.

    Raises:
        UsageError: it cannot be read.
    """
    from blixard.files import read_bytes

    try:
        return read_bytes(Path(file), _SMALL_FILE)
    except StorageError as error:
        raise UsageError(error.message, hint=error.hint) from error


def text_of(file: StrPath) -> str:
    """A small text file that an argument names: rules, or variables.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        return bytes_of(file).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"`{os.fspath(file)}` is not UTF-8") from error


def _check_known(given: Mapping[str, Any], known: type) -> None:
    """Refuse a misspelt option, as Python does where a signature is written out; it must not be ignored."""
    for name in given:
        if name not in known.__annotations__:
            raise TypeError(f"unexpected keyword argument {name!r}; there is {', '.join(known.__annotations__)}")
