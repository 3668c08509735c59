"""The fields of a VM on the command line: one line each, from which `vm create` and `vm set` have their options.

A field is named here as the model names it, and its value goes under that name to the codec, which knows its type and
its bounds. So a new field of the model needs one line here and nothing else above the model.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import click

from blixard.cli.options import pair, values_of
from blixard.cli.verbs.memory import megabytes
from blixard.model.structs import DesiredState, JsonObject
from blixard.ops.vm.specs import default_of

_NOTHING = "none"
"""Takes a value away that may be missing."""


class Value(NamedTuple):
    """A field that holds one value."""

    field: str
    option: str
    type: Any
    metavar: str | None
    help: str
    new: str = ""
    """What the help of `vm create` adds."""
    optional: bool = False
    """`vm set` can take it away."""


class Map(NamedTuple):
    """A field that holds texts by key, set and taken away one by one."""

    field: str
    option: str
    unset: str
    what: str


FIELDS = (
    Value("vcpus", "--vcpus", int, "N", "Virtual processors"),
    Value("memory", "--memory", megabytes, "MB", "Memory: `2048`, `2048MB`, `2GB`"),
    Value("config_path", "--config-path", str, "PATH", "Where its configuration is on the host", new=", for reference"),
    Value("ip_address", "--ip", str, "ADDRESS", "Its address", optional=True),
    Map("labels", "--label", "--unlabel", "a label"),
    Map("metadata", "--metadata", "--unset-metadata", "metadata"),
    Value("tenant_id", "--tenant", str, "ID", "Whose it is"),
    Value("priority", "--priority", int, "0-1000", "Higher runs first"),
    Value("node_id", "--node", click.IntRange(min=0), "N", "Place it on this node", new="  [this one]"),
    Value("desired_state", "--desired", click.Choice(values_of(DesiredState)), None, "What is wanted of it"),
)


def options_to_create(function: Any) -> Any:
    """The options of `vm create`: a field that is not given gets the default that help shows."""
    for each in reversed(FIELDS):
        if isinstance(each, Map):
            function = _pairs(each, f"{each.what[0].upper()}{each.what[1:]}; may be repeated")(function)
        else:
            default = default_of(each.field)
            shown = None if default in (None, "") else str(default)
            function = _value(each, each.help + each.new, default=shown, show_default=True)(function)
    return function


def options_to_change(function: Any) -> Any:
    """The options of `vm set`: a field that is not given stays as it is."""
    for each in reversed(FIELDS):
        if isinstance(each, Map):
            away = f"Take {each.what} away; may be repeated"
            unset = click.option(each.unset, multiple=True, metavar="K", help=away)
            function = _pairs(each, f"Set {each.what}; may be repeated")(unset(function))
        else:
            function = _value(each, each.help + (f"; `{_NOTHING}` takes it away" if each.optional else ""))(function)
    return function


def fields_to_create(given: JsonObject) -> JsonObject:
    """The fields that the options of `vm create` set."""
    values = {each.field: given[_parameter(each.option)] for each in FIELDS}
    return {
        name: dict(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value not in (None, ())
    }


def fields_to_change(given: JsonObject) -> JsonObject:
    """The fields that the options of `vm set` change; None takes a value, or a key of a map, away."""
    made: JsonObject = {}
    for each in FIELDS:
        value = given[_parameter(each.option)]
        if isinstance(each, Map):
            value = {**dict.fromkeys(given[_parameter(each.unset)]), **dict(value)} or None
        if value is not None:
            made[each.field] = None if isinstance(each, Value) and each.optional and value == _NOTHING else value
    return made


def _value(each: Value, text: str, **kwargs: Any) -> Any:
    return click.option(each.option, type=each.type, metavar=each.metavar, help=text, **kwargs)


def _pairs(each: Map, text: str) -> Any:
    return click.option(each.option, type=pair, multiple=True, metavar="K=V", help=text)


def _parameter(option: str) -> str:
    """What click calls the value of an option."""
    return option.removeprefix("--").replace("-", "_")
