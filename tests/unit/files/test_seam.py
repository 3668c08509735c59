import errno
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import StorageError
from support.faults import FailAt, operations


def test_an_observer_sees_each_operation_before_it_happens(tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []
    with files.observe(lambda operation, path: seen.append((operation, Path(path).exists()))):
        files.make_dir(tmp_path / "new")

    assert seen == [("make directory", False), ("fsync directory", True)]


def test_an_observation_ends_with_its_block(tmp_path: Path) -> None:
    seen = operations(lambda: files.make_dir(tmp_path / "one"))
    files.make_dir(tmp_path / "two")

    assert len(seen) == 2


def test_observations_nest(tmp_path: Path) -> None:
    outer: list[str] = []
    with files.observe(lambda operation, _: outer.append(operation)):
        operations(lambda: files.make_dir(tmp_path / "inner"))
        files.unlink(tmp_path / "nothing", missing_ok=True)

    assert outer == ["unlink"]


@pytest.mark.parametrize(
    ("code", "text", "hint"),
    [
        (errno.ENOSPC, "no space left on device", "free some space"),
        (errno.EDQUOT, "isk quota exceeded", "quota"),
        (errno.EACCES, "permission denied", "owner and mode"),
        (errno.EROFS, "read-only file system", "mounted read-only"),
        (errno.EIO, "nput/output error", "dmesg"),
    ],
)
def test_a_failure_names_operation_path_and_next_step(tmp_path: Path, code: int, text: str, hint: str) -> None:
    path = tmp_path / "state"
    with files.observe(FailAt(0, code)), pytest.raises(StorageError) as caught:
        files.create(path)

    assert caught.value.message.startswith(f"cannot create `{path}`: ")
    assert text in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 30
    assert isinstance(caught.value.__cause__, OSError)


def test_a_missing_parent_is_the_hint(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        files.create(tmp_path / "nowhere" / "file")

    assert caught.value.hint == f"the directory `{tmp_path / 'nowhere'}` does not exist"
