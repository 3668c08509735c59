import json
import logging
import os

import pytest

from blixard.cli.logs import set_up_logging
from support.tickets import make_ticket


@pytest.fixture(autouse=True)
def _restore() -> object:
    logger = logging.getLogger("blixard")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_records_are_json_lines_with_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=1, as_json=True, run_id="r1")

    logging.getLogger("blixard.x").info("read %d bytes", 3)

    told = json.loads(capsys.readouterr().err)
    assert (told["level"], told["logger"], told["message"], told["run"]) == ("info", "blixard.x", "read 3 bytes", "r1")
    assert told["time"].endswith("Z")


def test_an_exception_is_in_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=0, as_json=True, run_id="r1")

    try:
        os.environ["NONE_OF_THIS_NAME"]
    except KeyError:
        logging.getLogger("blixard").exception("odd")

    assert "KeyError" in json.loads(capsys.readouterr().err)["exception"]


@pytest.mark.parametrize(
    ("verbose", "seen"), [(0, ["warning"]), (1, ["info", "warning"]), (2, ["debug", "info", "warning"])]
)
def test_verbosity_decides_what_is_said(verbose: int, seen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=verbose, as_json=True, run_id="r1")

    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        logging.getLogger("blixard").log(level, "x")

    assert [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()] == seen


@pytest.mark.parametrize("as_json", [False, True])
def test_a_record_does_not_hold_a_ticket(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    set_up_logging(verbose=1, as_json=as_json, run_id="r1")
    ticket = make_ticket().encode()

    logging.getLogger("blixard.x").info("read `%s`", ticket)

    told = capsys.readouterr().err
    assert "read `blixardaeaa…`" in told
    assert ticket[20:] not in told
