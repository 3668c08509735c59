"""Disk content <-> extents and records.

`raw` and `qcow2` read and write images behind the ports `DiskReader` and `DiskWriter`; `detect` chooses between them.
"""
