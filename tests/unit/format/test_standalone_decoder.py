from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.documents import contents, data, head, image, noise, read, sample, write

DECODER = Path(__file__).parents[3] / "docs" / "reference" / "decode.py"


def decode(document: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "export"
    file.write_bytes(document)
    command = [sys.executable, "-W", "error", str(DECODER), str(file), str(folder / "out")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def disks(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "out").iterdir())]


@pytest.mark.parametrize(
    "document",
    [
        sample(),
        sample(compress=True),
        gzip.compress(sample()),
        json.dumps(json.loads(sample()), indent=2).encode(),
        json.dumps(json.loads(sample()), sort_keys=True).encode(),
    ],
    ids=["plain", "gzip", "gzip again", "jq .", "jq -Sc"],
)
def test_disks_come_out_with_packs_and_references(document: bytes, tmp_path: Path) -> None:
    done = decode(document, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert disks(tmp_path) == contents(read(sample()))
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        "0-db-1-root.img",
        "1-db-1-data.img",
        "2-web-1-root.img",
    ]


def test_a_disk_that_failed_is_told(tmp_path: Path) -> None:
    assert "incomplete: `/srv/web-1.raw`: read: input/output error" in decode(sample(), tmp_path).stdout


def test_holes_stay_holes(tmp_path: Path) -> None:
    decode(write(head(), images=[image(pieces=[data(0, noise(4096))], size_bytes=1 << 30)]), tmp_path)
    [made] = (tmp_path / "out").iterdir()

    assert made.stat().st_size == 1 << 30
    assert made.stat().st_blocks * 512 < 1 << 20


def test_names_never_lead_out_of_the_folder(tmp_path: Path) -> None:
    hostile = sample().replace(b'"vm": "db-1", "disk": "root"', b'"vm": "../../x", "disk": "/etc/passwd"', 1)
    done = decode(hostile, tmp_path)

    assert done.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"export", "out"}
    assert "0-.._.._x-_etc_passwd.img" in {path.name for path in (tmp_path / "out").iterdir()}


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    digest = json.loads(sample())["images"][0]["records"][0]["blake3"]
    done = decode(sample().replace(digest.encode(), b"0" * 64), tmp_path)

    assert done.returncode == 1
    assert "damaged record" in done.stderr


def test_it_stays_a_program_to_read_at_a_glance() -> None:
    assert len(DECODER.read_text().splitlines()) <= 45


def test_without_arguments_it_explains_itself() -> None:
    done = subprocess.run([sys.executable, DECODER], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "python decode.py" in done.stderr
