"""telemetry.db: samples and log lines of this node, and what came with imports, bounded by age and size.

Beside the state and never part of it: `synchronous=normal`, one file that may be deleted at any time. Imported
telemetry lies in tables of its own, marked with where it came from: another cluster's past never reads as ours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from blixard import files
from blixard.closing import Closing
from blixard.errors import StorageError, UnsupportedVersion
from blixard.model.structs import JsonObject
from blixard.plan.retention import TelemetryPolicy
from blixard.telemetry.points import LogLine, Point, Series, SeriesKind, Severity, moment_of, nanoseconds

SCHEMA_NUMBER = 1
_SCHEMA = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL, attributes TEXT NOT NULL,
    UNIQUE (name, unit, kind, attributes));
CREATE TABLE samples (at INTEGER NOT NULL, series INTEGER NOT NULL, value NUMERIC NOT NULL, start INTEGER);
CREATE INDEX samples_at ON samples (at);
CREATE TABLE logs (
    at INTEGER NOT NULL, severity INTEGER NOT NULL, body TEXT NOT NULL, attributes TEXT NOT NULL, trace TEXT NOT NULL);
CREATE INDEX logs_at ON logs (at);
CREATE TABLE imports (
    id INTEGER PRIMARY KEY, imported_at INTEGER NOT NULL, cluster_name TEXT NOT NULL, cluster_id TEXT,
    exported_at INTEGER NOT NULL, document TEXT);
CREATE TABLE imported (
    import INTEGER NOT NULL REFERENCES imports (id) ON DELETE CASCADE, position INTEGER NOT NULL, key TEXT NOT NULL,
    element BLOB NOT NULL, PRIMARY KEY (import, position)) WITHOUT ROWID;
"""
_BUSY_SECONDS = 5.0


class TelemetryOrigin(Struct, frozen=True, kw_only=True):
    """Where imported telemetry came from."""

    cluster_name: str
    cluster_id: str | None
    exported_at: datetime
    document: str | None
    imported_at: datetime


class Imported(Struct, frozen=True):
    """One imported element: `key` is `resourceMetrics` or `resourceLogs`."""

    origin: TelemetryOrigin
    key: str
    element: JsonObject


class TelemetryStore(Closing):
    """The telemetry of one node of one cluster, in a database that is made, private, when it is missing."""

    def __init__(self, path: Path, policy: TelemetryPolicy = TelemetryPolicy()) -> None:  # noqa: B008 - frozen
        self._path = path
        self._policy = policy
        self._connection = self._open()

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def add_samples(self, points: Iterable[Point]) -> None:
        """Keep `points`."""
        with self._writing() as connection:
            rows = [
                (nanoseconds(each.at), self._series_id(connection, each.series), each.value, _nanos(each.start))
                for each in points
            ]
            connection.executemany("INSERT INTO samples VALUES (?, ?, ?, ?)", rows)
            self._prune(connection, max((row[0] for row in rows), default=0))

    def add_log(self, line: LogLine) -> None:
        """Keep one line of what was done to this cluster."""
        with self._writing() as connection:
            attributes = msgspec.json.encode(line.attributes).decode()
            row = (nanoseconds(line.at), int(line.severity), line.body, attributes, line.trace)
            connection.execute("INSERT INTO logs VALUES (?, ?, ?, ?, ?)", row)
            self._prune(connection, row[0])

    def add_imported(self, origin: TelemetryOrigin, elements: Iterable[tuple[str, JsonObject]]) -> int | None:
        """Keep elements of an import, all or none; the same document again replaces its earlier ones.

        Returns:
            What `drop_imported` takes, should the import fail later; None when they are over `max_bytes` and not kept.
        """
        with self._writing() as connection:
            if origin.document is not None:
                connection.execute("DELETE FROM imports WHERE document = ?", (origin.document,))
            about = (nanoseconds(origin.imported_at), origin.cluster_name, origin.cluster_id)
            made = connection.execute(
                "INSERT INTO imports VALUES (NULL, ?, ?, ?, ?, ?)",
                (*about, nanoseconds(origin.exported_at), origin.document),
            ).lastrowid
            for position, (key, element) in enumerate(elements):
                row = (made, position, key, msgspec.json.encode(element))
                connection.execute("INSERT INTO imported VALUES (?, ?, ?, ?)", row)
            self._prune(connection, about[0])
            kept = connection.execute("SELECT 1 FROM imports WHERE id = ?", (made,)).fetchone()
            return made if kept else None

    def drop_imported(self, import_id: int) -> None:
        """Forget what `add_imported` kept."""
        with self._writing() as connection:
            connection.execute("DELETE FROM imports WHERE id = ?", (import_id,))

    def samples(self, since: datetime, until: datetime) -> Iterator[Point]:
        """Points of the window, both ends included, by series and time."""
        query = """SELECT at, value, start, name, unit, kind, attributes FROM samples JOIN series ON series.id = series
                   WHERE at BETWEEN ? AND ? ORDER BY name, unit, kind, attributes, at"""
        for at, value, start, name, unit, kind, attributes in self._select(query, since, until):
            series = Series(
                name, unit, SeriesKind(kind), msgspec.json.decode(attributes, type=tuple[tuple[str, str | int], ...])
            )
            yield Point(series, moment_of(at), value, None if start is None else moment_of(start))

    def logs(self, since: datetime, until: datetime) -> Iterator[LogLine]:
        """Lines of the window, both ends included, oldest first."""
        query = "SELECT at, severity, body, attributes, trace FROM logs WHERE at BETWEEN ? AND ? ORDER BY at, rowid"
        for at, severity, body, attributes, trace in self._select(query, since, until):
            yield LogLine(moment_of(at), Severity(severity), body, msgspec.json.decode(attributes), trace)

    def imported(self) -> Iterator[Imported]:
        """Elements that came with imports, newest import first, in the order of their documents."""
        query = """SELECT cluster_name, cluster_id, exported_at, document, imported_at, key, element
                   FROM imported JOIN imports ON imports.id = import ORDER BY import DESC, position"""
        for name, cluster_id, exported_at, document, imported_at, key, element in self._rows(query, ()):
            origin = TelemetryOrigin(
                cluster_name=name,
                cluster_id=cluster_id,
                exported_at=moment_of(exported_at),
                document=document,
                imported_at=moment_of(imported_at),
            )
            yield Imported(origin, key, msgspec.json.decode(element, type=JsonObject))

    def _select(self, query: str, since: datetime, until: datetime) -> Iterator[tuple[Any, ...]]:
        return self._rows(query, (nanoseconds(since), nanoseconds(until)))

    def _rows(self, query: str, values: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
        with self._translated("read"):
            yield from self._connection.execute(query, values)

    def _series_id(self, connection: sqlite3.Connection, series: Series) -> int:
        key = (series.name, series.unit, series.kind.value, msgspec.json.encode(series.attributes).decode())
        query = "SELECT id FROM series WHERE name = ? AND unit = ? AND kind = ? AND attributes = ?"
        found = connection.execute(query, key).fetchone()
        if found:
            return int(found[0])
        made = connection.execute("INSERT INTO series (name, unit, kind, attributes) VALUES (?, ?, ?, ?)", key)
        return int(made.lastrowid or 0)

    def _prune(self, connection: sqlite3.Connection, now: int) -> None:
        """Drop what is too old, then the oldest until the size fits; what a deletion frees, the next write uses."""
        oldest = now - self._policy.max_age // timedelta(microseconds=1) * 1000
        connection.execute("DELETE FROM samples WHERE at < ?", (oldest,))
        connection.execute("DELETE FROM logs WHERE at < ?", (oldest,))
        connection.execute("DELETE FROM imports WHERE imported_at < ?", (oldest,))
        while self._used_bytes(connection) > self._policy.max_bytes and self._drop_oldest(connection):
            pass

    def _used_bytes(self, connection: sqlite3.Connection) -> int:
        pages, free, size = (
            connection.execute(f"PRAGMA {each}").fetchone()[0] for each in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _drop_oldest(self, connection: sqlite3.Connection) -> bool:
        """Drop samples before imported telemetry, and the log last: it is small and says who did what."""
        for query in (
            "DELETE FROM samples WHERE rowid IN (SELECT rowid FROM samples ORDER BY at LIMIT 5000)",
            "DELETE FROM imports WHERE id = (SELECT id FROM imports ORDER BY imported_at LIMIT 1)",
            "DELETE FROM logs WHERE rowid IN (SELECT rowid FROM logs ORDER BY at LIMIT 5000)",
        ):
            if connection.execute(query).rowcount:
                return True
        return False

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            files.make_file(self._path)  # SQLite gives its WAL the same mode
        with self._translated("open"):
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        number = connection.execute("PRAGMA user_version").fetchone()[0]
        if number > SCHEMA_NUMBER:
            raise UnsupportedVersion(
                f"`{self._path}` has schema {number}, this version knows {SCHEMA_NUMBER}",
                hint="update blixard, or move the file away: telemetry is begun anew",
            )
        if number == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_NUMBER}; COMMIT;")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._translated("write"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            hint = "telemetry can be begun anew: move the file away"
            raise StorageError(f"cannot {doing} `{self._path}`: {error}", hint=hint) from error


def _nanos(moment: datetime | None) -> int | None:
    return None if moment is None else nanoseconds(moment)
