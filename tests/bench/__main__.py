"""`python -m tests.bench`: measures, prints a page for each part with its bars, and writes it to docs/."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from blixard.peer.lane.tcp import bbr_works

from . import bars, report
from .bars import Bar
from .contest import contest, remove
from .inputs import GIB, MIB, allocated, make_inputs
from .limits import hole_pair, inspect_pair, memory_pair, start_up
from .links import cross, seconds_for
from .machine import DISK_TOOLS, PEER_TOOLS, describe
from .measure import BenchError
from .peer_report import PeerResults, of_peers, peers_page
from .peers import make_goods, move, small_import
from .results import GZIP, PLAIN, DiskResults, StateResults
from .state import state_rows
from .tools import Tool, disk_tools, qcow2_tools

ROOT = Path(__file__).resolve().parents[2]
Part = Callable[[Path, float, int], tuple[str, list[Bar]]]


def main() -> int:
    """Parse, measure, report; 1 when something broke, or with `--check` when a bar fails."""
    options = _options()
    work = options.work or Path(tempfile.mkdtemp(prefix="blixard-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    judged: list[Bar] = []
    try:
        for name in options.only or PARTS:
            judged += _part(name, work, options)
    except BenchError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    finally:
        if options.work is None:
            shutil.rmtree(work)
    return int(options.check and not all(bar.holds for bar in judged))


def _part(name: str, work: Path, options: argparse.Namespace) -> list[Bar]:
    """Measure one part; its page has only its own figures, so that no run wipes another part's."""
    part, page = PARTS[name]
    run = Path(tempfile.mkdtemp(prefix="run-", dir=work))
    try:
        text, judged = part(run, options.scale, options.rounds)
    finally:
        shutil.rmtree(run)
    print(text)
    (options.output / page).write_text(text)
    return judged


def _disks(run: Path, scale: float, rounds: int) -> tuple[str, list[Bar]]:
    """Exports and imports of disks beside other tools, and the limits that have no peer."""
    found = measure_disks(run, scale, rounds)
    judged = bars.of_disks(found)
    return report.disks_page(found, judged), judged


def measure_disks(run: Path, scale: float, rounds: int) -> DiskResults:
    """Everything about disks, in one run. The folder around `run` keeps only the inputs."""
    work = run.parent
    print("making the disks", flush=True)
    inputs = make_inputs(work, scale)
    print("disks, in turns", flush=True)
    tools = disk_tools(inputs, run, run / "ours")
    disks, loads = contest(tools, inputs.raw, run, rounds)
    stores = {tool.name: tool.store for tool in tools}
    print("qcow2, in turns", flush=True)
    qcow2, more = contest(qcow2_tools(inputs, run, run / "ours-qcow2"), inputs.qcow2, run, rounds)
    print("memory, holes, inspect, start-up", flush=True)
    _drop_peers(tools)
    memory = [
        ("one disk", memory_pair(run / "ours", rounds, "--only", "vm=base")),
        ("all disks", memory_pair(run / "ours", rounds)),
    ]
    hole = hole_pair(run)
    inspect = []
    for name in (GZIP, PLAIN):
        pair, small = inspect_pair(run, stores[name])
        inspect.append((f"{name}, {stores[name].stat().st_size:,} bytes against {small:,}", pair))
    return DiskResults(
        machine=describe(work, scale, rounds, DISK_TOOLS),
        loads=loads + more,
        data_bytes=sum(allocated(path) for path in inputs.raw.values()),
        disks=disks,
        qcow2=qcow2,
        memory=memory,
        hole=hole,
        inspect=inspect,
        start_up=start_up(run),
    )


def _state(run: Path, scale: float, rounds: int) -> tuple[str, list[Bar]]:
    """State alone; the scale changes nothing."""
    print("state alone", flush=True)
    found = StateResults(machine=describe(run, scale, rounds, {}), rows=state_rows(run, rounds))
    judged = bars.of_state(found)
    return report.state_page(found, judged), judged


def _peers(run: Path, scale: float, rounds: int) -> tuple[str, list[Bar]]:
    """Sharing and fetching beside other ways to move a disk."""
    print("peers, in turns", flush=True)
    goods = make_goods(run / "goods", int(GIB * scale) // MIB * MIB)
    moved = move(goods, run, rounds)
    remove(goods.disk.parent)
    print("one small record; links with delay and loss", flush=True)
    found = PeerResults(
        machine=describe(run, scale, rounds, PEER_TOOLS),
        moved=moved,
        whole_import=small_import(run, rounds),
        links=cross(run / "links", scale, rounds),
        has_bbr=bbr_works(),
    )
    judged = of_peers(found)
    return peers_page(found, judged, seconds_for(scale)), judged


def _drop_peers(tools: list[Tool]) -> None:
    """Give the room back early."""
    for tool in tools:
        if not tool.is_ours:
            remove(tool.store)


PARTS: dict[str, tuple[Part, str]] = {
    "disks": (_disks, "benchmarks.md"),
    "state": (_state, "benchmarks-state.md"),
    "peers": (_peers, "benchmarks-peers.md"),
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part; may be repeated  [all]")
    parser.add_argument("--scale", type=float, default=1.0, help="of the disks; 1 needs about 40 GiB  [1]")
    parser.add_argument("--rounds", type=int, default=3, help="of every measurement  [3]")
    parser.add_argument("--work", type=Path, help="keep the inputs here  [a temporary folder]")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder for the pages  [docs]")
    parser.add_argument("--check", action="store_true", help="end with 1 when a bar fails")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
