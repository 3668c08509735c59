from pathlib import Path

import pytest

from blixard.errors import UsageError
from blixard.home.data_dir import default_data_dir

NOBODY = 4_000_000_000


@pytest.mark.parametrize(
    ("env", "uid", "expected"),
    [
        ({"HOME": "/root", "XDG_DATA_HOME": "/x"}, 0, "/var/lib/blixard"),
        ({}, 0, "/var/lib/blixard"),
        ({"HOME": "/home/anna"}, NOBODY, "/home/anna/.local/share/blixard"),
        ({"HOME": "/home/anna", "XDG_DATA_HOME": "/x"}, NOBODY, "/x/blixard"),
        ({"HOME": "/home/anna", "XDG_DATA_HOME": "relative"}, NOBODY, "/home/anna/.local/share/blixard"),
    ],
)
def test_the_data_directory(env: dict[str, str], uid: int, expected: str) -> None:
    assert default_data_dir(env, uid) == Path(expected)


def test_the_passwd_entry_decides() -> None:
    uid = 1  # daemon: everywhere, and not root

    assert default_data_dir({}, uid).is_absolute()
    assert default_data_dir({}, uid).parts[-3:] == (".local", "share", "blixard")
    assert default_data_dir({"HOME": "/home/anna", "XDG_DATA_HOME": "/x"}, uid) == default_data_dir({}, uid)


def test_a_user_without_home_and_passwd_entry_must_say() -> None:
    with pytest.raises(UsageError, match=str(NOBODY)) as caught:
        default_data_dir({}, NOBODY)
    assert "--data-dir" in (caught.value.hint or "")
