"""Documents that would take memory or time without bound, and small ones under small bounds."""

from __future__ import annotations

import gzip
import io

from blixard.errors import LimitExceeded
from blixard.limits import KIB, MIB
from hostile.format_documents import (
    TEXT,
    Vector,
    bomb,
    small,
)

BOMBS = [
    bomb("white space without end", b"", b" " * MIB, 1024, says="state_bytes"),
    bomb("white space without end behind the document", TEXT, b" " * MIB, 1024),
    bomb("white space without end among records", TEXT[: TEXT.index(b'"records": [') + 12], b"\n" * MIB, 1024),
    bomb("string of 1 GB", b'{"x": "', b"a" * MIB, 1000, says="string_bytes"),
    bomb("string of 1 GB of escapes", b'{"x": "', b"\\n" * (512 * KIB), 1000, says="string_bytes"),
    bomb("string of 1 GB of backslashes", b'{"x": "', b"\\" * MIB, 1000, says="string_bytes"),
    bomb("key of 1 GB", b'{"', b"a" * MIB, 1000, says="string_bytes"),
    bomb("number of 1 GB", b'{"x": ', b"1" * MIB, 1000, says="number_chars"),
    bomb("array of 1 GB of numbers", b'{"x": [', b"1," * (512 * KIB), 1000, says="element_bytes"),
    bomb("array of empty objects", b'{"x": [', b"{}," * 300_000, 20, says="element_"),
    bomb("array of 1 MiB strings", b'{"x": [', b'"' + b"a" * (MIB - 64) + b'",', 1000, says="element_bytes"),
    bomb(
        "VM of 1 GB", b'{"vms": {"web-1": {"labels": {', b'"a":"' + b"b" * 500_000 + b'",', 2000, says="element_bytes"
    ),
    bomb("record text of 1 GB", TEXT[: TEXT.index(b'"zstd": "') + 9], b"A" * MIB, 1000, says="record_text_bytes"),
    bomb(
        "record of another order, text of 1 GB",
        TEXT[: TEXT.index(b'"records": [') + 12] + b'{"zstd": "',
        b"A" * MIB,
        1000,
        says="record_text_bytes",
    ),
    bomb(
        "telemetry element of 1 GB",
        b'{"telemetry": {"a": [{"b": [',
        b'"' + b"a" * 1000 + b'",',
        10**6,
        says="telemetry_element_bytes",
    ),
    bomb("record_tables without end", b'{"record_tables": [', b"[],[],[],[]," * 10_000, 10**6, says="images"),
    Vector(
        name="10 million keys in one value",
        says="element_",
        build=lambda: io.BytesIO(b'{"x": {' + b",".join(b'"%d":0' % n for n in range(1_200_000)) + b"}}"),
        error=LimitExceeded,
    ),
    Vector(
        name="too many top-level keys",
        says="sections",
        build=lambda: io.BytesIO(b"{" + b",".join(b'"x%d":0' % n for n in range(1100)) + b"}"),
        error=LimitExceeded,
    ),
    Vector(
        name="1 GiB of white space from 1 MiB of gzip",
        error=LimitExceeded,
        build=lambda: io.BytesIO(gzip.compress(b" " * (64 * MIB), mtime=0) * 16),
    ),
    Vector(
        name="1 GiB of one string from 1 MiB of gzip",
        error=LimitExceeded,
        says="string_bytes",
        build=lambda: io.BytesIO(gzip.compress(b'{"x": "' + b"a" * (64 * MIB), mtime=0)),
    ),
    Vector(
        name="100,000 empty gzip members", says="empty", build=lambda: io.BytesIO(gzip.compress(b"", mtime=0) * 100_000)
    ),
    Vector(
        name="gzip header name without end",
        says="ends early",
        build=lambda: io.BytesIO(b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"a" * (32 * MIB)),
    ),
    Vector(
        name="gzip member of empty deflate blocks",
        says="ends early",
        build=lambda: io.BytesIO(b"\x1f\x8b\x08\x00" + b"\0" * 6 + b"\x00\x00\x00\xff\xff" * (4 * MIB)),
    ),
    small("state over its bound", "state_bytes", 2000),
    small("VMs over their bound", "vms", 0),
    small("nodes over their bound", "nodes", 0),
    small("images over their bound", "images", 0),
    small("records over their bound", "records", 2),
    small("values over their bound", "values", 20),
    small("depth under its bound", "depth", 3),
    small("record over a smaller bound", "record_bytes", 4096),
    small("text of a record over a smaller bound", "record_text_bytes", 1000),
    small("disk over a smaller bound", "disk_bytes", MIB),
    small("string over a smaller bound", "string_bytes", 30),
    small("telemetry element over its bound", "telemetry_element_bytes", 5),
    small("element over its bound", "element_bytes", 100),
]
