"""Tickets may come in several ways at once, one a line, and none is passed over in silence."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blixard.cli.verbs.fetching import tickets_of
from blixard.errors import InvalidTicket, UsageError
from support.tickets import make_ticket

ONE, TWO, THREE, FOUR = (make_ticket(expires_at=datetime(2026, 12, day, tzinfo=UTC)) for day in (1, 2, 3, 4))


def a_file(folder: Path, text: str) -> str:
    file = folder / f"{len(list(folder.iterdir()))}.txt"
    file.write_text(text)
    return str(file)


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard input, with two tickets."""
    text = io.StringIO(f"{TWO.encode()}\n{THREE.encode()}\n")
    monkeypatch.setattr("sys.stdin", text)
    return text


def test_all_ways_may_be_mixed(tmp_path: Path, stdin: io.StringIO) -> None:
    file = a_file(tmp_path, FOUR.encode())

    assert tickets_of([ONE.encode(), "-"], [file]) == [ONE, TWO, THREE, FOUR]


def test_every_ticket_file_counts(tmp_path: Path) -> None:
    files = [a_file(tmp_path, each.encode()) for each in (ONE, TWO)]

    assert tickets_of([], files) == [ONE, TWO]


def test_a_file_holds_a_ticket_a_line_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    file = a_file(tmp_path, f"\n{ONE.encode()}\r\n\n  {TWO.encode().upper()}\n\n\n{THREE.encode()}")

    assert tickets_of([], [file]) == [ONE, TWO, THREE]


@pytest.mark.parametrize("at", [12, 39, 70, 150])
def test_tickets_that_a_mail_has_broken_are_still_two(tmp_path: Path, at: int) -> None:
    lines = [part for each in (ONE, TWO) for part in (each.encode()[:at], each.encode()[at:])]

    assert tickets_of([], [a_file(tmp_path, "\n".join(lines))]) == [ONE, TWO]


def test_the_environment_may_hold_several_and_counts_when_nothing_else_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BLIXARD_TICKET", f"{ONE.encode()}\n{TWO.encode()}")

    assert tickets_of([], []) == [ONE, TWO]
    assert tickets_of([THREE.encode()], []) == [THREE]


def test_the_error_says_which_of_several_is_garbled(tmp_path: Path) -> None:
    file = a_file(tmp_path, f"{ONE.encode()}\n{TWO.encode()[:-3]}\n")

    with pytest.raises(InvalidTicket, match=r"^ticket 2 of 2: this is not a ticket: "):
        tickets_of([], [file])


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_file_without_a_ticket_is_not_passed_over(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidTicket, match="it is empty"):
        tickets_of([ONE.encode()], [a_file(tmp_path, text)])


def test_a_ticket_is_no_ticket_file() -> None:
    with pytest.raises(UsageError) as caught:
        tickets_of([], [ONE.encode()])

    assert str(caught.value) == "`blixardaeaa…` is a ticket, and no file"
