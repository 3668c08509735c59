"""Disk content <-> records: cut, deduplicated, compressed, spilled, verified (FORMAT.md sections 4 and 6)."""
