"""`cluster extract`: one disk out of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from blixard.cli.options import command, values_of
from blixard.cli.screen import human
from blixard.cli.verbs.file_source import CHECKING, INPUT, THREADS
from blixard.errors import ExitCode, UsageError
from blixard.model.structs import DiskFormat

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=[
        "blixard cluster extract cluster-full.json.gz web-1/root -o web-1.qcow2",
        "blixard cluster extract cluster-full.json.gz db-1 -o db-1.img --format raw",
    ],
    exits=[*CHECKING, ExitCode.REFUSED, ExitCode.NOT_FOUND],
)
@click.argument("words", nargs=-1, metavar="FILE VM[/DISK]")
@INPUT
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to; it appears whole or not at all")
@click.option("--format", "shape", type=click.Choice(values_of(DiskFormat)), help="  [as the disk was]")
@click.option("--no-clobber", is_flag=True, help="Do not replace a file that is there")
@THREADS
def extract(
    session: Session,
    words: tuple[str, ...],
    source: str | None,
    *,
    output: str,
    shape: str | None,
    no_clobber: bool,
    threads: int | None,
) -> None:
    """Take one disk out of an export file, without a cluster.

    Reads only what the disk needs. Everything is checked before the file gets its
    name. A VM's files (config, kernel and so on) are taken out by their names.
    """
    from blixard.ops.document.extract import ExtractOptions
    from blixard.ops.document.extract import extract as take_out
    from blixard.place import is_standard

    file, what = _two(words, source)
    options = ExtractOptions(
        source=file,
        what=what,
        output=output,
        format=None if shape is None else DiskFormat(shape),
        clobber=not no_clobber,
        threads=session.site.threads(threads),
        limits=session.config.limits,
    )
    with session.progress() as progress:
        report = take_out(options, progress=progress, home=session.site.home)
    if session.out.json and not is_standard(output):
        session.out.document(report)
    session.out.note(
        f"`{report.vm}/{report.name}` written to `{report.output}`: {report.format}, {human.size(report.size_bytes)}, "
        f"{human.size(report.data_bytes)} of data"
    )


def _two(words: tuple[str, ...], source: str | None) -> tuple[str, str]:
    given = (source, *words) if source else words
    if len(given) != 2:
        raise UsageError("a file and a disk are needed", hint="`blixard cluster extract FILE VM/DISK -o OUT`")
    return given[0], given[1]
