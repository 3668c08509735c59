import os
import subprocess
import sys
from pathlib import Path

import pytest

from blixard.home.in_use import DiskUser, in_use, users_of


def test_another_process_that_has_the_file_open_is_named(tmp_path: Path) -> None:
    image, other = tmp_path / "disk.img", tmp_path / "other.img"
    image.write_bytes(b"x")
    other.write_bytes(b"x")
    os.link(image, tmp_path / "hard")
    script = "import sys; f = open(sys.argv[1]); g = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "hard")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        users = in_use(image)
        all_users = users_of([image, other, tmp_path / "missing"])
        process.communicate()

    assert [user.pid for user in users] == [process.pid]
    assert users[0].command.startswith(sys.executable)
    assert all_users == {image: users}
    assert in_use(image) == []


def test_we_ourselves_do_not_count(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(b"x")
    with image.open():
        assert in_use(image) == []


@pytest.mark.root
def test_a_loop_device_is_named(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    made = subprocess.run(["losetup", "-f", "--show", str(image)], check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"cannot make a loop device: {made.stderr.strip()}")
    device = made.stdout.strip()
    try:
        users = in_use(image)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)

    assert users == [DiskUser(0, device)]
