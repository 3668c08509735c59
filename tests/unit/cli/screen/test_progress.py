import io
import os
import signal
import threading

import pytest

from blixard.cli.screen.meter import ProgressMeter, Row, Rows, one_line
from blixard.cli.screen.output import Console
from blixard.cli.screen.progress import Style, Ticker, choose_style, showing_progress
from blixard.errors import UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def quiet_output() -> Console:
    return Console(json=False, quiet=False, colour=False)


@pytest.mark.parametrize(
    ("environment", "terminal", "quiet", "expected"),
    [
        ({"TERM": "xterm"}, True, False, Style.BAR),
        ({"TERM": "xterm"}, True, True, Style.OFF),
        ({"TERM": "dumb"}, True, False, Style.OFF),
        ({}, False, False, Style.OFF),
        ({"BLIXARD_PROGRESS": "plain"}, False, False, Style.PLAIN),
        ({"BLIXARD_PROGRESS": "bar"}, False, False, Style.OFF),
        ({"BLIXARD_PROGRESS": "off", "TERM": "xterm"}, True, False, Style.OFF),
    ],
)
def test_a_bar_needs_a_terminal_and_a_line_needs_asking(
    environment: dict[str, str], *, terminal: bool, quiet: bool, expected: Style
) -> None:
    assert choose_style(environment, Terminal() if terminal else io.StringIO(), quiet=quiet) is expected


def test_an_unknown_style_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="BLIXARD_PROGRESS is `fancy`"):
        choose_style({"BLIXARD_PROGRESS": "fancy"}, None, quiet=False)


def test_threads_lose_no_byte() -> None:
    meter = ProgressMeter(quiet_output())
    meter.begin("web-1/root", 40_000)

    def work() -> None:
        for _ in range(10_000):
            meter.advance(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [row.done for row in meter.rows()] == [40_000]


def test_a_line_tells_done_rate_and_time_left() -> None:
    row = Row("web-1/root", 2**30, 2**31, 4.0)

    assert one_line(row) == "web-1/root: 1.0 GiB of 2.0 GiB, 256.0 MiB/s, 4s left"


def test_without_a_total_there_is_no_time_left() -> None:
    assert one_line(Row("", 1024, None, 0.0)) == "1.0 KiB, 0 B/s"


def test_the_time_before_the_first_byte_is_no_part_of_the_rate() -> None:
    now = 50.0
    meter = ProgressMeter(quiet_output(), now=lambda: now)
    now = 100.0
    meter.advance(4096)

    now = 104.0

    assert meter.lines() == ("4.0 KiB, 1.0 KiB/s",)


def test_a_task_and_all_of_them_are_two_rows_where_they_differ() -> None:
    meter = ProgressMeter(quiet_output())
    meter.begin("web-1/root", 4096)
    meter.advance(1024)
    alone = meter.rows()

    meter.expect(8192)

    assert [(row.name, row.done, row.total) for row in alone] == [("web-1/root", 1024, 4096)]
    rows = [(row.name, row.done, row.total) for row in meter.rows()]
    assert rows == [("web-1/root", 1024, 4096), ("all", 1024, 8192)]


def test_no_row_asks_for_a_total_while_no_task_is_at_hand() -> None:
    meter = ProgressMeter(quiet_output())
    before = meter.rows()
    meter.begin("reading lab.json", 4096)
    meter.advance(4096)
    meter.end()

    assert before == ()
    assert [(row.done, row.total) for row in meter.rows()] == [(4096, 4096)]


def test_what_was_counted_before_is_no_part_of_what_is_shown_instead() -> None:
    meter = ProgressMeter(quiet_output())
    meter.begin("reading lab.json", 4096)
    meter.advance(4096)
    meter.end()

    meter.show_instead(Serving())

    assert meter.lines() == ("receiver 1: 1.0 KiB of 2.0 KiB, 1.0 KiB/s, 1s left", "receiver 2: 10 B, 10 B/s")
    assert meter.standing() == ("serving",)


class Serving:
    """Something else that counts."""

    def rows(self) -> Rows:
        return (Row("receiver 1", 1024, 2048, 1.0), Row("receiver 2", 10, None, 1.0))

    def lines(self) -> tuple[str, ...]:
        return ("serving",)


def test_plain_style_prints_first_and_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    with showing_progress(quiet_output(), Style.PLAIN) as meter:
        meter.advance(2048)

    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["begun", "done"]
    assert "2.0 KiB" in lines[1]


def test_off_prints_nothing_but_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    with showing_progress(quiet_output(), Style.OFF) as meter:
        meter.begin("x", 10)
        meter.warn("the disk is old")
        meter.end()

    assert capsys.readouterr().err == "warning: the disk is old\n"


def test_sigusr1_prints_one_line_and_the_old_handler_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGUSR1)

    with showing_progress(quiet_output(), Style.OFF) as meter:
        meter.begin("db/root", None)
        meter.advance(1024)
        os.kill(os.getpid(), signal.SIGUSR1)

    assert capfd.readouterr().err.startswith("db/root: 1.0 KiB")
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_ticker_ticks_until_it_is_stopped() -> None:
    ticked = threading.Event()

    with Ticker(0.001, ticked.set):
        assert ticked.wait(10)


def test_a_row_that_comes_anew_has_no_rate_of_before() -> None:
    from rich.console import Console

    from blixard.cli.screen.bar import Bar

    screen = io.StringIO()
    with Bar(Console(file=screen, force_terminal=True, width=100)) as bar:
        for done in (0, 1 << 20, 2 << 20):
            bar.show((Row("receiver 1", done, 4 << 20, 1.0),))
        assert "iB/s" in screen.getvalue()
        screen.truncate(0)
        bar.show((Row("receiver 1", 1 << 20, 4 << 20, 1.0),))

    assert "iB/s" not in screen.getvalue()


def test_the_bar_draws_disk_and_total() -> None:
    from rich.console import Console

    from blixard.cli.screen.bar import Bar

    screen = io.StringIO()
    with Bar(Console(file=screen, force_terminal=True, width=100)) as bar:
        bar.show((Row("web-1/root", 2**20, 2**21, 1.0), Row("all", 2**20, 2**22, 1.0)))
        with bar.aside():
            screen.write("the ticket\n")

    assert "web-1/root" in screen.getvalue()
    assert "all" in screen.getvalue()
    assert screen.getvalue().endswith("the ticket\n")
