"""Text from a file as it may stand in a message.

A hostile file would else write to the operator's terminal: escape sequences, line feeds, marks that turn text round.
"""

from __future__ import annotations


def shown(text: str, most: int = 80) -> str:
    """The first `most` characters of `text`, with escapes for what is not printable."""
    text = text[:most]
    return text if text.isprintable() else repr(text)[1:-1]
