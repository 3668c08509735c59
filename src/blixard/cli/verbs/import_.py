"""`cluster import`."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blixard.cli.options import command, only_with, pair
from blixard.cli.screen import human
from blixard.cli.verbs.export import selection
from blixard.cli.verbs.fetching import fetching_options, sender_names, senders, tickets_of
from blixard.cli.verbs.file_source import refuse_ticket, thread_count
from blixard.errors import ExitCode, StorageError, UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.ops.importing.request import ImportReport, ImportRequest
    from blixard.ops.importing.target import ImportTarget
    from blixard.ops.peers.source import PeerSource
    from blixard.plan.options import ImportOptions, Values
    from blixard.plan.rules import Rules
    from blixard.plan.values import ImportPlan

_SMALL_FILE = 16 << 20
_VARIABLE = "BLIXARD_VAR_"


@command(
    examples=[
        "blixard cluster import -i cluster-backup.json.gz",
        "blixard cluster import -i cluster-backup.json.gz --merge",
        "blixard cluster import -i cluster-backup.json.gz -c staging --dry-run",
        "blixard cluster import -i TICKET --p2p",
        "blixard cluster import --p2p --ticket-file ticket.txt",
    ],
    exits=[
        ExitCode.PARTIAL,
        ExitCode.REFUSED,
        ExitCode.CHANGES_PENDING,
        ExitCode.MALFORMED,
        ExitCode.DIGEST_MISMATCH,
        ExitCode.UNSUPPORTED_VERSION,
        ExitCode.LIMIT,
        ExitCode.LOCKED,
        ExitCode.CONFLICT,
        ExitCode.TRANSFER,
        ExitCode.BAD_TICKET,
        ExitCode.PEER_UNREACHABLE,
        ExitCode.PEER_MISBEHAVED,
    ],
)
@click.argument("file", required=False)
@click.option("-i", "--input", "sources", multiple=True, metavar="FILE", help="What to import; `-` is standard input")
@click.option("-m", "--merge", is_flag=True, help="Add and update, delete nothing  [replace]")
@click.option("--dry-run", is_flag=True, help="Show the plan, touch nothing")
@click.option("--exit-code", is_flag=True, help="With `--dry-run`: 5 when something would change")
@click.option("--plan-out", metavar="FILE", help="With `--dry-run`: keep the plan")
@click.option("--plan", "plan_file", metavar="FILE", help="Apply exactly this plan, or refuse")
@selection
@click.option("--rename", multiple=True, metavar="vm:OLD=NEW", help="Give a VM another name")
@click.option("--prefix", metavar="P", help="Put P before the name of every other VM")
@click.option("--map-node", multiple=True, metavar="OLD=NEW", help="Place VMs of node OLD on node NEW")
@click.option("--map-network", multiple=True, metavar="OLD=NEW", help="Join network or bridge NEW instead of OLD")
@click.option("--set", "sets", multiple=True, metavar="/POINTER=JSON", help="Set a value by place, with new names")
@click.option("--rules", "rules_file", metavar="FILE", help="TOML that holds all of these")
@click.option("--rules-out", metavar="FILE", help="With `--dry-run`: write a rules file to fill in")
@click.option("--var", "variables", multiple=True, type=pair, metavar="NAME=V", help="A template's variable")
@click.option("--var-file", metavar="FILE", help="TOML with variables  [BLIXARD_VAR_NAME]")
@click.option("--secrets-file", metavar="FILE", help="What `export --secrets-out` kept")
@click.option(
    "--on-conflict", type=click.Choice(["fail", "update", "keep", "rename"]), help="Merge: same name, other VM"
)
@click.option("--match", type=click.Choice(["id", "name"]), default="id", help="How VMs are found  [id]")
@click.option("--replace-disks", is_flag=True, help="Merge: replace disk content that is here")
@click.option("--new-identity", is_flag=True, help="Own ids and MACs for the copies")
@click.option("--with-nodes", is_flag=True, help="Bring the nodes of another cluster as records")
@click.option("--adopt-node", type=int, metavar="OLD", help="Take labels and topology of the file's node OLD")
@click.option("--start", is_flag=False, flag_value="*", multiple=True, metavar="[GLOB]", help="Do not hold these VMs")
@click.option("--trust-host-paths", is_flag=True, help="Accept host paths, bridges and commands of another cluster")
@click.option("--strict", is_flag=True, help="Refuse an edited file, and one without digests")
@click.option("--accept-edited", is_flag=True, help="Take a gzip file whose digests do not match")
@click.option("--skip-damaged", is_flag=True, help="Leave damaged disks out instead of importing nothing")
@click.option("--force-in-use", is_flag=True, help="Replace disks that a process has open")
@click.option("--threads", type=click.IntRange(1, 64), metavar="N", help="Workers  [one for each core]")
@click.option("--p2p", is_flag=True, help="`-i` is a ticket: fetch from its sender; several from all of them")
@fetching_options
def import_(session: Session, file: str | None, sources: tuple[str, ...], **given: Any) -> ExitCode | None:
    """Bring a cluster back from a file.

    Replaces by default: inside the file's scope the cluster becomes what the file
    says; `--merge` only adds and updates. All of it happens or nothing does, and
    `blixard cluster undo` takes it back. VMs of another cluster are held, so that a
    copy does not start beside the living original.
    """
    from blixard.cli import wiring
    from blixard.cli.screen.fetch_screen import Followed, Warnings, received
    from blixard.ops.importing.request import VERB
    from blixard.ops.importing.run import import_document
    from blixard.site.who import SystemClock

    _check(given)
    site = wiring.site(session)
    named = (*([file] if file else []), *sources)
    opened: Callable[[], AbstractContextManager[PeerSource]] | None = None
    if given["p2p"]:
        tickets = tickets_of(named, given["ticket_files"])
        opened = senders(session, tickets, given, VERB)
        request = _request(session, sender_names(tickets), given)
    else:
        request = _request(session, _one_name(named), given)

    def consent(plan: ImportPlan, target: ImportTarget) -> None:
        _ask(session, plan, target)

    warnings = Warnings(session.out)
    followed = None if opened is None else Followed(session.out, opened, warnings)
    with wiring.progress(session) as progress:
        report = import_document(
            site.home,
            site.open,
            request,
            clock=SystemClock(),
            progress=progress,
            consent=consent,
            opened=followed,
        )
    statistics = None if followed is None else followed.statistics
    fetched = "" if statistics is None else f"; fetched {received(statistics, report.seconds)}"
    if report.dry_run:
        _write_plans(report, request, given)
    warnings.tell(report.warnings)
    return _tell(session, report, given, fetched)


def _check(given: dict[str, Any]) -> None:
    for option in ("exit_code", "plan_out", "rules_out"):
        if given[option] and not given["dry_run"]:
            raise UsageError(f"`--{option.replace('_', '-')}` goes with `--dry-run`")
    if given["on_conflict"] and not given["merge"]:
        raise UsageError("`--on-conflict` goes with `--merge`", hint="a replace makes the cluster what the file says")
    if not given["p2p"]:
        only_with("--p2p", fetching_options)


def _one_name(named: tuple[str, ...]) -> str:
    for each in named:
        refuse_ticket(each, "add `--p2p`")
    if len(set(named)) > 1:
        raise UsageError(f"two files: `{named[0]}` and `{named[1]}`", hint="give one of them")
    if not named:
        raise UsageError("no file was named", hint="`-i FILE`; `-i -` is standard input")
    return named[0]


def _request(session: Session, source: str, given: dict[str, Any]) -> ImportRequest:
    from blixard.ops.importing.request import ImportRequest
    from blixard.plan.saved import decode_plan

    saved = None if given["plan_file"] is None else decode_plan(_read(given["plan_file"]))
    return ImportRequest(
        source=source,
        options=_options(session, given),
        cluster=session.options.cluster,
        environment_cluster=os.environ.get("BLIXARD_CLUSTER") or None,
        dry_run=given["dry_run"],
        consent=session.options.yes,
        strict=given["strict"],
        accept_edited=given["accept_edited"],
        skip_damaged=given["skip_damaged"],
        force_in_use=given["force_in_use"],
        saved=saved,
        limits=session.config.limits,
        threads=thread_count(session, given["threads"]),
    )


def _options(session: Session, given: dict[str, Any]) -> ImportOptions:
    from blixard.plan.options import ImportOptions, MatchBy, Mode, OnConflict
    from blixard.site.site import networks_here

    return ImportOptions(
        mode=Mode.MERGE if given["merge"] else Mode.REPLACE,
        rules=_rules(given),
        values=_values(given),
        secrets=_secrets(given["secrets_file"]),
        on_conflict=OnConflict(given["on_conflict"] or "fail"),
        match=MatchBy(given["match"]),
        replace_disks=given["replace_disks"],
        new_identity=given["new_identity"],
        with_nodes=given["with_nodes"],
        adopt_node=given["adopt_node"],
        node_id=session.options.node_id,
        start=tuple(given["start"]),
        trust_host_paths=given["trust_host_paths"],
        networks_here=networks_here(),
    )


def _rules(given: dict[str, Any]) -> Rules:
    from blixard.plan import rules
    from blixard.plan.scope import parse_scope

    made = rules.Rules(
        scope=parse_scope(given["only"], given["excluded"]),
        rename=dict(map(rules.parse_rename, given["rename"])),
        prefix=given["prefix"] or "",
        map_node=dict(map(rules.parse_node_map, given["map_node"])),
        map_network=dict(map(rules.parse_network_map, given["map_network"])),
        sets=tuple(map(rules.parse_set, given["sets"])),
    )
    if given["rules_file"] is None:
        return made
    return rules.combine(rules.parse_rules(_text(given["rules_file"]), given["rules_file"]), made)


def _values(given: dict[str, Any]) -> Values:
    from blixard.plan.options import Values
    from blixard.plan.templates import parse_variables_file

    file = given["var_file"]
    return Values(
        given=dict(given["variables"]),
        file={} if file is None else parse_variables_file(_text(file), file),
        environment={
            name.removeprefix(_VARIABLE): value for name, value in os.environ.items() if name.startswith(_VARIABLE)
        },
    )


def _secrets(file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    from blixard.redact.document import read_secrets

    return read_secrets(_read(file), file)


def _read(file: str) -> bytes:
    from blixard.files import read_bytes

    try:
        return read_bytes(Path(file), _SMALL_FILE)
    except StorageError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _text(file: str) -> str:
    try:
        return _read(file).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"`{file}` is not UTF-8") from error


def _ask(session: Session, plan: ImportPlan, target: ImportTarget) -> None:
    """Say where it goes; on a terminal, ask before a replace takes something away."""
    from blixard.cli.screen.plan_text import plan_lines, takes_away

    name = f"cluster `{plan.target.name}` ({plan.target.id}) in `{session.config.data_dir}`"
    session.out.note(f"importing into {'the new ' if target.new else ''}{name}")
    if session.may_ask() and takes_away(plan):
        for line in plan_lines(plan):
            session.out.note(line)
        session.consent(plan.target.name, f"{name} will become what the file says")


def _tell(session: Session, report: ImportReport, given: dict[str, Any], fetched: str) -> ExitCode:
    from blixard.cli.screen.plan_text import findings, plan_lines, summary

    out, plan = session.out, report.plan
    for finding in findings(plan):
        out.warn(finding)
    if out.json:
        out.document(report)
    elif report.dry_run:
        for line in plan_lines(plan):
            out.line(line)
    else:
        staged = f"{human.size(report.staged_bytes)} of disks staged"
        out.note(f"{summary(plan)}; revision {report.revision}, {staged}{fetched}")
        if report.undo is not None:
            undo = f"`blixard cluster undo -c {report.cluster}` takes it back"
            out.note(undo + (" (undo " + str(report.undo) + ")"))
    if report.dry_run and given["exit_code"] and not plan.is_empty:
        return ExitCode.CHANGES_PENDING
    return report.exit_code


def _write_plans(report: ImportReport, request: ImportRequest, given: dict[str, Any]) -> None:
    from blixard.files import atomic_write
    from blixard.plan.saved import encode_plan
    from blixard.plan.skeleton import rules_skeleton

    if given["plan_out"]:
        import msgspec

        options = msgspec.structs.replace(request.options, new_cluster=report.new_cluster)
        atomic_write(Path(given["plan_out"]), encode_plan(report.plan, options, report.document))
    if given["rules_out"]:
        atomic_write(Path(given["rules_out"]), rules_skeleton(report.plan).encode())
