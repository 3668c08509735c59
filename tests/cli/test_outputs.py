"""What every option that names a file to write does with one that should not be written."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from support.shell import blixard

OUTPUTS = {
    "--secrets-out": ("cluster", "export", "-o", "masked.json", "--redact"),
    "--plan-out": ("cluster", "import", "-i", "full.json.gz", "--dry-run"),
    "--rules-out": ("cluster", "import", "-i", "full.json.gz", "--dry-run"),
    "-o": ("cluster", "export"),
}

REFUSED = {
    "data/clusters/lab/state.db": 4,
    "data/new.json": 4,
    "place.raw": 4,
    "link": 4,
    "full.json.gz": 2,
    ".": 2,
    "folder/": 2,
}
READING = ("--plan-out", "--rules-out")
CASES = [(option, target) for option in OUTPUTS for target in REFUSED if target != "full.json.gz" or option in READING]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a data directory, an export, a disk that is kept in place, a FIFO, a link and what it leads to."""
    monkeypatch.chdir(tmp_path)
    for name in ("image.raw", "place.raw"):
        Path(name).write_bytes(b"content" * 10_000)
    os.mkfifo("fifo")
    Path("precious.txt").write_text("precious")
    Path("link").symlink_to("precious.txt")
    for arguments in (
        ["cluster", "init", "lab"],
        ["vm", "create", "copied", "--disk", "image.raw"],
        ["vm", "create", "placed", "--disk", "place.raw", "--image-in-place"],
        ["cluster", "export", "-o", "full.json.gz", "--include-images"],
    ):
        done = blixard(tmp_path / "data", *arguments)
        assert done.returncode == 0, done.stderr
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files but what commands add to: locks, history, telemetry and journals of databases."""
    kept = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    left_out = ("lock", "history.db", "telemetry.db", "-shm", "-wal")
    return {str(path): path.read_bytes() for path in kept if not any(each in path.name for each in left_out)}


@pytest.mark.parametrize(("option", "target"), CASES)
def test_what_must_not_be_written_is_refused_and_nothing_else_is_written(world: Path, option: str, target: str) -> None:
    (world / "folder").mkdir()
    before = contents(world)

    done = blixard(world / "data", *OUTPUTS[option], option, target)

    assert (done.returncode, "error:" in done.stderr) == (REFUSED[target], True), done.stderr
    assert contents(world) == before
    assert Path("link").is_symlink()


@pytest.mark.parametrize("option", OUTPUTS)
def test_a_live_disk_is_not_overwritten(world: Path, option: str) -> None:
    [disk] = (world / "data/clusters/lab/disks").glob("*.raw")
    before = disk.read_bytes()

    assert blixard(world / "data", *OUTPUTS[option], option, str(disk)).returncode == 4
    assert disk.read_bytes() == before


@pytest.mark.parametrize("option", ["--secrets-out", "--plan-out", "--rules-out"])
def test_a_device_is_written_to_and_stays_one(world: Path, option: str) -> None:
    descriptor = os.open("fifo", os.O_RDWR)  # a reader, so that opening it does not wait
    done = blixard(world / "data", *OUTPUTS[option], option, "fifo")
    written = os.read(descriptor, 1 << 20)
    os.close(descriptor)

    assert done.returncode == 0, done.stderr
    assert written
    assert stat.S_ISFIFO(Path("fifo").stat().st_mode)


def test_two_outputs_are_not_one_file(world: Path) -> None:
    same = blixard(world / "data", "cluster", "export", "-o", "new.json", "--redact", "--secrets-out", "./new.json")
    plans = blixard(
        world / "data", *OUTPUTS["--plan-out"], "--plan-out", "new.json", "--rules-out", f"{world}/new.json"
    )

    assert (same.returncode, plans.returncode) == (2, 2)
    assert not Path("new.json").exists()


def test_other_verbs_do_not_write_into_a_data_directory_either(world: Path) -> None:
    state = "data/clusters/lab/state.db"
    before = contents(world)
    shutil.copy("full.json.gz", "unformed.json.gz")

    codes = [
        blixard(world / "data", *arguments).returncode
        for arguments in (
            ["cluster", "extract", "full.json.gz", "copied", "-o", state],
            ["cluster", "extract", "full.json.gz", "copied", "-o", "place.raw"],
            ["cluster", "fmt", "full.json.gz", "-o", state],
        )
    ]

    assert codes == [4, 4, 4]
    assert contents(world) == {**before, str(world / "unformed.json.gz"): Path("unformed.json.gz").read_bytes()}
