"""Documents whose images, integrity or layout break one rule of FORMAT.md sections 3 to 5."""

from __future__ import annotations

import json

from blixard.errors import LimitExceeded, UnsupportedVersion
from blixard.limits import MIB, TIB
from hostile.format_documents import (
    BASE,
    IMAGE,
    RECORD,
    REFERENCE,
    TEXT,
    drop,
    of_bytes,
    put,
    swap,
)

IMAGES = [
    put("images is an object", ("images",), {}, says="an array"),
    put("images is null", ("images",), None, says="an array"),
    put("image is a string", IMAGE, "x", says="an object"),
    *(
        drop(f"image without `{key}`", (*IMAGE, key), says=key)
        for key in ("vm", "disk", "format", "size_bytes", "records", "data_bytes", "digest")
    ),
    drop("image without `consistency` and `failed`", (*IMAGE, "consistency"), says="either"),
    put("image with `consistency` and `failed`", (*IMAGE, "failed"), "why", says="either"),
    put("image with an unknown key", (*IMAGE, "sha256"), "x", says="unknown key `sha256`"),
    put("image of a VM that is a path", (*IMAGE, "vm"), "../web-1", says="vm"),
    put("image of a disk that is a path", (*IMAGE, "disk"), "/dev/sda", says="disk"),
    put("image format unknown", (*IMAGE, "format"), "vhd", says="format"),
    put("image size negative", (*IMAGE, "size_bytes"), -1, says="size_bytes"),
    put("image size over 64 TiB", (*IMAGE, "size_bytes"), 64 * TIB + 1, LimitExceeded, "disk_bytes"),
    put("image size a string", (*IMAGE, "size_bytes"), "4 MiB", says="size_bytes"),
    put("image digest short", (*IMAGE, "digest"), "ab", says="digest"),
    put("image data_bytes wrong", (*IMAGE, "data_bytes"), 5, says="data_bytes"),
    put("image consistency unknown", (*IMAGE, "consistency"), "perfect", says="consistency"),
    put("records is an object", (*IMAGE, "records"), {}, says="an array"),
    put("records is null", (*IMAGE, "records"), None, says="an array"),
    swap("records twice", b'"records": [', b'"records": [], "records": [', says="duplicate key `records`"),
    put("record is a number", RECORD, 5, says="a record must be an object"),
    drop("record without length", (*RECORD, "length"), says="`length`"),
    drop("record without blake3", (*RECORD, "blake3"), says="`blake3`"),
    drop("reference without offset", (*REFERENCE, "offset"), says="offset"),
    put("record with an unknown key", (*RECORD, "crc32"), 1, says="unknown key `crc32`"),
    put("record offset negative", (*RECORD, "offset"), -1, says="offset"),
    put("record offset a fraction", (*RECORD, "offset"), 0.5, says="offset"),
    put("record offset null", (*RECORD, "offset"), None, says="offset"),
    put("record offset true", (*RECORD, "offset"), True, says="offset"),
    put("record offset huge", (*RECORD, "offset"), 10**30, says="reaches"),
    put("record offset near 2^64", (*RECORD, "offset"), (1 << 64) - 1, says="reaches"),
    put("record length zero", (*RECORD, "length"), 0, says="no bytes"),
    put("record length negative", (*RECORD, "length"), -5, says="length"),
    put("record over 16 MiB", (*RECORD, "length"), 16 * MIB + 1, LimitExceeded, "record_bytes"),
    put("record length a string", (*RECORD, "length"), "5000", says="length"),
    put("record blake3 short", (*RECORD, "blake3"), "00", says="blake3"),
    put("record blake3 in capitals", (*RECORD, "blake3"), "AB" * 32, says="blake3"),
    put("record blake3 not hex", (*RECORD, "blake3"), "zz" * 32, says="blake3"),
    put("record blake3 null", (*RECORD, "blake3"), None, says="blake3"),
    put("record zstd a number", (*RECORD, "zstd"), 5, says="zstd"),
    put("record zstd an array", (*RECORD, "zstd"), ["a"], says="zstd"),
    put("data record with skip", (*RECORD, "skip"), 4, says="skip"),
    put("pack with skip", (*IMAGE, "records", 1, "skip"), 4, says="skip"),
    put("skip negative", (*REFERENCE, "skip"), -1, says="skip"),
    put("skip over 16 MiB", (*REFERENCE, "skip"), 16 * MIB, LimitExceeded, "record_bytes"),
    put("record overlaps the one before", (*REFERENCE, "offset"), 4999, says="overlaps"),
    put("record goes back", (*REFERENCE, "offset"), 0, says="overlaps"),
    put("record reaches behind the disk", (*REFERENCE, "offset"), 4 * MIB - 1, says="reaches"),
    put("disk ends before its records", (*IMAGE, "size_bytes"), 4096, says="reaches"),
    of_bytes(
        "disk ends before its records, size said last",
        json.dumps({**BASE, "images": [{**BASE["images"][0], "size_bytes": None}]})
        .encode()
        .replace(b'"size_bytes": null, ', b"")
        .replace(b'"consistency"', b'"size_bytes": 4096, "consistency"'),
        says="reach",
    ),
    swap("record key twice", b'"length": 5000', b'"length": 5000, "length": 5000', says="duplicate key `length`"),
    swap("record zstd twice", b', "zstd": "', b', "zstd": "", "zstd": "', says="duplicate key `zstd`"),
    swap("record length with a leading zero", b'"length": 5000', b'"length": 05000'),
    swap("record text with a line feed escape left open", b'"zstd": "', b'"zstd": "\\'),
    swap("record text not ASCII", b'"zstd": "', b'"zstd": "\xff', says="UTF-8"),
    swap("record without a comma behind it", b"}, {", b"} {"),
    of_bytes("document ends inside a record's text", TEXT[: TEXT.index(b'"zstd": "') + 500], says="ends early"),
    of_bytes("document ends behind a record", TEXT[: TEXT.index(b"}, {") + 1], says="ends early"),
]

SEALS = [
    put("integrity is an array", ("integrity",), [], says="`integrity`"),
    put("integrity is null", ("integrity",), None, says="`integrity`"),
    put("integrity with an unknown key", ("integrity", "extra"), 1, says="unknown key `extra`"),
    drop("integrity without document", ("integrity", "document"), says="document"),
    drop("integrity without sections", ("integrity", "sections"), says="sections"),
    put("integrity of another algorithm", ("integrity", "algorithm"), "md5", UnsupportedVersion, "md5"),
    put("integrity sections are numbers", ("integrity", "sections"), {"vms": 1}, says="`integrity`"),
    put("integrity images are an object", ("integrity", "images"), {}, says="`integrity`"),
    put("record_tables is an object", ("record_tables",), {}, says="an array"),
    put("record_tables flat", ("record_tables",), [1, 2], says="an array"),
    put("record_tables with a zero", ("record_tables",), [[0]], says="lengths"),
    put("record_tables with a negative length", ("record_tables",), [[-5]], says="lengths"),
    put("record_tables with a fraction", ("record_tables",), [[1.5]], says="lengths"),
    put("record_tables with a string", ("record_tables",), [["1"]], says="lengths"),
    put("record_tables with a length over 4 GiB", ("record_tables",), [[1 << 32]], says="4 GiB"),
    swap("record_tables with a trailing comma", b'"record_tables": [[', b'"record_tables": [[1,], ['),
    put("index is an array", ("index",), [], says="`index`"),
    put("index with an unknown key", ("index", "extra"), 1, says="`index`"),
    put("index of another layout", ("index", "layout"), "tar", says="`index`"),
    put("index offset negative", ("index", "images_at"), -1, says="`index`"),
    put("index offset over 63 bits", ("index", "record_tables"), 1 << 64, says="`index`"),
    put("index row with an unknown key", ("index", "images", 0, "path"), "/", says="`index`"),
    put("index without `self`", ("index", "self"), 5, says="`index`"),
]
