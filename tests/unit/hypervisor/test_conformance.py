"""Every hypervisor, ours and the fakes, under the one suite of their port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blixard.errors import ExitCode, HypervisorError
from blixard.model.structs import DesiredState
from blixard.site.open_cluster import OpenCluster
from support.clusters import a_cluster
from support.hypervisor_conformance import HypervisorConformance, made_vm
from support.hypervisors import Remembering


class TestCatalogue(HypervisorConformance):
    runs_vms = False

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[OpenCluster]:
        with a_cluster(tmp_path / "data") as cluster:
            yield cluster

    def test_the_refusal_of_power_has_the_exit_code_of_hypervisors(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path)

        with pytest.raises(HypervisorError, match="catalogue") as refused:
            opened.hypervisor.power(vm.id or "", DesiredState.RUNNING)
        assert refused.value.exit_code is ExitCode.HYPERVISOR


class TestRemembering(HypervisorConformance):
    runs_vms = False

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[OpenCluster]:
        with a_cluster(tmp_path / "data", hypervisor=Remembering) as cluster:
            yield cluster
