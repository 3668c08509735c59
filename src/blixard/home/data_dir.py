"""Where the data directory is when nobody says: cron without HOME and a login shell must find the same one."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from pathlib import Path

from blixard.errors import UsageError


def default_data_dir(env: Mapping[str, str], uid: int) -> Path:
    """`BLIXARD_DATA_DIR`, else `/var/lib/blixard` for root, else `blixard` in the XDG data directory.

    Args:
        env: the environment.
        uid: the effective user.

    Raises:
        UsageError: the user has neither HOME nor a passwd entry.
    """
    if env.get("BLIXARD_DATA_DIR"):
        return Path(env["BLIXARD_DATA_DIR"]).absolute()
    if uid == 0:
        return Path("/var/lib/blixard")
    # the XDG specification: a relative path there is invalid and to be ignored
    named = Path(env.get("XDG_DATA_HOME", ""))
    if named.is_absolute():
        return named / "blixard"
    return _user_home(env, uid) / ".local" / "share" / "blixard"


def _user_home(env: Mapping[str, str], uid: int) -> Path:
    named = Path(env.get("HOME", ""))
    if named.is_absolute():
        return named
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except KeyError as error:
        raise UsageError(
            f"no data directory: user {uid} has neither `HOME` nor a passwd entry",
            hint="give one with `--data-dir DIR` or `BLIXARD_DATA_DIR`",
        ) from error
