import os
import subprocess
import sys
from pathlib import Path

from blixard.home import in_use, users_of


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
    assert str(tmp_path / "hard") in users[0].command
    assert all_users == {image: users}
    assert in_use(image) == []


def test_we_ourselves_do_not_count(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(b"x")
    with image.open():
        assert in_use(image) == []
