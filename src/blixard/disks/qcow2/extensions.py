"""Header extensions of a qcow2 image: the ones that say what else lies in the file, and a backing file's format.

Unknown extensions are skipped, as the spec demands; one that runs over its end is how a parser gets to read what is not
there, and is refused.
"""

from __future__ import annotations

import struct

from msgspec import Struct

from blixard.disks.qcow2.refusal import malformed

_END = 0
_BACKING_FORMAT = 0xE2792ACA
_CRYPTO = 0x0537BE77
_BITMAPS = 0x23852875
_DATA_FILE = 0x44415441
_HEAD = struct.Struct(">II")
_BITMAPS_BODY = struct.Struct(">IIQQ")


class Bitmaps(Struct, frozen=True):
    """Where the directory of persistent dirty bitmaps lies."""

    directory_bytes: int
    directory_offset: int


class Extensions(Struct, frozen=True, kw_only=True):
    """The extensions that change what may be read; all others are skipped."""

    backing_format: bytes | None = None
    bitmaps: Bitmaps | None = None


def parse_extensions(data: bytes, at: int, where: str) -> Extensions:
    """Parse the extensions that begin at byte `at` of `data` and may fill all of it.

    Raises:
        MalformedExport: one runs over the end, appears twice, or means that the data is elsewhere or encrypted.
    """
    found: dict[int, bytes] = {}
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise malformed(where, "has a header extension that begins within 8 bytes of its end")
        kind, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if length > len(data) - at:
            raise malformed(where, f"has a header extension {kind:#x} of {length} bytes that runs over its end")
        if kind == _END:
            break
        if kind in {_CRYPTO, _DATA_FILE}:
            what = "is encrypted" if kind == _CRYPTO else "names an external data file"
            raise malformed(where, what, hint="copy it with `qemu-img convert` first")
        if kind in {_BACKING_FORMAT, _BITMAPS}:
            if kind in found:
                raise malformed(where, f"has header extension {kind:#x} twice")
            found[kind] = data[at : at + length]
        at += (length + 7) // 8 * 8
    return Extensions(
        backing_format=found.get(_BACKING_FORMAT),
        bitmaps=_bitmaps(found[_BITMAPS], where) if _BITMAPS in found else None,
    )


def _bitmaps(body: bytes, where: str) -> Bitmaps:
    if len(body) != _BITMAPS_BODY.size:
        raise malformed(where, f"has a bitmaps extension of {len(body)} bytes")
    _count, reserved, directory_bytes, directory_offset = _BITMAPS_BODY.unpack(body)
    if reserved:
        raise malformed(where, "has reserved bits set in its bitmaps extension")
    return Bitmaps(directory_bytes, directory_offset)
