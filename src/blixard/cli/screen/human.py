"""Results as text for people: sizes, ages, tables. Plain strings: rich costs 50 ms, which small output is not worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: int | None) -> str:
    """Bytes in the largest unit that leaves a number of at least one: `1.5 GiB`, `512 B`; `-` for None."""
    if count is None:
        return "-"
    if count < 1024:
        return f"{count} B"
    value, power = count / 1024, 0
    # 1023.95 would print as 1024.0
    while value >= 1023.95 and power + 1 < len(_UNITS):
        value, power = value / 1024, power + 1
    return f"{value:.1f} {_UNITS[power]}"


def transfer(count: int, seconds: float) -> str:
    """Bytes, the time that they took, and the rate: `1.2 GiB in 4.0 s, 310.0 MiB/s`."""
    rate = f", {size(int(count / seconds))}/s" if seconds > 0 else ""
    return f"{size(count)} in {seconds:.1f} s{rate}"


def duration(length: timedelta) -> str:
    """A duration in its two largest units: `26h 3m`, `4d 2h`, `12s`."""
    seconds = max(0, int(length.total_seconds()))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    if minutes:
        return f"{minutes}m {seconds}s"
    return f"{seconds}s"


def moment(when: datetime | None, now: datetime | None = None) -> str:
    """A time in UTC to the second, with its age when `now` is given; `never` for None."""
    if when is None:
        return "never"
    text = when.strftime("%Y-%m-%d %H:%M:%SZ")
    return text if now is None else f"{text} ({duration(now - when)} ago)"


def counts(total: int, noun: str) -> str:
    """`1 disk`, `3 disks`."""
    return f"{total} {noun}" if total == 1 else f"{total} {noun}s"


def some(names: Sequence[str], most: int, *, total: int | None = None) -> str:
    """The first `most` names, and how many more there are; `total` when `names` are not all of them."""
    more = (len(names) if total is None else total) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def rest(total: int, shown: int) -> Iterator[str]:
    """The line below a list of which only `shown` rows are printed; none when that was all."""
    if total > shown:
        yield f"... and {total - shown} more: `--json` lists all"


def short(text: str, most: int = 60) -> str:
    """`text` in at most so many characters, cut with `...`."""
    return text if len(text) <= most else text[: most - 3] + "..."


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Rows under headings, columns two spaces apart.

    Args:
        headings: one per column, printed in upper case.
        rows: one cell per column; control characters in a cell are shown, not sent to the terminal.
        right: numbers of the columns that are set to the right.
    """
    lines = [[heading.upper() for heading in headings]]
    lines += [[visible(cell) for cell in row] for row in rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(_row(line, widths, right) for line in lines)


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """`name:  value` lines, values below each other."""
    listed = list(rows)
    width = max((len(name) for name, _ in listed), default=0) + 1
    return "\n".join(f"{name + ':':<{width}}  {visible(value)}" for name, value in listed)


def visible(text: str) -> str:
    """`text` with control characters escaped: a name or a message from a file must not drive the terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    padded = []
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        space = " " * (width - _width(cell))
        padded.append(space + cell if column in right else cell + space)
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata  # a table of 1 MB, for the few who need it

    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
