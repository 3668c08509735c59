"""blixard as its users run it: the console script, another process, an environment that is said in full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .measure import BenchError

BLIXARD = str(Path(sysconfig.get_path("scripts"), "blixard"))
PYTHON = sys.executable
CLUSTER = "bench"


def environment(data_dir: Path) -> dict[str, str]:
    """What every tool gets; `PYTHONPATH` goes through, so that another tree of blixard can be measured."""
    more = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    paths = f"{Path(BLIXARD).parent}:/usr/bin:/bin:/usr/sbin:/sbin"
    return {"PATH": paths, "LANG": "C.UTF-8", "HOME": str(data_dir), "BLIXARD_DATA_DIR": str(data_dir), **more}


def blixard(data_dir: Path, *arguments: str | Path) -> Any:
    """Run one command line that is not measured; what it says with `--json`.

    Raises:
        BenchError: it did not end with 0.
    """
    command = [BLIXARD, *map(str, arguments), "--json"]
    done = subprocess.run(command, env=environment(data_dir), capture_output=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{command} ended with {done.returncode}: {done.stderr[-2000:].decode(errors='replace')}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def make_cluster(data_dir: Path, disks: Mapping[str, Path], name: str = CLUSTER) -> None:
    """A cluster with a VM for each disk, which stays where it is."""
    data_dir.mkdir(parents=True, exist_ok=True)
    blixard(data_dir, "cluster", "init", name)
    for vm, disk in disks.items():
        disk_format = disk.suffix.removeprefix(".")
        blixard(data_dir, "vm", "create", vm, "--disk", f"{disk},format={disk_format}", "--image-in-place", "-c", name)


def restored(data_dir: Path, vms: list[str], name: str = CLUSTER) -> dict[str, Path]:
    """Where an import put each VM's disk."""
    folder = data_dir / "clusters" / name / "disks"
    found = {}
    for vm in vms:
        shown = blixard(data_dir, "vm", "show", vm, "-c", name)
        found[vm] = folder / shown["contents"][0]["content"]["file"]
    return found
