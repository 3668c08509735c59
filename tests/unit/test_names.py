"""One word, one thing (STYLE.md rule 18): a public class has its name for itself, in the whole of src."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import blixard

SOURCE = Path(blixard.__file__).parent


def test_no_public_class_name_is_defined_twice() -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined[node.name].append(str(path.relative_to(SOURCE)))

    assert len(defined) > 200
    assert {name: places for name, places in defined.items() if len(places) > 1} == {}
