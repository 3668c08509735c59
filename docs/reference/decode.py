#!/usr/bin/env python3
"""Turn a blixard export back into disks, without blixard: needs Python 3.9 and `pip install zstandard`.

    python decode.py cluster-backup.json.gz DIRECTORY

makes one sparse raw file of each image, DIRECTORY/<number>-<vm>-<disk>.img (`qemu-img convert` makes a qcow2 of it).
With `pip install blake3` every record is checked. A file as blixard wrote it is read line by line, so its size does not
matter; one that was re-formatted since is read at once and must fit into memory.
"""

import base64
import gzip
import json
import os
import re
import sys

import zstandard

try:
    from blake3 import blake3
except ImportError:  # digests are not checked then
    blake3 = None


def read_lines(path):
    """Yield each image as (head, None), each of its records as (None, record), its end as (None, None)."""
    with open(path, "rb") as file:
        opened = gzip.open if file.read(2) == b"\x1f\x8b" else open
    inside = found = False
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith('    {"vm": ') and line.endswith('"records": [\n'):
                inside = found = True
                yield json.loads(line + "]}"), None
            elif inside and line.startswith("{"):
                yield None, json.loads(line.rstrip(",\n"))
            elif inside and line.startswith("    ], "):
                inside = False
                failed = re.search(r'"failed": ("(?:[^"\\]|\\.)*")', line)
                if failed:
                    print("incomplete:", json.loads(failed[1]))
    if not found:
        with opened(path, "rt", encoding="utf-8") as whole:
            for image in json.load(whole).get("images", []):
                yield image, None
                yield from ((None, record) for record in image["records"])


def decode(path, directory):
    """Write all disks; a reference names bytes of an earlier record, which are read back from where they were put."""
    os.makedirs(directory, exist_ok=True)
    packs = os.path.join(directory, "packs.tmp")
    open(packs, "wb").close()
    disks, known = [], {}
    for head, record in read_lines(path):
        if head:
            name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{len(disks)}-{head['vm']}-{head['disk']}.img")
            disks.append(os.path.join(directory, name))
            with open(disks[-1], "wb") as disk:
                disk.truncate(head["size_bytes"])
            continue
        length, digest = record["length"], record["blake3"]
        target, at = (disks[-1], record["offset"]) if "offset" in record else (packs, os.path.getsize(packs))
        if "zstd" in record:
            frame = base64.b64decode(record["zstd"], validate=True)
            data = zstandard.ZstdDecompressor().decompress(frame, max_output_size=length)
            if len(data) != length or (blake3 and blake3(data).hexdigest() != digest):
                sys.exit(f"damaged record {digest}")
            known.setdefault(digest, (target, at))
        else:
            source, begin = known[digest]
            with open(source, "rb") as file:
                file.seek(begin + record.get("skip", 0))
                data = file.read(length)
        with open(target, "r+b") as file:
            file.seek(at)
            file.write(data)
    os.unlink(packs)
    return disks


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print("\n".join(decode(sys.argv[1], sys.argv[2])))
