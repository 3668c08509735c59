"""Where an export lies: a file, a pipe or device, stdin and stdout; object stores would be the next module here.

Each place gives a binary stream and says what it can promise: only a regular file appears whole or not at all.
"""

from blixard.place.source import Input, open_input
from blixard.place.target import Output, open_output, same_file

__all__ = ["Input", "Output", "open_input", "open_output", "same_file"]
