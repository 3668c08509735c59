from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from blixard.errors import ExitCode, InvalidTicket
from blixard.peer.wire.addresses import MOST
from blixard.peer.wire.secret import Secret
from blixard.peer.wire.ticket import Ticket, parse_ticket
from support.tickets import make_ticket


def test_a_ticket_is_one_line_of_lower_case_letters_and_digits() -> None:
    assert re.fullmatch(r"blixard[a-z2-7]{160,400}", make_ticket().encode())


def test_what_a_ticket_says_is_read_back() -> None:
    ticket = make_ticket(
        addresses=("192.0.2.7:41000", "[2001:db8::1]:1", "[::1]:65535"), relay="https://relay.example./x?y=1"
    )

    assert parse_ticket(ticket.encode()) == ticket


def test_a_ticket_without_addresses_relay_and_expiry_is_one_too() -> None:
    ticket = make_ticket(addresses=(), relay=None, expires_at=None)

    assert parse_ticket(ticket.encode()) == ticket


def test_white_space_line_breaks_and_case_do_not_matter() -> None:
    text = make_ticket().encode()
    wrapped = "\r\n  ".join(text[at : at + 60] for at in range(0, len(text), 60))

    assert parse_ticket(f"\ufeff{text}"[1:]) == make_ticket()
    assert parse_ticket(f"\t{wrapped.upper()} \n") == make_ticket()
    assert parse_ticket("\u00a0".join(text)) == make_ticket()


def test_flags_that_nobody_knows_yet_are_passed_over() -> None:
    assert parse_ticket(make_ticket(flags=0x81).encode()).flags == 0x81


def test_a_wrong_character_is_placed() -> None:
    text = make_ticket().encode()

    with pytest.raises(InvalidTicket, match="character 31 ") as caught:
        parse_ticket(text[:30] + "0" + text[31:])
    assert caught.value.exit_code is ExitCode.BAD_TICKET


@pytest.mark.parametrize("at", [7, 38, 39, 70, 100, 150])
def test_a_wrong_letter_is_placed_within_32_characters(at: int) -> None:
    text = make_ticket().encode()
    wrong = text[:at] + ("a" if text[at] != "a" else "b") + text[at + 1 :]

    with pytest.raises(InvalidTicket, match="between characters") as caught:
        parse_ticket(wrong)

    first, last = map(int, re.findall(r"characters (\d+) and (\d+)", caught.value.message)[0])
    assert first <= at + 1 <= last
    assert last - first < 32


def test_no_single_changed_missing_or_doubled_character_passes() -> None:
    text = make_ticket().encode()
    for at in range(len(text)):
        for wrong in (
            text[:at] + text[at + 1 :],
            text[: at + 1] + text[at:],
            text[:at] + ("q" if text[at] != "q" else "r") + text[at + 1 :],
        ):
            if wrong != text:
                with pytest.raises(InvalidTicket):
                    parse_ticket(wrong)


def test_no_cut_ticket_passes() -> None:
    text = make_ticket().encode()
    for end in range(len(text)):
        with pytest.raises(InvalidTicket):
            parse_ticket(text[:end])


def test_two_neighbours_that_changed_places_are_noticed() -> None:
    text = make_ticket().encode()
    for at in range(7, len(text) - 1):
        if text[at] != text[at + 1]:
            with pytest.raises(InvalidTicket):
                parse_ticket(text[:at] + text[at + 1] + text[at] + text[at + 2 :])


def test_two_groups_that_changed_places_are_noticed() -> None:
    text = make_ticket().encode()
    swapped = text[:7] + text[39:71] + text[7:39] + text[71:]

    with pytest.raises(InvalidTicket, match="between characters 8 and 39"):
        parse_ticket(swapped)


def test_what_may_be_shown_is_all_but_the_secret() -> None:
    ticket = make_ticket(secret=Secret(b"canary in a mine"))
    shown = str(ticket.public()) + repr(ticket) + str(ticket)

    assert ticket.public()["endpoint_id"] == ticket.peer_id == ticket.endpoint_id.hex()
    assert ticket.public()["expires_at"] == "2026-11-25T12:00:00Z"
    assert "canary" not in shown
    assert b"canary in a mine".hex() not in shown
    assert ticket.encode() not in shown


def test_an_error_does_not_show_what_the_ticket_holds() -> None:
    text = make_ticket(secret=Secret(b"canary in a mine")).encode()
    for wrong in (text[:-1], text[:60] + "!" + text[61:], text[:60] + "aa" + text[62:], "x" + text, text * 30):
        with pytest.raises(InvalidTicket) as caught:
            parse_ticket(wrong)
        told = f"{caught.value.message} {caught.value.hint} {caught.value!r}"
        assert not any(text[at : at + 12] in told for at in range(len(text) - 12))


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint_id": bytes(31)},
        {"document": "AA" * 32},
        {"document": "aa" * 31},
        {"flags": 256},
        {"addresses": ("1.2.3.4:5",) * (MOST + 1)},
        {"addresses": ("1.2.3.4",)},
        {"addresses": ("1.2.3.4:0",)},
        {"addresses": ("1.2.3.4:65536",)},
        {"addresses": ("1.2.3.4:05",)},
        {"addresses": ("host.example:5",)},
        {"addresses": ("[fe80::1%eth0]:5",)},
        {"addresses": ("[2001:DB8::1]:5",)},
        {"relay": "ftp://relay.example"},
        {"relay": "https://relay.example/ with space"},
        {"relay": "https://relay.example/$(reboot)"},
        {"relay": "https://relay.example/;reboot"},
        {"relay": "https://relay.example/`reboot`"},
        {"relay": "https://" + "x" * 300},
        {"expires_at": datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)},
        {"expires_at": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1)))},
        {"expires_at": datetime(1970, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
def test_a_ticket_that_breaks_a_rule_is_not_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(make_ticket(), **changes)


@pytest.mark.parametrize("text", ["", ":", "1.2.3.4:", "1.2.3.4:x", "::1:5", "[::1]", "[::1:5", "1.2.3.4:\uff15"])
def test_what_is_no_address_is_in_no_ticket(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        make_ticket(addresses=(text,))


def test_a_ticket_is_its_fields() -> None:
    assert make_ticket() == Ticket(**{name: getattr(make_ticket(), name) for name in Ticket.__struct_fields__})
