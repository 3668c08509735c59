"""What the docs say about commands, exit codes, settings and packages is what the code says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from blixard.errors import ExitCode
from blixard.limits import ZSTD_LEVEL
from support.docs_runner import ROOT


@pytest.mark.parametrize("script", ["cli-reference", "architecture"])
def test_the_generated_pages_are_current(script: str) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--check"], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("page", ["reference/format.md", "explanation/deduplication-and-layout.md"])
def test_the_level_of_zstd_is_the_writers(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()

    assert f"zstd level {ZSTD_LEVEL}" in text


def test_every_exit_code_is_in_the_table() -> None:
    page = (ROOT / "docs/reference/exit-codes.md").read_text()

    assert [int(code) for code in ExitCode if f"| {int(code)} | {code.meaning} |" not in page] == []
