from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import zlib

import pytest

from support.documents import contents, read, sample

PLAIN, PACKED = sample(), sample(compress=True)
TEXT = gzip.decompress(PACKED)


def run(command: list[str], content: bytes) -> bytes:
    """What a tool makes of a file given on stdin, in silence."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; `scripts/setup test` does it")
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["gzip", "-dc"],
        ["zcat"],
        ["pigz", "-dc"],
        ["busybox", "gunzip", "-c"],
        ["zstd", "-dc"],
        ["python3", "-c", "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))"],
    ],
    ids=lambda command: command[0],
)
def test_every_gunzip_gives_the_whole_text(command: list[str]) -> None:
    assert run(command, PACKED) == TEXT


@pytest.mark.parametrize("command", [["gzip", "-t"], ["pigz", "-t"]], ids=lambda command: command[0])
def test_every_tester_is_content(command: list[str]) -> None:
    assert run(command, PACKED) == b""


def test_zlib_member_by_member_gives_the_whole_text() -> None:
    rest, text = PACKED, b""
    while rest:
        one = zlib.decompressobj(wbits=31)
        text += one.decompress(rest)
        rest = one.unused_data

    assert text == TEXT


def test_python_reads_it() -> None:
    assert json.loads(PLAIN)["cluster_name"] == json.loads(TEXT)["cluster_name"] == "prod"


@pytest.mark.parametrize("options", [["."], ["-S", "."], ["-c", "."], ["--tab", "."], ["-a", "."]], ids="".join)
def test_what_jq_wrote_again_is_still_the_export(options: list[str]) -> None:
    again = read(run(["jq", *options], PLAIN))

    assert again.end.report.intact
    assert again.state == read(PLAIN).state
    assert contents(again) == contents(read(PLAIN))


def test_jq_asks_for_parts_of_it() -> None:
    assert json.loads(run(["jq", "-c", ".vms | keys"], PLAIN)) == ["db-1", "web-1"]


def test_what_was_packed_again_is_still_the_export() -> None:
    again = read(run(["gzip", "-9c"], PLAIN))

    assert again.end.report.intact
    assert again.end.report.compressed
