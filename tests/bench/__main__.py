"""`python -m tests.bench`: measures, prints one page with every bar, and writes it to docs/benchmarks.md."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from .bars import bars
from .contest import contest
from .inputs import allocated, make_inputs
from .limits import hole_pair, inspect_pair, memory_pair, start_up
from .machine import describe
from .measure import BenchError
from .report import page
from .results import GZIP, PLAIN, Results
from .state import state_rows
from .tools import Tool, disk_tools, qcow2_tools

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Parse, measure, report; 1 when something broke, or with `--check` when a bar fails."""
    options = _options()
    work = options.work or Path(tempfile.mkdtemp(prefix="blixard-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        found = measure(work, options.scale, options.rounds)
    except BenchError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    finally:
        if options.work is None:
            shutil.rmtree(work)
    judged = bars(found)
    text = page(found, judged)
    print(text)
    options.output.write_text(text)
    return int(options.check and not all(bar.holds for bar in judged))


def measure(work: Path, scale: float, rounds: int) -> Results:
    """Everything, in one run. The folder keeps only the inputs."""
    print("making the disks", flush=True)
    inputs = make_inputs(work, scale)
    run = Path(tempfile.mkdtemp(prefix="run-", dir=work))
    try:
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
        started = start_up(run)
        print("state alone", flush=True)
        return Results(
            machine=describe(work, scale, rounds),
            loads=loads + more,
            data_bytes=sum(allocated(path) for path in inputs.raw.values()),
            disks=disks,
            qcow2=qcow2,
            state=state_rows(run, rounds),
            memory=memory,
            hole=hole,
            inspect=inspect,
            start_up=started,
        )
    finally:
        shutil.rmtree(run)


def _drop_peers(tools: list[Tool]) -> None:
    """Give the room back early."""
    from .contest import remove

    for tool in tools:
        if not tool.is_ours:
            remove(tool.store)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the disks; 1 needs about 40 GiB  [1]")
    parser.add_argument("--rounds", type=int, default=3, help="of every measurement  [3]")
    parser.add_argument("--work", type=Path, help="keep the inputs here  [a temporary folder]")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md", help="[docs/benchmarks.md]")
    parser.add_argument("--check", action="store_true", help="end with 1 when a bar fails")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
