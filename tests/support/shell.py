"""The program as a shell runs it: another process, an environment that is said in full."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

BLIXARD = str(Path(sysconfig.get_path("scripts"), "blixard"))


def cron_environment(data_dir: Path) -> dict[str, str]:
    """What cron gives a job, and where the data is: no HOME, no TERM, LANG=C."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C", "BLIXARD_DATA_DIR": str(data_dir)}


def blixard(data_dir: Path, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run one command line to its end; text in and out."""
    options.setdefault("env", cron_environment(data_dir))
    options.setdefault("stdin", subprocess.DEVNULL)
    for channel in ("stdout", "stderr"):
        options.setdefault(channel, subprocess.PIPE)
    return subprocess.run([BLIXARD, *map(str, arguments)], text=True, check=False, timeout=60, **options)


def python(*arguments: str) -> list[str]:
    """A command line of this interpreter."""
    return [sys.executable, *arguments]


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """User and system time of one run."""
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime
