"""The `integrity` section as a file states it, and how it differs from what was found.

Apart from `digests`: those are computed, this is a claim, and nothing may take one for the other.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct

from blixard.errors import UnsupportedVersion
from blixard.format.cursor import Cursor
from blixard.format.elements import element
from blixard.format.quoting import shown
from blixard.model.canonical import digest
from blixard.model.structs import Integrity

ALGORITHM = "blake3"
# a signature is reserved: a newer 1.x may write one, and it covers `document`, not what is read here
_KEYS = frozenset({"algorithm", "sections", "images", "document", "signature"})


class Claim(Struct, frozen=True, kw_only=True):
    """What a file says its digests are; in hex, unproven."""

    algorithm: str
    sections: dict[str, str]
    images: tuple[str, ...] = ()
    document: str


def read_claim(cursor: Cursor) -> Claim:
    """Pass the `integrity` section.

    Raises:
        MalformedExport: a key is unknown, missing or of another type.
        UnsupportedVersion: another algorithm.
    """
    # one digest an image: larger than any other element, and flat
    value, _ = element(cursor, "state_bytes", values=cursor.limits.values)
    if not isinstance(value, dict):
        raise cursor.malformed("`integrity` must be an object")
    unknown = value.keys() - _KEYS
    if unknown:
        raise cursor.malformed(f"`integrity` has the unknown key `{min(unknown)[:80]}`")
    try:
        claim = msgspec.convert(value, Claim)
    except msgspec.ValidationError as problem:
        raise cursor.malformed(f"`integrity`: {problem}") from problem
    if claim.algorithm != ALGORITHM:
        raise UnsupportedVersion(f"the integrity algorithm `{shown(claim.algorithm)}` is not `{ALGORITHM}`")
    return claim


def differences(claim: Claim, found: Integrity) -> tuple[str, ...]:
    """Names of the sections that are not what the claim says; `integrity` when the claim contradicts itself."""
    names = [*claim.sections, *(name for name in found.sections if name not in claim.sections)]
    edited = [name for name in names if claim.sections.get(name) != found.sections.get(name)]
    images = () if found.images is UNSET else found.images
    consistent = claim.document == digest(claim.sections) and (claim.images == images or "images" in edited)
    return tuple(edited if consistent else [*edited, "integrity"])


def damaged(claim: Claim, found: list[str]) -> list[int]:
    """Numbers of the images whose digest is not the one that the claim lists."""
    stated = [*claim.images, *[""] * (len(found) - len(claim.images))]
    return [image for image, computed in enumerate(found) if computed != stated[image]]


def only_images(claim: Claim, found: Integrity) -> bool:
    """True when the claim agrees with itself, and what was found agrees with it in all but the content of images."""
    sections = {**found.sections, "images": digest(list(claim.images))}
    return claim.sections == sections and claim.document == digest(claim.sections)
