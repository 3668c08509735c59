"""What was typed is done or refused: an option that would do nothing stops the command before it does anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from blixard.cli import main

PINNED = "a" * 64
NETWORK = [
    ("--p2p-listen", "127.0.0.1:0"),
    ("--p2p-advertise", "127.0.0.1:1"),
    ("--relay", "default"),
    ("--lane", "auto"),
    ("--limit-rate", "1MiB"),
]
SHARING = [("--qr",), ("--share-uses", "1"), ("--share-for", "24h"), ("--allow-peer", PINNED), *NETWORK]
FETCHING = [("--connections", "1"), ("--timeout", "1m"), ("--ticket-file", "none.txt"), *NETWORK]


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> str:
    """The error of a command line that is refused and leaves nothing behind."""
    assert main([*arguments, "--data-dir", str(folder / "data")]) == 2
    assert list(folder.iterdir()) == []
    return capsys.readouterr().err


@pytest.mark.parametrize("option", SHARING, ids=" ".join)
def test_an_option_of_a_share_goes_with_p2p_share(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: tuple[str, ...]
) -> None:
    told = refused(capsys, tmp_path, "cluster", "export", "-o", str(tmp_path / "web.json"), *option)

    assert told.startswith(f"error: `{option[0]}` goes with `--p2p-share`\nhint: ")


@pytest.mark.parametrize("option", FETCHING, ids=" ".join)
def test_an_option_of_a_fetch_goes_with_p2p(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: tuple[str, ...]
) -> None:
    told = refused(capsys, tmp_path, "cluster", "import", "-i", "web.json", *option)

    assert told.startswith(f"error: `{option[0]}` goes with `--p2p`\nhint: ")


@pytest.mark.parametrize("command", [("share", "web.json"), ("export", "-o", "web.json", "--p2p-share")], ids=" ".join)
def test_a_qr_code_is_not_drawn_where_json_goes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert "`--qr` draws on standard output" in refused(capsys, tmp_path, "cluster", *command, "--qr", "--json")
