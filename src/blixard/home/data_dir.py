"""Where the data directory is when nobody says: cron without HOME, sudo and a login shell must find the same one."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from pathlib import Path

from blixard.errors import UsageError


def default_data_dir(env: Mapping[str, str], uid: int) -> Path:
    """`/var/lib/blixard` for root, else `blixard` in the local data of the home that the passwd entry names.

    Args:
        env: the environment; asked for `XDG_DATA_HOME` and `HOME` only where there is no entry, as in a container.
        uid: the effective user.

    Raises:
        UsageError: the user has neither HOME nor a passwd entry.
    """
    if uid == 0:
        return Path("/var/lib/blixard")
    home = passwd_home(uid)
    if not home:
        # the XDG specification: a relative path there is invalid and to be ignored
        named = Path(env.get("XDG_DATA_HOME", ""))
        if named.is_absolute():
            return named / "blixard"
        home = env.get("HOME", "")
        if not Path(home).is_absolute():
            raise UsageError(
                f"no data directory: user {uid} has neither `HOME` nor a passwd entry",
                hint="give one with `--data-dir DIR` or `BLIXARD_DATA_DIR`",
            )
    return Path(home, ".local/share/blixard")


def passwd_home(uid: int) -> str | None:
    """The home of a user's passwd entry; None in a container that has none."""
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return None
