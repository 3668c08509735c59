"""blixard: export a whole VM cluster to one file and bring it back anywhere.

The names below are all of the public API. They come from `blixard.api` when they are first used, so that
`blixard --version` does not pay for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blixard.api import (
        BlixardError,
        Cluster,
        ExportFileError,
        RefusedError,
        StateError,
        StorageError,
        create_cluster,
        diff,
        export,
        extract,
        import_,
        inspect,
        open_cluster,
        verify,
    )

__version__ = "0.1.0"
__all__ = [
    "BlixardError",
    "Cluster",
    "ExportFileError",
    "RefusedError",
    "StateError",
    "StorageError",
    "__version__",
    "create_cluster",
    "diff",
    "export",
    "extract",
    "import_",
    "inspect",
    "open_cluster",
    "verify",
]

if not TYPE_CHECKING:  # to a type checker, every name would exist

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module `blixard` has no attribute `{name}`")
        from blixard import api

        value = getattr(api, name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
