"""The bars of FORMAT.md section 6 and DESIGN.md section 10, each with what was measured and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from .inputs import MIB
from .results import BORG, GZIP, PLAIN, RESTIC, TAR, DiskResults, StateResults

FORMAT, DESIGN, OWN = "FORMAT.md 6", "DESIGN.md 10", "what was reached"
MEMORY_MIB = 256
_MANY = 100_000


class Bar(Struct, frozen=True, kw_only=True):
    """One promise. `measured` and `bar` are in the same unit: times, MiB or seconds."""

    source: str
    rule: str
    measured: float
    bar: float
    unit: str = "x"
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """True when the promise is kept."""
        return self.measured >= self.bar if self.at_least else self.measured <= self.bar


def of_disks(found: DiskResults) -> list[Bar]:
    """Every bar of the part about disks, in the order of the pages."""
    return [*_exports(found), *_imports(found), *_bounds(found), *_start_up(found)]


def of_state(found: StateResults) -> list[Bar]:
    """The bars of the part about state."""
    return list(_state(found))


def _exports(found: DiskResults) -> Iterator[Bar]:
    disks = found.disks
    for ours, times in ((GZIP, 1.0), (PLAIN, 1.5)):
        for peer in (TAR, BORG, RESTIC):
            yield Bar(
                source=FORMAT,
                rule=f"{ours} export, times as fast as {peer}",
                measured=disks[peer].pack.wall / disks[ours].pack.wall,
                bar=times,
                at_least=True,
            )
    size = disks[GZIP].stored / disks[BORG].stored
    yield Bar(source=FORMAT, rule=f"{GZIP} export, size against {BORG}", measured=size, bar=1.02)


def _imports(found: DiskResults) -> Iterator[Bar]:
    disks = found.disks
    for ours in (GZIP, PLAIN):
        for peer, times in ((BORG, 2.0), (TAR, 1.0)):
            yield Bar(
                source=FORMAT,
                rule=f"import of {ours}, times as fast as unpacking {peer}",
                measured=disks[peer].unpack.wall / disks[ours].unpack.wall,
                bar=times,
                at_least=True,
            )


def _bounds(found: DiskResults) -> Iterator[Bar]:
    for what, pair in found.memory:
        more = (pair.large.memory - pair.small.memory) / MIB
        rule = f"memory of an export with images above the same without, {what}"
        yield Bar(source=f"{FORMAT}, {DESIGN}", rule=rule, measured=more, bar=MEMORY_MIB, unit=" MiB")
    hole = found.hole.large.wall - found.hole.small.wall
    yield Bar(source=FORMAT, rule="what 1 TiB of hole adds to an export", measured=hole, bar=1.0, unit=" s")
    for what, pair in found.inspect:
        ratio = pair.large.wall / pair.small.wall
        yield Bar(source=f"{FORMAT}, {DESIGN}", rule=f"inspect, {what}", measured=ratio, bar=2.0)


def _start_up(found: DiskResults) -> Iterator[Bar]:
    bare = found.start_up["python"].cpu
    for name, command, most in (("version", "blixard --version", 3.0), ("status", "blixard cluster status", 6.5)):
        ratio = found.start_up[name].cpu / bare
        yield Bar(source=DESIGN, rule=f"CPU of {command} against python -c pass", measured=ratio, bar=most)


def _state(found: StateResults) -> Iterator[Bar]:
    for row in found.rows:
        if row.vms != _MANY:
            continue
        for what, usage, source, cpu, memory in (
            ("export", row.export, DESIGN, 3.0, 5.0),
            ("import", row.import_, "issue 10", 4.0, 5.0),
            ("replace", row.replace, OWN, 9.0, 8.0),
            ("merge", row.merge, OWN, 12.0, 10.0),
        ):
            # CPU: json.dumps touches no disk, and what a disk's syncs take says nothing about either
            rule = f"CPU of {what} of {row.vms:,} VMs against json.dumps"
            yield Bar(source=source, rule=rule, measured=usage.cpu / row.dumps.cpu, bar=cpu)
            rule = f"memory of {what} of {row.vms:,} VMs against the document"
            yield Bar(source=source, rule=rule, measured=usage.memory / row.document, bar=memory)
