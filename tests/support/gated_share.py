"""A sender that gives only some records and then waits: run as a program, to be killed.

Arguments: the export file; digests (hex, comma-separated) of the records that it gives. Prints its ticket.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.gate import Gate
from support.shares import a_stand


def main(file: str, given: str) -> None:
    with a_stand(Path(file)) as stand:
        stand.served.frame_of = Gate(frozenset(bytes.fromhex(each) for each in given.split(",")))
        stand.serve()
        sys.stdout.write(stand.ticket + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
