"""Where a setting comes from: flag, environment, file, default - in this order, and it is remembered which.

One table of keys gives the names, types and defaults of all of them; a key that is not in it is an error, because a
misspelt limit that is silently ignored is no limit. TOML is read only when a file is there (`tomllib` costs 17 ms).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct, structs

from blixard.did_you_mean import close_names, did_you_mean
from blixard.errors import StorageError, UsageError
from blixard.home.data_dir import default_data_dir, passwd_home
from blixard.limits import DEFAULT, GZIP_LEVEL, GZIP_LEVELS, THREADS, Limits
from blixard.plan.retention import TelemetryPolicy, UndoPolicy
from blixard.site.quantities import parse_duration, parse_size, within

SYSTEM_FILE = Path("/etc/blixard/config.toml")
PREFIX = "BLIXARD_"
T = TypeVar("T")
_UNDO, _TELEMETRY = UndoPolicy(), TelemetryPolicy()


class LaneChoice(StrEnum):
    """`p2p.lane`: which way records may take."""

    AUTO = "auto"
    IROH = "iroh"
    TCP = "tcp"
    """As `auto`, for those who want to say so."""


class Setting(Struct, frozen=True):
    """One key, its value in force, and where that came from."""

    key: str
    value: Any
    origin: str


class Key(Struct, frozen=True):
    """How a key is read, from TOML or from a variable, and what it is when nobody says."""

    read: Callable[[Any], Any]
    default: Any


def _count(given: Any) -> int:
    if isinstance(given, str) and given.isascii() and given.strip().isdecimal():
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise UsageError(f"{given!r} is not a number")
    return given


def _within(allowed: range) -> Callable[[Any], int]:
    return lambda given: within(_count(given), allowed, "it")


def _size(given: Any) -> int:
    return parse_size(given) if isinstance(given, str) else _count(given)


def _duration(given: Any) -> timedelta:
    if not isinstance(given, str):
        raise UsageError(f"{given!r} is not a duration", hint='write it in quotes with a unit: `"30d"`')
    return parse_duration(given)


def _path(given: Any) -> Path:
    if not isinstance(given, str) or not given:
        raise UsageError(f"{given!r} is not a path")
    if not given.isprintable():
        raise UsageError(f"{given!a} is not a path that can be shown", hint="use one of printable characters")
    return Path(given)


def _texts(given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        return tuple(part.strip() for part in given.split(",") if part.strip())
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise UsageError(f"{given!r} is not a list of texts")
    return tuple(given)


def _word(given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise UsageError(f"{given!r} is not a text")
    return given


def _lane(given: Any) -> LaneChoice:
    if given not in set(LaneChoice):
        raise UsageError(f"{given!r} is no lane", hint=f"one of {', '.join(LaneChoice)}")
    return LaneChoice(given)


SHARE_HOURS = 24
"""How long a share serves, and so how long its ticket is good, when nobody says."""
TELEMETRY_HOURS = 24
"""How far back the telemetry of an export goes, and `telemetry show` looks, when nobody says."""
KEYS: dict[str, Key] = {
    "data_dir": Key(_path, None),
    "undo.keep": Key(_count, _UNDO.keep),
    "undo.max_age": Key(_duration, _UNDO.max_age),
    "undo.max_bytes": Key(_size, _UNDO.max_bytes),
    "redact.paths": Key(_texts, ()),
    "telemetry.max_age": Key(_duration, _TELEMETRY.max_age),
    "telemetry.max_bytes": Key(_size, _TELEMETRY.max_bytes),
    "export.level": Key(_within(GZIP_LEVELS), GZIP_LEVEL),
    "export.threads": Key(_within(THREADS), None),
    "p2p.lane": Key(_lane, LaneChoice.AUTO),
    "p2p.relay": Key(_word, None),
    "p2p.listen": Key(_word, None),
    "p2p.advertise": Key(_texts, ()),
    "p2p.limit_rate": Key(_size, None),
    **{
        f"limits.{field.name}": Key(_size if field.name.endswith("_bytes") else _count, field.default)
        for field in structs.fields(Limits)
    },
}


class Config:
    """Every setting in force; `settings` tells where each came from."""

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self.settings = dict(settings)

    @property
    def limits(self) -> Limits:
        """The bounds in force."""
        chosen = {
            key.removeprefix("limits."): each.value
            for key, each in self.settings.items()
            if key.startswith("limits.") and each.origin != "default"
        }
        return structs.replace(DEFAULT, **chosen) if chosen else DEFAULT

    @property
    def data_dir(self) -> Path:
        """This node's home."""
        return self.get("data_dir", Path)

    def get(self, key: str, kind: type[T]) -> T:
        """The value of `key`, which is known to be a `kind`."""
        value = self.settings[key].value
        if not isinstance(value, kind):
            raise TypeError(f"{key} is a {type(value).__name__}")
        return value

    def optional(self, key: str, kind: type[T]) -> T | None:
        """The value of `key`, None when it is not set and has no default."""
        return None if self.settings[key].value is None else self.get(key, kind)


def load_config(flags: Mapping[str, str | None], environment: Mapping[str, str] = os.environ) -> Config:
    """Find and check every setting.

    Args:
        flags: key to the text of the option, None when it was not given; `config` is the file.
        environment: `BLIXARD_UNDO_KEEP` is `undo.keep`.

    Raises:
        UsageError: an unknown key, a value of the wrong kind, a `--config` file that does not exist.
        StorageError: a file that is there and cannot be read.
    """
    files = [(path, _read(path, required=required)) for path, required in _files(flags.get("config"), environment)]
    settings = {name: _find(name, key, flags.get(name), environment, files) for name, key in KEYS.items()}
    if settings["data_dir"].value is None:
        settings["data_dir"] = Setting("data_dir", default_data_dir(environment, os.geteuid()), "default")
    return Config(settings)


def _find(
    name: str,
    key: Key,
    flag: str | None,
    environment: Mapping[str, str],
    files: list[tuple[Path, dict[str, Any]]],
) -> Setting:
    variable = PREFIX + name.upper().replace(".", "_")
    if flag is not None:
        return _checked(name, key, flag, f"flag --{name.replace('_', '-')}")
    if environment.get(variable):
        return _checked(name, key, environment[variable], f"environment {variable}")
    for path, table in files:
        if name in table:
            return _checked(name, key, table[name], str(path))
    return Setting(name, key.default, "default")


def _checked(name: str, key: Key, given: Any, origin: str) -> Setting:
    try:
        return Setting(name, key.read(given), origin)
    except UsageError as error:
        raise UsageError(f"setting `{name}` from {origin}: {error.message}", hint=error.hint) from error


def _files(flag: str | None, environment: Mapping[str, str]) -> list[tuple[Path, bool]]:
    """Configuration files in order of precedence; True when it must exist."""
    chosen = flag or environment.get("BLIXARD_CONFIG")
    if chosen:
        return [(Path(chosen), True), (SYSTEM_FILE, False)]
    folder = environment.get("XDG_CONFIG_HOME")
    home = environment.get("HOME") or passwd_home(os.geteuid())
    if folder and Path(folder).is_absolute():
        return [(Path(folder, "blixard/config.toml"), False), (SYSTEM_FILE, False)]
    own = [(Path(home, ".config/blixard/config.toml"), False)] if home else []
    return [*own, (SYSTEM_FILE, False)]


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        # another user's home, as under sudo -u, is not ours to read
        if not required and (absent or isinstance(error, PermissionError)):
            return {}
        if absent:
            raise UsageError(f"no configuration file `{path}`") from error
        raise StorageError(f"cannot read `{path}`: {error.strerror}") from error
    import tomllib

    try:
        table = _flat(tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"`{path}` is not TOML: {error}") from error
    for name in table:
        if name not in KEYS:
            hint = did_you_mean(
                close_names(name, KEYS, most=2), otherwise="`blixard config show` lists the settings there are"
            )
            raise UsageError(f"`{path}`: unknown setting `{name}`", hint=hint)
    return table


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
