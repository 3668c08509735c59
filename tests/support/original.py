"""What the original Blixard's reader demands of a file: its structs as of its last version, checked by hand.

Written from the research note on its `cluster_state.rs` and not from our model, so that both can only agree by being
right. As serde does: a field without a default must be there and have its type, an unknown key is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]
U16, U32, U64 = 2**16 - 1, 2**32 - 1, 2**64 - 1
_CHRONO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def check_export(document: Any) -> None:
    """Raises:
    AssertionError: the original would not read `document`; the message names the field.
    """
    assert document["version"] == "1.0", f"Unsupported export format version: {document['version']}"
    _struct(_TOP)(document, "$")
    for name, vm in document["vms"].items():
        assert vm["name"] == name, f"$.vms.{name}: another name inside"
        assert vm["name"], f"$.vms.{name}: an empty name"
        assert vm["vcpus"] >= 1, f"$.vms.{name}.vcpus"
        assert vm["memory"] >= 1, f"$.vms.{name}.memory"
        assert vm.get("priority", 500) <= 1000, f"$.vms.{name}.priority"


def _string(value: Any, at: str) -> None:
    assert isinstance(value, str), f"{at}: {value!r} is no string"


def _bool(value: Any, at: str) -> None:
    assert isinstance(value, bool), f"{at}: {value!r} is no bool"


def _number(value: Any, at: str) -> None:
    assert isinstance(value, int | float), f"{at}: {value!r} is no number"
    assert not isinstance(value, bool), f"{at}: {value!r} is no number"


def _any(_value: Any, _at: str) -> None:
    pass


def _time(value: Any, at: str) -> None:
    assert isinstance(value, str), f"{at}: {value!r} is no time"
    assert _CHRONO.fullmatch(value), f"{at}: {value!r} is no time"


def _unsigned(most: int) -> Check:
    def check(value: Any, at: str) -> None:
        assert isinstance(value, int), f"{at}: {value!r} is no integer"
        assert not isinstance(value, bool), f"{at}: {value!r} is no integer"
        assert 0 <= value <= most, f"{at}: {value!r}"

    return check


def _option(inner: Check) -> Check:
    def check(value: Any, at: str) -> None:
        if value is not None:
            inner(value, at)

    return check


def _list(inner: Check) -> Check:
    def check(value: Any, at: str) -> None:
        assert isinstance(value, list), f"{at}: no array"
        for n, item in enumerate(value):
            inner(item, f"{at}[{n}]")

    return check


def _map(inner: Check) -> Check:
    def check(value: Any, at: str) -> None:
        assert isinstance(value, dict), f"{at}: no object"
        for key, item in value.items():
            inner(item, f"{at}.{key}")

    return check


def _struct(fields: Mapping[str, Check]) -> Check:
    """A struct: a name that ends in `?` has a default, and may be absent but not null."""

    def check(value: Any, at: str) -> None:
        assert isinstance(value, dict), f"{at}: no object"
        for name, inner in fields.items():
            key = name.rstrip("?")
            assert name.endswith("?") or key in value, f"{at}.{key}: missing"
            if key in value:
                inner(value[key], f"{at}.{key}")

    return check


def _rule_type(value: Any, at: str) -> None:
    if value != "Hard":
        _struct({"Soft": _struct({"weight": _number})})(value, at)
        assert len(value) == 1, f"{at}: one variant at a time"


_RULE = _struct(
    {"rule_type": _rule_type, "group_key": _string, "max_per_node?": _unsigned(U32), "scope?": _option(_string)}
)
_LOCALITY = _struct(
    {
        "preferred_datacenter?": _option(_string),
        "preferred_zone?": _option(_string),
        "max_latency_ms?": _option(_unsigned(U32)),
        "enforce_same_datacenter": _bool,
        "spread_across_zones": _bool,
        "excluded_datacenters": _list(_string),
    }
)
_DURATION = _struct({"secs": _unsigned(U64), "nanos": _unsigned(U32)})
_CHECK = _struct(
    {
        "name": _string,
        "check_type": _struct({"type": _string}),
        "critical?": _bool,
        "weight?": _number,
        "priority?": _string,
        "failure_threshold?": _unsigned(U32),
        "recovery_escalation?": _option(
            _struct({"actions": _list(_list(_any)), "max_attempts": _unsigned(U32), "reset_after": _DURATION})
        ),
    }
)
_HEALTH = _struct(
    {"checks?": _list(_CHECK), "check_interval_secs?": _unsigned(U64), "initial_delay_secs?": _unsigned(U64)}
)
_NODE = _struct(
    {
        "id": _unsigned(U64),
        "data_dir": _string,
        "bind_addr": _string,
        "use_tailscale": _bool,
        "vm_backend": _string,
        "join_addr?": _option(_string),
        "transport_config?": _option(_map(_any)),
        "topology?": _struct({"datacenter": _string, "zone": _string, "rack": _string}),
        "iroh_relay_url?": _string,
        "metrics_port?": _unsigned(U16),
    }
)
_VM = _struct(
    {
        "name": _string,
        "config_path": _string,
        "vcpus": _unsigned(U32),
        "memory": _unsigned(U32),
        "tenant_id?": _string,
        "ip_address?": _option(_string),
        "metadata?": _option(_map(_string)),
        "anti_affinity?": _option(_struct({"rules": _list(_RULE)})),
        "priority?": _unsigned(U32),
        "preemptible?": _bool,
        "locality_preference?": _LOCALITY,
        "health_check_config?": _option(_HEALTH),
    }
)
_TOP: dict[str, Check] = {
    "version": _string,
    "exported_at": _time,
    "cluster_name": _string,
    "exported_by_node": _unsigned(U64),
    "nodes": _list(_NODE),
    "vms": _map(_VM),
    "raft_state": _struct(
        {"term": _unsigned(U64), "leader_id": _option(_unsigned(U64)), "members": _list(_unsigned(U64))}
    ),
    "metadata": _map(_any),
}
