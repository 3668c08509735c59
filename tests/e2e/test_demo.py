"""`blixard demo` as a newcomer runs it: every disk comes back, from a file and by ticket."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
MKFS = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin:/bin")

pytestmark = pytest.mark.skipif(MKFS is None, reason="makes real disks with mkfs.ext4")


def test_the_demo_ends_with_a_cluster_that_came_by_ticket(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}

    done = subprocess.run(
        ["blixard", "demo", "--keep", str(kept)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )

    shown = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert shown.count("identical") == 4  # three by file, one by ticket
    assert "1 receiver got all of it" in shown
    assert (kept / "site-c/clusters/my-cluster").is_dir()
    assert (kept / "third.raw").read_bytes() == (kept / "clone.raw").read_bytes()
