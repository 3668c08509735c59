"""The Python API: what the commands do, as functions with typed answers.

A thin face over `ops`: paths and plain values in, the frozen reports that `--json` prints out, errors raised. It prints
nothing and asks nothing, like a command in a script. `blixard` itself hands these names out, when they are first used.
"""

from blixard.api.cluster import Cluster, create_cluster, export, import_, open_cluster
from blixard.api.documents import diff, extract, inspect, verify
from blixard.errors import BlixardError, ExportFileError, RefusedError, StateError, StorageError

__all__ = [
    "BlixardError",
    "Cluster",
    "ExportFileError",
    "RefusedError",
    "StateError",
    "StorageError",
    "create_cluster",
    "diff",
    "export",
    "extract",
    "import_",
    "inspect",
    "open_cluster",
    "verify",
]
