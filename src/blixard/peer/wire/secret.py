"""A secret that does not show itself.

Tickets end up in reports, logs and tracebacks by way of repr and serializers; this type gives all of them `***`. Only
`reveal` hands the bytes out, and there are two callers: the ticket's text and the proof.
"""

from __future__ import annotations

import hmac
import secrets
from typing import NoReturn

SECRET_BYTES = 16


class Secret:
    """Sixteen bytes that whoever holds a ticket knows."""

    __slots__ = ("_bytes",)

    def __init__(self, value: bytes) -> None:
        if len(value) != SECRET_BYTES:
            raise ValueError(f"a secret has {SECRET_BYTES} bytes")
        self._bytes = bytes(value)

    @classmethod
    def new(cls) -> Secret:
        """A fresh one from the system's generator."""
        return cls(secrets.token_bytes(SECRET_BYTES))

    def reveal(self) -> bytes:
        """The bytes themselves."""
        return self._bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._bytes, other._bytes)

    def __hash__(self) -> NoReturn:
        raise TypeError("a secret is no key")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def __repr__(self) -> str:
        return "***"
