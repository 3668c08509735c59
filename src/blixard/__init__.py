"""blixard: export a whole VM cluster to one file and bring it back anywhere.

The names below are all of the public API. They come from their modules when they are first used, so that
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
    from blixard.version import __version__

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
        if name == "__version__":
            from blixard import version as source
        else:
            from blixard import api as source

        value = getattr(source, name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
