#!/usr/bin/env python3
"""Turn a blixard export into raw disks without blixard: python decode.py EXPORT DIRECTORY (needs zstandard, blake3)."""

import base64, gzip, json, os, re, sys
import zstandard
from blake3 import blake3

def items(path):
    """Every image's head and its records in turn; a file that was re-formatted is read at once."""
    with open(path, "rb") as file:
        opened, found = gzip.open if file.read(2) == b"\x1f\x8b" else open, False
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith('    {"vm": '):
                found = True
                yield json.loads(line + "]}")
            elif found and line.startswith("{"):
                yield json.loads(line.rstrip(",\n"))
            elif found and '"failed": "' in line:
                print("incomplete:", line.split('"failed": "')[1].split('", "digest"')[0])
        for image in () if found else (lines.seek(0), json.load(lines))[1].get("images", []):
            yield from (image, *image["records"])

def decode(path, folder, known={}, disks=[]):
    os.makedirs(folder, exist_ok=True)
    packs = os.memfd_create("packs")
    for item in items(path):
        if "records" in item:  # an image begins
            name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{len(disks)}-{item['vm']}-{item['disk']}.img")
            disks.append(os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT | os.O_TRUNC))
            os.truncate(disks[-1], item["size_bytes"])
            continue
        length, digest = item["length"], item["blake3"]
        if "zstd" in item:  # the bytes themselves; else a reference to those of an earlier record
            data = zstandard.ZstdDecompressor().decompress(base64.b64decode(item["zstd"]), max_output_size=length)
            if len(data) != length or blake3(data).hexdigest() != digest:
                sys.exit(f"damaged record {digest}")
        else:
            data = os.pread(known[digest][0], length, known[digest][1] + item.get("skip", 0))
        file, at = (disks[-1], item["offset"]) if "offset" in item else (packs, os.fstat(packs).st_size)
        os.pwrite(file, data, at)
        known.setdefault(digest, (file, at))

decode(*sys.argv[1:]) if len(sys.argv) == 3 else sys.exit(__doc__)
