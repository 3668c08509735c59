"""The command line and the Python API ask for the same: an option is named as the argument that it fills."""

from pathlib import Path

import pytest

import blixard
from blixard.api.arguments import ExportArguments, ImportArguments
from blixard.cli.verbs.export import export
from blixard.cli.verbs.import_ import import_
from blixard.errors import UsageError


def names_of(command: object) -> set[str]:
    return {each.name for each in getattr(command, "params", ())}


def test_every_argument_of_an_export_has_an_option() -> None:
    assert set(ExportArguments.__annotations__) - names_of(export) == {"compress", "progress"}


def test_every_argument_of_an_import_has_an_option() -> None:
    assert set(ImportArguments.__annotations__) - names_of(import_) == {"variables", "consent", "progress"}


def test_a_file_that_an_argument_names_and_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    blixard.create_cluster("lab", tmp_path / "data").close()
    blixard.export(tmp_path / "lab.json", "lab", tmp_path / "data")

    with pytest.raises(UsageError, match=r"none\.toml"):
        blixard.import_(tmp_path / "lab.json", "lab", tmp_path / "data", rules=tmp_path / "none.toml")
    with pytest.raises(UsageError, match=r"none\.json"):
        blixard.import_(tmp_path / "lab.json", "lab", tmp_path / "data", secrets_file=tmp_path / "none.json")
