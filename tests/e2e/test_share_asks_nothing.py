"""An import by ticket that cannot be, or is not to be, asks its sender for the document and for no record (PEER.md 2).

Held against the sender's own count: what went over is as long as the document, to the byte.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.cuts import an_empty_world
from support.processes import blixard, environment
from support.shares import Stand, a_stand, sharing, take
from support.world import World, fast_folder, picture

QUICK = ("--timeout", "5s")


@pytest.fixture
def strange(empty: World) -> World:
    """Another cluster."""
    empty.must("cluster", "init", "strange")
    return empty


def only_the_document(stand: Stand, there: World, code: int, *more: str | Path, **env: str) -> str:
    """An import that ends with `code`; what it said."""
    server = stand.serve()
    before = picture(there)
    told = environment(BLIXARD_TICKET=stand.ticket, **env)
    ran = blixard(there, "cluster", "import", "--p2p", *QUICK, *more, env=told)
    server.stop()

    assert ran.code == code, ran
    assert stand.served.asked == []
    [receiver] = server.receivers()
    assert (receiver.sent_bytes, receiver.completed) == (stand.served.document_size, False)
    assert receiver.problem is None, "it took its leave"
    assert picture(there) == before
    return ran.out + ran.err


def test_an_import_that_goes_on_asks_for_records(stand: Stand, there: World) -> None:
    """Else the others below prove nothing."""
    server = stand.serve()
    ran = take(there, stand.ticket, "-y", *QUICK)
    server.stop()

    assert ran.code == 0, ran
    assert stand.served.asked
    [receiver] = server.receivers()
    assert receiver.sent_bytes > stand.served.document_size


def test_a_dry_run_asks_for_no_record(stand: Stand, there: World) -> None:
    assert "create" in only_the_document(stand, there, 0, "--dry-run")


def test_a_conflict_asks_for_no_record(stand: Stand, strange: World) -> None:
    strange.must("vm", "create", "app", "--vcpus", "7")

    assert "--on-conflict" in only_the_document(stand, strange, 22, "--merge", "-c", "strange")


def test_a_plan_that_does_not_hold_any_more_asks_for_no_record(stand: Stand, there: World, made: World) -> None:
    plan = there.out / "plan.json"
    there.must("cluster", "import", "-i", made.out / "new.json.gz", "--dry-run", "--plan-out", plan)
    there.must("vm", "set", "app", "--vcpus", "3")

    only_the_document(stand, there, 22, "--plan", plan)


def test_a_lack_of_space_asks_for_no_record(stand: Stand, there: World) -> None:
    config = there.root / "config.toml"
    config.write_text('[limits]\nspace_reserve_bytes = "1024TiB"\n')

    assert "not enough space" in only_the_document(stand, there, 30, BLIXARD_CONFIG=str(config))


def test_a_disk_in_use_asks_for_no_record(stand: Stand, there: World) -> None:
    disks = [path for path in there.cluster().disks.iterdir() if path.is_file()]
    opened = [path.open("rb") for path in disks]
    try:
        assert "--force-in-use" in only_the_document(stand, there, 4)
    finally:
        for each in opened:
            each.close()


def test_a_cluster_that_nobody_named_asks_for_no_record(stand: Stand, strange: World) -> None:
    strange.must("vm", "create", "old")

    assert "-c strange" in only_the_document(stand, strange, 4)


@pytest.mark.parametrize(
    "rule",
    [
        ("--rename", "vm:app=db"),
        ("--rename", "vm:app=no/name"),
        ("--set", "/vms/nosuch/memory=4096"),
        ("--set", '/vms/app/memory="much"'),
    ],
    ids=" ".join,
)
def test_rules_that_do_not_fit_ask_for_no_record(stand: Stand, there: World, rule: tuple[str, ...]) -> None:
    only_the_document(stand, there, 2, *rule)


def test_the_report_of_a_share_and_its_history_tell_the_same(made: World, there: World) -> None:
    file = made.out / "new.json.gz"
    with a_stand(file) as stand:
        size = stand.served.document_size
    with sharing(there, file, "-c", "web") as share, fast_folder() as folder:
        here = an_empty_world(folder)
        ran = take(here, share.ticket, "-y", "--dry-run", *QUICK)
        share.interrupt()
        report = share.end(3)

    assert ran.code == 0, ran
    assert [receiver["sent_bytes"] for receiver in report["receivers"]] == [size]
    text = there.must("cluster", "history", "-c", "web", "--json", "--verb", "cluster share").out
    assert [each["entry"]["options"]["bytes"] for each in json.loads(text)["entries"]] == [size]
