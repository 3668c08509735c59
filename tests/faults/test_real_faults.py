"""Faults as machines have them: full and read-only file systems, other users' directories, disks that fail or move."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blixard.home import Home
from blixard.home.locks import FlockLocks
from support.commands import NOBODY, Ran
from support.documents import MIB, noise
from support.small_disk import fill, small_disk
from support.world import World, fast_folder, litter, picture

EXPORT = ("cluster", "export", "--include-images", "-c", "web", "-o")


@pytest.fixture
def unreserved(tmp_path: Path) -> Path:
    """Settings without a reserve of free space, so that a small file system fills to its last byte."""
    path = tmp_path / "config.toml"
    path.write_text("[limits]\nspace_reserve_bytes = 0\n")
    return path


def failed(ran: Ran, code: int, *words: str) -> None:
    """It ended with `code`, said why with `words`, and gave a next step."""
    *_, error, hint = ran.err.splitlines() or ["", ""]
    assert ran.code == code, ran
    assert error.startswith("error: "), ran
    assert hint.startswith("hint: "), ran
    assert all(word in ran.err for word in words), (words, ran)


def import_of(world: World, name: str = "new.json.gz") -> tuple[str | Path, ...]:
    return ("cluster", "import", "-i", world.out / name, "-c", "web")


# a full file system


@pytest.mark.root
@pytest.mark.parametrize("free", [0, 64 << 10, 256 << 10, 400 << 10])
def test_an_export_to_a_full_file_system_leaves_the_old_one(free: int, world: World, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 * MIB) as disk:
        target = disk / "backup.json.gz"
        target.write_bytes(b"the old export")
        ballast = fill(disk, free)
        ran = world.blixard(*EXPORT, target)
        old, left = target.read_bytes(), sorted(path.name for path in disk.iterdir())
        ballast.unlink()
        again = world.blixard(*EXPORT, target)

    failed(ran, 30, "space")
    assert (old, left) == (b"the old export", ["backup.json.gz", "ballast"])
    assert again.code == 0
    assert litter(world) == []


@pytest.mark.root
@pytest.mark.parametrize("free", [0, 128 << 10, 300 << 10, 600 << 10])
def test_an_import_on_a_full_file_system_leaves_the_old_cluster(
    free: int, template: World, tmp_path: Path, unreserved: Path
) -> None:
    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        world = template.copy(disk / "world")
        before = picture(world)
        ballast = fill(disk, free)
        ran = world.blixard(*import_of(world), "--config", unreserved)
        after, left = picture(world), litter(world, staged=True)
        ballast.unlink()
        again = world.blixard(*import_of(world), "--config", unreserved)
        last, tidy = picture(world), litter(world)

    failed(ran, 30)
    assert after == before
    assert left == []
    assert again.code == 0, again
    assert set(last["web"].vms) == {"app", "db"}
    assert tidy == []


@pytest.mark.root
def test_an_import_that_cannot_fit_is_refused_before_it_stages(template: World, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        world = template.copy(disk / "world")
        before = picture(world)
        ran = world.blixard(*import_of(world))
        after, left = picture(world), litter(world)

    failed(ran, 30, "not enough space", "undo")
    assert (after, left) == (before, [])


@pytest.mark.root
@pytest.mark.parametrize("operation", ["rename", "run UPDATE"], ids=["staged", "moved in"])
def test_what_another_document_had_staged_gives_way_when_the_space_is_needed(
    operation: str, template: World, tmp_path: Path, unreserved: Path
) -> None:
    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        world = template.copy(disk / "world")
        command = (*import_of(world, "old.json.gz"), "--config", unreserved)
        killed = world.blixard(*command, observer=killed_at_the_first(operation))
        fill(disk, 300 << 10)
        ran = world.blixard(*import_of(world), "--config", unreserved)
        found, left = picture(world), litter(world)

    assert killed.code == -9
    assert ran.code == 0, ran
    assert set(found["web"].vms) == {"app", "db"}
    assert left == []


@pytest.mark.root
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
@pytest.mark.parametrize("operation", ["rename", "run UPDATE"], ids=["staged", "moved in"])
def test_gc_makes_room_where_there_is_none(
    operation: str, kind: str, template: World, tmp_path: Path, unreserved: Path
) -> None:
    with small_disk(tmp_path / "disk", 16 * MIB, kind) as disk:
        world = template.copy(disk / "world")
        before = picture(world)
        command = (*import_of(world, "old.json.gz"), "--config", unreserved)
        killed = world.blixard(*command, observer=killed_at_the_first(operation))
        (world.cluster().disks / "nobody.raw").write_bytes(noise(100_000, 9))
        assert picture(world) == before  # and with it goes the index that the killed command left
        assert not list(world.data.rglob("*-shm"))
        fill(disk, 0)
        status = world.blixard("cluster", "status", "-c", "web")
        told = world.blixard("cluster", "gc", "--staged", "-c", "web", "--dry-run")
        ran = world.blixard("cluster", "gc", "--staged", "-c", "web")
        found, left = picture(world), litter(world)

    assert killed.code == -9
    assert (status.code, told.code, ran.code) == (0, 0, 0), (status, told, ran)
    assert "nobody.raw" in told.out
    assert found == before
    assert left == []


def killed_at_the_first(operation: str) -> Callable[[str, str], None]:
    """An observer that kills the import once its disks are staged."""

    def observe(name: str, path: str) -> None:
        if name == operation and "/clusters/web/" in path:
            os.kill(os.getpid(), signal.SIGKILL)

    return observe


@pytest.mark.root
@pytest.mark.parametrize("free", [0, 96 << 10, 400 << 10])
def test_a_vm_that_does_not_fit_leaves_nothing(free: int, template: World, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        world = template.copy(disk / "world")
        before = picture(world)
        ballast = fill(disk, free)
        disks = [f"{world.images / name},name={name[0]}" for name in ("a.raw", "c.raw", "b.qcow2")]
        ran = world.blixard("vm", "create", "big", *(word for each in disks for word in ("--disk", each)))
        ballast.unlink()
        after, left = picture(world), litter(world)
        gc = world.blixard("cluster", "gc")

    failed(ran, 30)
    assert (after, left, gc.code) == (before, [], 0)


# read-only, and other users' files


@contextmanager
def read_only(at: Path) -> Iterator[None]:
    remount(at, "remount,ro")
    try:
        yield
    finally:
        remount(at, "remount,rw")


def remount(at: Path, options: str) -> None:
    subprocess.run(["mount", "-o", options, str(at)], check=True)


@pytest.mark.root
def test_a_read_only_target_is_an_error_of_storage(world: World, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 * MIB) as disk:
        target = disk / "backup.json.gz"
        target.write_bytes(b"the old export")
        with read_only(disk):
            ran = world.blixard(*EXPORT, target)
        content = target.read_bytes()

    failed(ran, 30, "read-only")
    assert content == b"the old export"
    assert litter(world) == []


@pytest.mark.root
def test_a_read_only_data_directory_is_an_error_of_storage(template: World, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        world = template.copy(disk / "world")
        before = picture(world)
        with read_only(disk):
            ran = world.blixard(*import_of(world))
            created = world.blixard("vm", "create", "new", "-c", "web")
        after = picture(world)

    failed(ran, 30, "read-only")
    failed(created, 30)
    assert after == before


@pytest.fixture
def public(template: World) -> Iterator[World]:
    """A world that another user can reach."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with fast_folder() as folder:
        folder.chmod(0o755)
        yield template.copy(folder / "world")


def give(path: Path) -> None:
    """Let nobody own all of `path`."""
    for each in (path, *path.rglob("*")):
        os.chown(each, NOBODY, NOBODY)


@pytest.mark.root
def test_what_another_user_may_not_read_or_write_is_an_error_of_storage(public: World) -> None:
    world = public
    before = picture(world)
    foreign = world.root / "foreign"
    foreign.mkdir(0o700)
    (foreign / "disk.raw").write_bytes(b"x" * 5000)
    (foreign / "file.json.gz").write_bytes((world.out / "new.json.gz").read_bytes())
    attempts: dict[str, tuple[str | Path, ...]] = {
        "export into": (*EXPORT, foreign / "backup.json.gz"),
        "import from": ("cluster", "import", "-i", foreign / "file.json.gz", "-c", "web"),
        "create from": ("vm", "create", "new", "-c", "web", "--disk", f"{foreign / 'disk.raw'},name=root"),
    }

    whole = world.blixard("cluster", "status", user=NOBODY)
    give(world.data)
    tried = {name: world.blixard(*arguments, user=NOBODY) for name, arguments in attempts.items()}

    failed(whole, 30, "permission denied")
    for ran in tried.values():
        assert ran.code == 30, ran
        assert "ermission denied" in ran.err, ran
    assert picture(world) == before
    assert litter(world) == []


@pytest.mark.root
def test_an_unreadable_disk_costs_only_itself(public: World) -> None:
    world = public
    give(world.data)
    give(world.out)
    [path] = world.cluster().disks.glob("app-data-*")
    os.chown(path, 0, 0)

    ran = world.blixard(*EXPORT, world.out / "new.json.gz", "--json", user=NOBODY)

    assert ran.code == 3, ran
    assert "ermission denied" in ran.out
    assert litter(world) == []


# disks


def disk_of(world: World, name: str) -> Path:
    [path] = world.cluster().disks.glob(f"{name}-*")
    return path


@pytest.mark.root
def test_an_io_error_of_one_disk_costs_only_that_disk(world: World, tmp_path: Path) -> None:
    """A loop device whose backing file was cut short: the kernel answers EIO for the rest."""
    with failing_device(tmp_path) as device:
        world.must("vm", "create", "bad", "--disk", f"{device},name=root,format=raw", "--image-in-place")
        break_device(tmp_path, device)
        target = world.out / "new.json.gz"
        old = target.read_bytes()
        refused = world.blixard(*EXPORT, target, "--all-or-nothing")
        kept = target.read_bytes()
        ran = world.blixard(*EXPORT, target)
        restored = world.blixard("cluster", "import", "-i", target, "-c", "copy")

    failed(refused, 30, "bad/root", "nput/output error")
    assert kept == old
    assert ran.code == 3, ran
    assert "bad/root" in ran.err
    assert restored.code == 3, restored
    found = picture(world)
    assert {name: each for name, each in found["web"].disks.items() if name != "bad/root"} == found["copy"].disks
    assert litter(world) == []


@contextmanager
def failing_device(folder: Path) -> Iterator[Path]:
    (folder / "backing").write_bytes(noise(MIB, 9))
    made = subprocess.run(["losetup", "-f", "--show", folder / "backing"], check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"cannot make a loop device: {made.stderr.strip()}")
    device = Path(made.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def break_device(folder: Path, device: Path) -> None:
    os.truncate(folder / "backing", 256 << 10)
    subprocess.run(["blockdev", "--flushbufs", device], check=True)
    try:
        with device.open("rb", buffering=0) as file:
            file.seek(512 << 10)
            file.read(4096)
    except OSError:
        return
    pytest.skip("this kernel gives zeros instead of an I/O error")


def remove(path: Path) -> None:
    path.unlink()


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut_qcow2(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize("harm", [remove, replace_by_directory, cut_qcow2])
def test_a_disk_that_is_gone_costs_only_itself(harm: Callable[[Path], None], world: World) -> None:
    harm(disk_of(world, "app-data"))
    target = world.out / "new.json.gz"
    old = target.read_bytes()

    refused = world.blixard(*EXPORT, target, "--all-or-nothing")
    kept = target.read_bytes()
    ran = world.blixard(*EXPORT, target)
    restored = world.blixard("cluster", "import", "-i", target, "-c", "copy")

    failed(refused, 30, "app/data")
    assert kept == old
    assert (ran.code, restored.code) == (3, 3)
    assert set(picture_of_copy(world)) == {"app/root", "tmp/root"}


def picture_of_copy(world: World) -> dict[str, str]:
    return picture_without(world, "web")


def picture_without(world: World, name: str) -> dict[str, str]:
    import shutil

    shutil.rmtree(world.data / "clusters" / name)
    return next(iter(picture(world).values())).disks


def at_the_first(operation: str, path: Path, action: Callable[[], object]) -> Callable[[str, str], None]:
    """An observer that does something once."""
    waiting = [action]

    def observe(*done: str) -> None:
        if done == (operation, str(path)) and waiting:
            waiting.pop()()

    return observe


def grow(path: Path) -> None:
    os.truncate(path, path.stat().st_size + MIB)


def scribble(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"written while it is exported")


def test_a_disk_that_grew_before_the_export_goes_out_whole(world: World) -> None:
    path = world.images / "a.raw"
    world.must("vm", "create", "grows", "--disk", f"{path},name=root", "--image-in-place")
    grow(path)

    world.must(*EXPORT, world.out / "new.json.gz")
    world.must("cluster", "import", "-i", world.out / "new.json.gz", "-c", "copy")
    found = picture(world)

    assert found["copy"].vms["grows"]["disks"][0]["size_bytes"] == path.stat().st_size
    assert found["copy"].disks["grows/root"] == found["web"].disks["grows/root"]


def test_a_disk_that_grows_while_it_is_exported_costs_only_itself(world: World) -> None:
    path = world.images / "a.raw"
    world.must("vm", "create", "grows", "--disk", f"{path},name=root", "--image-in-place")

    target = world.out / "new.json.gz"
    ran = world.blixard(*EXPORT, target, observer=at_the_first("create", target, lambda: grow(path)))

    assert ran.code == 3, ran
    assert "grows/root" in ran.err
    assert "size changed" in ran.err


@pytest.fixture
def large(world: World) -> Path:
    """A disk of a VM that is exported in more than one write."""
    path = world.images / "large.raw"
    path.write_bytes(noise(6 * MIB, 7))
    world.must("vm", "create", "busy", "--disk", f"{path},name=root", "--image-in-place")
    return path


def test_a_disk_that_is_written_to_while_it_is_exported_is_told(large: Path, world: World) -> None:
    target = world.out / "new.json.gz"
    ran = world.blixard(*EXPORT, target, "--json", observer=at_the_first("write", target, lambda: scribble(large)))
    old = target.read_bytes()
    refused = world.blixard(
        *EXPORT,
        target,
        "--require-consistency",
        "crash",
        observer=at_the_first("write", target, lambda: scribble(large)),
    )

    assert ran.code == 3, ran
    assert '"consistency":"unknown"' in ran.out.replace(" ", "")
    failed(refused, 4, "busy/root", "unknown")
    assert target.read_bytes() == old
    assert litter(world) == []


# in use, and locked


def test_a_disk_in_use_is_not_replaced_without_consent(world: World) -> None:
    before = picture(world)
    with disk_of(world, "app-root").open("rb"):
        ran = world.blixard(*import_of(world))
        exported = world.blixard(*EXPORT, world.out / "used.json.gz", "--json")
        left = litter(world, staged=True)
        unchanged = picture(world)
        forced = world.blixard(*import_of(world), "--force-in-use")

    failed(ran, 4, "app/root", str(os.getpid()), "--force-in-use")
    assert (unchanged, left) == (before, [])
    assert exported.code == 0
    assert '"consistency":"crash"' in exported.out.replace(" ", "")
    assert forced.code == 0


def test_a_disk_in_use_is_not_taken_back_without_consent(world: World) -> None:
    world.must(*import_of(world))
    before = picture(world)
    staged = next(path for path in world.cluster().disks.iterdir() if path.name.endswith("-0.raw"))
    with staged.open("rb"):
        ran = world.blixard("cluster", "undo", "-c", "web")
        unchanged = picture(world)
        forced = world.blixard("cluster", "undo", "-c", "web", "--force")

    failed(ran, 4, "app/root", "--force")
    assert unchanged == before
    assert forced.code == 0


@pytest.mark.root
def test_a_disk_behind_a_loop_device_is_in_use(world: World) -> None:
    path = disk_of(world, "app-root")
    made = subprocess.run(["losetup", "-f", "--show", path], check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"cannot make a loop device: {made.stderr.strip()}")
    try:
        ran = world.blixard(*import_of(world))
    finally:
        subprocess.run(["losetup", "-d", made.stdout.strip()], check=True)

    failed(ran, 4, "app/root", made.stdout.strip())


def test_a_locked_cluster_names_its_holder(world: World) -> None:
    before = picture(world)
    attempts = [
        import_of(world),
        (*EXPORT, world.out / "new.json.gz"),
        ("vm", "create", "new", "-c", "web", "--disk", f"{world.images / 'a.raw'},name=root"),
        ("vm", "delete", "app", "-c", "web"),
        ("cluster", "undo", "-c", "web"),
        ("cluster", "gc", "-c", "web"),
    ]
    old = (world.out / "new.json.gz").read_bytes()
    with FlockLocks(Home(world.data).cluster("web")).alone("some work"):
        tried = [world.blixard(*arguments) for arguments in attempts]

    for ran in tried:
        failed(ran, 21, "some work", str(os.getpid()), "--lock-wait")
    assert picture(world) == before
    assert (world.out / "new.json.gz").read_bytes() == old
    assert litter(world) == []
