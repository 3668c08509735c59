"""Two machines with one file between them: where `prod` was exported, and where its file is imported.

`Lab.source` is the data directory of the cluster `prod`, `Lab.target` another machine's, empty at first. Commands run
on the target unless another machine is said.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from blixard.disks.detect import open_reader
from blixard.home import Home
from blixard.model.structs import ContentKey, ContentKind
from blixard.store.opening import open_store
from support.commands import Ran, run
from support.documents import noise

AT = "2026-07-27T12:00:00Z"
ROOT_DISK, DATA_DISK, DB_DISK = noise(130_000, 1) + bytes(70_000), noise(70_000, 2), noise(90_000, 3)


class Machine:
    """A data directory, and the commands of its operator."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def run(self, *arguments: str | Path, code: int = 0, **how: Any) -> Ran:
        """Run a command that ends with `code`."""
        ran = run([*arguments, "--data-dir", self.data], **how)
        assert ran.code == code, (arguments, ran)
        return ran

    def load(self, *arguments: str | Path, code: int = 0, **how: Any) -> Ran:
        """`cluster import -i ...`."""
        return self.run("cluster", "import", "-i", *arguments, code=code, **how)

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """What a command prints with `--json`."""
        return json.loads(self.run(*arguments, "--json", code=code).out)

    def plan(self, *arguments: str | Path, code: int = 0) -> Any:
        """The plan of a dry run."""
        return self.json("cluster", "import", "-i", *arguments, "--dry-run", code=code)["plan"]

    def export(self, *more: str | Path) -> Any:
        """The document that an export makes now."""
        return json.loads(self.run("cluster", "export", "-o", "-", "--no-compress", *more).out)

    def state(self, *more: str | Path) -> tuple[Any, Any]:
        """Nodes and VMs, as an export says: what must be equal when nothing was changed."""
        document = self.export(*more)
        return document["nodes"], document["vms"]

    def vms(self, *more: str | Path) -> dict[str, Any]:
        """VMs by name, as an export says."""
        found: dict[str, Any] = self.export(*more)["vms"]
        return found

    def content(self, vm: str, disk: str = "root", cluster: str = "prod") -> bytes | None:
        """What a guest sees of a disk; None when it has no content."""
        directory = Home(self.data).cluster(cluster)
        with open_store(directory) as store:
            snapshot = store.snapshot()
        content = snapshot.contents.get(ContentKey(snapshot.vms[vm].id or "", ContentKind.DISK, disk))
        if content is None:
            return None
        reader = open_reader(directory.disks / (content.file or content.path or ""), content.format)
        try:
            data = bytearray(reader.size_bytes)
            reader.read_into(0, memoryview(data))
        finally:
            reader.close()
        return bytes(data)

    def contents(self, cluster: str = "prod") -> dict[str, bytes | None]:
        """What guests see of all disks, by `VM/DISK`."""
        vms = self.vms("-c", cluster)
        return {f"{vm}/{d['name']}": self.content(vm, d["name"], cluster) for vm in vms for d in vms[vm]["disks"]}

    def scribble(self, vm: str, data: bytes, cluster: str = "prod") -> None:
        """A guest writes to its disk `root`."""
        [path] = [each for each in Home(self.data).cluster(cluster).disks.iterdir() if self._is_disk(each, vm, cluster)]
        with path.open("r+b") as disk:
            disk.write(data)

    def _is_disk(self, path: Path, vm: str, cluster: str) -> bool:
        if not path.is_file():
            return False
        return path.read_bytes() == self.content(vm, "root", cluster)


class Lab:
    """Both machines, and the files between them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = Machine(root / "source")
        self.target = Machine(root / "target")

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, document: Any) -> Path:
        """A document as a file."""
        path = self.root / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    def edited(self, name: str, **vms: dict[str, Any]) -> Path:
        """The plain state file with fields of VMs changed, and no integrity."""
        document = json.loads((self.root / "state.json").read_text())
        del document["integrity"]
        for vm, fields in vms.items():
            document["vms"][vm.replace("_", "-")].update(fields)
        return self.write(name, document)


def build_lab(root: Path) -> Lab:
    """The cluster `prod` with two VMs, and its exports: `state.json` (plain), `state.json.gz` and `full.json.gz`."""
    lab = Lab(root)
    for name, data in (("root", ROOT_DISK), ("data", DATA_DISK), ("db", DB_DISK)):
        (root / f"{name}.img").write_bytes(data)
    prod = lab.source
    prod.run("cluster", "init", "prod")
    prod.run("node", "add", "--bind-addr", "10.0.0.2:7001", "--name", "host-2")
    prod.run(
        *("vm", "create", "web-1", "--disk", root / "root.img", "--disk", f"{root / 'data.img'},name=data"),
        *("--network", "lan,bridge=br-prod,mac=52:54:00:00:00:01,ip=10.0.0.5", "--config-path", "/etc/web.nix"),
        *("--label", "tier=front", "--metadata", "db_password=hunter2", "--memory", "512"),
    )
    prod.run("vm", "create", "db-1", "--disk", root / "db.img", "--label", "tier=back", "--memory", "1024")
    for name, more in (
        ("state.json", ["--no-compress"]),
        ("state.json.gz", []),
        ("full.json.gz", ["--include-images"]),
    ):
        prod.run("cluster", "export", "-o", root / name, "--exported-at", AT, *more)
    return lab
