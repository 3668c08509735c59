"""A unit test sees what everybody sees (issue 10, section 3): no private name of blixard is imported or touched."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BY_NAME = {"getattr", "setattr", "delattr", "hasattr", "patch"}
"""Functions and methods (of monkeypatch, too) that are given the name of an attribute as text."""
OF_OTHERS = ("_Uniffi", "_uniffi")
"""What the generated binding of Iroh calls its own, which `peer.iroh.binding` repairs."""


def is_private(name: str) -> bool:
    """True for `_x` and `a._x`, not for `__x__` and `_`."""
    return any(
        part.startswith("_") and not part.startswith(("__", *OF_OTHERS)) and part != "_" for part in name.split(".")
    )


def private_names(code: str) -> Iterator[str]:
    """The private names of others that a module imports, touches, or names for `setattr` and its kind."""
    tree = ast.parse(code)
    own, foreign = {"self", "cls"}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            foreign |= {each.name for each in node.names if each.name in sys.stdlib_module_names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("blixard"):
            yield from (each.name for each in node.names if is_private(f"{node.module}.{each.name}"))
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("blixard") and is_private(each.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in own | foreign):
                yield node.attr
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            texts = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
            if called in BY_NAME:
                yield from (text for text in texts if isinstance(text, str) and is_private(text))


@pytest.mark.parametrize(
    "code",
    [
        "from blixard.files import _lock",
        "from blixard._files import lock",
        "import blixard._files",
        "server._sessions.clear()",
        "one.self._x",
        "monkeypatch.setattr(server, '_sessions', {})",
        "monkeypatch.setattr('blixard.files._lock', None)",
        "getattr(server, '_sessions')",
    ],
)
def test_a_private_name_is_found(code: str) -> None:
    assert len(list(private_names(code))) == 1


@pytest.mark.parametrize("code", ["self._x = 1", "import os\nos._exit(0)", "x.__class__", "from a import _b", "_x = 1"])
def test_what_is_ones_own_or_not_ours_is_left_alone(code: str) -> None:
    assert not list(private_names(code))


def test_no_unit_test_touches_a_private_name() -> None:
    found = {str(path.relative_to(HERE)): list(private_names(path.read_text())) for path in HERE.rglob("*.py")}

    assert len(found) > 150
    assert {name: names for name, names in found.items() if names} == {}
