"""What `vm show` says of a VM: every field that people set."""

from __future__ import annotations

import msgspec
import pytest

from blixard.cli.screen.details import vm_rows
from blixard.cli.verbs.vm_options import FIELDS, Map
from blixard.model.structs import DesiredState
from support.planning import cluster, vm

OTHER = {"desired_state": DesiredState.STOPPED, "ip_address": "192.0.2.77", "config_path": "/etc/other.nix"}
"""Values, of fields that take no number, that are not those of `vm()`."""


@pytest.mark.parametrize("field", [each.field for each in FIELDS])
def test_a_field_that_can_be_set_is_shown(field: str) -> None:
    before = vm(desired_state=DesiredState.RUNNING)
    is_map = any(isinstance(each, Map) and each.field == field for each in FIELDS)
    other = {"other": "77"} if is_map else OTHER.get(field, "77" if field == "tenant_id" else 77)
    after = msgspec.structs.replace(before, **{field: other})

    assert vm_rows(after, cluster(after)) != vm_rows(before, cluster(before))
