"""Where an export lies: a file, a pipe or device, stdin and stdout; object stores would be the next module here.

Adapters of `ports.Input` and `ports.Output`, and what can be asked about the name of a place. Each says what it can
promise: only a regular file appears whole or not at all.
"""

from blixard.place.names import absolute_name, exists, is_standard, pointed_to, same_file
from blixard.place.source import open_input
from blixard.place.spool import reread, spool, spooled
from blixard.place.target import a_link, check_disk, open_output, replacing_output

__all__ = [
    "a_link",
    "absolute_name",
    "check_disk",
    "exists",
    "is_standard",
    "open_input",
    "open_output",
    "pointed_to",
    "replacing_output",
    "reread",
    "same_file",
    "spool",
    "spooled",
]
