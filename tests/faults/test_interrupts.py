"""Ctrl-C between any two steps of writing an export: what was made and no `with` knows of yet is removed too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.interrupts import NEW, OLD

SCRIPT = Path(__file__).parents[1] / "support" / "interrupts.py"


@pytest.mark.parametrize("way", ["nameless", "named"])
def test_an_interrupt_anywhere_leaves_the_old_file_or_the_new_and_nothing_else(way: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    ran = subprocess.run([sys.executable, SCRIPT, way], check=True, env=env, stdout=subprocess.PIPE, timeout=120)
    told = json.loads(ran.stdout)

    assert told["interrupts"] > 500
    assert told["contents"] == [NEW.decode(), OLD.decode()]
    assert told["left"] == {}
