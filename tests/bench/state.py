"""State alone: exports and imports of 10 to 100,000 VMs beside `json.dumps` and `json.loads` of the same document."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from . import ours
from .contest import remove
from .measure import BenchError, Usage, in_turns, median, run

SIZES = (10, 1_000, 100_000)
_JSON_TIMES = """\
import json, sys, time
text = open(sys.argv[1], encoding="utf-8").read()
def timed(call, given):
    wall, cpu = time.perf_counter(), time.process_time()
    made = call(given)
    return made, [time.perf_counter() - wall, time.process_time() - cpu]
document, loads = timed(json.loads, text)
_, dumps = timed(json.dumps, document)
print(json.dumps([loads, dumps]))
"""


class StateRow(Struct, frozen=True, kw_only=True):
    """Medians for one size. `loads` and `dumps` are the calls alone, without starting Python.

    `replace` and `merge` are imports into a cluster that has the VMs, each of which differs.
    """

    vms: int
    document: int
    dumps: Usage
    loads: Usage
    export: Usage
    export_plain: Usage
    import_: Usage
    import_plain: Usage
    replace: Usage
    merge: Usage


def state_rows(work: Path, rounds: int, sizes: tuple[int, ...] = SIZES) -> list[StateRow]:
    """Measure each size."""
    return [_row(work / f"state-{count}", count, rounds) for count in sizes]


def _row(work: Path, count: int, rounds: int) -> StateRow:
    remove(work)
    data_dir = work / "data"
    data_dir.mkdir(parents=True)
    given, gzip, plain = work / "given.json", work / "state.json.gz", work / "state.json"
    given.write_text(json.dumps(document(count)))
    ours.blixard(data_dir, "cluster", "import", "-i", given)
    ours.blixard(data_dir, "cluster", "export", "-o", plain, "--no-compress")
    changed = work / "changed.json"
    changed.write_text(json.dumps(_changed(json.loads(plain.read_text())), indent=2))
    jobs: dict[str, Callable[[], Usage]] = {
        "json": partial(_json, plain, "dumps"),
        "loads": partial(_json, plain, "loads"),
        "export": partial(_export, data_dir, gzip),
        "export_plain": partial(_export, data_dir, plain, "--no-compress"),
        "import": partial(_import, work, gzip),
        "import_plain": partial(_import, work, plain),
        "replace": partial(_import, work, changed, "-y", "-c", ours.CLUSTER, here=data_dir),
        "merge": partial(_import, work, changed, "--merge", "-c", ours.CLUSTER, here=data_dir),
    }
    found = {key: median(usages) for key, usages in in_turns(jobs, rounds).items()}
    row = StateRow(
        vms=count,
        document=plain.stat().st_size,
        dumps=found["json"],
        loads=found["loads"],
        export=found["export"],
        export_plain=found["export_plain"],
        import_=found["import"],
        import_plain=found["import_plain"],
        replace=found["replace"],
        merge=found["merge"],
    )
    shutil.rmtree(work)
    print(
        f"  {count} VMs: export {row.export.wall:.2f} s, import {row.import_.wall:.2f} s, dumps {row.dumps.wall:.2f} s"
    )
    return row


def document(count: int) -> dict[str, Any]:
    """A cluster as the original Blixard would write it, with disks and networks of ours: about 600 bytes a VM."""
    node = {"data_dir": "/var/lib/blixard", "use_tailscale": False, "vm_backend": "qemu"}
    return {
        "version": "1.0",
        "exported_at": "2026-01-01T00:00:00Z",
        "cluster_name": ours.CLUSTER,
        "exported_by_node": 1,
        "nodes": [{"id": number, "bind_addr": f"10.0.0.{number}:7001", **node} for number in (1, 2, 3)],
        "vms": {f"vm-{number:06d}": _vm(number) for number in range(count)},
        "raft_state": {"term": 7, "leader_id": 1, "members": [1, 2, 3]},
        "metadata": {"node_count": 3, "vm_count": count, "telemetry_included": False},
    }


def _vm(number: int) -> dict[str, Any]:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return {
        "name": f"vm-{number:06d}",
        "config_path": f"/etc/blixard/vms/vm-{number:06d}.nix",
        "vcpus": 1 + number % 8,
        "memory": 512 << number % 5,
        "tenant_id": f"tenant-{number % 17}",
        "ip_address": address,
        "metadata": {"owner": f"team-{number % 41}", "ticket": f"OPS-{number * 7919 % 100_000}"},
        "priority": 100 + number % 800,
        "preemptible": number % 3 == 0,
        "labels": {"tier": ("web", "db", "batch")[number % 3], "env": "production"},
        "node_id": 1 + number % 3,
        "desired_state": "running",
        "networks": [{"name": "lan", "network": "default", "mac": f"52:54:00:{address_mac(number)}", "ip": address}],
    }


def _changed(given: dict[str, Any]) -> dict[str, Any]:
    """The document with another priority for each VM."""
    return {**given, "vms": {name: {**vm, "priority": vm["priority"] + 1} for name, vm in given["vms"].items()}}


def address_mac(number: int) -> str:
    """The last three bytes of a MAC."""
    return ":".join(f"{number >> shift & 255:02x}" for shift in (16, 8, 0))


def _json(path: Path, call: str) -> Usage:
    done = subprocess.run([ours.PYTHON, "-c", _JSON_TIMES, path], capture_output=True, check=False)
    if done.returncode != 0:
        raise BenchError(done.stderr.decode())
    loads, dumps = json.loads(done.stdout)
    wall, cpu = loads if call == "loads" else dumps
    return Usage(wall, cpu, 0)


def _export(data_dir: Path, target: Path, *options: str) -> Usage:
    target.unlink(missing_ok=True)
    command = [ours.BLIXARD, "cluster", "export", "-q", "-o", str(target), *options]
    return run(command, environment=ours.environment(data_dir), folder=data_dir)


def _import(work: Path, source: Path, *options: str, here: Path | None = None) -> Usage:
    """Into an empty data directory, or into a copy of `here`."""
    data_dir = work / "fresh"
    remove(data_dir)
    if here is None:
        data_dir.mkdir()
    else:
        shutil.copytree(here, data_dir)
    command = [ours.BLIXARD, "cluster", "import", "-q", "-i", str(source), *options]
    return run(command, environment=ours.environment(data_dir), folder=data_dir)
