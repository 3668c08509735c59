"""Which part of a cluster an export holds and an import may touch: `vm=GLOB`, `node=ID`, `label=K=V`.

One value for `--only`/`--except` and for `metadata.scope`, so that a partial file can never delete what it never held.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from blixard.errors import InvalidField, UsageError
from blixard.model.structs import JsonObject, Node, Vm


class SelectorKind(StrEnum):
    """What a selector looks at."""

    VM = "vm"
    NODE = "node"
    LABEL = "label"


class Selector(Struct, frozen=True):
    """One selector; `value` is a glob, a node id in decimal, or `K=V`."""

    kind: SelectorKind
    value: str

    def text(self) -> str:
        """As it is written on a command line."""
        return f"{self.kind}={self.value}"

    def selects_vm(self, name: str, vm: Vm) -> bool:
        """True when it names this VM."""
        if self.kind is SelectorKind.VM:
            return _glob(self.value).match(name) is not None
        if self.kind is SelectorKind.NODE:
            return vm.node_id == int(self.value)
        key, _, wanted = self.value.partition("=")
        return vm.labels.get(key) == wanted

    def selects_node(self, node: Node) -> bool:
        """True when it names this node; `vm` selectors name none."""
        if self.kind is SelectorKind.NODE:
            return node.id == int(self.value)
        key, _, wanted = self.value.partition("=")
        return self.kind is SelectorKind.LABEL and node.labels.get(key) == wanted


class Scope(Struct, frozen=True, kw_only=True):
    """What any `only` selector names (all when there is none), less what any `excluded` one names."""

    only: tuple[Selector, ...] = ()
    excluded: tuple[Selector, ...] = ()

    @property
    def whole(self) -> bool:
        """True when nothing is left out."""
        return not self.only and not self.excluded

    def uses(self, kind: SelectorKind) -> bool:
        """True when a selector of this kind is in it."""
        return any(selector.kind is kind for selector in (*self.only, *self.excluded))

    def selects_vm(self, vm: Vm, name: str | None = None) -> bool:
        """True when a VM is inside, under its own name or another one."""
        if self.whole:
            return True
        called = vm.name if name is None else name
        return self._selects(lambda selector: selector.selects_vm(called, vm))

    def selects_node(self, node: Node) -> bool:
        """True when the record of this node may be touched."""
        return self._selects(lambda selector: selector.selects_node(node))

    def _selects(self, names: Callable[[Selector], bool]) -> bool:
        return (not self.only or any(map(names, self.only))) and not any(map(names, self.excluded))

    def idle(self, vms: Iterable[tuple[str, Vm]], nodes: Iterable[Node]) -> tuple[str, ...]:
        """What `only` selectors name none of these VMs, under the name beside each, and none of these nodes.

        Most likely a typo. What `--except` leaves out may well not be there.
        """
        if not self.only:
            return ()
        known, machines = tuple(vms), tuple(nodes)
        return tuple(
            selector.text()
            for selector in self.only
            if not any(selector.selects_vm(name, vm) for name, vm in known)
            and not any(map(selector.selects_node, machines))
        )

    def to_object(self) -> JsonObject | None:
        """The value of `metadata.scope`; None when nothing is left out."""
        if self.whole:
            return None
        return {"only": [each.text() for each in self.only], "except": [each.text() for each in self.excluded]}


WHOLE = Scope()


def parse_selector(text: str) -> Selector:
    """A selector from its command-line form.

    Raises:
        UsageError: naming what is wrong.
    """
    kind, equals, value = text.partition("=")
    hint = "write `vm=GLOB`, `node=ID` or `label=KEY=VALUE`"
    if not equals or not value or kind not in set(SelectorKind):
        raise UsageError(f"`{text}` is not a selector", hint=hint)
    if kind == SelectorKind.NODE and not re.fullmatch(r"[0-9]{1,20}", value):
        raise UsageError(f"`{text}`: a node id is a number", hint=hint)
    if kind == SelectorKind.LABEL and "=" not in value:
        raise UsageError(f"`{text}`: a label has a value", hint=hint)
    return Selector(SelectorKind(kind), str(int(value)) if kind == SelectorKind.NODE else value)


def parse_scope(only: Iterable[str] = (), excluded: Iterable[str] = ()) -> Scope:
    """A scope from the texts of `--only` and `--except`.

    Raises:
        UsageError: naming the first selector that is none.
    """
    return Scope(only=tuple(map(parse_selector, only)), excluded=tuple(map(parse_selector, excluded)))


def scope_of_file(given: JsonObject | None) -> Scope:
    """The scope that `metadata.scope` states.

    Raises:
        InvalidField: it cannot be read. A scope that is not understood would let a replace delete what the file never
            held, so it is not skipped.
    """
    if given is None:
        return WHOLE
    unknown = set(given) - {"only", "except"}
    lists = [given.get("only", []), given.get("except", [])]
    if unknown or not all(isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in lists):
        raise InvalidField("metadata.scope", "must be an object of the lists `only` and `except`")
    try:
        return parse_scope(*lists)
    except UsageError as error:
        raise InvalidField("metadata.scope", error.message, hint=error.hint) from error


@lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
