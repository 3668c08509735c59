import json
from datetime import UTC, datetime, timedelta

import pytest

from blixard.cli.screen.output import Console
from blixard.cli.screen.share_screen import Screen
from blixard.peer.share.receivers import Book
from blixard.peer.wire.protocol import Refusal

ID = "ab" * 32
NAME = "receiver abababababababab"


class Time:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self.seconds)


def a_share(*, json: bool = False) -> tuple[Screen, Book, Time]:
    time = Time()
    screen = Screen(Console(json=json, quiet=False, colour=False), lambda: time.seconds + 1)
    screen.share_bytes = 4096
    return screen, Book(screen, time.now), time


def test_each_receiver_has_a_row_with_rate_and_time_left() -> None:
    screen, book, time = a_share()
    book.join(ID, "192.0.2.1:5")
    book.join("cd" * 32, "192.0.2.2:5")
    time.seconds = 60
    book.advance(ID, 0, "tcp")
    time.seconds = 62

    book.advance(ID, 1024, "tcp")

    [row] = screen.rows()  # the other has got nothing yet
    assert (row.name, row.done, row.total, row.rate, row.seconds_left) == (NAME, 1024, 4096, 512.0, 6.0)


def test_a_receiver_that_asks_for_things_again_is_never_past_the_end() -> None:
    screen, book, _ = a_share()
    book.join(ID, "")

    book.advance(ID, 5000, "iroh")

    assert [(row.done, row.total) for row in screen.rows()] == [(4096, 4096)]


def test_nobody_is_on_the_screen_who_is_gone_or_has_all() -> None:
    screen, book, _ = a_share()
    for each in (ID, "cd" * 32):
        book.join(each, "")
        book.advance(each, 100, "iroh")

    book.complete(ID)
    book.leave("cd" * 32, "the connection was lost")

    assert screen.rows() == ()


def test_a_receiver_that_comes_back_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    screen, book, time = a_share()
    for begin in (0, 1000):
        time.seconds = begin
        book.join(ID, "")
        book.advance(ID, 2048, "iroh")
        assert [row.done for row in screen.rows()] == [2048]
        time.seconds = begin + 2
        book.complete(ID)
        book.leave(ID, None)

    lines = [line for line in capsys.readouterr().err.splitlines() if "all of it" in line]
    assert lines == [
        f"{NAME} has all of it: 2.0 KiB in 2.0 s, 1.0 KiB/s",
        f"{NAME} has all of it: 2.0 KiB in 2.0 s, 1.0 KiB/s; 4.0 KiB since it first came",
    ]


def test_a_receiver_with_many_connections_comes_and_goes_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, book, _ = a_share()
    for _ in range(4):
        book.join(ID, "192.0.2.1:5")
    for _ in range(3):
        book.leave(ID, "the connection was lost")
    book.join(ID, "192.0.2.1:5")
    for _ in range(2):
        book.leave(ID, "the peer is silent")
    book.join(ID, "192.0.2.1:5")
    book.leave(ID, None)

    assert capsys.readouterr().err.splitlines() == [
        f"{NAME} came from 192.0.2.1:5",
        f"{NAME} left: the peer is silent",
        f"{NAME} came from 192.0.2.1:5",
        f"{NAME} left",
    ]


def test_a_receiver_that_says_again_and_again_that_it_has_all_is_heard_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, book, _ = a_share()
    book.join(ID, "192.0.2.1:5")
    book.advance(ID, 2048, "iroh")
    for _ in range(3):
        book.join(ID, "192.0.2.1:5")
        book.complete(ID)
    for _ in range(4):
        book.leave(ID, None)

    _, *told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "has all of it" in told[0]


def test_programs_hear_of_a_receiver_when_it_comes_has_all_or_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    _, book, _ = a_share(json=True)
    other = "cd" * 32
    for each in (ID, other, ID, other):
        book.join(each, "192.0.2.1:5")
    book.advance(ID, 2048, "iroh")
    book.complete(ID)
    for each in (ID, ID, other, other):
        book.leave(each, None if each == ID else "the peer is silent")

    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["event"] for event in events} == {"receiver"}
    told = [event["receiver"] for event in events]
    assert [(each["id"], each["sessions"], each["completed"], each["problem"]) for each in told] == [
        (ID, 1, False, None),
        (other, 1, False, None),
        (ID, 2, True, None),
        (other, 0, False, "the peer is silent"),
    ]


def test_whoever_asks_hears_that_it_serves_until_when_and_whom() -> None:
    screen, book, time = a_share()
    screen.until = time.now()
    idle = screen.lines()
    for each in ("cd" * 32, ID, "ef" * 32):
        book.join(each, "")
    for each in (ID, "ef" * 32):
        book.advance(each, 1024, "iroh")
    book.complete("ef" * 32)
    time.seconds = 1

    assert idle == ("serving until 2026-11-24 00:00:00Z: 0 receivers here, 0 got all of it so far",)
    assert screen.lines() == (
        "serving until 2026-11-24 00:00:00Z: 3 receivers here, 1 got all of it so far",
        "receiver cdcdcdcdcdcdcdcd: has got nothing yet",
        f"{NAME}: 1.0 KiB of 4.0 KiB, 1.0 KiB/s, 3s left",
        "receiver efefefefefefefef: has all of it",
    )


@pytest.mark.parametrize("reason", Refusal)
def test_a_refusal_is_a_sentence(reason: Refusal, capsys: pytest.CaptureFixture[str]) -> None:
    screen, _, _ = a_share()

    screen.refused(ID, "192.0.2.1:5", reason.value)

    begin, why = capsys.readouterr().err.strip().split(" was not let in: ")
    assert begin == "peer abababababababab from 192.0.2.1:5"
    assert len(why.split()) > 3


def test_a_refusal_is_an_event_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    screen, _, _ = a_share(json=True)

    screen.refused(ID, "", "used")

    told = {"peer": ID, "address": "", "reason": "used", "message": "the ticket is used up"}
    assert json.loads(capsys.readouterr().out) == {"event": "refused", **told}
