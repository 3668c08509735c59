"""Masking secrets in JSON objects, by a published list, and putting them back.

The list is data and printed in the docs as it stands: an operator must be able to tell what `--redact` will miss. What
was masked for nothing costs a look into the secrets file; what was missed is public for ever.
"""

from __future__ import annotations

import binascii
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import pybase64
from msgspec import Struct, UnsetType

from blixard.errors import UsageError
from blixard.model.pointer import Tokens, find, join, parse, put
from blixard.redact.patterns import METADATA_KEY, SECRET_KEY, TEXT

MASK = "(redacted)"
"""What stands in the place of a secret; a whole object or number becomes null."""
_PROTECTED = ("name", "id", "role", "format", "vcpus", "memory", "size_bytes", "offset", "blake3")
"""A document cannot be read without these fields."""


class Redaction(Struct, frozen=True):
    """A masked value, and the originals by JSON pointer in document order: the keys are `metadata.redacted`."""

    value: Any
    secrets: dict[str, Any]


class Finding(Struct, frozen=True):
    """Something that looks like a secret. `shown` is masked unless it was asked for clear."""

    pointer: str
    rule: str
    shown: Any


class _Hit(Struct, frozen=True):
    """A secret that was found: where, by which rule, and what stands there once it is masked."""

    tokens: Tokens
    rule: str
    original: Any
    masked: Any


def parse_paths(paths: Iterable[str]) -> tuple[Tokens, ...]:
    """User paths (`redact.paths`): JSON pointers whose tokens may be globs; `**` is any number of tokens.

    Raises:
        UsageError: no pointer, or of a field that a document cannot be without.
    """
    parsed = []
    for path in paths:
        tokens = parse(path)
        if not tokens or tokens[-1] in _PROTECTED:
            raise UsageError(f"`{path}` cannot be redacted", hint="a document cannot be read without it")
        parsed.append(tokens)
    return tuple(parsed)


def mask(value: Any, at: Tokens = (), *, paths: tuple[Tokens, ...] = ()) -> Redaction:
    """The value with every secret masked; itself, not a copy, when there is none.

    Args:
        value: a document, or a part of it (a VM, a node, a telemetry element).
        at: where the part stands in the document: `("vms", "web-1")`.
        paths: of `parse_paths`, in addition to the published list.
    """
    hits = list(_hits(value, at, paths))
    if not hits:
        return Redaction(value, {})
    masked = deepcopy(value)
    for hit in hits:
        inside = hit.tokens[len(at) :]
        if inside:
            put(masked, inside, hit.masked)
        else:
            masked = hit.masked
    return Redaction(masked, {join(hit.tokens): hit.original for hit in hits})


def rejoin(document: Any, secrets: Mapping[str, Any]) -> Any:
    """A copy of the document with its secrets in their places.

    Raises:
        UsageError: a pointer that names nothing in it: the secrets are another file's.
    """
    joined = deepcopy(document)
    for pointer, value in secrets.items():
        tokens = parse(pointer)
        if isinstance(find(joined, tokens), UnsetType) or not put(joined, tokens, value):
            raise UsageError(f"the secrets are of another file: it has no `{pointer}`")
    return joined


def find_secrets(
    value: Any, at: Tokens = (), *, paths: tuple[Tokens, ...] = (), clear: bool = False
) -> tuple[Finding, ...]:
    """What looks like a secret, and by which rule."""
    return tuple(
        Finding(join(hit.tokens), hit.rule, hit.original if clear else hit.masked) for hit in _hits(value, at, paths)
    )


def _hits(value: Any, at: Tokens, paths: tuple[Tokens, ...]) -> Iterator[_Hit]:
    whole = _whole_rule(value, at, paths)
    if whole is not None:
        yield _Hit(at, whole, value, MASK if isinstance(value, str) else None)
    elif isinstance(value, dict):
        yield from _in_object(value, at, paths)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _hits(item, (*at, str(position)), paths)
    elif isinstance(value, str):
        yield from _in_text(value, at)


def _whole_rule(value: Any, at: Tokens, paths: tuple[Tokens, ...]) -> str | None:
    """The rule by which all of a value is a secret; nothing that is empty or masked is one."""
    if not at or value in (None, "", MASK, {}, []):
        return None
    if paths and any(_matches(at, path) for path in paths):
        return "configured path"
    if at[-1] == "transport_config" and at[0] == "nodes":
        return "transport config"
    if isinstance(value, str) and at[-1] == "join_addr" and not re.fullmatch(r"[\w.\[\]:%-]{1,80}:\d{1,5}", value):
        return "join ticket"
    if at[:3] == ("metadata", "template", "variables") and at[4:] == ("default",) and _names_secret(at[3]):
        return "secret variable"
    if isinstance(value, str | int) and not isinstance(value, bool) and _is_secret_key(at):
        return "secret key"
    return None


def _is_secret_key(at: Tokens) -> bool:
    inside_metadata = len(at) > 1 and at[-2] in ("metadata", "labels") and at[0] in ("vms", "nodes")
    return _names_secret(at[-1], anything=inside_metadata)


@lru_cache(maxsize=4096)
def _names_secret(key: str, *, anything: bool = False) -> bool:
    """The same few hundred keys come 100,000 times."""
    return key not in _PROTECTED and (METADATA_KEY if anything else SECRET_KEY).search(key) is not None


def _in_object(value: dict[str, Any], at: Tokens, paths: tuple[Tokens, ...]) -> Iterator[_Hit]:
    if value.get("secret") is True and value.get("default") not in (None, "", MASK) and "targets" in value:
        yield _Hit((*at, "default"), "secret variable", value["default"], None)
        value = {key: item for key, item in value.items() if key != "default"}
    secret_pair = isinstance(value.get("key"), str) and _names_secret(value["key"])
    for key, item in value.items():
        if item is None or item is True or item is False:
            continue
        place = (*at, key)
        if key == "value" and secret_pair and isinstance(item, dict):
            # an attribute of OTLP: {"key": "password", "value": {"stringValue": "..."}}
            yield from (_Hit((*place, kind), "secret key", text, MASK) for kind, text in item.items() if text)
        elif key == "headers" and isinstance(item, list):
            yield from _in_headers(item, place, paths)
        elif key == "base64" and isinstance(item, str) and "role" in value:
            yield from _in_base64(item, place)
        else:
            hits = list(_hits(item, place, paths))
            yield from hits
            if hits and key == "text" and "role" in value and "size_bytes" in value:
                size = len(str(hits[0].masked).encode())
                yield _Hit((*at, "size_bytes"), hits[0].rule, value["size_bytes"], size)


def _in_headers(headers: list[Any], at: Tokens, paths: tuple[Tokens, ...]) -> Iterator[_Hit]:
    """HTTP headers as a list of [name, value], as the original writes them."""
    for position, header in enumerate(headers):
        place = (*at, str(position))
        is_pair = isinstance(header, list) and len(header) == 2 and all(isinstance(part, str) for part in header)
        if is_pair and header[1] != MASK and _names_secret(header[0]):
            yield _Hit((*place, "1"), "secret header", header[1], MASK)
        else:
            yield from _hits(header, place, paths)


def _in_base64(encoded: str, at: Tokens) -> Iterator[_Hit]:
    """A file that is no UTF-8 may hold a key all the same; it is masked as a whole."""
    try:
        text = pybase64.b64decode(encoded, validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return
    for hit in _in_text(text, at):
        yield _Hit(at, hit.rule, encoded, pybase64.b64encode(MASK.encode()).decode())


def _in_text(text: str, at: Tokens) -> Iterator[_Hit]:
    """Secrets inside a text: what stands around them stays readable."""
    masked, found, lowered = text, None, text.lower()
    for rule, words, pattern in TEXT:
        if not any(word in lowered for word in words):
            continue
        replaced = pattern.sub(_masked_group, masked)
        if replaced != masked:
            masked, found = replaced, found or rule
    if found is not None:
        yield _Hit(at, found, text, masked)


def _masked_group(match: re.Match[str]) -> str:
    start, end = match.span("secret")
    if match["secret"] == MASK:
        return match[0]
    return match.string[match.start() : start] + MASK + match.string[end : match.end()]


def _matches(tokens: Tokens, path: Tokens) -> bool:
    if not path:
        return not tokens
    if path[0] == "**":
        return any(_matches(tokens[skip:], path[1:]) for skip in range(len(tokens) + 1))
    return bool(tokens) and fnmatch.fnmatchcase(tokens[0], path[0]) and _matches(tokens[1:], path[1:])
