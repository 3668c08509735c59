from __future__ import annotations

import pytest

from blixard.errors import InvalidTicket
from blixard.peer.wire.ticket import parse_ticket
from hostile.ticket_vectors import PLAIN, RECORD, VECTORS, TicketVector
from support.tickets import make_ticket, written


def test_there_are_enough_vectors_and_no_two_of_one_name() -> None:
    assert len({vector.name for vector in VECTORS}) == len(VECTORS) >= 40


def test_the_builder_of_vectors_makes_good_tickets_of_good_records() -> None:
    assert parse_ticket(written(RECORD)) == make_ticket()
    assert parse_ticket(written(PLAIN)) == make_ticket(addresses=(), relay=None, expires_at=None)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_what_is_no_ticket_is_refused_and_the_error_says_why(vector: TicketVector) -> None:
    with pytest.raises(InvalidTicket) as caught:
        parse_ticket(vector.text)

    assert type(caught.value) is InvalidTicket
    assert vector.says in caught.value.message
    assert caught.value.hint
    assert len(caught.value.message) < 200
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
