"""The results as a page for each part: the same Markdown in the terminal and in docs/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from .bars import Bar
from .contest import Row
from .inputs import MIB
from .results import DiskResults, StateResults
from .state import StateRow

_HEAD = """\
# Benchmarks

Written by `make bench`, beside the figures of [state alone](benchmarks-state.md) and of [peers](benchmarks-peers.md).
It makes its own disks from the machine's files: a base root file system, three clones in which ext4 added, changed and
removed files, a disk of random data, and a nearly empty large disk. Every tool packs all of them and brings them back,
in turns (A B C, A B C), with the disks in the page cache, and its time ends when the file system is written back.
Figures are medians. On a shared machine only the ratios count, and those of a quiet one count more: the load average
before each round is below. Every restore of ours is compared byte by byte, and must take no more room than the blocks
of its original that are not zero."""
_STATE_HEAD = """\
# Benchmarks of state alone

Written by `make bench`, beside [those of disks](benchmarks.md): exports and imports of clusters without disk content.
Figures are medians.

`dumps` and `loads` are Python's `json`, one call, nothing else; ours is the whole command: start, store, digests, gzip,
`fsync`. The bars compare CPU time, because `dumps` touches no disk; the last column is of wall time.
`replace` and `merge` bring the document, each VM changed, into a cluster that has them all, and keep an undo of it.
RAM is of the export, the import, the replace and the merge."""


def disks_page(found: DiskResults, judged: list[Bar]) -> str:
    """All about disks."""
    return "\n".join([*_disks_page(found, judged), ""])


def state_page(found: StateResults, judged: list[Bar]) -> str:
    """All about state alone."""
    return "\n".join([*_state_page(found, judged), ""])


def _disks_page(found: DiskResults, judged: list[Bar]) -> Iterator[str]:
    yield _HEAD
    yield from machine_section(found.machine, found.loads)
    yield f"\n## Disks: {found.data_bytes / MIB:,.0f} MiB stored in six raw disks\n"
    yield from _disks(found.disks)
    yield "\nqcow2, an uncompressed and a compressed version of the base:\n"
    yield from _disks(found.qcow2)
    yield "\n## Start-up\n"
    rows = ((name, f"{usage.cpu * 1000:.0f}", f"{usage.wall * 1000:.0f}") for name, usage in found.start_up.items())
    yield from table(["", "CPU ms", "wall ms"], (list(row) for row in rows))
    yield "\n## The bars\n"
    yield from bars_table(judged)


def _state_page(found: StateResults, judged: list[Bar]) -> Iterator[str]:
    yield _STATE_HEAD
    yield from machine_section(found.machine, [])
    yield "\n## Exports and imports\n"
    yield from _state(found.rows)
    yield "\n## The bars\n"
    yield from bars_table(judged)


def machine_section(machine: Mapping[str, str], loads: Sequence[str]) -> Iterator[str]:
    """What it was measured on."""
    yield "\n## The machine\n"
    yield from table(["", ""], ([key, value] for key, value in machine.items()))
    if loads:
        yield f"\nLoad average before each round: {', '.join(loads)}."


def bars_table(judged: list[Bar]) -> list[str]:
    """Every bar with its ratio."""
    rows = (
        [bar.rule, _amount(bar.measured, bar.unit), _bound(bar), "HOLDS" if bar.holds else "**FAILS**", bar.source]
        for bar in judged
    )
    return table(["", "measured", "bar", "", "from"], rows)


def _amount(value: float, unit: str) -> str:
    return f"{value:.0f}{unit}" if "MiB" in unit else f"{value:.2f}{unit}"


def _bound(bar: Bar) -> str:
    return f"{'at least' if bar.at_least else 'at most'} {bar.bar:g}{bar.unit}"


def _disks(rows: dict[str, Row]) -> list[str]:
    names = ["", "export s", "CPU s", "MiB RAM", "import s", "CPU s", "MiB RAM", "stored MB", "restored MB", "equal"]
    return table(
        names,
        (
            [
                name,
                f"{row.pack.wall:.2f}",
                f"{row.pack.cpu:.2f}",
                f"{row.pack.memory / MIB:.0f}",
                f"{row.unpack.wall:.2f}",
                f"{row.unpack.cpu:.2f}",
                f"{row.unpack.memory / MIB:.0f}",
                f"{row.stored / 1e6:,.0f}",
                f"{row.restored / 1e6:,.0f}",
                "yes" if row.whole else "no",
            ]
            for name, row in sorted(rows.items(), key=lambda item: item[1].pack.wall)
        ),
    )


def _state(rows: list[StateRow]) -> list[str]:
    names = [
        "VMs",
        "MB",
        "dumps s",
        "loads s",
        "export s",
        "CPU",
        "plain s",
        "import s",
        "CPU",
        "plain s",
        "replace CPU",
        "merge CPU",
        "MiB RAM",
        "wall / dumps",
    ]
    return table(
        names,
        (
            [
                f"{row.vms:,}",
                f"{row.document / 1e6:,.2f}",
                f"{row.dumps.wall:.3f}",
                f"{row.loads.wall:.3f}",
                f"{row.export.wall:.2f}",
                f"{row.export.cpu:.2f}",
                f"{row.export_plain.wall:.2f}",
                f"{row.import_.wall:.2f}",
                f"{row.import_.cpu:.2f}",
                f"{row.import_plain.wall:.2f}",
                f"{row.replace.cpu:.2f}",
                f"{row.merge.cpu:.2f}",
                " / ".join(f"{each.memory / MIB:.0f}" for each in (row.export, row.import_, row.replace, row.merge)),
                f"{row.export.wall / row.dumps.wall:.1f} / {row.import_.wall / row.dumps.wall:.1f}",
            ]
            for row in rows
        ),
    )


def table(names: list[str], rows: Iterable[list[str]]) -> list[str]:
    """A Markdown table whose columns line up in a terminal too."""
    given = [names, *rows]
    widths = [max(len(row[column]) for row in given) for column in range(len(names))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in given
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines
