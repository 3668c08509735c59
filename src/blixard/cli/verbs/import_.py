"""`cluster import`: a file, or with `--p2p` a document at its senders, into a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Unpack

import click

from blixard.cli.options import command, goes_with, only_with, pair, two_given, values_of
from blixard.cli.screen import human
from blixard.cli.verbs.export import selection
from blixard.cli.verbs.fetching import FETCHING, Fetching, fetching_options, sender_names, senders, tickets_of
from blixard.cli.verbs.file_source import CHECKING, THREADS, no_file, refuse_ticket
from blixard.cli.verbs.network import NetworkFlags
from blixard.errors import ExitCode, UsageError
from blixard.plan import rules
from blixard.plan.options import MatchBy, OnConflict

if TYPE_CHECKING:
    from blixard.api.arguments import ImportArguments
    from blixard.cli.session import Session
    from blixard.home import Home
    from blixard.ops.importing.request import ImportReport, ImportRequest
    from blixard.ops.importing.target import ImportTarget
    from blixard.ops.peers.source import PeerSource
    from blixard.plan.options import Values
    from blixard.plan.values import ImportPlan

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
        *CHECKING,
        *FETCHING,
        ExitCode.PARTIAL,
        ExitCode.REFUSED,
        ExitCode.CHANGES_PENDING,
        ExitCode.CONFLICT,
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
@click.option("--rename", type=rules.parse_rename, multiple=True, metavar="vm:OLD=NEW", help="Give a VM another name")
@click.option("--prefix", metavar="P", help="Put P before the name of every other VM")
@click.option(
    "--map-node", type=rules.parse_node_map, multiple=True, metavar="OLD=NEW", help="Place VMs of node OLD on node NEW"
)
@click.option(
    "--map-network",
    type=rules.parse_network_map,
    multiple=True,
    metavar="OLD=NEW",
    help="Join network or bridge NEW instead of OLD",
)
@click.option(
    "--set", type=rules.parse_set, multiple=True, metavar="/POINTER=JSON", help="Set a value by place, with new names"
)
@click.option("--rules", metavar="FILE", help="TOML that holds all of these")
@click.option("--rules-out", metavar="FILE", help="With `--dry-run`: write a rules file to fill in")
@click.option("--var", multiple=True, type=pair, metavar="NAME=V", help="A template's variable")
@click.option("--var-file", metavar="FILE", help="TOML with variables  [BLIXARD_VAR_NAME]")
@click.option("--secrets-file", metavar="FILE", help="What `export --secrets-out` kept")
@click.option("--on-conflict", type=click.Choice(values_of(OnConflict)), help="Merge: same name, other VM")
@click.option(
    "--match", type=click.Choice(values_of(MatchBy)), default=MatchBy.ID.value, help="How VMs are found  [id]"
)
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
@THREADS
@click.option("--p2p", is_flag=True, help="`-i` is a ticket: fetch from its sender; several from all of them")
@fetching_options
def import_(
    session: Session,
    file: str | None,
    sources: tuple[str, ...],
    *,
    p2p: bool,
    exit_code: bool,
    plan_out: str | None,
    rules_out: str | None,
    plan_file: str | None,
    var: tuple[tuple[str, str], ...],
    var_file: str | None,
    fetching: Fetching,
    network: NetworkFlags,
    **asked: Unpack[ImportArguments],
) -> ExitCode | None:
    """Bring a cluster back from a file.

    Replaces by default: inside the file's scope the cluster becomes what the file
    says; `--merge` only adds and updates. All of it happens or nothing does, and
    `blixard cluster undo` takes it back. VMs of another cluster are held, so that a
    copy does not start beside the living original.
    """
    from blixard.api.arguments import bytes_of, import_request
    from blixard.cli.screen.fetch_screen import Followed, Warnings, received
    from blixard.ops.importing.request import VERB
    from blixard.ops.importing.run import import_document
    from blixard.plan.saved import decode_plan
    from blixard.site.who import SystemClock

    looking = asked["dry_run"]
    if not looking:
        for option, value in (("--exit-code", exit_code), ("--plan-out", plan_out), ("--rules-out", rules_out)):
            if value:
                raise goes_with(option, "--dry-run")
    if asked["on_conflict"] and not asked["merge"]:
        raise goes_with("--on-conflict", "--merge", "a replace makes the cluster what the file says")
    site = session.site
    named = (*([file] if file else []), *sources)
    opened: Callable[[], AbstractContextManager[PeerSource]] | None = None
    if p2p:
        tickets = tickets_of(named, fetching.ticket_files)
        opened = senders(session, tickets, fetching, network, VERB, looking=looking)
        source = sender_names(tickets)
    else:
        only_with("--p2p", fetching_options)
        source = _one_name(named)
    asked["consent"], asked["node_id"] = session.options.yes, session.options.node_id
    saved = None if plan_file is None else decode_plan(bytes_of(plan_file))
    values = _values(var, var_file)
    request = import_request(site, source, session.options.cluster, asked, values=values, saved=saved)

    def consent(plan: ImportPlan, target: ImportTarget) -> None:
        _ask(session, plan, target)

    warnings = Warnings(session.out)
    followed = None if opened is None else Followed(session.out, opened, warnings)
    with session.progress() as progress, _plans(site.home, source, plan_out, rules_out) as write_plans:
        report = import_document(
            site.home,
            site.open,
            request,
            clock=SystemClock(),
            progress=progress,
            consent=consent,
            opened=followed,
        )
        write_plans(report, request)
    statistics = None if followed is None else followed.statistics
    fetched = "" if statistics is None else f"; fetched {received(statistics, report.seconds)}"
    warnings.tell(report.warnings)
    _tell(session, report, fetched)
    return ExitCode.CHANGES_PENDING if exit_code and not report.plan.is_empty else report.exit_code


def _one_name(named: tuple[str, ...]) -> str:
    for each in named:
        refuse_ticket(each, "add `--p2p`")
    if len(set(named)) > 1:
        raise two_given("files", f"`{named[0]}`", f"`{named[1]}`")
    if not named:
        raise no_file("`-i FILE`; `-i -` is standard input")
    return named[0]


def _values(var: tuple[tuple[str, str], ...], var_file: str | None) -> Values:
    from blixard.api.arguments import text_of
    from blixard.plan.options import Values
    from blixard.plan.rules import parse_toml

    return Values(
        given=dict(var),
        file={} if var_file is None else parse_toml(text_of(var_file), var_file),
        environment={
            name.removeprefix(_VARIABLE): value for name, value in os.environ.items() if name.startswith(_VARIABLE)
        },
    )


def _ask(session: Session, plan: ImportPlan, target: ImportTarget) -> None:
    """Say where it goes; on a terminal, ask before a replace takes something away."""
    from blixard.cli.screen.plan_text import plan_lines, takes_away

    name = f"cluster `{plan.target.name}` ({plan.target.id}) in `{session.config.data_dir}`"
    session.out.note(f"importing into {'the new ' if target.new else ''}{name}")
    if session.may_ask() and takes_away(plan):
        for line in plan_lines(plan):
            session.out.note(line)
        session.consent(plan.target.name, f"{name} will become what the file says")


def _tell(session: Session, report: ImportReport, fetched: str) -> None:
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
            out.note(f"`blixard cluster undo -c {report.cluster}` takes it back (undo {report.undo})")


@contextmanager
def _plans(
    home: Home, source: str, plan_out: str | None, rules_out: str | None
) -> Iterator[Callable[[ImportReport, ImportRequest], None]]:
    """Open what a dry run writes, before it looks at anything; the function writes both."""
    from msgspec import structs

    from blixard.place import is_standard, open_output
    from blixard.plan.saved import encode_plan
    from blixard.plan.skeleton import rules_skeleton

    with ExitStack() as stack:
        named = [each for each in (plan_out, rules_out) if each]
        for each in named:
            if is_standard(each):
                raise UsageError("standard output is for what people read of the plan", hint="name a file")
        outputs = {
            each: stack.enter_context(open_output(each, home=home, apart_from=[source, *named[:number]]))
            for number, each in enumerate(named)
        }

        def write(report: ImportReport, request: ImportRequest) -> None:
            options = structs.replace(request.options, new_cluster=report.new_cluster)
            if plan_out:
                outputs[plan_out].file.write(encode_plan(report.plan, options, report.document))
            if rules_out:
                outputs[rules_out].file.write(rules_skeleton(report.plan).encode())
            for output in outputs.values():
                output.commit()

        yield write
