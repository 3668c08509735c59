"""The document as the target will see it: secrets back in, variables set, scope cut out, names mapped, places set.

The order is DESIGN.md section 6's. Only objects that a rule touches are copied and checked again; 100,000 VMs without
rules cost next to nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, structs

from blixard.errors import UsageError
from blixard.model.codec import check_name, decode_node, decode_vm
from blixard.model.incoming import IncomingNode, IncomingState, IncomingVm
from blixard.model.pointer import Tokens, is_inside, parse
from blixard.model.structs import ExportMetadata, JsonObject, Network, Vm
from blixard.plan.edits import Edits
from blixard.plan.merge import without_places
from blixard.plan.options import ImportOptions
from blixard.plan.rules import Rules
from blixard.plan.scope import Scope, scope_of_file
from blixard.plan.templates import assignments, variables_of

_NODE_REQUIRED = (("data_dir",), ("bind_addr",))


class PreparedVm(IncomingVm, frozen=True, kw_only=True, gc=False):
    """A VM of the document after the rules, with the target's names."""

    source: str
    """Its name in the document."""
    redacted: tuple[Tokens, ...] = ()
    """Places in it that count as absent."""
    chosen: tuple[Tokens, ...] = ()
    """Places whose values the operator gave: they are no stranger's."""
    secret: tuple[Tokens, ...] = ()
    """Places whose values are not shown."""
    mapped_node: int | None = None
    """The node that the operator places it on."""


class Prepared(Struct, frozen=True, kw_only=True):
    """A document after the rules. `vms` by target name."""

    cluster_name: str
    nodes: tuple[IncomingNode, ...]
    vms: dict[str, PreparedVm]
    outside: tuple[Vm, ...]
    """VMs of the document that the scope leaves out."""
    file_scope: Scope


def prepare(incoming: IncomingState, options: ImportOptions) -> Prepared:
    """Apply secrets, variables, scope and rules to the document.

    Raises:
        UsageError: a rule, variable or pointer that fits nothing in the document; the message names it.
        InvalidField: a value set by a rule breaks its field's rule.
    """
    file_scope = scope_of_file(incoming.head.metadata.scope)
    edits, secret = _source_edits(incoming, options)
    redacted = _redacted(incoming.head.metadata.redacted, edits.places)
    selected: dict[str, PreparedVm] = {}
    outside: list[Vm] = []
    for name, (vm, given) in _edited(incoming, edits):
        if not (file_scope.selects_vm(vm) and options.rules.scope.selects_vm(vm)):
            outside.append(vm)
            continue
        selected[name] = PreparedVm(
            source=name, vm=vm, as_given=given, redacted=redacted.get(name, ()), secret=secret.get(name, ())
        )
    renamed = _renamed(selected, options.rules, incoming)
    nodes = _without_masks(_edited_nodes(incoming.nodes, edits), incoming.head.metadata.redacted, edits.places)
    vms, nodes, cluster_name = _set_values(renamed, nodes, edits.cluster_name, options.rules.sets)
    return Prepared(cluster_name=cluster_name, nodes=nodes, vms=vms, outside=tuple(outside), file_scope=file_scope)


def document_name(incoming: IncomingState, options: ImportOptions) -> str:
    """The cluster name that the document gives, after variables and `--set`; needed before a target is chosen."""
    edits, _ = _source_edits(incoming, options)
    for pointer, value in options.rules.sets:
        if parse(pointer) == ("cluster_name",):
            edits.put(pointer, value)
    return edits.cluster_name


def _source_edits(incoming: IncomingState, options: ImportOptions) -> tuple[Edits, dict[str, tuple[Tokens, ...]]]:
    """Put back what was kept apart, then set the variables; names are the source's."""
    head = incoming.head
    edits = Edits(incoming.vms, incoming.nodes, head.cluster_name)
    hidden: dict[str, tuple[Tokens, ...]] = {}
    unknown = sorted(set(options.secrets) - set(head.metadata.redacted))
    if unknown:
        raise UsageError(f"the secrets do not belong to this file: `{unknown[0]}` is not redacted in it")
    for pointer, value in options.secrets.items():
        tokens = parse(pointer)
        if tokens[0] in ("vms", "nodes"):  # an import takes nothing from elsewhere
            edits.put(pointer, value)
            _hide(hidden, tokens)
    variables = variables_of(_template(head.metadata))
    for each in assignments(variables, options.values, options.rules.variables):
        edits.put(each.pointer, each.value, existing=True)
        if each.secret:
            _hide(hidden, parse(each.pointer))
    return edits, hidden


def _template(metadata: ExportMetadata) -> JsonObject | None:
    """The template without what was masked in it: a masked default is none."""
    places = tuple(tokens[2:] for tokens in map(parse, metadata.redacted) if tokens[:2] == ("metadata", "template"))
    if metadata.template is None or not places:
        return metadata.template
    return without_places(metadata.template, places)


def _hide(hidden: dict[str, tuple[Tokens, ...]], tokens: Tokens) -> None:
    if tokens[0] == "vms":
        hidden[tokens[1]] = (*hidden.get(tokens[1], ()), tokens[2:])


def _edited(incoming: IncomingState, edits: Edits) -> Iterable[tuple[str, tuple[Vm, JsonObject | None]]]:
    for name, each in incoming.vms.items():
        changed = edits.vms.get(name)
        yield name, (each.vm, each.as_given) if changed is None else (decode_vm(changed, f"vms.{name}"), changed)


def _edited_nodes(nodes: tuple[IncomingNode, ...], edits: Edits) -> tuple[IncomingNode, ...]:
    if not edits.nodes:
        return nodes
    return tuple(
        IncomingNode(edits.node(n), edits.nodes[n]) if n in edits.nodes else each for n, each in enumerate(nodes)
    )


def _without_masks(
    nodes: tuple[IncomingNode, ...], pointers: Iterable[str], given: Iterable[Tokens]
) -> tuple[IncomingNode, ...]:
    """The nodes with redacted places absent; a required field keeps its mask."""
    places = _redacted(pointers, given, "nodes")
    made = list(nodes)
    for index, inside in places.items():
        if index.isdecimal() and int(index) < len(made):
            left = without_places(made[int(index)].given, tuple(p for p in inside if p not in _NODE_REQUIRED))
            made[int(index)] = IncomingNode(decode_node(left, f"nodes[{index}]"), left)
    return tuple(made)


def _redacted(pointers: Iterable[str], given: Iterable[Tokens], kind: str = "vms") -> dict[str, tuple[Tokens, ...]]:
    """Places that count as absent, by VM (or node index); not those that were given a value."""
    valued = list(given)
    places: dict[str, tuple[Tokens, ...]] = {}
    for pointer in pointers:
        tokens = parse(pointer)
        if tokens[:1] != (kind,) or len(tokens) < 3 or any(is_inside(tokens, place) for place in valued):
            continue
        places[tokens[1]] = (*places.get(tokens[1], ()), tokens[2:])
    return places


def _renamed(selected: Mapping[str, PreparedVm], rules: Rules, incoming: IncomingState) -> dict[str, PreparedVm]:
    """VMs by target name, every reference following: names, placements and networks."""
    _check_rules(selected, rules, incoming)
    if not (rules.rename or rules.prefix or rules.map_node or rules.map_network):
        return dict(selected)
    made = [_mapped(each, rules.target_name(name), rules) for name, each in selected.items()]
    twice = [name for name, count in Counter(each.vm.name for each in made).items() if count > 1]
    if twice:
        sources = sorted(each.source for each in made if each.vm.name == min(twice))
        raise UsageError(f"the rules call {' and '.join(f'`{name}`' for name in sources)} both `{min(twice)}`")
    return {each.vm.name: each for each in made}


def _check_rules(selected: Mapping[str, PreparedVm], rules: Rules, incoming: IncomingState) -> None:
    for old in rules.rename:
        if old not in incoming.vms:
            raise UsageError(f"`vm:{old}` is to be renamed, but the file has no such VM")
    for name in selected if rules.rename or rules.prefix else ():
        check_name(rules.target_name(name), f"the new name of `{name}`")


def _mapped(each: PreparedVm, name: str, rules: Rules) -> PreparedVm:
    vm, given, chosen = each.vm, dict(each.given), each.chosen
    changes: dict[str, Any] = {}
    if name != vm.name:
        given["name"] = changes["name"] = name
    mapped = rules.map_node.get(vm.node_id) if vm.node_id is not None else None
    if rules.map_node and vm.health_check_config:
        given["health_check_config"] = changes["health_check_config"] = _with_nodes(
            vm.health_check_config, rules.map_node
        )
    moved = [n for n, nic in enumerate(vm.networks) if {nic.network, nic.bridge} & rules.map_network.keys()]
    if moved:
        changes["networks"] = tuple(_on_network(nic, rules.map_network) for nic in vm.networks)
        given["networks"] = [_network_object(item, rules.map_network) for item in given["networks"]]
        chosen += tuple(("networks", str(n), "bridge") for n in moved if vm.networks[n].bridge in rules.map_network)
    return structs.replace(each, vm=structs.replace(vm, **changes), as_given=given, chosen=chosen, mapped_node=mapped)


def _on_network(nic: Network, mapped: Mapping[str, str]) -> Network:
    return structs.replace(
        nic,
        network=mapped.get(nic.network, nic.network) if nic.network is not None else None,
        bridge=mapped.get(nic.bridge, nic.bridge) if nic.bridge is not None else None,
    )


def _network_object(given: JsonObject, mapped: Mapping[str, str]) -> JsonObject:
    return {
        key: mapped.get(value, value) if key in ("network", "bridge") and isinstance(value, str) else value
        for key, value in given.items()
    }


def _with_nodes(value: Any, mapped: Mapping[int, int]) -> Any:
    """A health check's recovery with `MigrateVm` going to the mapped node."""
    if isinstance(value, dict):
        return {
            key: mapped.get(item, item) if key == "target_node" and isinstance(item, int) else _with_nodes(item, mapped)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_nodes(item, mapped) for item in value]
    return value


def _set_values(
    vms: dict[str, PreparedVm], nodes: tuple[IncomingNode, ...], cluster_name: str, sets: tuple[tuple[str, Any], ...]
) -> tuple[dict[str, PreparedVm], tuple[IncomingNode, ...], str]:
    if not sets:
        return vms, nodes, cluster_name
    edits = Edits(vms, nodes, cluster_name)
    for pointer, value in sets:
        edits.put(pointer, value)
    made = dict(vms)
    for name, given in edits.vms.items():
        places = tuple(tokens[2:] for tokens in edits.places if tokens[:2] == ("vms", name))
        vm = decode_vm(given, f"vms.{name}")
        made[name] = structs.replace(
            vms[name],
            vm=vm,
            as_given=given,
            redacted=tuple(each for each in vms[name].redacted if not any(is_inside(each, place) for place in places)),
            chosen=vms[name].chosen + places,
            mapped_node=vm.node_id if ("node_id",) in places else vms[name].mapped_node,
        )
    return made, _edited_nodes(nodes, edits), edits.cluster_name
