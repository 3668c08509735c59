"""The digests of FORMAT.md section 4, taken while the document streams past, whatever the order of its keys.

Each class holds a running hash, never content: an image of 256 TiB costs one hash state.
"""

from __future__ import annotations

import re
from typing import Any

from blake3 import blake3
from msgspec import UNSET

from blixard.model.canonical import digest
from blixard.model.structs import Integrity, Record

DIGEST = re.compile(r"[0-9a-f]{64}")


def record_line(record: Record) -> bytes:
    """The canonical form of a record without its `zstd`, and LF."""
    # keys in order of code units: blake3, length, offset, skip
    line = f'{{"blake3":"{record.digest.hex()}","length":{record.length}'
    if record.offset is not None:
        line += f',"offset":{record.offset}'
    if record.skip:
        line += f',"skip":{record.skip}'
    return line.encode() + b"}\n"


class LinesDigest:
    """Digest of lines, concatenated: the H of an image, or the elements of one telemetry key."""

    def __init__(self) -> None:
        self._hash = blake3()

    def add(self, line: bytes) -> None:
        """Append a line that ends with LF."""
        self._hash.update(line)

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._hash.hexdigest()


class ListDigest:
    """Digest of an array, from the canonical forms of its elements."""

    def __init__(self) -> None:
        self._hash = blake3(b"[")
        self._between = b""

    def add(self, canonical: bytes) -> None:
        """Append an element."""
        self._hash.update(self._between + canonical)
        self._between = b","

    def hexdigest(self) -> str:
        """64 hex digits; the array is complete."""
        return self._hash.update(b"]").hexdigest()


def names_digest(digests: dict[str, str]) -> str:
    """Digest of {name: digest}, for names that need no escapes and sort by byte, as those of VMs do."""
    pairs = ",".join([f'"{name}":"{hexdigest}"' for name, hexdigest in sorted(digests.items())])
    return blake3(f"{{{pairs}}}".encode()).hexdigest()


def image_digest(keys: dict[str, Any], records: LinesDigest) -> str:
    """The digest of an image: its object without `digest`, with `records` replaced by H."""
    return digest({**{key: value for key, value in keys.items() if key != "digest"}, "records": records.hexdigest()})


class SectionDigests:
    """The digests of a document's sections, and of the document."""

    def __init__(self) -> None:
        self._sections: dict[str, str] = {}

    def add(self, name: str, canonical: bytes) -> None:
        """A section, from the canonical form of its value."""
        self._sections[name] = blake3(canonical).hexdigest()

    def add_digest(self, name: str, hexdigest: str) -> None:
        """A section whose digest was taken piece by piece."""
        self._sections[name] = hexdigest

    def add_value(self, name: str, value: Any) -> None:
        """A section, from its value, or from what stands for its value: digests by name, or a list of them."""
        self._sections[name] = digest(value)

    def integrity(self, images: list[str] | None) -> Integrity:
        """The whole, in the order in which sections were added; `images` None when the document has no such section."""
        return Integrity(
            sections=dict(self._sections),
            images=UNSET if images is None else tuple(images),
            document=digest(self._sections),
        )
