"""How a document's names become names of the target: rename, prefix, maps and values set by place.

`Rules` is what the command line and a rules file have in common; `document.py` applies it, in the order of DESIGN.md
section 6. The TOML form is read here from text, never from a path.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from blixard.errors import UsageError
from blixard.plan.scope import WHOLE, Scope, parse_scope


class Rules(Struct, frozen=True, kw_only=True):
    """The rules of one import. Empty is: take the document as it is."""

    variables: dict[str, Any] = {}
    scope: Scope = WHOLE
    rename: dict[str, str] = {}
    """VM names, source to target."""
    prefix: str = ""
    """Put before the name of every VM that `rename` does not name."""
    map_node: dict[int, int] = {}
    map_network: dict[str, str] = {}
    sets: tuple[tuple[str, Any], ...] = ()
    """JSON pointer with target names, and the value; applied in order."""

    def target_name(self, source: str) -> str:
        """What a VM of the document will be called."""
        return self.rename.get(source) or self.prefix + source

    def source_name(self, target: str) -> str | None:
        """What a VM of this name would be called in the document; None when no name there leads to it."""
        for source, renamed in self.rename.items():
            if renamed == target:
                return source
        source = target.removeprefix(self.prefix)
        if not target.startswith(self.prefix) or source in self.rename:
            return None
        return source


def parse_rename(text: str) -> tuple[str, str]:
    """`vm:OLD=NEW`.

    Raises:
        UsageError: it is something else.
    """
    return _pair(text, r"vm:([^=]+)=(.+)", "is not a rename", "write `vm:OLD=NEW`")


def parse_node_map(text: str) -> tuple[int, int]:
    """`OLD=NEW`, both node ids.

    Raises:
        UsageError: it is something else.
    """
    hint = "write `OLD=NEW`, both node ids: `2=1`"
    old, new = _pair(text, "([0-9]{1,20})=([0-9]{1,20})", "does not map a node", hint)
    return int(old), int(new)


def parse_network_map(text: str) -> tuple[str, str]:
    """`OLD=NEW`, names of networks or bridges.

    Raises:
        UsageError: it is something else.
    """
    return _pair(text, "([^=]+)=(.+)", "does not map a network", "write `OLD=NEW`: `br0=br-lab`")


def parse_set(text: str) -> tuple[str, Any]:
    """`/json/pointer=JSON`; what is not JSON is an error, so that `true` and `"true"` stay apart.

    Raises:
        UsageError: it is something else.
    """
    hint = "write `/json/pointer=JSON`: `/vms/web-1/memory=4096`"
    pointer, value = _pair(text, "(/[^=]*)=(.*)", "sets nothing", hint)
    return pointer, _json(value, pointer)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The keys of a TOML text; `name` is what errors call it.

    Raises:
        UsageError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"`{name}` is not TOML: {error}") from error


def parse_rules(text: str, name: str = "rules") -> Rules:
    """The rules of a TOML text; `name` is what errors call it.

    Raises:
        UsageError: not TOML, an unknown key, or a value of the wrong kind; the message names it.
    """
    given = parse_toml(text, name)
    known = ("variables", "only", "except", "rename", "prefix", "map-node", "map-network", "set", "set-json")
    for key in given:
        if key not in known:
            raise UsageError(f"`{name}`: `{key}` is no rule", hint=f"the rules are {', '.join(known)}")
    tables = {key: _table(given, key, name) for key in ("variables", "rename", "map-node", "map-network", "set")}
    lists = [_texts(given, key, name) for key in ("only", "except")]
    prefix = given.get("prefix", "")
    if not isinstance(prefix, str):
        raise UsageError(f"`{name}`: `prefix` must be a string")
    written = _strings(_table(given, "set-json", name), f"{name}: set-json")
    return Rules(
        variables=tables["variables"],
        scope=parse_scope(*lists),
        rename=dict(parse_rename(f"{old}={new}") for old, new in _strings(tables["rename"], f"{name}: rename").items()),
        prefix=prefix,
        map_node=dict(parse_node_map(f"{old}={new}") for old, new in tables["map-node"].items()),
        map_network=_strings(tables["map-network"], f"{name}: map-network"),
        sets=(*tables["set"].items(), *((pointer, _json(value, pointer)) for pointer, value in written.items())),
    )


def combine(file: Rules, given: Rules) -> Rules:
    """A rules file and the command line together; what the command line says comes later and wins."""
    return Rules(
        variables={**file.variables, **given.variables},
        scope=file.scope
        if given.scope.whole
        else Scope(
            only=given.scope.only or file.scope.only,
            excluded=file.scope.excluded + given.scope.excluded,
        ),
        rename={**file.rename, **given.rename},
        prefix=given.prefix or file.prefix,
        map_node={**file.map_node, **given.map_node},
        map_network={**file.map_network, **given.map_network},
        sets=file.sets + given.sets,
    )


def _pair(text: str, pattern: str, problem: str, hint: str) -> tuple[str, str]:
    """The two parts of a rule that is written like `pattern`; an equals sign ends the first."""
    match = re.fullmatch(pattern, text, re.DOTALL)
    if match is None:
        raise UsageError(f"`{text}` {problem}", hint=hint)
    return match[1], match[2]


def _json(text: str, pointer: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        hint = 'a string needs its quotes: `"text"`'
        raise UsageError(f"`{pointer}`: the value is not JSON: {error}", hint=hint) from error


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _table(given: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    table = given.get(key, {})
    if not isinstance(table, dict):
        raise UsageError(f"`{name}`: `{key}` must be a table")
    return table


def _strings(table: Mapping[str, Any], name: str) -> dict[str, str]:
    for key, value in table.items():
        if not isinstance(value, str):
            raise UsageError(f"`{name}`: `{key}` must be a string")
    return dict(table)


def _texts(given: Mapping[str, Any], key: str, name: str) -> list[str]:
    texts = given.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"`{name}`: `{key}` must be a list of strings")
    return texts
