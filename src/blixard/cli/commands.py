"""Groups that load nothing but what is called, and commands whose help begins with an example.

click is asked for parsing only: the shape of a help page and of an error is ours, and the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from blixard.did_you_mean import close_names, did_you_mean
from blixard.errors import ExitCode, UsageError, is_ticket_shaped

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

WIDTH = 80
SETTINGS: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH}
EVERYWHERE = (ExitCode.DONE, ExitCode.USAGE, ExitCode.STORAGE, ExitCode.BUG, ExitCode.INTERRUPTED)


class Entry(NamedTuple):
    """A place in the command tree: `target` is `module:attribute` below `blixard.cli`."""

    target: str
    summary: str


def _show_help(context: click.Context, _option: click.Parameter, given: bool) -> None:  # noqa: FBT001 - click's signature
    if given:
        click.echo(context.get_help())
        context.exit()


# not click's own, which asks gettext for a translation that is never there: 2 ms of each start
HELP = click.Option(
    ["-h", "--help"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_help,
    help="Show this message and exit.",
)


class CommonOption(click.Option):
    """An option that every command has; help lists these apart."""


class Leaf(click.Command):
    """A command that does something. Its help: examples, usage, text, options, common options, exit codes."""

    def __init__(self, *args: Any, examples: Sequence[str], exits: Sequence[ExitCode], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_help_option = False  # `HELP` is among the parameters
        self.context_settings = SETTINGS
        self.examples = tuple(examples)
        self.exits = tuple(sorted({*EVERYWHERE, *exits}))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the page, the example first."""
        _begin_page(self, self.examples, ctx, formatter)
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        shown = [(each, each.get_help_record(ctx)) for each in options]
        own = [record for each, record in shown if record and not isinstance(each, CommonOption)]
        common = [record for each, record in shown if record and isinstance(each, CommonOption)]
        for title, records in (("Options", own), ("Common options", common)):
            with formatter.section(title):
                formatter.write_dl(records)
        formatter.write_paragraph()
        codes = ", ".join(f"{int(code)} {code.meaning}" for code in self.exits)
        formatter.write_text(f"Exit codes: {codes}.")


class LazyGroup(click.Group):
    """A group that knows its commands' names and summaries, and imports a command when it is called."""

    def __init__(self, name: str, entries: Mapping[str, Entry], *, examples: Sequence[str], **kwargs: Any) -> None:
        super().__init__(name, context_settings=SETTINGS, add_help_option=False, **kwargs)
        self.params.append(HELP)
        self.entries = entries
        self.examples = tuple(examples)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the tree."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command `cmd_name`; None when there is none of that name."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command = cast("click.Command", getattr(import_module(f"blixard.cli.{module}"), attribute))
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of `args[0]`; an unknown one is told with the names that are close."""
        if args[0] not in self.entries and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise _no_such_command(args[0], ctx.command_path, self.entries, self._groups_with(ctx, args[0]))
        return super().resolve_command(ctx, args)

    def _groups_with(self, ctx: click.Context, name: str) -> list[str]:
        """The groups below this one that have a command `name`."""
        commands = ((each, self.get_command(ctx, each)) for each in self.entries)
        return [each for each, command in commands if isinstance(command, LazyGroup) and name in command.entries]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that begin with `incomplete`; no command is imported for it."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        found = [(name, entry) for name, entry in self.entries.items() if name.startswith(incomplete)]
        return [CompletionItem(name, help=entry.summary) for name, entry in found]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the page, the example first; no command is imported for it."""
        _begin_page(self, self.examples, ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])
        formatter.write_paragraph()
        formatter.write_text(f"`{ctx.command_path} COMMAND --help` shows a command's options and exit codes.")


def leaf(
    *, examples: Sequence[str], exits: Sequence[ExitCode] = (), common: Sequence[click.Option]
) -> Callable[[Callable[..., Any]], Leaf]:
    """Make a function with click options a `Leaf`; its docstring is its help."""

    def decorate(function: Callable[..., Any]) -> Leaf:
        own = list(reversed(getattr(function, "__click_params__", [])))
        return Leaf(
            function.__name__.strip("_"),
            callback=function,
            params=[*own, *common, HELP],
            help=function.__doc__,
            examples=examples,
            exits=exits,
        )

    return decorate


def failure_of(error: click.ClickException) -> UsageError:
    """What click found wrong with a command line, said as we say it."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "blixard"
    possibilities = getattr(error, "possibilities", None) or ()
    hint = did_you_mean(possibilities, otherwise=f"`{path} --help` shows what can be given")
    message = error.message if possibilities else error.format_message()
    message = re.sub(r"'([^']*)'", r"`\1`", message).rstrip(".")
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _no_such_command(name: str, path: str, names: Iterable[str], groups: Iterable[str]) -> UsageError:
    close = [f"{group} {name}" for group in groups] or close_names(name, names)
    hint = did_you_mean((f"{path} {each}" for each in close), otherwise=f"`{path} --help` lists the commands")
    if is_ticket_shaped(name):
        hint = "that is a ticket: `blixard ticket show TICKET` tells what is in it"
    return UsageError(f"no such command `{path} {name}`", hint=hint)


def _begin_page(
    command: click.Command, examples: Sequence[str], context: click.Context, formatter: click.HelpFormatter
) -> None:
    formatter.write("Example:\n" if len(examples) == 1 else "Examples:\n")
    for each in examples:
        formatter.write(f"  {each}\n")
    formatter.write_paragraph()
    command.format_usage(context, formatter)
    command.format_help_text(context, formatter)
