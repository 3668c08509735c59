"""What the tests of both sides of a transfer begin from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.link_conformance import no_thread_left
from support.peers import World, world


@pytest.fixture
def here() -> Iterator[World]:
    """Senders and receivers on loopback links; at its end no thread of theirs is left."""
    with no_thread_left(), world() as made:
        yield made
