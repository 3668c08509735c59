"""DESIGN.md section 6, rule by rule, through the command line: which cluster, which objects, which content.

Nodes are in `test_import_nodes.py`; names, templates and secrets in `test_import_names.py`; plans, preflight and forms
of a file in `test_import_plans.py`; undo in `test_import_undo.py`.
"""

from __future__ import annotations

import json
import re

import pytest

from support.lab import DATA_DISK, DB_DISK, ROOT_DISK, Lab


def with_prod(lab: Lab) -> None:
    """The target has `prod` as the file says, with content, released and trusted."""
    lab.target.load(lab / "full.json.gz", "--start", "--trust-host-paths")


# target


def test_a_named_cluster_that_is_not_there_is_made_and_said(lab: Lab) -> None:
    told = lab.target.load(lab / "state.json.gz", "-c", "fresh")

    first = told.err.splitlines()[0]
    assert re.fullmatch(rf"importing into the new cluster `fresh` \([0-9a-f-]{{36}}\) in `{lab.target.data}`", first)


def test_without_any_name_the_file_names_the_new_cluster_which_becomes_current(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz")

    assert (lab.target.data / "current").read_text().strip() == "prod"


def test_the_current_cluster_is_the_target_when_the_file_is_its_own(lab: Lab) -> None:
    lab.source.run("cluster", "init", "other")

    told = lab.source.load(lab / "state.json.gz")

    assert "importing into cluster `prod`" in told.err


def test_the_environment_names_the_target(lab: Lab) -> None:
    import os

    told = lab.target.run(
        *("cluster", "import", "-i", lab / "state.json.gz"),
        before=lambda: os.environ.update(BLIXARD_CLUSTER="from-env"),
    )

    assert "new cluster `from-env`" in told.err


def test_a_cluster_that_an_import_made_has_its_own_id_and_tells_its_provenance(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz")

    here, there = lab.target.export()["metadata"], lab.source.export()["metadata"]
    assert here["cluster_id"] != there["cluster_id"]
    assert here["provenance"]["cluster_id"] == there["cluster_id"]


def test_a_replace_of_a_strange_cluster_that_nobody_named_is_refused(lab: Lab) -> None:
    lab.target.run("cluster", "init", "precious")
    lab.target.run("vm", "create", "pet")
    before = lab.target.state()

    told = lab.target.load(lab / "state.json.gz", code=4)

    assert "`precious`, which nobody named" in told.err
    assert "hint: `-c precious` replaces it" in told.err
    assert lab.target.state() == before


@pytest.mark.parametrize("consent", [["-c", "precious"], ["-y"], ["--merge"]])
def test_a_name_a_yes_or_a_merge_is_consent(consent: list[str], lab: Lab) -> None:
    lab.target.run("cluster", "init", "precious")
    lab.target.run("vm", "create", "pet")

    lab.target.load(lab / "state.json.gz", *consent)

    assert set(lab.target.vms()) >= {"web-1", "db-1"}


def test_an_empty_cluster_is_replaced_unasked(lab: Lab) -> None:
    lab.target.run("cluster", "init", "blank")

    lab.target.load(lab / "state.json.gz")

    assert set(lab.target.vms("-c", "blank")) == {"web-1", "db-1"}


def test_a_cluster_that_came_from_the_file_is_vouched_for_by_its_provenance(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz", "-c", "staging")
    lab.target.run("cluster", "use", "staging")

    told = lab.target.load(lab.edited("e.json", web_1={"memory": 640}))

    assert "importing into cluster `staging`" in told.err


# scope


def test_a_replace_deletes_only_inside_the_scope(lab: Lab) -> None:
    with_prod(lab)
    lab.target.run("vm", "create", "web-9", "--label", "tier=front")
    lab.target.run("vm", "create", "pet")

    lab.target.load(lab / "state.json.gz", "--only", "label=tier=front")

    assert set(lab.target.vms()) == {"web-1", "db-1", "pet"}


def test_the_scope_of_a_partial_file_bounds_its_import(lab: Lab) -> None:
    with_prod(lab)
    lab.source.run("cluster", "export", "-o", lab / "part.json", "--only", "vm=web-*")
    lab.target.run("vm", "set", "db-1", "--memory", "77")
    lab.target.run("vm", "create", "web-9")

    lab.target.load(lab / "part.json")

    vms = lab.target.vms()
    assert set(vms) == {"web-1", "db-1"}
    assert vms["db-1"]["memory"] == 77


def test_a_backup_that_a_typo_makes_smaller_says_so(lab: Lab) -> None:
    ran = lab.source.run("cluster", "export", "-o", lab / "part.json", "--only", "vm=wbe-*", "--only", "vm=db-1")

    assert "warning: `--only vm=wbe-*` names nothing in cluster `prod`" in ran.err
    assert "vm=db-1" not in ran.err


@pytest.mark.parametrize(
    ("how", "there"),
    [
        (["--only", "vm=web-*"], {"web-1"}),
        (["--except", "vm=web-*"], {"db-1"}),
        (["--only", "label=tier=back"], {"db-1"}),
        (["--only", "node=1"], {"web-1", "db-1"}),
        (["--only", "vm=*", "--except", "label=tier=back"], {"web-1"}),
    ],
)
def test_only_and_except_choose_at_export_and_at_import_alike(how: list[str], there: set[str], lab: Lab) -> None:
    lab.source.run("cluster", "export", "-o", lab / "part.json", *how)
    lab.target.load(lab / "part.json", "-c", "exported")

    lab.target.load(lab / "state.json.gz", *how, "-c", "imported")

    assert set(lab.target.vms("-c", "exported")) == set(lab.target.vms("-c", "imported")) == there


# modes


def test_a_replace_makes_the_cluster_what_the_file_says(lab: Lab) -> None:
    with_prod(lab)
    before = lab.target.state()
    lab.target.run("vm", "set", "web-1", "--memory", "99", "--label", "tier=none")
    lab.target.run("vm", "delete", "db-1", "-y")
    lab.target.run("vm", "create", "pet")

    lab.target.load(lab / "full.json.gz", "--start", "--trust-host-paths")

    assert lab.target.state() == before
    assert lab.target.contents() == {"web-1/root": ROOT_DISK, "web-1/data": DATA_DISK, "db-1/root": DB_DISK}


def test_a_merge_adds_and_updates_and_deletes_nothing(lab: Lab) -> None:
    with_prod(lab)
    lab.target.run("vm", "delete", "db-1", "-y")
    lab.target.run("vm", "create", "pet")
    lab.target.run("vm", "set", "web-1", "--label", "mine=yes")

    lab.target.load(lab.edited("m.json", web_1={"memory": 640}), "--merge")

    vms = lab.target.vms()
    assert set(vms) == {"web-1", "db-1", "pet"}
    assert (vms["web-1"]["memory"], vms["web-1"]["labels"]) == (640, {"tier": "front", "mine": "yes"})


def test_a_merge_keeps_disk_content_and_takes_no_disk_away(lab: Lab) -> None:
    with_prod(lab)
    lab.target.scribble("web-1", b"written here")
    fewer = lab.edited("m.json", web_1={"disks": [], "networks": []})

    lab.target.load(fewer, "--merge")
    lab.target.load(lab / "full.json.gz", "--merge")

    written = b"written here" + ROOT_DISK[12:]
    assert lab.target.contents() == {"web-1/root": written, "web-1/data": DATA_DISK, "db-1/root": DB_DISK}
    assert len(lab.target.vms()["web-1"]["networks"]) == 1


def test_a_merge_replaces_content_when_told(lab: Lab) -> None:
    with_prod(lab)
    lab.target.scribble("web-1", b"written here")

    lab.target.load(lab / "full.json.gz", "--merge", "--replace-disks")

    assert lab.target.content("web-1") == ROOT_DISK


def test_vms_are_found_by_id_whatever_they_are_called(lab: Lab) -> None:
    with_prod(lab)
    document = json.loads((lab / "state.json").read_text())
    del document["integrity"]
    document["vms"]["front"] = {**document["vms"].pop("web-1"), "name": "front"}

    lab.target.load(lab.write("renamed.json", document))

    assert set(lab.target.vms()) == {"front", "db-1"}
    assert lab.target.content("front") == ROOT_DISK


def test_an_import_applies_no_raft_facts_and_raises_the_revision_above_all_that_was_seen(lab: Lab) -> None:
    document = json.loads((lab / "state.json").read_text())
    del document["integrity"]
    document["metadata"]["revision"] = 1000
    document["raft_state"].update(term=77, leader_id=2, members=[2])
    document["vms"]["web-1"]["memory"] = 640

    lab.source.load(lab.write("later.json", document))

    made = lab.source.export()
    assert made["metadata"]["revision"] > 1000
    assert (made["raft_state"]["term"], made["raft_state"]["leader_id"]) == (0, 1)


def strangers(lab: Lab) -> None:
    """A cluster in which two names of the file are other VMs."""
    lab.target.run("cluster", "init", "mine")
    lab.target.run("vm", "create", "web-1", "--disk", lab / "db.img", "--memory", "11")
    lab.target.run("vm", "create", "db-1", "--memory", "22")


def test_a_merge_with_names_of_other_vms_stops_and_names_all_of_them(lab: Lab) -> None:
    strangers(lab)
    before = lab.target.state()

    told = lab.target.load(lab / "full.json.gz", "--merge", code=22)

    assert "2 names of the file are other VMs here: `db-1`, `web-1`" in told.err
    assert "--on-conflict update|keep|rename" in told.err
    assert lab.target.state() == before


@pytest.mark.parametrize(
    ("decision", "memories"),
    [
        (["--on-conflict", "update"], {"web-1": 512, "db-1": 1024}),
        (["--on-conflict", "keep"], {"web-1": 11, "db-1": 22}),
        (["--on-conflict", "rename"], {"web-1": 11, "db-1": 22, "web-1-2": 512, "db-1-2": 1024}),
        (["--match", "name"], {"web-1": 512, "db-1": 1024}),
    ],
)
def test_the_operator_decides_about_other_vms_of_the_same_name(
    decision: list[str], memories: dict[str, int], lab: Lab
) -> None:
    strangers(lab)
    mine = lab.target.content("web-1", cluster="mine")

    lab.target.load(lab / "full.json.gz", "--merge", *decision)

    assert {name: vm["memory"] for name, vm in lab.target.vms().items()} == memories
    assert lab.target.content("web-1", cluster="mine") == mine


def test_a_rename_finds_its_vms_again_by_origin(lab: Lab) -> None:
    strangers(lab)
    lab.target.load(lab / "full.json.gz", "--merge", "--on-conflict", "rename")
    before = lab.target.state()

    told = lab.target.plan(lab / "full.json.gz", "--merge", "--on-conflict", "rename")
    lab.target.load(lab / "full.json.gz", "--merge", "--on-conflict", "rename")

    assert {change["kind"] for change in told["vms"]} == {"keep"}
    assert lab.target.state() == before


def test_a_replace_makes_a_new_vm_of_a_name_whose_disks_inherit_nothing(lab: Lab) -> None:
    strangers(lab)
    old = lab.target.vms()["web-1"]["id"]

    lab.target.load(lab / "state.json.gz", "-c", "mine")

    assert lab.target.vms()["web-1"]["id"] != old
    assert lab.target.content("web-1", cluster="mine") is None


# content


def test_a_file_without_images_leaves_disks_absent_until_an_image_is_attached(lab: Lab) -> None:
    told = lab.target.load(lab / "state.json.gz")
    assert "without content: `db-1/root`, `web-1/data`, `web-1/root`" in told.err
    assert lab.target.content("web-1") is None

    lab.target.run("vm", "attach-image", "web-1", "root", lab / "root.img")

    assert lab.target.content("web-1") == ROOT_DISK
    status = lab.target.json("cluster", "status")
    assert status["status"]["vms"]["without_content"] == ["db-1/root", "web-1/data"]


def test_content_comes_with_a_later_import_that_has_images(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz")

    lab.target.load(lab / "full.json.gz")

    assert lab.target.contents() == {"web-1/root": ROOT_DISK, "web-1/data": DATA_DISK, "db-1/root": DB_DISK}


def test_a_replace_without_images_keeps_the_content_of_the_same_vm(lab: Lab) -> None:
    with_prod(lab)
    lab.target.scribble("web-1", b"written here")

    lab.target.load(lab / "state.json.gz")

    assert (lab.target.content("web-1") or b"").startswith(b"written here")


# start, trust, identity


def test_vms_of_another_cluster_are_held_until_released(lab: Lab) -> None:
    told = lab.target.load(lab / "full.json.gz")
    assert "held, as they come from another cluster: `db-1`, `web-1`" in told.err
    assert {vm["hold"] for vm in lab.target.vms().values()} == {"imported"}

    lab.target.run("vm", "release", "web-1")
    lab.target.load(lab / "full.json.gz")

    assert {name: vm["hold"] for name, vm in lab.target.vms().items()} == {"web-1": None, "db-1": "imported"}


@pytest.mark.parametrize(("start", "held"), [(["--start"], set()), (["--start=web-*"], {"db-1"})])
def test_start_names_what_is_not_held(start: list[str], held: set[str], lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz", *start)

    assert {name for name, vm in lab.target.vms().items() if vm["hold"]} == held


def test_the_clusters_own_file_holds_nothing(lab: Lab) -> None:
    lab.source.run("vm", "delete", "web-1", "-y")

    lab.source.load(lab / "full.json.gz")

    assert {vm["hold"] for vm in lab.source.vms().values()} == {None}
    assert {tuple(vm["untrusted"]) for vm in lab.source.vms().values()} == {()}


def test_host_paths_of_another_cluster_are_inert_until_trusted(lab: Lab) -> None:
    told = lab.target.load(lab / "state.json.gz")
    assert "inert until `blixard vm trust NAME`: config_path, networks/bridge of `web-1`" in told.err
    assert lab.target.vms()["web-1"]["untrusted"] == ["/config_path", "/networks/0/bridge"]

    lab.target.run("vm", "trust", "web-1")
    lab.target.load(lab / "state.json.gz")
    trusted = lab.target.vms()["web-1"]["untrusted"]
    lab.target.load(lab.edited("evil.json", web_1={"config_path": "/etc/shadow"}))

    assert trusted == []
    assert lab.target.vms()["web-1"]["untrusted"] == ["/config_path"]


def test_host_paths_are_trusted_when_the_import_is_told(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz", "--trust-host-paths")

    assert lab.target.vms()["web-1"]["untrusted"] == []


def test_addresses_and_ids_that_are_in_use_are_listed(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz", "-c", "one")

    told = lab.target.load(lab / "state.json.gz", "-c", "two")

    for kind, value in (("mac", "52:54:00:00:00:01"), ("ip", "10.0.0.5")):
        assert f"{kind} in use already: `{value} (web-1)` by `one/web-1`" in told.err


def test_a_new_identity_is_the_same_at_every_import(lab: Lab) -> None:
    first = lab.target.load(lab / "full.json.gz", "-c", "copy", "--new-identity")
    before = lab.target.state("-c", "copy")

    told = lab.target.plan(lab / "full.json.gz", "-c", "copy", "--new-identity")

    original, copied = lab.source.vms()["web-1"], before[1]["web-1"]
    assert copied["id"] != original["id"]
    assert copied["networks"][0]["mac"] not in (None, original["networks"][0]["mac"])
    assert copied["origin"]["vm_id"] == original["id"]
    assert "in use already" not in first.err
    assert {change["kind"] for change in told["vms"]} == {"keep"}
