"""Rules, pointers set by place, variables: DESIGN.md section 6, Rules, and FORMAT.md, Templates."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET, structs

from blixard.errors import InvalidField, UsageError
from blixard.model.structs import File, FileRole, JsonObject, Network
from blixard.plan.document import document_name, prepare
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions, Mode, Values, options_digest
from blixard.plan.rules import (
    Rules,
    combine,
    parse_network_map,
    parse_node_map,
    parse_rename,
    parse_rules,
    parse_set,
)
from blixard.plan.scope import parse_scope
from blixard.plan.skeleton import quoted, rules_skeleton
from blixard.plan.templates import FIXED_TIME, template_of
from support.documents import disk, uuid
from support.planning import HERE, THERE, applied, cluster, document, document_of, vm, vm_change


def ruled(**fields: Any) -> ImportOptions:
    return ImportOptions(rules=Rules(**fields))


def setting(pointer: str, value: Any) -> ImportOptions:
    return ruled(sets=((pointer, value),))


def test_rename_and_prefix_give_target_names() -> None:
    options = ruled(rename={"a": "z"}, prefix="lab-")

    assert set(applied(cluster(), document(vm("a", 1), vm("b", 2)), options).vms) == {"z", "lab-b"}


def test_a_rename_reaches_the_redacted_places_of_its_vm() -> None:
    here = cluster(vm("z", 1, metadata={"password": "ours"}))
    incoming = document(vm("a", 1, metadata={"password": "(redacted)"}), redacted=("/vms/a/metadata/password",))

    assert plan_import(here, incoming, ruled(rename={"a": "z"})).is_empty


def test_renaming_a_vm_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="vm:nope"):
        prepare(document(vm("a", 1)), ruled(rename={"nope": "x"}))


def test_two_vms_of_one_new_name_are_a_usage_error_naming_both() -> None:
    with pytest.raises(UsageError, match="`a` and `b` both `c`"):
        prepare(document(vm("a", 1), vm("b", 2)), ruled(rename={"a": "c", "b": "c"}))


def test_a_prefix_that_makes_a_name_invalid_is_refused() -> None:
    with pytest.raises(InvalidField, match="the new name of `a`"):
        prepare(document(vm("a", 1)), ruled(prefix="-/"))


def test_map_network_maps_networks_and_bridges() -> None:
    nics = (Network(name="e0", network="lan", bridge="br0"), Network(name="e1", network="wan"))

    made = applied(cluster(), document(vm("a", 1, networks=nics)), ruled(map_network={"lan": "lab", "br0": "br9"}))

    assert [(nic.network, nic.bridge) for nic in made.vms["a"].networks] == [("lab", "br9"), ("wan", None)]


def test_map_node_reaches_recovery_actions() -> None:
    health = {"checks": [{"recovery_escalation": {"actions": [[{"MigrateVm": {"target_node": 7}}, {"secs": 1}]]}}]}
    options = ruled(map_node={7: 1})

    made = applied(cluster(), document(vm("a", 1, health_check_config=health)), options).vms["a"]

    assert made.health_check_config is not None
    actions = made.health_check_config["checks"][0]["recovery_escalation"]["actions"]
    assert actions[0][0] == {"MigrateVm": {"target_node": 1}}


def test_set_is_applied_last_and_with_target_names() -> None:
    options = ruled(rename={"a": "z"}, map_network={"lan": "lab"}, sets=(("/vms/z/networks/0/network", "own"),))

    made = applied(cluster(), document(vm("a", 1, networks=(Network(name="e0", network="lan"),))), options)

    assert made.vms["z"].networks[0].network == "own"


def test_set_makes_keys_and_appends_to_arrays() -> None:
    sets = (("/vms/a/labels/env", "lab"), ("/vms/a/disks/-", {"name": "extra", "size_bytes": 1}))

    made = applied(cluster(), document(vm("a", 1, disks=(disk(),))), ruled(sets=sets)).vms["a"]

    assert (made.labels, [each.name for each in made.disks]) == ({"env": "lab"}, ["root", "extra"])


def test_set_counts_as_given_in_a_merge() -> None:
    here = cluster(vm("a", 1, priority=900))
    given = {"name": "a", "id": uuid(1), "config_path": "/etc/vm.nix", "vcpus": 2, "memory": 512}
    options = ImportOptions(mode=Mode.MERGE, rules=Rules(sets=(("/vms/a/priority", 1),)))

    assert applied(here, document(given), options).vms["a"].priority == 1


@pytest.mark.parametrize(
    "pointer",
    ["/vms/nope/vcpus", "/vms/a/disks/7/bus", "/vms/a", "/metadata/x", "/raft_state/term", "/nodes/9/name",
     "vms/a/vcpus", "/vms/a/~2", "/vms/a/name", "/vms/a/id", "/vms/a/hold", "/vms/a/untrusted", "/nodes/0/id"],
)  # fmt: skip
def test_a_pointer_that_fits_nothing_is_a_usage_error_naming_it(pointer: str) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(document(vm("a", 1, disks=(disk(),))), setting(pointer, "x"))
    assert f"`{pointer}`" in caught.value.message


def test_a_value_that_breaks_its_field_is_refused_where_it_stands() -> None:
    with pytest.raises(InvalidField, match=r"vms\.a\.vcpus"):
        prepare(document(vm("a", 1)), setting("/vms/a/vcpus", 0))


def test_set_names_the_new_cluster() -> None:
    assert document_name(document(vm("a", 1)), setting("/cluster_name", "staging")) == "staging"
    with pytest.raises(UsageError, match="a name is a string"):
        document_name(document(), setting("/cluster_name", 7))


def test_set_places_a_vm() -> None:
    made = applied(cluster(), document(vm("a", 1), cluster_id=THERE), setting("/vms/a/node_id", 1))

    assert made.vms["a"].node_id == 1
    with pytest.raises(UsageError, match="node `9`"):
        plan_import(cluster(), document(vm("a", 1)), setting("/vms/a/node_id", 9))


def test_rules_do_not_change_what_they_do_not_name() -> None:
    incoming = document(vm("a", 1), vm("b", 2))

    made = prepare(incoming, setting("/vms/a/vcpus", 3))

    assert made.vms["b"].given is incoming.vms["b"].given
    assert incoming.vms["a"].given["vcpus"] == 2


TOML = """
only = ["vm=web-*"]
prefix = "p-"
[variables]
cores = 4
[rename]
"vm:web-1" = "front"
[map-node]
2 = 1
[map-network]
br0 = "br-lab"
[set]
"/vms/front/vcpus" = 4
[set-json]
"/vms/front/ip_address" = "null"
"""


def test_a_rules_file_holds_them_all() -> None:
    assert parse_rules(TOML) == Rules(
        variables={"cores": 4},
        scope=parse_scope(["vm=web-*"]),
        rename={"web-1": "front"},
        prefix="p-",
        map_node={2: 1},
        map_network={"br0": "br-lab"},
        sets=(("/vms/front/vcpus", 4), ("/vms/front/ip_address", None)),
    )


@pytest.mark.parametrize(
    "text",
    ["= 1", "unknown = 1", "prefix = 1", "only = 'vm=a'", "rename = 1", "[rename]\n'a' = 'b'", "[map-node]\na = 1",
     "[rename]\n'vm:a' = 1", "[set-json]\n'/a' = 'nope'", "only = ['x']"],
)  # fmt: skip
def test_what_is_no_rule_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rules(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [(parse_rename, "a=b"), (parse_rename, "node:a=b"), (parse_rename, "vm:a="), (parse_node_map, "a=1"),
     (parse_network_map, "br0"), (parse_set, "/a"), (parse_set, "a=1"), (parse_set, "/a=b"), (parse_set, "/a=NaN")],
)  # fmt: skip
def test_what_cannot_be_read_from_the_command_line_is_a_usage_error(parse: Any, text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_the_command_line_wins_over_the_rules_file() -> None:
    file = Rules(prefix="a-", map_node={1: 2, 3: 4}, sets=(("/x", 1),), scope=parse_scope(["vm=a"], ["vm=b"]))
    given = Rules(prefix="b-", map_node={1: 9}, sets=(("/x", 2),), scope=parse_scope(["vm=c"]))

    both = combine(file, given)

    assert both == Rules(
        prefix="b-", map_node={1: 9, 3: 4}, sets=(("/x", 1), ("/x", 2)), scope=parse_scope(["vm=c"], ["vm=b"])
    )


def test_options_have_one_digest() -> None:
    assert options_digest(ImportOptions()) == options_digest(ImportOptions())
    assert options_digest(ImportOptions()) != options_digest(ruled(prefix="p"))


def test_the_skeleton_names_what_does_not_exist_here_and_reads_back() -> None:
    nics = (Network(name="e0", network='la"n'),)
    incoming = document(vm("a", 9, node_id=7, networks=nics), cluster_id=THERE)
    plan = plan_import(cluster(vm("a", 1)), incoming, ImportOptions(mode=Mode.MERGE))

    rules = parse_rules(rules_skeleton(plan))

    assert rules == Rules(rename={"a": "a-2"}, map_node={7: 1}, map_network={'la"n': 'la"n'})
    assert not plan_import(cluster(vm("a", 1)), incoming, ImportOptions(mode=Mode.MERGE, rules=rules)).conflicts


def test_a_toml_string_is_escaped() -> None:
    assert parse_rules(f"prefix = {quoted(chr(34) + chr(92) + chr(7) + chr(127) + 'ä')}").prefix == '"\\\x07\x7fä'


def test_networks_that_vms_use_here_are_known() -> None:
    here = cluster(vm("b", 2, networks=(Network(name="e", network="lan"),)))
    nics = (Network(name="e0", network="lan", bridge="br0"), Network(name="e1", bridge="br1"))

    plan = plan_import(here, document(vm("a", 1, networks=nics)), ImportOptions(networks_here=("br0",)))

    assert plan.missing_networks == ("br1",)


def template(**variables: JsonObject) -> Any:
    return document(vm("a", 1, metadata={"password": "sample"}), template={"variables": variables})


CORES = {"type": "integer", "targets": ["/vms/a/vcpus"]}
PASSWORD = {"type": "string", "secret": True, "targets": ["/vms/a/metadata/password"]}


def test_variables_set_their_targets() -> None:
    options = ImportOptions(values=Values(given={"cores": "7", "password": "p"}))

    made = applied(cluster(), template(cores=CORES, password=PASSWORD), options).vms["a"]

    assert (made.vcpus, made.metadata) == (7, {"password": "p"})


def test_missing_variables_are_one_error_naming_all() -> None:
    with pytest.raises(UsageError, match="`cores`, `password`") as caught:
        prepare(template(cores=CORES, password=PASSWORD), ImportOptions())
    assert caught.value.hint is not None
    assert "BLIXARD_VAR_cores" in caught.value.hint


def test_an_earlier_source_of_a_value_wins() -> None:
    incoming = template(cores={**CORES, "default": 1})
    for values, rules, expected in [
        (Values(given={"cores": "5"}, file={"cores": 4}, environment={"cores": "2"}), {"cores": 3}, 5),
        (Values(file={"cores": 4}, environment={"cores": "2"}), {"cores": 3}, 4),
        (Values(environment={"cores": "2"}), {"cores": 3}, 3),
        (Values(environment={"cores": "2"}), {}, 2),
        (Values(), {}, 1),
    ]:
        options = ImportOptions(values=values, rules=Rules(variables=rules))
        assert prepare(incoming, options).vms["a"].vm.vcpus == expected


@pytest.mark.parametrize(("kind", "text"), [("integer", "x"), ("integer", "1.5"), ("boolean", "1"), ("number", "true")])
def test_a_value_of_the_wrong_type_is_a_usage_error_naming_the_variable(kind: str, text: str) -> None:
    with pytest.raises(UsageError, match="variable `v`"):
        prepare(template(v={**CORES, "type": kind}), ImportOptions(values=Values(given={"v": text})))


def test_the_value_of_a_secret_variable_is_not_in_its_error() -> None:
    with pytest.raises(UsageError) as caught:
        prepare(template(v={**CORES, "secret": True}), ImportOptions(values=Values(given={"v": "hunter2"})))
    assert "hunter2" not in caught.value.message


def test_the_value_of_a_secret_variable_is_not_in_the_plans_fields() -> None:
    options = ImportOptions(values=Values(given={"password": "hunter2"}))
    here = cluster(vm("a", 1, metadata={"password": "old"}))

    change = vm_change(plan_import(here, template(password=PASSWORD), options), "a")

    assert [(each.pointer, each.before, each.after) for each in change.fields] == [
        ("/metadata/password", "(secret)", "(secret)")
    ]
    assert change.after is not None
    assert change.after.metadata == {"password": "hunter2"}


def test_a_variable_that_is_not_declared_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no variable `size`"):
        prepare(template(cores={**CORES, "default": 1}), ImportOptions(values=Values(given={"size": "1"})))


def test_a_target_that_is_not_there_is_a_usage_error_naming_it() -> None:
    broken = {**CORES, "default": 1, "targets": ["/vms/a/nope"]}
    with pytest.raises(UsageError, match="/vms/a/nope"):
        prepare(template(v=broken), ImportOptions())


@pytest.mark.parametrize("declared", [7, {"v": 1}, {"v": {"type": "date"}}, {"v": {"type": "integer", "default": "x"}}])
def test_a_template_that_cannot_be_read_is_an_invalid_field(declared: Any) -> None:
    with pytest.raises(InvalidField, match=r"metadata\.template"):
        prepare(document(template={"variables": declared}), ImportOptions())


def test_variables_come_before_the_scope_and_the_scope_before_renames() -> None:
    label = {"type": "string", "targets": ["/vms/a/labels/env"]}
    incoming = document(vm("a", 1, labels={"env": "x"}), vm("b", 2), template={"variables": {"env": label}})
    rules = Rules(scope=parse_scope(["label=env=prod"]), rename={"a": "z"}, variables={"env": "prod"})

    assert set(prepare(incoming, ImportOptions(rules=rules)).vms) == {"z"}


def test_a_template_has_nothing_of_the_moment() -> None:
    incoming = document_of(cluster(vm("a", 1, disks=(disk(image=0, source="/x"),))), revision=9, exporter="blixard 1")

    head, vms = template_of(incoming.head, [each.vm for each in incoming.vms.values()])

    assert (head.exported_at, head.raft_state.term, head.metadata.revision, head.metadata.exporter) == (
        FIXED_TIME,
        0,
        None,
        None,
    )
    assert (vms[0].node_id, vms[0].disks) == (None, (disk(source=UNSET),))
    assert head.metadata.template == {"variables": {}}


def test_a_template_of_a_cluster_changes_nothing_in_it() -> None:
    here = cluster(vm("a", 1, disks=(disk(source="/srv/a.raw"),)))
    head, vms = template_of(document_of(here).head, here.vms.values())

    incoming = document(*vms, template=head.metadata.template)

    assert plan_import(here, incoming, ImportOptions()).is_empty


def test_redacted_fields_keep_the_targets_value_in_both_modes() -> None:
    here = cluster(vm("a", 1, metadata={"password": "ours", "owner": "me"}, vcpus=1))
    incoming = document(
        vm("a", 1, metadata={"password": "(redacted)", "owner": "you"}), redacted=("/vms/a/metadata/password",)
    )

    for mode in Mode:
        made = applied(here, incoming, ImportOptions(mode=mode)).vms["a"]
        assert (made.metadata, made.vcpus) == ({"password": "ours", "owner": "you"}, 2)


def test_a_redacted_value_never_becomes_the_value_of_a_new_vm() -> None:
    incoming = document(
        vm("a", 1, metadata={"password": "(redacted)", "x": "y"}), redacted=("/vms/a/metadata/password",)
    )

    plan = plan_import(cluster(), incoming, ImportOptions())

    after = vm_change(plan, "a").after
    assert after is not None
    assert after.metadata == {"x": "y"}
    assert plan.warnings == ("`a` lacks values that were redacted in the file",)


def test_secrets_that_were_kept_apart_come_back() -> None:
    pointer = "/vms/a/metadata/password"
    incoming = document(vm("a", 1, metadata={"password": "(redacted)"}), redacted=(pointer,))

    made = applied(cluster(), incoming, ImportOptions(secrets={pointer: "s3cret"})).vms["a"]

    assert made.metadata == {"password": "s3cret"}
    with pytest.raises(UsageError, match="do not belong to this file"):
        prepare(incoming, ImportOptions(secrets={"/vms/a/vcpus": 1}))


def test_a_masked_file_keeps_ours_whatever_its_form() -> None:
    ours = File(role=FileRole.SEED, name="seed", base64="AAEC")
    masked = structs.replace(ours, base64=UNSET, text="password: (redacted)")
    incoming = document(
        vm("a", 1, files=(File(role=FileRole.CONFIG, name="c", text="x"), masked)), redacted=("/vms/a/files/1/text",)
    )

    made = applied(cluster(vm("a", 1, files=(ours,))), incoming).vms["a"]

    assert made.files == (File(role=FileRole.CONFIG, name="c", text="x"), ours)


def test_a_masked_header_keeps_ours() -> None:
    def health(value: str) -> JsonObject:
        return {"checks": [{"name": "web", "headers": [["Authorization", value]]}], "interval": 5}

    here = cluster(vm("a", 1, health_check_config={**health("Bearer ours"), "interval": 9}))
    incoming = document(
        vm("a", 1, health_check_config=health("(redacted)")),
        redacted=("/vms/a/health_check_config/checks/0/headers/0/1",),
    )

    for mode in Mode:
        made = applied(here, incoming, ImportOptions(mode=mode)).vms["a"]
        assert made.health_check_config == health("Bearer ours")


def test_a_redacted_default_is_no_value() -> None:
    variables = {"password": {**PASSWORD, "default": "(redacted)"}}
    incoming = document(
        vm("a", 1, metadata={"password": "sample"}),
        template={"variables": variables},
        redacted=("/metadata/template/variables/password/default",),
    )

    with pytest.raises(UsageError, match="no value for `password`"):
        prepare(incoming, ImportOptions())


def test_the_files_cluster_id_that_is_no_uuid_names_no_cluster() -> None:
    plan = plan_import(cluster(), document(vm("a", 1), cluster_id="prod"), ImportOptions())

    assert (plan.source.cluster_id, plan.same_cluster, plan.target.id) == (None, False, HERE)
