"""Options that every command has, and the types that several share.

`command(...)` is what every command is made with: it adds the common options, collects them into a `Session` and hands
that to the function, so that no command can forget one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from blixard.cli.commands import CommonOption, Leaf, leaf
from blixard.errors import ExitCode, UsageError
from blixard.site.quantities import parse_duration, parse_size

if TYPE_CHECKING:
    from msgspec import Struct

T = TypeVar("T")


def duration(text: str | timedelta) -> timedelta:
    """An option's type: `10m`, `26h`."""
    return text if isinstance(text, timedelta) else _parsed(parse_duration, text)


def size(text: str | int) -> int:
    """An option's type: `512MiB`, `1GiB`, in bytes."""
    return text if isinstance(text, int) else _parsed(parse_size, text)


def pair(text: str | tuple[str, str]) -> tuple[str, str]:
    """An option's type: `KEY=VALUE`; the key must not be empty."""
    if isinstance(text, tuple):
        return text
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"`{text}` is not KEY=VALUE")
    return key, value


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except UsageError as error:
        raise click.BadParameter(f"{error.message}: {error.hint}" if error.hint else error.message) from error


def int_in(allowed: range) -> click.IntRange:
    """The type of an option whose value is one of `allowed`."""
    return click.IntRange(allowed[0], allowed[-1])


def values_of(kind: type[StrEnum]) -> list[str]:
    """What an option can be whose value is one of `kind`."""
    return [each.value for each in kind]


def common_options() -> list[click.Option]:
    """The options that every command has, in the order of help."""
    return [
        CommonOption(["-c", "--cluster"], metavar="NAME", help="Cluster  [BLIXARD_CLUSTER, else the current one]"),
        CommonOption(["--data-dir"], metavar="DIR", help="This node's home  [BLIXARD_DATA_DIR]"),
        CommonOption(["--node-id"], metavar="N", type=click.IntRange(min=0), help="Act for this node  [this one]"),
        CommonOption(["--config"], metavar="FILE", help="Configuration file  [BLIXARD_CONFIG]"),
        CommonOption(["--json"], is_flag=True, help="Results, warnings and errors as JSON"),
        CommonOption(["-q", "--quiet"], is_flag=True, help="Say nothing on success"),
        CommonOption(["-v", "--verbose"], count=True, help="Say more; a traceback on errors"),
        CommonOption(["--log-json"], is_flag=True, help="Log records as JSON lines"),
        CommonOption(["-y", "--yes"], is_flag=True, help="Go on without asking"),
        CommonOption(
            ["--lock-wait"],
            metavar="DURATION",
            type=duration,
            default=timedelta(0),
            help="Wait for a lock, `10m`  [do not wait]",
        ),
    ]


def command(
    *, examples: Sequence[str], exits: Sequence[ExitCode] = ()
) -> Callable[[Callable[..., ExitCode | None]], Leaf]:
    """Make `function(session, **own_options)` a command; it returns an exit code other than 0, or None.

    Args:
        examples: command lines that help begins with; they must parse.
        exits: codes beyond those that every command can end with.
    """

    def decorate(function: Callable[..., ExitCode | None]) -> Leaf:
        @wraps(function)
        def with_session(**given: Any) -> ExitCode | None:
            from blixard.cli.session import CommonOptions, Session

            common = CommonOptions(**{name: given.pop(name) for name in CommonOptions.__struct_fields__})
            return function(Session(common), **given)

        return leaf(examples=examples, exits=exits, common=common_options())(with_session)

    return decorate


def group(argument: str, kind: type[Struct], *options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Options whose values a command gets as one struct, so that what they mean is typed from here on.

    Args:
        argument: what the command calls the struct.
        kind: the struct; its fields are named as click names the options.
        options: in the order of help.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def gathered(*args: Any, **given: Any) -> Any:
            values = {name: given.pop(name) for name in kind.__struct_fields__}
            return function(*args, **given, **{argument: kind(**values)})

        for option in reversed(options):
            option(gathered)
        return gathered

    return decorate


def two_given(what: str, one: str, other: str) -> UsageError:
    """The refusal of one thing that was given twice, in ways that differ: neither is more meant than the other."""
    return UsageError(f"two {what}: {one} and {other}", hint="give one of them")


def one_of(what: str, argument: str | None, option: str, value: str | None) -> str | None:
    """What was given as an argument or with `option`; the same twice is no contradiction. None when neither was.

    Raises:
        UsageError: two `what` that differ.
    """
    if argument and value and argument != value:
        raise two_given(what, f"`{argument}`", f"`{option} {value}`")
    return value or argument


def goes_with(option: str, switch: str, hint: str | None = None) -> UsageError:
    """The refusal of an option that would do nothing without another one."""
    return UsageError(f"`{option}` goes with `{switch}`", hint=hint)


def only_with(switch: str, decorate: Callable[[Any], Any]) -> None:
    """Stop when an option of `decorate` was typed without `switch`: what would be ignored was meant.

    Raises:
        UsageError: names both.
    """
    context = click.get_current_context()
    # the names are asked of whoever makes the options, so that a new one is not forgotten here
    names = {each.name for each in decorate(lambda: None).__click_params__}
    for each in context.command.params:
        if each.name in names and context.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE:
            raise goes_with(each.opts[-1], switch, f"add `{switch}`, or leave it out")
