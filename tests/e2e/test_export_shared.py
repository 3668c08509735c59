"""What `export --p2p-share` says about its file, whatever becomes of the share; and the ticket as a picture."""

from __future__ import annotations

import io
import json
import os
from contextlib import closing

import pytest
import segno

from support.processes import environment, finish, start, until
from support.shares import LOOPBACK, running
from support.world import World

BEGUN = b'{"status": {"message": "begun: 0 B, 0 B/s"}}\n'


class FullPipe:
    """A pipe that takes `room` more bytes: whoever writes more waits until it is read."""

    def __init__(self, room: int) -> None:
        self._out, self.writing = os.pipe()
        with open(f"/proc/self/fd/{self.writing}", "wb", buffering=0, opener=_not_blocking) as filling:
            page = bytes(os.sysconf("SC_PAGE_SIZE"))
            pages = 0
            while filling.write(page):
                pages += 1
        self._stuffing = pages * len(page)
        os.read(self._out, len(page))
        os.write(self.writing, page[room:])
        self._stuffing -= room

    def drain(self) -> bytes:
        """All that was written, to the end; its writers must have closed it or do so now."""
        with closing(os.fdopen(self._out, "rb")) as out:
            return out.read()[self._stuffing :]


def _not_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_file_that_is_replaced_before_it_is_shared_was_written_all_the_same(made: World, *, as_json: bool) -> None:
    """It stands still, with the file written, at the first word about it; that is when the file is replaced."""
    file = made.out / f"replaced-{as_json}.json"
    words = ("--json",) if as_json else ()
    pipe = FullPipe(len(BEGUN) if as_json else 0)
    how = environment(BLIXARD_PROGRESS="plain" if as_json else "off")
    command = ("cluster", "export", "-o", file, "-c", "web", "--no-compress", "--p2p-share", *LOOPBACK, *words)
    with running(start(made, *command, stderr=pipe.writing, env=how)) as process:
        os.close(pipe.writing)
        until(file.exists, process)
        replacement = made.out / "new.json.gz"
        (made.out / "other").write_bytes(replacement.read_bytes())
        (made.out / "other").rename(file)
        said = pipe.drain().decode()
        ran = finish(process)

    assert ran.code == 22, (ran, said)
    assert "it was replaced meanwhile" in said
    if as_json:
        assert said.encode().startswith(BEGUN)
        [event] = map(json.loads, ran.out.splitlines())
        assert (event["event"], event["report"]["place"]) == ("export", str(file))
    else:
        assert "exported " in said
        assert ran.out == ""


@pytest.mark.parametrize("verb", ["share", "export"])
def test_the_picture_is_that_of_the_very_ticket(made: World, verb: str) -> None:
    export = ("export", "-c", "web", "-o", made.out / "drawn.json.gz", "--p2p-share")
    share = ("share", made.out / "new.json.gz")
    with running(start(made, "cluster", *(share if verb == "share" else export), "--qr", *LOOPBACK)) as process:
        assert process.stderr is not None
        while "Ctrl-C ends it" not in process.stderr.readline().decode():
            assert process.poll() is None
        process.terminate()
        ran = finish(process)

    line, _, picture = ran.out.partition("\n")
    drawn = io.StringIO()
    segno.make(line.removeprefix("Share this ticket with other nodes: "), error="l").terminal(drawn, compact=True)
    assert ran.code == 3, ran
    assert picture.strip("\n") == drawn.getvalue().strip("\n")
    assert picture.count("\n") > 20
