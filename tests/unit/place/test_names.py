import ast
from pathlib import Path

import pytest

import blixard
from blixard.place import absolute_name, exists, is_standard, pointed_to

SOURCE = Path(blixard.__file__).parent
OTHER_MEANING = {"model/pointer.py", "cli/verbs/peer.py"}
"""The end of an array in a JSON pointer; a ticket on standard input."""


def test_a_name_in_history_means_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert absolute_name("export.json") == str(tmp_path / "export.json")
    assert absolute_name("-") == "-"


def test_a_standard_stream_is_never_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_bytes(b"")

    assert is_standard("-")
    assert not exists("-")
    assert exists("./-")
    assert not is_standard("./-")
    assert not exists("missing")


def test_a_link_tells_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")

    assert pointed_to(str(tmp_path / "link")) == str(tmp_path / "file")
    assert pointed_to(str(tmp_path / "loop"))
    assert pointed_to(str(tmp_path / "file")) is None
    assert pointed_to(str(tmp_path / "missing")) is None


def test_nobody_else_compares_a_name_with_the_dash() -> None:
    found = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq)
        for side in (node.left, *node.comparators)
        if isinstance(side, ast.Constant) and side.value == "-"
    }

    assert found == OTHER_MEANING
