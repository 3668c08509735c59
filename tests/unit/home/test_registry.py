import os
import subprocess
import sys
from pathlib import Path

import pytest

from blixard.errors import Conflict, NotFound, StorageError
from blixard.home import Home
from blixard.home.registry import DiskOwner, Registry

WEB = DiskOwner(cluster="web", vm="web-1", vm_id="id-1", disk="root")
DB = DiskOwner(cluster="db", vm="db-1", vm_id="id-2", disk="data")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "data")
    home.create("web")
    home.create("db")
    return home


@pytest.fixture
def registry(home: Home) -> Registry:
    return home.registry()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x")
    return path


def test_one_file_has_one_writer_under_whatever_name(registry: Registry, image: Path, tmp_path: Path) -> None:
    (tmp_path / "soft").symlink_to(image)
    os.link(image, tmp_path / "hard")
    registry.claim(image, WEB)

    for name in ("disk.img", "soft", "hard"):
        with pytest.raises(Conflict, match="disk `root` of VM `web-1` in cluster `web`"):
            registry.claim(tmp_path / name, DB)


def test_a_claim_may_be_repeated_and_released(registry: Registry, image: Path) -> None:
    registry.claim(image, WEB)
    registry.claim(image, WEB)
    registry.release(WEB)
    registry.release(WEB)
    registry.claim(image, DB)

    with pytest.raises(Conflict, match="disk `data` of VM `db-1` in cluster `db`"):
        registry.claim(image, WEB)


def test_another_disk_of_the_same_vm_is_another_writer(registry: Registry, image: Path) -> None:
    registry.claim(image, WEB)

    with pytest.raises(Conflict):
        registry.claim(image, DiskOwner(cluster="web", vm="web-1", vm_id="id-1", disk="second"))


def test_a_claim_follows_the_rename_of_its_cluster(home: Home, registry: Registry, image: Path) -> None:
    registry.claim(image, WEB)
    home.rename("web", "front")

    with pytest.raises(Conflict, match="cluster `front`"):
        registry.claim(image, DB)


def test_a_deleted_cluster_claims_nothing_nor_does_a_new_one_of_its_name(
    home: Home, registry: Registry, image: Path
) -> None:
    registry.claim(image, WEB)
    home.delete("web")
    home.create("web")

    registry.claim(image, DB)


def test_a_claim_on_a_file_that_was_replaced_is_worth_nothing(registry: Registry, image: Path) -> None:
    registry.claim(image, WEB)
    other = image.with_name("other.img")
    image.rename(other)
    image.write_bytes(b"new")

    registry.claim(other, DB)
    with pytest.raises(Conflict, match="disk `data` of VM `db-1` in cluster `db`"):
        registry.claim(other, WEB)


def test_a_claim_whose_vm_was_never_made_counts_while_its_process_lives(
    home: Home, registry: Registry, image: Path
) -> None:
    claim = (
        "import sys; from pathlib import Path; from blixard.home import Home;"
        "from blixard.home.registry import DiskOwner;"
        "Home(Path(sys.argv[1])).registry().claim(Path(sys.argv[2]), DiskOwner('web', 'web-1', 'id-1', 'root'));"
        "print('claimed', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", claim, str(home.root), str(image)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(Conflict):
            registry.claim(image, DB, is_live=lambda _owner: False)
        other.kill()
        other.wait()

    with pytest.raises(Conflict):
        registry.claim(image, DB)
    registry.claim(image, DB, is_live=lambda owner: owner != WEB)


def test_a_disk_of_a_cluster_is_not_kept_in_place(home: Home, registry: Registry) -> None:
    disk = home.cluster("web").disks / "root.raw"
    disk.write_bytes(b"x")

    with pytest.raises(Conflict, match="belongs to cluster `web`"):
        registry.claim(disk, DB)


def test_files_and_clusters_that_are_not_there_are_named(registry: Registry, image: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing\.img"):
        registry.claim(tmp_path / "missing.img", WEB)
    with pytest.raises(NotFound, match="`nowhere`"):
        registry.claim(image, DiskOwner(cluster="nowhere", vm="v", vm_id="i", disk="d"))
    registry.claim(image, DB)


def test_a_damaged_registry_says_so(home: Home, image: Path) -> None:
    (home.root / "registry.db").write_bytes(b"rubbish " * 1000)

    with pytest.raises(StorageError, match=r"registry\.db"):
        home.registry().claim(image, WEB)
