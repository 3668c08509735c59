"""The public face: its names, its types, and that it does what the commands do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import typing
from importlib.resources import files
from pathlib import Path

import pytest

import blixard
from blixard.api.arguments import ExportArguments, ImportArguments
from blixard.errors import Conflict, MalformedExport, NotFound, UsageError
from support.clusters import Watched
from support.docs_runner import ROOT
from support.documents import noise
from support.pages import Kind, blocks_of
from support.shell import python

PAGE = ROOT / "docs/reference/python-api.md"
CONTENT = noise(200_000, 1) + bytes(100_000)

EXAMPLE = """
from datetime import UTC, datetime
from pathlib import Path

import blixard
from blixard import Cluster


def back_up(cluster: Cluster, to: Path) -> int:
    report = cluster.export(to, images=True, only=["vm=web-*"], exported_at=datetime.now(UTC), level=2)
    names: list[str] = [vm.name for vm in cluster.vms()]
    newest: int | None = cluster.status().undo.newest
    return report.size_bytes + len(names) + (newest or 0)


with blixard.open_cluster("lab", Path("/data"), lock_wait=2.5) as lab:
    size: int = back_up(lab, Path("out.json.gz"))
try:
    planned = blixard.import_("out.json.gz", "copy", dry_run=True, rename={"web-1": "web-2"}, on_conflict="keep")
except blixard.ExportFileError as error:
    hint: str | None = error.hint
intact: bool = blixard.verify("out.json.gz").intact
bytes_taken: int = blixard.extract("out.json.gz", "web-1/root", "x.img", format="raw").data_bytes
version: str = blixard.__version__
"""

MISTAKES = [
    'blixard.open_clutser("lab")',
    'blixard.export("x", imags=True)',
    'blixard.import_("x", on_conflict="panic")',
    'blixard.extract("x", "vm", "out", format="vmdk")',
    'blixard.verify("x").intakt',
    "blixard.open_cluster(7)",
]


@pytest.fixture
def lab(tmp_path: Path) -> typing.Iterator[blixard.Cluster]:
    (tmp_path / "disk.img").write_bytes(CONTENT)
    with blixard.create_cluster("lab", tmp_path / "data") as cluster:
        cluster.create_vm("web-1", memory=512, disks={"root": tmp_path / "disk.img"}, labels={"tier": "web"})
        yield cluster


def type_errors(folder: Path, **scripts: str) -> dict[str, set[int]]:
    """What `mypy --strict` finds in scripts, in one run: lines by script."""
    for name, text in scripts.items():
        (folder / f"{name}.py").write_text(text)
    command = ["-m", "mypy", "--strict", "--cache-dir", os.devnull, *(f"{name}.py" for name in scripts)]
    done = subprocess.run(python(*command), capture_output=True, text=True, check=False, cwd=folder)
    assert not done.stderr, done.stderr
    found: dict[str, set[int]] = {name: set() for name in scripts}
    for name, line in re.findall(r"(?m)^(\w+)\.py:(\d+): error", done.stdout):
        found[name].add(int(line))
    return found


def test_there_are_at_most_fifteen_names_and_each_is_there() -> None:
    assert len(blixard.__all__) <= 15
    assert sorted(blixard.__all__) == blixard.__all__
    assert all(getattr(blixard, name) is not None for name in blixard.__all__)
    assert set(blixard.__all__) <= set(dir(blixard))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="open_clutser"):
        blixard.open_clutser  # type: ignore[attr-defined] # noqa: B018 - that is the test


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, blixard; print([name for name in sys.modules if name.startswith('blixard.')])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_script_with_a_star_import_gets_exactly_all() -> None:
    code = "before = set(globals()) | {'before'}\nfrom blixard import *\nprint(sorted(set(globals()) - before))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(blixard.__all__)


def test_the_package_says_that_it_is_typed() -> None:
    assert files("blixard").joinpath("py.typed").is_file()


def test_a_strict_type_checker_accepts_scripts_and_sees_every_mistake(tmp_path: Path) -> None:
    blocks = [each.body for each in blocks_of(PAGE.read_text(), PAGE.name) if each.kind is Kind.PYTHON]
    functions = [f"def block_{n}() -> None:\n{textwrap.indent(body, '    ')}" for n, body in enumerate(blocks)]
    mistakes = "\n".join(["import blixard", *MISTAKES])

    found = type_errors(tmp_path, example=EXAMPLE, page="\n".join(functions), mistakes=mistakes)

    assert len(blocks) >= 5
    assert found == {"example": set(), "page": set(), "mistakes": set(range(2, len(MISTAKES) + 2))}


def test_the_page_names_every_public_name_and_every_argument() -> None:
    text = PAGE.read_text()
    names = [*blixard.__all__, *ExportArguments.__annotations__, *ImportArguments.__annotations__]
    methods = [name for name in vars(blixard.Cluster) if not name.startswith("_")]

    assert [name for name in (*names, *methods) if not re.search(rf"`[^`]*\b{name}\b", text)] == []


def test_an_argument_that_there_is_not_is_refused_as_python_does(lab: blixard.Cluster, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="imags"):
        lab.export(tmp_path / "x.json", imags=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="mereg"):
        lab.import_(tmp_path / "x.json", mereg=True)  # type: ignore[call-arg]


def test_a_cluster_goes_out_and_comes_back_with_its_disks(lab: blixard.Cluster, tmp_path: Path) -> None:
    file, watched = tmp_path / "full.json.gz", Watched()

    exported = lab.export(file, images=True, telemetry=True, progress=watched)
    imported = blixard.import_(file, "copy", tmp_path / "elsewhere", start=["*"])

    assert exported.exit_code == imported.exit_code == 0
    assert watched.tasks == ["web-1/root"]
    assert imported.document == exported.document
    with blixard.open_cluster("copy", tmp_path / "elsewhere") as copy:
        [vm] = copy.vms()
        assert (vm.name, vm.memory, vm.labels, vm.hold) == ("web-1", 512, {"tier": "web"}, None)
        assert [entry.verb for entry in copy.history()] == ["cluster import"]
    blixard.extract(file, "web-1", tmp_path / "out.img")
    assert (tmp_path / "out.img").read_bytes() == CONTENT


def test_what_is_deleted_is_undone(lab: blixard.Cluster) -> None:
    before = lab.vms()

    lab.delete_vm("web-1")
    [entry] = lab.undo_entries()
    planned = lab.undo(dry_run=True)
    lab.undo(entry.id)

    assert planned.dry_run
    assert lab.vms() == before
    assert [each.verb for each in lab.history(limit=2)] == ["cluster undo", "vm delete"]


def test_a_merge_takes_rules_as_values(lab: blixard.Cluster, tmp_path: Path) -> None:
    lab.export(tmp_path / "state.json", compress=False)
    (tmp_path / "rules.toml").write_text('prefix = "from-file-"\n')

    lab.import_(
        tmp_path / "state.json",
        merge=True,
        on_conflict="rename",
        rules=tmp_path / "rules.toml",
        rename={"web-1": "web-2"},
        set={"/vms/web-2/memory": 256},
        new_identity=True,
    )

    assert [(vm.name, vm.memory) for vm in lab.vms()] == [("web-1", 512), ("web-2", 256)]


def test_a_template_takes_variables(lab: blixard.Cluster, tmp_path: Path) -> None:
    import json

    lab.export(tmp_path / "template.json", template=True)
    document = json.loads((tmp_path / "template.json").read_text())
    document["metadata"]["template"]["variables"] = {"mem": {"type": "integer", "targets": ["/vms/web-1/memory"]}}
    (tmp_path / "template.json").write_text(json.dumps(document))

    with pytest.raises(UsageError, match="mem"):
        lab.import_(tmp_path / "template.json")
    lab.import_(tmp_path / "template.json", variables={"mem": 333})

    assert [vm.memory for vm in lab.vms()] == [333]


def test_secrets_go_aside_and_come_back(lab: blixard.Cluster, tmp_path: Path) -> None:
    lab.import_(_with_metadata(lab, tmp_path, {"password": "hunter2"}))
    file, secrets = tmp_path / "masked.json.gz", tmp_path / "secrets.json"

    report = lab.export(file, redact=True, secrets_out=secrets)
    blixard.import_(file, "copy", tmp_path / "elsewhere", secrets_file=secrets)

    assert report.redacted == ("/vms/web-1/metadata/password",)
    with blixard.open_cluster("copy", tmp_path / "elsewhere") as copy:
        assert copy.vms()[0].metadata == {"password": "hunter2"}


@pytest.mark.parametrize("given", [{"level": 4}, {"level": -1}, {"threads": 0}, {"threads": 65}])
def test_a_number_out_of_its_range_is_refused(
    lab: blixard.Cluster, tmp_path: Path, given: dict[str, typing.Any]
) -> None:
    with pytest.raises(UsageError, match=f"`{next(iter(given))}` is"):
        lab.export(tmp_path / "never.json.gz", **given)

    assert list(tmp_path.glob("never*")) == []


def test_an_empty_name_of_a_file_for_secrets_is_none(lab: blixard.Cluster, tmp_path: Path) -> None:
    report = lab.export(tmp_path / "masked.json.gz", redact=True, secrets_out="")  # as from a variable that is not set

    assert report.exit_code == 0


def _with_metadata(lab: blixard.Cluster, tmp_path: Path, metadata: dict[str, str]) -> Path:
    import json

    lab.export(tmp_path / "plain.json", compress=False)
    document = json.loads((tmp_path / "plain.json").read_text())
    document["vms"]["web-1"]["metadata"] = metadata
    (tmp_path / "plain.json").write_text(json.dumps(document))
    return tmp_path / "plain.json"


def test_sides_of_a_difference_are_files_clusters_and_undo_entries(lab: blixard.Cluster, tmp_path: Path) -> None:
    lab.export(tmp_path / "before.json.gz")
    lab.delete_vm("web-1")

    assert blixard.diff(tmp_path / "before.json.gz", "cluster:lab", lab.data_dir).differs
    assert not blixard.diff(tmp_path / "before.json.gz", "undo:lab/1", lab.data_dir).differs


def test_damage_is_in_the_report_of_verify(lab: blixard.Cluster, tmp_path: Path) -> None:
    file = tmp_path / "full.json"
    lab.export(file, images=True, compress=False)
    assert blixard.verify(file).intact
    file.write_bytes(file.read_bytes().replace(b'"memory": 512', b'"memory": 513'))

    assert blixard.verify(file).edited == ("vms",)
    assert not blixard.verify(file).intact
    assert blixard.verify(file, allow_edited=True).exit_code == 0


def test_errors_are_caught_by_their_public_class(lab: blixard.Cluster, tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("{}")

    with pytest.raises(blixard.StateError) as missing:
        blixard.open_cluster("nope", lab.data_dir)
    with pytest.raises(blixard.StateError) as there:
        blixard.create_cluster("lab", lab.data_dir)
    with pytest.raises(blixard.ExportFileError) as malformed:
        blixard.inspect(tmp_path / "no.json")
    with pytest.raises(blixard.StorageError):
        lab.export(tmp_path / "no-such-folder/x.json")
    with pytest.raises(blixard.RefusedError):
        lab.export(tmp_path / "x.json", images=True, redact=True)

    assert isinstance(missing.value, NotFound)
    assert isinstance(there.value, Conflict)
    assert isinstance(malformed.value, MalformedExport)
    assert str(lab.data_dir) in missing.value.message


def test_the_cluster_and_its_place_may_come_from_the_environment(
    lab: blixard.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLIXARD_DATA_DIR", str(lab.data_dir))
    monkeypatch.setenv("BLIXARD_CLUSTER", "lab")

    with blixard.open_cluster() as opened:
        assert opened.name == "lab"
