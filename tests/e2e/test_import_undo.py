"""DESIGN.md section 6, "Undo", through the command line: what an import replaced comes back, disks and all."""

from __future__ import annotations

import pytest

from support.documents import noise
from support.lab import DATA_DISK, DB_DISK, ROOT_DISK, Lab

WRITTEN = noise(5000, 77)


def changed_since(lab: Lab) -> None:
    """The target had `prod`; since then a guest wrote, a VM went, a VM came, fields changed."""
    lab.target.load(lab / "full.json.gz", "--start")
    lab.target.scribble("web-1", WRITTEN)
    lab.target.run("vm", "delete", "db-1", "-y")
    lab.target.run("vm", "create", "pet", "--disk", lab / "data.img")
    lab.target.run("vm", "set", "web-1", "--memory", "99", "--label", "mine=yes")


MINE = {"web-1/root": WRITTEN + ROOT_DISK[len(WRITTEN) :], "web-1/data": DATA_DISK, "pet/root": DATA_DISK}


@pytest.mark.parametrize("how", [[], ["--merge", "--replace-disks"], ["--merge", "--rename", "vm:web-1=pet-2"]])
def test_an_undo_brings_back_state_and_disks_byte_by_byte(how: list[str], lab: Lab) -> None:
    changed_since(lab)
    before = lab.target.state()
    lab.target.load(lab / "full.json.gz", *how)
    assert lab.target.state() != before

    lab.target.run("cluster", "undo")

    assert lab.target.state() == before
    assert lab.target.contents() == MINE


def test_an_undo_is_undone(lab: Lab) -> None:
    changed_since(lab)
    lab.target.load(lab / "full.json.gz")
    imported = lab.target.state()

    lab.target.run("cluster", "undo")
    lab.target.run("cluster", "undo")

    assert lab.target.state() == imported
    assert lab.target.contents() == {"web-1/root": ROOT_DISK, "web-1/data": DATA_DISK, "db-1/root": DB_DISK}


def test_an_undo_can_be_looked_at_first(lab: Lab) -> None:
    changed_since(lab)
    lab.target.load(lab / "full.json.gz")
    before = lab.target.state()

    told = lab.target.run("cluster", "undo", "--dry-run")

    for line in ("+ VM pet", "- VM db-1", "~ VM web-1", "    /memory: 512 -> 99"):
        assert line in told.out.splitlines()
    assert lab.target.state() == before


def test_what_was_changed_since_is_a_conflict_unless_forced(lab: Lab) -> None:
    changed_since(lab)
    before = lab.target.state()
    lab.target.load(lab / "full.json.gz")
    lab.target.run("vm", "set", "web-1", "--memory", "1234")
    since = lab.target.state()

    told = lab.target.run("cluster", "undo", code=22)
    kept = lab.target.state()
    lab.target.run("cluster", "undo", "--force")

    assert "`web-1`" in told.err
    assert "--force" in told.err
    assert kept == since
    assert lab.target.state() == before


def test_what_came_since_and_was_not_touched_stays(lab: Lab) -> None:
    changed_since(lab)
    lab.target.load(lab / "full.json.gz")
    lab.target.run("vm", "create", "later", "--disk", lab / "db.img")

    lab.target.run("cluster", "undo")

    assert set(lab.target.vms()) == {"web-1", "pet", "later"}
    assert lab.target.content("later") == DB_DISK


def test_a_disk_whose_content_both_states_share_is_named_as_not_rolled_back(lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz")
    lab.target.load(lab.edited("e.json", web_1={"memory": 640}))
    lab.target.scribble("web-1", WRITTEN)

    told = lab.target.run("cluster", "undo")

    assert "not rolled back, because both states share the content: " in told.err
    assert "web-1/root" in told.err
    assert lab.target.vms()["web-1"]["memory"] == 512


def test_undoing_the_import_that_made_a_cluster_parks_it(lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz", "--start")

    told = lab.target.run("cluster", "undo")

    assert "the import made this cluster" in told.err
    assert {vm["hold"] for vm in lab.target.vms().values()} == {"parked"}
    assert lab.target.content("web-1") == ROOT_DISK


def test_a_deleted_vm_comes_back_with_its_disks(lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz")
    before = lab.target.state()
    lab.target.run("vm", "delete", "web-1", "-y")

    lab.target.run("cluster", "undo")

    assert lab.target.state() == before
    assert lab.target.content("web-1") == ROOT_DISK


def entries(lab: Lab) -> dict[int, bool]:
    """Undo entries: id to whether it is pinned."""
    return {each["id"]: each["pinned"] for each in lab.target.json("cluster", "undo", "list")["entries"]}


def test_entries_are_kept_by_number_and_a_pinned_one_whatever_its_age(lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz")
    lab.target.run("cluster", "undo", "pin", "1")

    for memory in range(600, 605):
        lab.target.load(lab.edited("e.json", web_1={"memory": memory}))
    kept = entries(lab)
    lab.target.run("cluster", "undo", "unpin", "1")
    lab.target.load(lab.edited("e.json", web_1={"memory": 700}))

    assert kept == {1: True, 4: False, 5: False, 6: False}
    assert set(entries(lab)) == {5, 6, 7}


def test_a_dropped_entry_gives_its_space_back_and_cannot_be_undone(lab: Lab) -> None:
    changed_since(lab)
    lab.target.load(lab / "full.json.gz")
    [newest, *_] = entries(lab)
    files = len(list((lab.target.data / "clusters/prod/disks").iterdir()))

    told = lab.target.run("cluster", "undo", "drop", str(newest))

    assert newest not in entries(lab)
    assert len(list((lab.target.data / "clusters/prod/disks").iterdir())) < files
    assert "freed" in told.err
    lab.target.run("cluster", "undo", str(newest), code=20)


def test_an_older_import_is_undone_by_its_id(lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz")
    lab.target.load(lab.edited("e.json", web_1={"memory": 640}))
    lab.target.load(lab.edited("e.json", web_1={"memory": 640}, db_1={"memory": 2048}))

    lab.target.run("cluster", "undo", "2")

    assert {name: vm["memory"] for name, vm in lab.target.vms().items()} == {"web-1": 512, "db-1": 2048}
