"""What both ends of a transfer hold in memory does not grow with what is transferred (issue 4: at most 256 MiB).

Peaks are the kernel's own (`VmHWM`): of the sender after the receiver has all, of the receiver as long as it runs.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from blixard.limits import KIB, MIB
from support.cuts import an_empty_world
from support.many_records import write_many
from support.processes import blixard, environment, start
from support.shares import running, sharing
from support.world import fast_folder

MOST = 256 * MIB
FETCH = ("fetch", "--no-compress", "-o", "/dev/null")
IMPORT = ("import", "--p2p", "-c", "web", "-y")
LOOK = (*IMPORT, "--dry-run")
_MOMENT = 0.01


class Peaks(Struct, frozen=True):
    """Bytes."""

    sender: int
    receiver: int


def peaks(file: Path, verb: tuple[str, ...]) -> Peaks:
    """Of both processes of one transfer."""
    with fast_folder() as folder:
        here, there = an_empty_world(folder / "here"), an_empty_world(folder / "there")
        assert blixard(there, "cluster", "init", "web").code == 0
        with sharing(here, file) as share:
            env = environment(BLIXARD_TICKET=share.ticket)
            with running(start(there, "cluster", *verb, env=env, stderr=subprocess.DEVNULL)) as process:
                receiver = peak_to_the_end(process)
            assert process.returncode == 0
            return Peaks(sender=peak(share.process), receiver=receiver)


def peak(process: subprocess.Popen[bytes]) -> int:
    """So far; 0 when it has ended."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return max((int(line.split()[1]) * KIB for line in lines if line.startswith("VmHWM:")), default=0)


def peak_to_the_end(process: subprocess.Popen[bytes]) -> int:
    highest = 0
    while process.poll() is None:
        highest = max(highest, peak(process))
        time.sleep(_MOMENT)
    return highest


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with fast_folder() as made:
        yield made


@pytest.mark.parametrize("verb", [FETCH, IMPORT], ids=["fetch", "import"])
def test_twenty_times_the_records_take_no_more_memory(folder: Path, verb: tuple[str, ...]) -> None:
    few, many = folder / "few.json.gz", folder / "many.json.gz"
    for file, records in ((few, 1000), (many, 20_000)):
        if not file.exists():
            write_many(file, records, length=4 * KIB, compress=True)

    small, large = peaks(few, verb), peaks(many, verb)

    assert max(large.sender, large.receiver) < MOST
    assert large.sender < small.sender + 32 * MIB
    assert large.receiver < small.receiver + 32 * MIB


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("records", "length", "verb"),
    [
        (262_144, MIB, FETCH),
        (1_000_000, 4 * KIB, FETCH),
        (700_000, 4 * KIB, IMPORT),
        (4_000_000, 4 * KIB, LOOK),
        (500_000, 8, FETCH),
    ],
    ids=["256 GiB", "a million", "of 1 TiB, sparse", "four million, dry run", "tiny"],
)
def test_at_any_size_both_ends_stay_below_256_mib(
    tmp_path: Path, records: int, length: int, verb: tuple[str, ...]
) -> None:
    file = tmp_path / "many.json.gz"
    write_many(file, records, length=length, compress=True)

    found = peaks(file, verb)

    assert max(found.sender, found.receiver) < MOST, found
