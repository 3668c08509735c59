"""Log records to stderr: plain with `-v`, JSON lines with `--log-json`, each with the run's correlation id.

The standard library's logging, set up only when somebody asked for it: importing it costs 16 ms.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

from blixard.errors import without_tickets


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, run."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z"
        told = {
            "time": moment,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "run": self._run_id,
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


class _Stderr(logging.StreamHandler[TextIO]):
    """stderr, with tickets cut."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, whichever formatter makes it."""
        return without_tickets(super().format(record))


def set_up_logging(*, verbose: int, as_json: bool, run_id: str) -> None:
    """Send records of `blixard` to stderr: warnings, with `-v` also information, with `-vv` everything."""
    handler = _Stderr(sys.stderr)
    if as_json:
        handler.setFormatter(JsonLines(run_id))
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s %(name)s [{run_id}] %(message)s"))
    logger = logging.getLogger("blixard")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel({0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG))
