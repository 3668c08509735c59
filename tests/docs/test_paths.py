"""What the docs name is there: files of the repository, and modules and rooms of the package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from blixard.errors import BlixardError
from blixard.site.config import KEYS
from support.docs_runner import ROOT

PACKAGE = ROOT / "src/blixard"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ROOMS = {path.name for path in PACKAGE.iterdir()}
MODULES = {path.name for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")}
"""A module may be named without its room, where the page says which one."""
OTHERS = ("src", "tests", "scripts", "docs", "requirements")


def error_ids(error: type[BlixardError] = BlixardError) -> set[str]:
    return {error.id}.union(*map(error_ids, error.__subclasses__()))


NO_FILES = {*KEYS, *error_ids(), "store.toml"}
"""Settings, errors and the data directory's files have dots and slashes too."""


def names_of(page: Path) -> Iterator[str]:
    """What stands in backticks and looks like a file of the repository, a module or a room."""
    for code in re.findall(r"`([\w./-]+)`", page.read_text()):
        first, *more = re.split(r"[./]", code)
        ours = (first in OTHERS and "/" in code) or (first in ROOMS | {"blixard"} and more) or code.endswith(".py")
        if ours and code not in NO_FILES:
            yield code


def is_there(name: str) -> bool:
    """Whether a path of the repository, of the package or, with dots, a module and perhaps a name in it exists."""
    if (ROOT / name).exists() or (PACKAGE / name).exists() or name in MODULES:
        return True
    parts = name.removeprefix("blixard.").split(".")
    # the last part may be a class or function, the one before it a module
    for depth in (len(parts), len(parts) - 1):
        path = PACKAGE.joinpath(*parts[:depth])
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if depth and source.exists():
            return depth == len(parts) or re.search(rf"\b{parts[-1]}\b", source.read_text()) is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    assert [name for name in names_of(page) if not is_there(name)] == []


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("src/blixard/ops/importing", True),
        ("ops/vm", True),
        ("cli/tree.py", True),
        ("peer.ports", True),
        ("home.ClusterDir", True),
        ("src/blixard/ops/import_run.py", False),
        ("ops.import_preflight", False),
        ("files.no_such_name", False),
    ],
)
def test_what_moved_away_is_noticed(name: str, there: bool) -> None:  # noqa: FBT001 - the answer
    assert is_there(name) is there
