"""A data directory: one node's home, its clusters, who may touch them, and who owns which disk file.

`Home` finds, makes, renames and deletes clusters, `ClusterDir` knows a cluster's paths, `FlockLocks` who works on it.
The registry of disks needs sqlite3 and is loaded by `Home.registry()` alone, so that a start does not pay for it.
"""

from blixard.home.cluster import ClusterDir, StoreChoice
from blixard.home.directory import Home

__all__ = ["ClusterDir", "Home", "StoreChoice"]
