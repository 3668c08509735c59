"""`cluster history`: what was done to a cluster, and which entry a file belongs to.

A file is found by the digest of its document, so a copy, a re-compressed or a re-formatted one is found too.
"""

from __future__ import annotations

from msgspec import Struct

from blixard.site.open_cluster import OpenCluster
from blixard.store.history import Recorded


class HistoryOptions(Struct, frozen=True, kw_only=True):
    """Which entries. `document`: hex; `failed`: only those that did not end with 0."""

    limit: int | None = None
    document: str | None = None
    verb: str | None = None
    failed: bool = False


def history(opened: OpenCluster, options: HistoryOptions) -> list[Recorded]:
    """Entries, newest first.

    Raises:
        StorageError: the history cannot be read.
    """
    opened.history.absorb(opened.books)  # what a kill kept in the outbox belongs here
    found = list(opened.history.find(options.document) if options.document else opened.history.entries())
    if options.failed:
        found = [each for each in found if each.entry.exit_code]
    if options.verb is not None:
        found = [each for each in found if each.entry.verb == options.verb]
    return found[: options.limit]


def document_of(file: str) -> str:
    """The digest of the document in the file `file`, computed by reading all of it.

    Raises:
        MalformedExport: it is not an export.
        StorageError: it cannot be read.
    """
    from blixard.format.events import DocumentEnd
    from blixard.format.reader import read_export
    from blixard.place import open_input

    with open_input(file) as source:
        for event in read_export(source.stream):
            if isinstance(event, DocumentEnd):
                return event.report.document
    raise AssertionError("a reader ends with `DocumentEnd` or raises")
