from __future__ import annotations

import json

import pytest

from blixard.errors import ExportFileError
from blixard.format.quoting import shown
from support.documents import read, sample

HOSTILE = ["\x1b[2J", "\n", "\u202e", "\x07", "\u0085"]


def test_printable_text_stays_as_it_is() -> None:
    assert shown("prüf 🎉 'a' \\ \"b\"") == "prüf 🎉 'a' \\ \"b\""


def test_long_text_is_cut() -> None:
    assert shown("a" * 100) == "a" * 80


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_terminal_would_obey_is_escaped(text: str) -> None:
    assert shown(f"a{text}b").isprintable()


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "place",
    [
        ("version",),
        ("cluster_name",),
        ("exported_at",),
        ("vms", "{}"),
        ("vms", "db-1", "name"),
        ("vms", "db-1", "disks", 0, "name"),
        ("images", 0, "{}"),
        ("images", 0, "vm"),
        ("images", 0, "records", 0, "{}"),
        ("integrity", "{}"),
        ("integrity", "algorithm"),
        ("index", "{}"),
        ("index", "layout"),
        ("telemetry", "{}"),
    ],
    ids=str,
)
def test_no_message_carries_it_to_the_terminal(text: str, place: tuple[str | int, ...]) -> None:
    document = json.loads(sample())
    inner = document
    for step in place[:-1]:
        inner = inner[step]
    inner[text if place[-1] == "{}" else place[-1]] = text

    with pytest.raises(ExportFileError) as caught:
        read(json.dumps(document).encode())

    assert caught.value.message.isprintable()
