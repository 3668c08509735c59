"""The real qemu-img and qemu-io as oracles; tests that need them skip, loudly, where they are not installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img (qemu-utils) is not installed")


def qemu_img(*args: str | Path) -> str:
    """Run qemu-img; a failure is the test's failure, with what it said."""
    return _run("qemu-img", *args)


def qemu_io(image: Path, *commands: str) -> str:
    """Run qemu-io commands on a qcow2 image."""
    return _run("qemu-io", "-f", "qcow2", *(part for command in commands for part in ("-c", command)), image)


def guest_bytes(image: Path, image_format: str = "qcow2") -> bytes:
    """The guest's view of an image, as QEMU reads it."""
    target = image.with_name(f"{image.name}.oracle")
    qemu_img("convert", "-f", image_format, "-O", "raw", image, target)
    try:
        return target.read_bytes()
    finally:
        target.unlink()


def check_report(image: Path) -> dict[str, Any]:
    """What `qemu-img check` finds in a qcow2 image."""
    done = subprocess.run(
        ["qemu-img", "check", "-f", "qcow2", "--output=json", image], check=False, capture_output=True, text=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def assert_clean(image: Path) -> None:
    """No errors, no leaks."""
    report = check_report(image)
    assert (report["check-errors"], report.get("corruptions", 0), report.get("leaks", 0)) == (0, 0, 0), report


def _run(*args: str | Path) -> str:
    done = subprocess.run([str(arg) for arg in args], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
    return done.stdout
