"""DESIGN.md section 6 through the command line: rules, templates and secrets, applied in their order."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.lab import ROOT_DISK, Lab

# rules


def test_a_rename_is_of_a_source_name_and_the_prefix_is_of_the_others(lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz", "--rename", "vm:web-1=front", "--prefix", "p-", "-c", "copy")

    vms = lab.target.vms()
    assert set(vms) == {"front", "p-db-1"}
    assert vms["front"]["name"] == "front"
    assert lab.target.content("front", cluster="copy") == ROOT_DISK


def test_a_rename_finds_its_vms_again(lab: Lab) -> None:
    how = ["--rename", "vm:web-1=front", "-c", "copy"]
    lab.target.load(lab / "full.json.gz", *how)

    again = lab.target.load(lab / "full.json.gz", *how, "--dry-run", "--exit-code")

    assert again.out.splitlines()[-1] == "VMs: 2 kept"


def test_a_network_and_a_bridge_are_mapped_and_what_the_operator_names_is_trusted(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz", "--map-network", "br-prod=br-lab")

    web = lab.target.vms()["web-1"]
    assert web["networks"][0]["bridge"] == "br-lab"
    assert web["untrusted"] == ["/config_path"]


def test_values_are_set_by_place_with_names_of_the_target(lab: Lab) -> None:
    lab.target.load(
        *(lab / "state.json.gz", "--prefix", "p-", "--set", "/vms/p-web-1/memory=4096"),
        *("--set", '/vms/p-web-1/labels={"tier": "lab"}', "--set", '/cluster_name="named-by-rule"'),
    )

    web = lab.target.vms("-c", "named-by-rule")["p-web-1"]
    assert (web["memory"], web["labels"]) == (4096, {"tier": "lab"})


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (["--rename", "vm:nobody=x"], "vm:nobody"),
        (["--rename", "web-1=x"], "vm:OLD=NEW"),
        (["--rename", "vm:web-1=db-1"], "both `db-1`"),
        (["--rename", "vm:web-1=../x"], "not a name"),
        (["--map-node", "1=77"], "77"),
        (["--set", "/vms/nobody/memory=1"], "nobody"),
        (["--set", "/vms/web-1/memory=text"], "not JSON"),
        (["--set", '/vms/web-1/memory="x"'], "memory"),
        (["--only", "host=1"], "host=1"),
    ],
)
def test_a_rule_that_fits_nothing_is_a_usage_error_and_changes_nothing(rule: list[str], says: str, lab: Lab) -> None:
    told = lab.target.load(lab / "state.json.gz", *rule, code=2)

    assert says in told.err
    assert not list(lab.target.data.glob("clusters/*"))


def test_a_rules_file_holds_all_of_them_and_the_command_line_wins(lab: Lab) -> None:
    (lab / "rules.toml").write_text(
        'except = ["vm=db-*"]\nprefix = "f-"\n[rename]\n"vm:web-1" = "from-file"\n'
        '[map-network]\n"br-prod" = "br-file"\n[set]\n"/vms/from-line/memory" = 2048\n'
    )

    lab.target.load(lab / "state.json.gz", "--rules", lab / "rules.toml", "--rename", "vm:web-1=from-line")

    vms = lab.target.vms()
    assert set(vms) == {"from-line"}
    assert (vms["from-line"]["memory"], vms["from-line"]["networks"][0]["bridge"]) == (2048, "br-file")


def test_a_skeleton_of_rules_names_what_does_not_exist_here_and_is_a_rules_file(lab: Lab) -> None:
    lab.target.run("cluster", "init", "mine")
    lab.target.run("vm", "create", "db-1")
    file = lab.edited("on-2.json", web_1={"node_id": 2})
    how = ["--merge", "-c", "mine"]

    lab.target.load(file, *how, "--dry-run", "--rules-out", lab / "rules.toml")
    lab.target.load(file, *how, "--rules", lab / "rules.toml")

    rules = tomllib.loads((lab / "rules.toml").read_text())
    assert rules == {
        "rename": {"vm:db-1": "db-1-2"},
        "map-node": {"1": 1, "2": 1},
        "map-network": {"br-prod": "br-prod"},
    }
    assert set(lab.target.vms()) == {"db-1", "db-1-2", "web-1"}


def test_a_dry_run_with_all_outputs_touches_nothing(lab: Lab) -> None:
    told = lab.target.load(
        *(lab / "full.json.gz", "--dry-run", "--exit-code", "--rules-out", lab / "r", "--plan-out", lab / "p"), code=5
    )

    assert "+ VM web-1" in told.out
    assert not list(lab.target.data.glob("clusters/*"))
    assert {(lab / name).stat().st_mode & 0o777 for name in "rp"} == {0o600}


# templates


def template(lab: Lab, **variables: dict[str, Any]) -> Path:
    """A template of `prod` that declares these variables."""
    lab.source.run("cluster", "export", "-o", lab / "t.json", "--template")
    document = json.loads((lab / "t.json").read_text())
    document["metadata"]["template"]["variables"] = variables
    return lab.write("t.json", document)


MEMORY = {"type": "integer", "targets": ["/vms/web-1/memory", "/vms/db-1/memory"]}
ADDRESS = {"type": "string", "targets": ["/vms/web-1/ip_address"]}
PASSWORD = {"type": "string", "secret": True, "targets": ["/vms/web-1/metadata/db_password"]}


def test_a_template_imports_without_a_warning_about_digests(lab: Lab) -> None:
    told = lab.target.load(template(lab))

    assert "integrity" not in told.err


def test_a_template_is_the_same_text_as_long_as_the_cluster_is(lab: Lab) -> None:
    lab.source.run("cluster", "export", "-o", lab / "one.json", "--template")
    lab.source.run("vm", "set", "web-1", "--memory", "513")
    lab.source.run("vm", "set", "web-1", "--memory", "512")
    lab.source.run("cluster", "export", "-o", lab / "two.json", "--template")

    assert (lab / "one.json").read_bytes() == (lab / "two.json").read_bytes()


def test_missing_variables_are_named_in_one_error(lab: Lab) -> None:
    told = lab.target.load(template(lab, mem=MEMORY, address=ADDRESS, secret=PASSWORD), "--var", "mem=1", code=2)

    assert "no value for `address`, `secret`" in told.err
    assert "BLIXARD_VAR_address" in told.err


def test_variables_come_from_options_then_files_then_rules_then_the_environment_then_the_default(lab: Lab) -> None:
    names = ["given", "file", "rules", "environment", "default"]
    made = {name: {"type": "string", "default": "default", "targets": [f"/vms/web-1/labels/{name}"]} for name in names}
    document = json.loads(template(lab, **made).read_text())
    document["vms"]["web-1"]["labels"] = dict.fromkeys(names, "sample")
    file = lab.write("t.json", document)
    (lab / "vars.toml").write_text('given = "file"\nfile = "file"\n')
    (lab / "rules.toml").write_text('[variables]\ngiven = "rules"\nfile = "rules"\nrules = "rules"\n')
    words = ["cluster", "import", "-i", str(file), "--var", "given=given", "--var-file", str(lab / "vars.toml")]
    environment = {f"BLIXARD_VAR_{name}": "environment" for name in names[:4]}

    lab.target.run(*words, "--rules", lab / "rules.toml", before=lambda: os.environ.update(environment))

    assert lab.target.vms()["web-1"]["labels"] == {name: name for name in names}


def test_a_variable_reaches_every_target_with_its_type(lab: Lab) -> None:
    file = template(lab, mem=MEMORY, address=ADDRESS)

    lab.target.load(file, "--var", "mem=3000", "--var", "address=10.1.1.1")
    wrong = lab.target.load(file, "--var", "mem=much", "--var", "address=10.1.1.1", code=2)

    vms = lab.target.vms()
    assert (vms["web-1"]["memory"], vms["db-1"]["memory"]) == (3000, 3000)
    assert vms["web-1"]["ip_address"] == "10.1.1.1"
    assert "variable `mem`" in wrong.err


def test_a_secret_variable_is_shown_nowhere(lab: Lab) -> None:
    file = template(lab, secret=PASSWORD)
    lab.target.load(file, "--var", "secret=first-value")

    told = lab.target.load(file, "--var", "secret=open-sesame", "--dry-run")
    lab.target.load(file, "--var", "secret=open-sesame")
    history = lab.target.run("cluster", "history", "--json").out

    assert "open-sesame" not in told.out + told.err + history
    assert lab.target.vms()["web-1"]["metadata"] == {"db_password": "open-sesame"}


def test_a_value_for_a_variable_that_is_not_declared_is_refused(lab: Lab) -> None:
    told = lab.target.load(template(lab, mem=MEMORY), "--var", "mme=1", "--var", "mem=1", code=2)

    assert "no variable `mme`" in told.err


# secrets


def masked(lab: Lab) -> Path:
    lab.source.run("cluster", "export", "-o", lab / "m.json.gz", "--redact", "--secrets-out", lab / "secrets.json")
    return lab / "m.json.gz"


def test_masked_values_go_apart_and_come_back(lab: Lab) -> None:
    file = masked(lab)

    lab.target.load(file, "-c", "without")
    lab.target.load(file, "-c", "with", "--secrets-file", lab / "secrets.json")

    assert (lab / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((lab / "secrets.json").read_text()) == {"/vms/web-1/metadata/db_password": "hunter2"}
    assert lab.target.vms("-c", "with")["web-1"]["metadata"] == {"db_password": "hunter2"}
    assert "hunter2" not in json.dumps(lab.target.vms("-c", "without"))


@pytest.mark.parametrize("mode", [[], ["--merge"]])
def test_masked_fields_keep_the_value_that_is_here(mode: list[str], lab: Lab) -> None:
    file = masked(lab)
    lab.source.run("vm", "set", "web-1", "--metadata", "db_password=newer", "--memory", "77")

    lab.source.load(file, *mode)

    web = lab.source.vms()["web-1"]
    assert (web["metadata"], web["memory"]) == ({"db_password": "newer"}, 512)


def test_secrets_of_another_file_are_refused(lab: Lab) -> None:
    masked(lab)

    told = lab.target.load(lab / "state.json.gz", "--secrets-file", lab / "secrets.json", code=2)

    assert "do not belong to this file" in told.err


def test_masked_with_images_needs_a_word(lab: Lab) -> None:
    how = ["cluster", "export", "-o", str(lab / "x.json.gz"), "--redact", "--include-images"]

    told = lab.source.run(*how, code=4)
    lab.source.run(*how, "--images-unredacted")

    assert "hint: add `--images-unredacted`" in told.err
