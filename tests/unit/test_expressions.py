"""Regular expressions that mean the same on every Python that we promise.

Before Python 3.11.5 a possessive repeat over a group passes one byte too many (gh-106052): good backups were refused.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import blixard

_PARSER: Any = re._parser  # type: ignore[attr-defined]


def _modules() -> list[str]:
    return sorted(module.name for module in pkgutil.walk_packages(blixard.__path__, "blixard."))


def _expressions_of(name: str) -> Iterator[tuple[str | bytes, int]]:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    for value in vars(module).values():
        if isinstance(value, re.Pattern):
            yield value.pattern, value.flags & ~re.UNICODE
    # those that are compiled where they are used
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            first = node.args[0] if node.args else None
            if node.func.value.id == "re" and isinstance(first, ast.Constant) and isinstance(first.value, str | bytes):
                yield first.value, 0


def _unsafe_repeats(parsed: Any) -> Iterator[str]:
    """Possessive repeats over more than one character class, and atomic groups, at any depth."""
    for operation, argument in parsed:
        kind = str(operation)
        if kind == "ATOMIC_GROUP":
            yield kind
        if kind == "POSSESSIVE_REPEAT":
            inside = list(argument[2])
            if len(inside) != 1 or str(inside[0][0]) not in {"IN", "LITERAL", "NOT_LITERAL", "ANY", "RANGE"}:
                yield f"{kind} of {inside}"
        for part in argument if isinstance(argument, tuple | list) else [argument]:
            for inner in part if isinstance(part, list) else [part]:
                if isinstance(inner, _PARSER.SubPattern):
                    yield from _unsafe_repeats(inner)


@pytest.mark.parametrize("name", _modules())
def test_no_expression_repeats_a_group_possessively(name: str) -> None:
    for pattern, flags in _expressions_of(name):
        assert list(_unsafe_repeats(_PARSER.parse(pattern, flags))) == [], pattern


@pytest.mark.parametrize(
    "pattern", [rb"(?:ab|b)*+", rb"x(?:(?:ab)?+c)*", rb"(?:y|(?:ab){2,3}+)", rb"(?>a)", rb"(a(?:bc)++)?"]
)
def test_the_search_for_them_finds_each_form(pattern: bytes) -> None:
    assert len(list(_unsafe_repeats(_PARSER.parse(pattern, 0)))) == 1


@pytest.mark.parametrize("pattern", [rb"[ \t]*+x", rb'(?:[^"\\]*+\\.)*', rb"a?+(?:b++|c)*"])
def test_a_possessive_repeat_of_one_class_is_fine(pattern: bytes) -> None:
    assert list(_unsafe_repeats(_PARSER.parse(pattern, 0))) == []
