"""Compressed clusters: bounded decompression, and a small cache for reads that want parts of one.

The bytes after a stream, up to the end of its last sector, belong to somebody else and are ignored, as the spec says.
What a stream yields is cut off one byte after a cluster, so a bomb costs what honest data costs.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict

import zstandard

from blixard.disks.qcow2.entries import compressed_range
from blixard.disks.qcow2.header import Compression, Header
from blixard.disks.qcow2.refusal import malformed
from blixard.disks.source import DiskFile
from blixard.limits import Limits

_CACHE_BYTES = 8 << 20
_ZLIB_WINDOW_BITS = -12
"""Raw deflate with a window of 4 KiB: what QEMU writes, and all that its own reader accepts."""


class CompressedClusters:
    """Decompresses clusters of one image by descriptor. Thread-safe."""

    def __init__(self, source: DiskFile, header: Header, limits: Limits) -> None:
        self._source = source
        self._header = header
        self._window_bytes = limits.record_bytes
        self._kept = max(1, _CACHE_BYTES // header.cluster_bytes // 8)
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._per_thread = threading.local()

    def cluster(self, descriptor: int) -> bytes:
        """Return the whole cluster that `descriptor` stands for.

        Raises:
            MalformedExport: it does not decompress to exactly one cluster.
        """
        with self._lock:
            known = self._cache.get(descriptor)
            if known is not None:
                self._cache.move_to_end(descriptor)
                return known
        data = self._load(descriptor)
        with self._lock:
            self._cache[descriptor] = data
            if len(self._cache) > self._kept:
                self._cache.popitem(last=False)
        return data

    def _load(self, descriptor: int) -> bytes:
        offset, length = compressed_range(descriptor, self._header.cluster_bits)
        stored = bytearray(length)
        self._source.read_padded(offset, memoryview(stored))
        where, most = str(self._source.path), self._header.cluster_bytes
        problem = f"has a compressed cluster at {offset}"
        try:
            if self._header.compression is Compression.ZLIB:
                # at most one byte more: a bomb is cut off there
                data = zlib.decompressobj(_ZLIB_WINDOW_BITS).decompress(stored, most + 1)
            else:
                data = _open_zstd(self._decompressor(), stored, most, self._window_bytes)
        except (zlib.error, zstandard.ZstdError) as error:
            raise malformed(where, f"{problem} that does not decompress ({error})") from error
        if len(data) != most:
            how_many = f"more than {most}" if len(data) > most else str(len(data))
            raise malformed(where, f"{problem} that decompresses to {how_many} bytes, a cluster has {most}")
        return data

    def _decompressor(self) -> zstandard.ZstdDecompressor:
        """One for each thread: they must not be shared, and making one costs as much as a cluster."""
        kept: zstandard.ZstdDecompressor | None = getattr(self._per_thread, "decompressor", None)
        if kept is None:
            kept = self._per_thread.decompressor = zstandard.ZstdDecompressor(max_window_size=self._window_bytes)
        return kept


def _open_zstd(decompressor: zstandard.ZstdDecompressor, stored: bytearray, most: int, window_bytes: int) -> bytes:
    """Decompress the one frame at the beginning of `stored` to at most `most` bytes; more is an error."""
    if not stored.startswith(zstandard.FRAME_HEADER):  # a skippable frame would be accepted otherwise
        raise zstandard.ZstdError("is not a zstd frame")
    frame = zstandard.get_frame_parameters(stored)
    if frame.dict_id:
        raise zstandard.ZstdError("needs a dictionary")
    if frame.window_size > window_bytes:
        raise zstandard.ZstdError(f"wants a window of {frame.window_size} bytes")
    # the bound below is ignored when the frame declares a size, so that must be the bound
    if frame.content_size not in {zstandard.CONTENTSIZE_UNKNOWN, most}:
        raise zstandard.ZstdError(f"declares {frame.content_size} bytes")
    return decompressor.decompress(stored, max_output_size=most)
