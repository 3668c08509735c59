"""The command line and the Python API ask for the same: an option is named as the argument that it fills."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import blixard
from blixard.api import documents
from blixard.api.arguments import ExportArguments, ImportArguments
from blixard.cli.verbs.export import export
from blixard.cli.verbs.import_ import import_
from blixard.errors import UsageError
from blixard.model.structs import Consistency, DiskFormat

UNIMPORTED = dict.fromkeys(("Progress", "ExtractReport", "datetime", "Sequence"), list)
"""What these modules name for type checkers alone."""


def names_of(command: object) -> set[str]:
    return {each.name for each in getattr(command, "params", ())}


def words_of(hint: object) -> list[str]:
    return [word for each in get_args(hint) for word in get_args(each)]


def test_every_argument_of_an_export_has_an_option() -> None:
    assert set(ExportArguments.__annotations__) - names_of(export) == {"compress", "progress"}


def test_every_argument_of_an_import_has_an_option() -> None:
    assert set(ImportArguments.__annotations__) - names_of(import_) == {"variables", "consent", "progress"}


def test_the_words_that_the_api_takes_are_those_of_the_model() -> None:
    asked = get_type_hints(ExportArguments, localns=UNIMPORTED)["require_consistency"]
    shape = get_type_hints(documents.extract, localns=UNIMPORTED)["format"]

    assert [words_of(asked), words_of(shape)] == [list(Consistency), list(DiskFormat)]


def test_a_file_that_an_argument_names_and_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    blixard.create_cluster("lab", tmp_path / "data").close()
    blixard.export(tmp_path / "lab.json", "lab", tmp_path / "data")

    with pytest.raises(UsageError, match=r"none\.toml"):
        blixard.import_(tmp_path / "lab.json", "lab", tmp_path / "data", rules=tmp_path / "none.toml")
    with pytest.raises(UsageError, match=r"none\.json"):
        blixard.import_(tmp_path / "lab.json", "lab", tmp_path / "data", secrets_file=tmp_path / "none.json")
