"""Two data directories and a ticket between them: what was shared is what arrives, as a cluster or as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import Ran
from support.documents import noise
from support.processes import blixard, environment
from support.shares import LOOPBACK, Share, running, sharing, take
from support.world import KIB, World, build, fast_folder, litter, picture

MIB = 1 << 20


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    """Exports of `app` (raw and qcow2, 160 KiB each) and `big` (1 MiB): plain, gzip and without disks."""
    with fast_folder() as folder:
        world = build(folder / "here")
        large = world.images / "large.raw"
        large.write_bytes(noise(MIB, 9))
        world.must("vm", "create", "big", "--disk", f"{large},name=root")
        for name, more in (
            ("all.json.gz", ["--include-images"]),
            ("all.json", ["--include-images", "--no-compress"]),
            ("state.json.gz", []),
        ):
            world.must("cluster", "export", "-o", world.out / name, *more)
        yield world


@pytest.fixture
def there(empty: World) -> World:
    return empty


def fetched(ran: Ran) -> Ran:
    assert ran.code == 0, ran
    return ran


def document_of(world: World, file: Path) -> str:
    ran = world.must("cluster", "verify", file, "--json")
    digest: str = json.loads(ran.out)["document"]
    return digest


@pytest.mark.parametrize("name", ["all.json.gz", "all.json"])
def test_disks_that_are_imported_by_ticket_are_byte_equal(made: World, there: World, name: str) -> None:
    with sharing(made, made.out / name, "--share-uses", "1") as share:
        fetched(take(there, share.ticket, "-y"))
        report = share.end(0)

    assert picture(there)["web"].disks == picture(made)["web"].disks
    assert report["completed"] == 1
    assert [receiver["completed"] for receiver in report["receivers"]] == [True]
    assert not [each for each in litter(there) if not each.startswith("data/node.key")]


def test_an_export_without_disks_is_served_by_the_export_itself(made: World, there: World) -> None:
    from support.processes import start

    command = ["cluster", "export", "-o", str(there.out / "state.json"), "--no-compress", "--p2p-share"]
    with running(start(made, *command, "--share-uses", "1", *LOOPBACK)) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("Share this ticket with other nodes: blixard")
        fetched(take(there, line.split()[-1], "-y"))
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (0, b""), err
    assert set(picture(there)["web"].vms) == {"app", "big", "tmp"}


@pytest.mark.parametrize("lane", ["iroh", "auto"])
def test_only_what_is_imported_is_fetched(made: World, there: World, lane: str) -> None:
    with sharing(made, made.out / "all.json", "--share-uses", "1", "--lane", lane) as share:
        fetched(take(there, share.ticket, "--only", "vm=app", "-y", "--lane", lane))
        [receiver] = share.end(0)["receivers"]

    assert set(picture(there)["web"].vms) == {"app"}
    assert 320 * KIB < receiver["sent_bytes"] < MIB
    assert sum(receiver["sent_by_kind"].values()) == receiver["sent_bytes"]
    assert set(receiver["sent_by_kind"]) <= ({"iroh"} if lane == "iroh" else {"iroh", "tcp"})


def test_a_dry_run_fetches_no_disk_and_changes_nothing(made: World, there: World) -> None:
    with sharing(made, made.out / "all.json") as share:
        ran = fetched(take(there, share.ticket, "--dry-run", "--json"))
        share.interrupt()
        report = share.end(3)  # nobody has all of it: a dry run is no receiver

    assert {each["name"] for each in json.loads(ran.out)["plan"]["vms"]} == {"app", "big", "tmp"}
    assert picture(there) == {}
    assert report["completed"] == 0
    assert sum(receiver["sent_bytes"] for receiver in report["receivers"]) < 160 * KIB


def test_a_merge_by_ticket_keeps_what_is_here_and_c_names_the_cluster(made: World, there: World) -> None:
    there.must("cluster", "init", "mine")
    there.must("vm", "create", "own")
    with sharing(made, made.out / "all.json.gz", "--share-uses", "1") as share:
        fetched(take(there, share.ticket, "-c", "mine", "--merge", "-y"))
        share.end(0)

    assert set(picture(there)) == {"mine"}
    assert set(picture(there)["mine"].vms) == {"own", "app", "big", "tmp"}


def vms_of(world: World, cluster: str) -> dict[str, Any]:
    ran = world.must("vm", "list", "-c", cluster, "--json")
    return {vm["name"]: {key: vm[key] for key in ("hold", "memory", "vcpus")} for vm in json.loads(ran.out)["vms"]}


def kept(world: World) -> tuple[object, object]:
    """What an undo brings back: not the history and not the revision."""
    found = picture(world)["mine"]
    return found.vms, found.disks


def test_rules_and_holds_are_those_of_an_import_of_the_file_and_undo_takes_it_back(made: World, there: World) -> None:
    there.must("cluster", "init", "mine")
    there.must("vm", "create", "own")
    rules = ("--prefix", "copy-", "--set", "/vms/copy-app/memory=64", "--start", "*big", "-m", "-y")
    before = kept(there)
    there.must("cluster", "import", "-i", made.out / "all.json", "-c", "mine", *rules)
    by_file = vms_of(there, "mine")
    there.must("cluster", "undo", "-c", "mine")
    assert kept(there) == before

    with sharing(made, made.out / "all.json", "--share-uses", "1") as share:
        fetched(take(there, share.ticket, "-c", "mine", *rules))
        share.end(0)
    assert vms_of(there, "mine") == by_file
    assert {name: vm["hold"] for name, vm in by_file.items()} == {
        "own": None,
        "copy-app": "imported",
        "copy-big": None,
        "copy-tmp": "imported",
    }

    there.must("cluster", "undo", "-c", "mine")
    assert kept(there) == before


@pytest.mark.parametrize("name", ["all.json.gz", "all.json", "state.json.gz"])
def test_a_fetched_file_has_the_same_document_and_verifies(made: World, there: World, name: str) -> None:
    target = there.out / "fetched.json.gz"
    with sharing(made, made.out / name, "--share-uses", "1") as share:
        ran = blixard(there, "cluster", "fetch", "-o", target, "--json", env=environment(BLIXARD_TICKET=share.ticket))
        share.end(0)

    assert json.loads(fetched(ran).out)["document"] == share.told["document"]
    assert document_of(there, target) == share.told["document"]


def test_a_fetch_to_standard_output_is_the_document_and_nothing_else(made: World, there: World) -> None:
    with sharing(made, made.out / "all.json", "--share-uses", "1") as share:
        ran = fetch_out(there, share)
        share.end(0)

    target = there.out / "out.json"
    target.write_text(fetched(ran).out)
    assert document_of(there, target) == share.told["document"]


def fetch_out(world: World, share: Share) -> Ran:
    return blixard(world, "cluster", "fetch", "-o", "-", "--no-compress", env=environment(BLIXARD_TICKET=share.ticket))
