"""What the figures were measured on: nobody can read a time without it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("blake3", "isal", "msgspec", "numpy", "pybase64", "zstandard")
DISK_TOOLS = {
    "tar": ["tar", "--version"],
    "zstd": ["zstd", "--version"],
    "borg": ["borg", "--version"],
    "restic": ["restic", "version"],
    "qemu-img": ["qemu-img", "--version"],
    "mkfs.ext4": ["mkfs.ext4", "-V"],
}

PEER_TOOLS = {
    "OpenSSH": ["ssh", "-V"],
    "rsync": ["rsync", "--version"],
    "curl": ["curl", "--version"],
}


def describe(work: Path, scale: float, rounds: int, tools: Mapping[str, list[str]]) -> dict[str, str]:
    """The machine, the versions of everything (`tools`: the command that tells it) and how the bench was run."""
    found = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "scale, rounds": f"{scale:g}, {rounds}",
        "processor": f"{os.cpu_count()} cores, {_first(Path('/proc/cpuinfo'), 'model name')}",
        "memory": f"{_memory_gib():.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _os_name(),
        "file system": _file_system(work),
        "blixard": f"{version('blixard')}, Python {sys.version.split()[0]}",
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    }
    if tools:
        found["peers"] = ", ".join(f"{name} {_tool_version(command)}" for name, command in tools.items())
    return found


def load() -> str:
    """The load average of the last minute: what else the machine did."""
    return f"{os.getloadavg()[0]:.1f}"


def _first(path: Path, key: str) -> str:
    lines = path.read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), platform.machine())


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def _os_name() -> str:
    release = platform.freedesktop_os_release()
    return release.get("PRETTY_NAME", "unknown")


def _file_system(work: Path) -> str:
    found = subprocess.run(["stat", "-f", "-c", "%T", str(work)], capture_output=True, text=True, check=False)
    mount = subprocess.run(
        ["findmnt", "-n", "-o", "FSTYPE", "-T", str(work)], capture_output=True, text=True, check=False
    )
    return mount.stdout.strip() or found.stdout.strip()


def _tool_version(command: list[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[\w.]*", said.stdout + said.stderr)
    return found[0] if found else "?"
