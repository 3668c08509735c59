from collections.abc import Callable

from blixard.model.structs import Record
from blixard.ops.importing.arrival import Arriving, announce
from blixard.ops.importing.foreknown import Foreknown


class Heard:
    """`ports.Progress` that keeps what it is told."""

    def __init__(self) -> None:
        self.expected: int | None = None
        self.begun: list[tuple[str, int | None]] = []
        self.done = 0

    def expect(self, total_bytes: int) -> None:
        self.expected = total_bytes

    def begin(self, task: str, total_bytes: int | None) -> None:
        self.begun.append((task, total_bytes))

    def advance(self, amount_bytes: int) -> None:
        self.done += amount_bytes

    def end(self) -> None:
        pass

    def warn(self, message: str) -> None:
        raise AssertionError(message)


class Frame:
    """One from a peer."""

    def __init__(self, before: Callable[[], object]) -> None:
        self.rejected: list[str] = []
        self._before = before

    def __call__(self) -> bytes:
        self._before()
        return b"frame"

    def reject(self, why: str) -> None:
        self.rejected.append(why)


def test_the_total_is_what_the_wanted_images_carry_themselves() -> None:
    heard = Heard()

    announce(heard, Foreknown("d1", {}, {0: 500, 1: 900, 2: 70}, {0: 500, 1: 100, 2: 70}), {0, 1}.__contains__)

    assert heard.expected == 600
    assert heard.begun == [("fetching", 600)]


def test_nothing_is_announced_that_nobody_knows() -> None:
    heard = Heard()

    announce(heard, Foreknown("d1", {}, {0: 500}), {0}.__contains__)

    assert heard.expected is None
    assert not heard.begun


def test_a_record_counts_when_its_frame_is_here_and_once() -> None:
    heard = Heard()
    done_before: list[int] = []
    frame = Frame(lambda: done_before.append(heard.done))
    load = Arriving(frame, Record(0, 4096, bytes(32), carries=True), heard)

    load()
    load.reject("its digest is another")
    load()

    assert done_before == [0, 4096]
    assert heard.done == 4096
    assert frame.rejected == ["its digest is another"]
