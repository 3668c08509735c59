"""Put a hand-edited export file in order and seal it again.

Everything is read and checked before a byte is written: `fmt` seals what somebody meant to edit, never damage, and
never a link that leads somewhere else than it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, cast

from msgspec import Struct

from blixard.errors import DigestMismatch, ExitCode, UsageError
from blixard.format.events import Event
from blixard.format.reader import read_export
from blixard.format.skeleton import read_skeleton
from blixard.home import Home
from blixard.limits import DEFAULT, Limits
from blixard.ops.document.canonical_form import CanonicalForm, canonical_form
from blixard.ops.document.comparison import Difference, TextComparison
from blixard.ops.document.examine import Examined, examine, starts_as_gzip
from blixard.ops.document.scatter import SEE_VERIFY
from blixard.place import a_link, is_standard, open_input, open_output, pointed_to, replacing_output, reread, same_file
from blixard.ports import Input, Output, Progress
from blixard.site.uninterrupted import publish


class FmtOptions(Struct, frozen=True, kw_only=True):
    """One formatting's options."""

    source: str
    output: str | None = None
    """None replaces `source`."""
    check: bool = False
    """Only say whether the file is in form."""
    threads: int = 2
    limits: Limits = DEFAULT


class FmtReport(Struct, frozen=True, kw_only=True):
    """What a formatting found and did."""

    place: str
    in_form: bool
    """The file was in order and sealed already."""
    why: str | None
    """What was not in form, the first thing found."""
    edited: tuple[str, ...]
    """Sections that were not what the old `integrity` said."""
    written: str | None
    document: str | None
    """Digest of the document as it is now."""
    exit_code: ExitCode


def format_file(options: FmtOptions, *, progress: Progress, home: Home) -> FmtReport:
    """Order and seal a file, or say whether it is.

    Args:
        options: how.
        progress: told about every image.
        home: the data directory, which is not written into.

    Raises:
        MalformedExport: it breaks a rule; a link that dangles is named.
        DigestMismatch: a record is damaged, which sealing would hide.
        RefusedError, StorageError: the output cannot be written; the file is as it was.
    """
    if is_standard(options.source):
        raise _read_once("standard input")
    _check_target(options)
    with open_input(options.source) as given:
        if not given.seekable:
            raise _read_once(f"`{given.name}`")
        compressed = starts_as_gzip(given.stream)
        found = examine(given.stream, threads=options.threads, limits=options.limits, progress=progress)
        _refuse_damage(found)
        form = canonical_form(found, options.limits)
        why = _not_in_form(form, found, given, compressed=compressed)
        written, document = None, _document(found)
        if not options.check and (why or options.output):
            written = options.output or options.source
            with _output(options, given, home) as output:
                document = form.write(partial(_events, given, options.limits), output.file, compress=compressed)
                publish(output)
    return FmtReport(
        place=options.source,
        in_form=why is None,
        why=why,
        edited=found.seal.edited if found.seal else (),
        written=written,
        document=document,
        exit_code=ExitCode.CHANGES_PENDING if options.check and why else ExitCode.DONE,
    )


def _read_once(what: str) -> UsageError:
    return UsageError(f"`fmt` reads a file more than once, and {what} cannot be", hint="name a file")


def _output(options: FmtOptions, given: Input, home: Home) -> Output:
    """The file in its place keeps its mode: a template in git is for everybody to read."""
    if options.output is not None:
        return open_output(options.output, home=home)
    return replacing_output(given, home=home)


def _check_target(options: FmtOptions) -> None:
    if options.check and options.output:
        raise UsageError("`--check` writes nothing", hint="leave out `-o` or `--check`")
    if options.output and same_file(options.source, options.output):
        raise UsageError("`-o` names the file itself", hint="leave out `-o` to replace it")
    if not options.check and options.output is None and pointed_to(options.source):
        raise a_link(options.source)


def _refuse_damage(found: Examined) -> None:
    if found.problem is not None:
        raise found.problem
    if not found.damaged_images:
        return
    first = found.damage[0]
    raise DigestMismatch(
        f"image {first.image}, record {first.position} is damaged: {first.problem}",
        hint=f"{SEE_VERIFY}; `fmt` does not seal damage",
    )


def _not_in_form(form: CanonicalForm, found: Examined, given: Input, *, compressed: bool) -> str | None:
    """The first thing that is not as `fmt` would write it; None when the file is in form."""
    seal = found.report
    if form.sealed and not seal.intact:
        return f"`{seal.edited[0]}` was edited" if seal.edited else "it has no `integrity`"
    if not form.sealed and seal.present:
        return "a template has no `integrity`"
    comparison = TextComparison(reread(given), whole=not compressed)
    look = partial(_events, given, form.limits)
    try:
        # of gzip the text counts, not how well it was compressed; the index in it tells of bytes and is checked apart
        form.write(look, cast("BinaryIO", comparison), compress=False, layout=not compressed)
        comparison.finish()
    except Difference as difference:
        return str(difference)
    if compressed and form.has_layout and read_skeleton(given) is None:
        return "its index does not match it"
    return None


def _events(given: Input, limits: Limits) -> Iterator[Event]:
    return read_export(reread(given), limits=limits)


def _document(found: Examined) -> str | None:
    """The digest as it is; a file that is only checked has no other one yet."""
    return found.seal.document if found.seal else None
