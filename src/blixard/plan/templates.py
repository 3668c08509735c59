"""Templates: variables with types that a document declares, and the document of a template itself.

A template is a valid export whose targets hold samples (FORMAT.md section 2): there are no placeholders inside values,
so nothing is ever substituted into text.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from blixard.errors import InvalidField, UsageError
from blixard.model.structs import ExportHead, JsonObject, RaftState, Vm
from blixard.plan.options import Values

ENVIRONMENT_PREFIX = "BLIXARD_VAR_"
FIXED_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""`exported_at` of a template: git shall see a change only when the cluster changed."""


class VariableType(StrEnum):
    """What a variable's value is."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


class Variable(Struct, frozen=True, kw_only=True):
    """One declared variable."""

    type: VariableType = VariableType.STRING
    default: Any = UNSET
    description: str = ""
    secret: bool = False
    targets: tuple[str, ...] = ()
    """JSON pointers into the document, names of the source."""


class Assignment(Struct, frozen=True):
    """A value for one target of a variable."""

    pointer: str
    value: Any
    secret: bool


def variables_of(template: JsonObject | None) -> dict[str, Variable]:
    """The variables that `metadata.template` declares.

    Raises:
        InvalidField: naming the variable.
    """
    declared = (template or {}).get("variables", {})
    if not isinstance(declared, dict):
        raise InvalidField("metadata.template.variables", "must be an object")
    return {name: _variable(name, given) for name, given in declared.items()}


def assignments(variables: dict[str, Variable], values: Values, ruled: dict[str, Any]) -> tuple[Assignment, ...]:
    """A value for every target: `--var`, then the variables file, the rules file, the environment, the default.

    Raises:
        UsageError: a value for a variable that is not declared, a value of the wrong type, or variables without a
            value; one error names all of them.
    """
    _refuse_unknown(variables, [*values.given, *values.file, *ruled])
    made: dict[str, Any] = {name: _value(name, each, values, ruled) for name, each in variables.items()}
    missing = [name for name, value in made.items() if isinstance(value, UnsetType)]
    if missing:
        first = missing[0]
        raise UsageError(
            f"no value for {_listed(missing)}",
            hint=f"give each one: `--var {first}=...`, `--var-file FILE` or `{ENVIRONMENT_PREFIX}{first}`",
        )
    return tuple(
        Assignment(pointer, made[name], variable.secret)
        for name, variable in variables.items()
        for pointer in variable.targets
    )


def template_of(head: ExportHead, vms: Iterable[Vm]) -> tuple[ExportHead, tuple[Vm, ...]]:
    """The same document as a template for git: no revision, no raft facts, no placement, a fixed time.

    Ids stay: they are how an import of it finds again what it made.
    """
    metadata = structs.replace(
        head.metadata,
        revision=None,
        exporter=None,
        provenance=None,
        telemetry_included=False,
        images_included=False,
        template=head.metadata.template or {"variables": {}},
    )
    first = min((node.id for node in head.nodes), default=head.exported_by_node)
    made = structs.replace(
        head, exported_at=FIXED_TIME, exported_by_node=first, raft_state=RaftState(), metadata=metadata
    )
    return made, tuple(_placeless(vm) for vm in vms)


def _placeless(vm: Vm) -> Vm:
    return structs.replace(
        vm,
        node_id=None,
        hold=None,
        disks=tuple(structs.replace(disk, image=UNSET, source=UNSET) for disk in vm.disks),
        files=tuple(structs.replace(file, image=UNSET) for file in vm.files),
    )


def _variable(name: str, given: Any) -> Variable:
    at = f"metadata.template.variables.{name}"
    try:
        variable = msgspec.convert(given, Variable)
    except msgspec.ValidationError as error:
        raise InvalidField(at, str(error)[:1].lower() + str(error)[1:]) from error
    if not isinstance(variable.default, UnsetType) and not _fits(variable.default, variable.type):
        raise InvalidField(f"{at}.default", f"is no {variable.type}")
    return variable


def _refuse_unknown(variables: dict[str, Variable], given: list[str]) -> None:
    unknown = sorted(set(given) - set(variables))
    if unknown:
        there = f"it has {_listed(sorted(variables))}" if variables else "it declares none"
        raise UsageError(f"the file has no variable {_listed(unknown)}", hint=there)


def _value(name: str, variable: Variable, values: Values, ruled: dict[str, Any]) -> Any:
    if name in values.given:
        return _parsed(name, variable, values.given[name])
    for source in (values.file, ruled):
        if name in source:
            return _typed(name, variable, source[name])
    if name in values.environment:
        return _parsed(name, variable, values.environment[name])
    return variable.default


def _parsed(name: str, variable: Variable, text: str) -> Any:
    if variable.type is VariableType.STRING:
        return text
    try:
        return _typed(name, variable, msgspec.json.decode(text))
    except msgspec.DecodeError as error:
        raise _wrong_type(name, variable, text) from error


def _typed(name: str, variable: Variable, value: Any) -> Any:
    if not _fits(value, variable.type):
        raise _wrong_type(name, variable, value)
    return value


def _fits(value: Any, kind: VariableType) -> bool:
    if kind is VariableType.STRING:
        return isinstance(value, str)
    if kind is VariableType.BOOLEAN:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (kind is VariableType.NUMBER and isinstance(value, float))


def _wrong_type(name: str, variable: Variable, value: Any) -> UsageError:
    shown = "the value" if variable.secret else f"`{value}`"
    return UsageError(f"variable `{name}`: {shown} is no {variable.type}")


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
