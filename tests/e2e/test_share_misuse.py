"""A ticket in a wrong place, or that is none: refused, told its right place, and told nowhere.

Any verb may be given one by mistake, and what it says of a file or a name must not hold the secret then.
"""

from __future__ import annotations

import pytest

from support.canary import begun, files, garbled, given, leaks, said
from support.processes import blixard, finish
from support.tickets import make_ticket
from support.world import World


@pytest.fixture
def there(bare: World) -> World:
    return bare


@pytest.mark.parametrize(("way", "code"), [("file", 13), ("stdin", 41)])
def test_what_is_too_long_for_a_ticket_is_refused_at_once(there: World, way: str, code: int) -> None:
    ran = finish(begun(there, given(way, "blixard" + "a" * 80_000, there), "cluster", "import", "--p2p", "-y"))

    assert ran.code == code, ran
    assert len(ran.err) < 2000


def test_a_ticket_file_that_is_not_there_is_said_to_be_missing(there: World) -> None:
    ran = blixard(there, "cluster", "import", "--p2p", "-y", "--ticket-file", there.out / "none.txt")

    assert ran.code == 30, ran
    assert "none.txt" in ran.err


MISUSES = {
    "import": ("cluster", "import", "-y", "-i", "T"),
    "import by position": ("cluster", "import", "-y", "T"),
    "import two": ("cluster", "import", "-y", "-i", "T", "-i", "xT"),
    "import a broken one": ("cluster", "import", "-y", "-i", "BROKEN"),
    "import as a file of tickets": ("cluster", "import", "-y", "--p2p", "--ticket-file", "T"),
    "import too many": ("cluster", "import", "-y", "--p2p", "T", "T"),
    "import as a plan": ("cluster", "import", "-y", "-i", "none.json", "--plan", "T"),
    "import as an option": ("cluster", "import", "--T"),
    "import as a number": ("cluster", "import", "--connections", "T"),
    "fetch": ("cluster", "fetch", "T", "-o", "none.json", "--timeout", "1s"),
    "fetch nowhere": ("cluster", "fetch", "-i", "T"),
    "fetch as a file of tickets": ("cluster", "fetch", "-o", "none.json", "--ticket-file", "T"),
    "export": ("cluster", "export", "-o", "./T/none.json"),
    "inspect": ("cluster", "inspect", "T"),
    "verify": ("cluster", "verify", "-i", "T"),
    "extract": ("cluster", "extract", "T", "web-1/root", "-o", "none.raw"),
    "diff": ("cluster", "diff", "T", "cluster:"),
    "share": ("cluster", "share", "T"),
    "cluster": ("cluster", "status", "-c", "T"),
    "vm": ("vm", "show", "T"),
    "ticket": ("ticket", "T"),
    "ticket show a garbled one": ("ticket", "show", "-i", "TGARBLED"),
    "ticket show two": ("ticket", "show", "T", "-i", "T"),
    "nothing": ("T",),
}


@pytest.mark.parametrize("more", [("-v",), ("--json", "--log-json", "-vv")], ids=["human", "json"])
@pytest.mark.parametrize("misuse", MISUSES)
def test_a_ticket_in_the_wrong_place_is_not_told(there: World, misuse: str, more: tuple[str, ...]) -> None:
    ticket = make_ticket(addresses=("127.0.0.1:9",)).encode()
    forms = {"TGARBLED": garbled(ticket), "BROKEN": f"{ticket[:70]}\n{ticket[70:]}"}
    arguments = [forms.get(each, each.replace("T", ticket)) for each in MISUSES[misuse]]

    ran = blixard(there, *arguments, *more)

    assert ran.code in {2, 20, 30, 41, 42}, ran
    texts = {**said(ran), **files(there)}
    assert leaks(ticket, texts) == []
    assert not any(ticket[70:].encode() in text or ticket[100:130].encode() in text for text in texts.values())


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("cluster", "import"), "add `--p2p`"),
        (("cluster", "import", "-i"), "add `--p2p`"),
        (("cluster", "inspect"), "`blixard cluster fetch -i TICKET -o FILE`"),
        (("cluster", "share"), "`blixard cluster import --p2p -i TICKET`"),
        (("cluster", "import", "--p2p", "--ticket-file"), "`-i TICKET`"),
        (("ticket",), "`blixard ticket show TICKET`"),
    ],
)
def test_a_ticket_in_the_wrong_place_is_told_its_right_one(
    there: World, arguments: tuple[str, ...], advice: str
) -> None:
    ran = blixard(there, *arguments, make_ticket().encode())

    assert ran.code == 2, ran
    assert advice in ran.err


def test_ticket_show_takes_the_ticket_with_and_without_its_option(there: World) -> None:
    ticket = make_ticket().encode()

    runs = [blixard(there, "ticket", "show", *option, ticket, "--json") for option in ((), ("-i",))]

    assert [ran.code for ran in runs] == [0, 0], runs
    assert runs[0].out == runs[1].out
    assert leaks(ticket, said(*runs)) == []
