from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest

from blixard.format.schema import export_schema, schema_text
from support.documents import head, node, sample, typical_vm, vm, write
from unit.format.test_format_reader import ORIGINAL

PUBLISHED = Path(__file__).parents[3] / "docs" / "reference" / "export.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(export_schema())


def test_the_published_schema_is_the_one_in_the_code() -> None:
    assert PUBLISHED.read_text() == schema_text()


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(export_schema())


@pytest.mark.parametrize(
    "document",
    [
        sample(),
        write(head(), [typical_vm(1)]),
        write(head(unknown={"x": 1}, nodes=(node(unknown={"gpu": 1}),)), [vm(unknown={"y": {}})], images=[]),
        write(head(), [vm()], layout=False, integrity=False),
        json.dumps(ORIGINAL).encode(),
    ],
    ids=["sample", "typical", "unknown keys", "template", "original"],
)
def test_what_the_reader_takes_is_valid(document: bytes) -> None:
    VALIDATOR.validate(json.loads(document))


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        (("version",), "2.0"),
        (("nodes", 0, "id"), -1),
        (("vms", "db-1", "vcpus"), 0),
        (("vms", "a/b"), {}),
        (("vms", "db-1", "disks", 0, "name"), "../x"),
        (("images", 0, "extra"), 1),
        (("images", 0, "records", 0, "length"), 0),
        (("images", 0, "records", 0, "blake3"), "AB"),
        (("images", 0, "records", 0, "skip"), 0),
        (("images", 0, "failed"), "both"),
        (("integrity", "algorithm"), "md5"),
        (("integrity", "extra"), 1),
        (("index", "extra"), 1),
        (("record_tables",), [["1"]]),
    ],
)
def test_what_the_reader_refuses_is_not(pointer: tuple[str | int, ...], value: Any) -> None:
    document = json.loads(sample())
    place = document
    for step in pointer[:-1]:
        place = place[step]
    place[pointer[-1]] = value

    assert not VALIDATOR.is_valid(document)
