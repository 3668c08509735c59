"""JSON pointers (RFC 6901): read, put and remove a value by place.

Rules, redaction and trust all name places in a document; one reading of the RFC keeps them talking of the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, UnsetType

from blixard.errors import UsageError

Tokens = tuple[str, ...]

_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


def parse(pointer: str) -> Tokens:
    """The reference tokens of a pointer, unescaped; the whole document is `()`.

    Raises:
        UsageError: it does not begin with `/`, or `~` stands before something else than 0 or 1.
    """
    if pointer == "":
        return ()
    if not pointer.startswith("/"):
        raise UsageError(f"`{pointer}` is not a JSON pointer", hint="it begins with `/`: `/vms/web-1/memory`")
    if re.search(r"~(?![01])", pointer):
        raise UsageError(f"`{pointer}` is not a JSON pointer", hint="write `~0` for `~` and `~1` for `/`")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))


def join(tokens: Iterable[str | int]) -> str:
    """The pointer that names these tokens."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def is_inside(tokens: Tokens, place: Tokens) -> bool:
    """True when `tokens` names `place` or something in it."""
    return tokens[: len(place)] == place


def find(value: Any, tokens: Tokens) -> Any | UnsetType:
    """The value there; UNSET when there is none."""
    for token in tokens:
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return UNSET
    return value


def put(value: Any, tokens: Tokens, new: Any) -> bool:
    """Set `new` inside `value`, which is changed; `-` appends to an array. False when its parent is not there."""
    parent = find(value, tokens[:-1])
    last = tokens[-1]
    if isinstance(parent, dict):
        parent[last] = new
        return True
    if not isinstance(parent, list):
        return False
    if last == "-":
        parent.append(new)
        return True
    if not _INDEX.fullmatch(last) or int(last) >= len(parent):
        return False
    parent[int(last)] = new
    return True


def remove(value: Any, tokens: Tokens) -> bool:
    """Take a key out of an object inside `value`, which is changed; an array's element becomes null. False when absent.

    Array elements stay in place, so that the other pointers into the same array go on naming what they named.
    """
    if isinstance(find(value, tokens), UnsetType):
        return False
    parent = find(value, tokens[:-1])
    if isinstance(parent, dict):
        del parent[tokens[-1]]
    elif isinstance(parent, list):
        parent[int(tokens[-1])] = None
    return True
