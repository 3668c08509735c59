"""Everything one run of the bench found."""

from __future__ import annotations

from msgspec import Struct

from .contest import Row
from .limits import Pair
from .measure import Usage
from .state import StateRow

BORG, TAR, RESTIC = "borg create, zstd,1", "tar -S, zstd -1 -T0", "restic backup"
GZIP, PLAIN = "blixard gzip", "blixard plain"


class DiskResults(Struct, frozen=True, kw_only=True):
    """What was measured of disks, before anything is judged."""

    machine: dict[str, str]
    loads: list[str]
    data_bytes: int
    disks: dict[str, Row]
    qcow2: dict[str, Row]
    memory: list[tuple[str, Pair]]
    """What was exported, and its exports with and without images."""
    hole: Pair
    inspect: list[tuple[str, Pair]]
    start_up: dict[str, Usage]


class StateResults(Struct, frozen=True, kw_only=True):
    """The same, of state alone."""

    machine: dict[str, str]
    rows: list[StateRow]
