import pytest

from blixard.cli.screen.fetch_screen import Links, Warnings, received
from blixard.cli.screen.output import Console
from blixard.peer.pace.meter import Statistics


def some(*, senders: int = 1, reconnects: int = 0, **by_kind: int) -> Statistics:
    total = sum(by_kind.values())
    return Statistics(received_bytes=total, by_kind=by_kind, rate=0.0, senders=senders, reconnects=reconnects)


def test_a_lost_link_is_told_once_and_that_it_came_back(capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([some(), some(senders=0), some(senders=0, reconnects=1), some(reconnects=2), some(reconnects=2)])
    links = Links(Console(json=False, quiet=False, colour=False), lambda: next(moments))

    for _ in range(5):
        links.look()

    assert capsys.readouterr().err.splitlines() == [
        "the connection to the sender is lost; trying to make it again",
        "the connection to the sender was lost and made again",
    ]


def test_a_warning_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    warnings = Warnings(Console(json=False, quiet=False, colour=False))

    for said in [(), ("one",), ("one", "two"), ("two", "one", "three")]:
        warnings.tell(said)

    assert capsys.readouterr().err.splitlines() == ["warning: one", "warning: two", "warning: three"]


def test_what_was_received_has_a_rate_and_the_way_it_came() -> None:
    assert received(some(tcp=3 << 20, iroh=1 << 20), 2.0) == "4.0 MiB in 2.0 s, 2.0 MiB/s (75 % over the direct lane)"
    assert received(some(iroh=1 << 20), 0.0) == "1.0 MiB in 0.0 s (100 % over Iroh)"
    assert received(some(loopback=1024), 1.0) == "1.0 KiB in 1.0 s, 1.0 KiB/s"
