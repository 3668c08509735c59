"""An export written again and again, interrupted before each instruction of our own code in turn.

    interrupts.py nameless|named

Python handles a signal between two instructions, so `KeyboardInterrupt` is raised there. In a process of its own, as
each interrupt may leave descriptors open; a command that is interrupted ends. Says as a line of JSON what was found.
"""

from __future__ import annotations

import errno
import json
import resource
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from blixard import files
from support.world import fast_folder

OLD, NEW = b"old " * 10, b"new " * 10
_OURS = str(Path(files.__file__).parent)


class InterruptAt:
    """For `sys.settrace`: raises before the instruction that is `number` behind the first."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_OURS) and frame.f_code is not write_export.__code__:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self._left -= 1
            if self._left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def write_export(root: Path) -> None:
    """What is interrupted."""
    with files.AtomicFile(root / "target" / "export", journal=files.Journal(root / "pending")) as new:
        new.file.write(NEW)
        new.commit()


def interrupted(number: int, root: Path) -> bool:
    """Write, stopped before instruction `number`; False when there are fewer."""
    sys.settrace(InterruptAt(number))
    try:
        write_export(root)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def refuse_nameless(operation: str, _path: str) -> None:
    """As a file system without O_TMPFILE."""
    if operation == "create without a name":
        raise OSError(errno.EOPNOTSUPP, "")


def main(way: str) -> None:
    """See above: how many interrupts, the contents that the file then had, and what else lay about behind which."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    number, left, contents = 0, {}, set()
    with fast_folder() as root, files.observe(refuse_nameless if way == "named" else lambda *_: None):
        target, pending = root / "target", root / "pending"
        target.mkdir()
        pending.mkdir()
        going = True
        while going:
            (target / "export").write_bytes(OLD)
            going = interrupted(number, root)
            files.clean_up()
            contents.add((target / "export").read_text())
            if lying := [path.name for path in (*target.glob(".*"), *pending.iterdir())]:
                left[number] = lying
            number += 1
    sys.stdout.write(json.dumps({"interrupts": number - 1, "contents": sorted(contents), "left": left}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
