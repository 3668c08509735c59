"""What holds for every command, asked of the command tree itself, so that a new command cannot forget it."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from blixard.cli import main
from blixard.cli.commands import EVERYWHERE, LazyGroup, Leaf
from blixard.cli.options import common_options
from blixard.cli.session import CommonOptions
from blixard.cli.tree import root
from blixard.ops.keeping.unfinished import STAGED_FOR


def walk(group: LazyGroup, path: str = "blixard") -> Iterator[tuple[str, click.Command, str]]:
    context = click.Context(group)
    for name, entry in group.entries.items():
        command = group.get_command(context, name)
        assert command is not None, f"{path} {name}"
        yield f"{path} {name}", command, entry.summary
        if isinstance(command, LazyGroup):
            yield from walk(command, f"{path} {name}")


EVERY = {path: (command, summary) for path, command, summary in walk(root)}
COMMON = set(CommonOptions.__struct_fields__)
LEAVES = {path: command for path, (command, _) in EVERY.items() if isinstance(command, Leaf)}


def help_of(path: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*path.split()[1:], "--help"]) == 0
    return capsys.readouterr().out


def test_gc_says_how_long_what_is_staged_waits(capsys: pytest.CaptureFixture[str]) -> None:
    told = re.findall(r"(\d+) days", " ".join(help_of("blixard cluster gc", capsys).split()))

    assert set(told) == {str(STAGED_FOR.days)}


@pytest.mark.parametrize("path", ["blixard", *EVERY])
def test_help_begins_with_an_example_and_fits_80_columns(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(path, capsys)

    assert re.match(r"Examples?:\n  \S", text)
    assert text.index("Example") < text.index("Usage:")
    # an example may be as long as a command line is
    body = text[text.index("Usage:") :]
    assert [line for line in body.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("path", LEAVES)
def test_help_of_a_command_ends_with_its_exit_codes(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    last = help_of(path, capsys).strip().rsplit("\n\n", maxsplit=1)[-1]
    last = " ".join(last.split())

    assert last.startswith("Exit codes: 0 done, ")
    assert all(f"{int(code)} " in last for code in EVERYWHERE)


@pytest.mark.parametrize("path", LEAVES)
def test_nothing_but_options_is_listed_as_one(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = help_of(path, capsys).partition("\nOptions:\n")[2].partition("\n\n")[0]

    assert all(line.startswith(("  -", "      ")) for line in options.splitlines())


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_takes_the_common_options(path: str) -> None:
    names = {parameter.name for parameter in LEAVES[path].params}

    assert names >= COMMON


@pytest.mark.parametrize("path", LEAVES)
def test_no_option_of_a_command_hides_a_common_one(path: str) -> None:
    common = {flag for option in common_options() for flag in option.opts}
    own = [flag for each in LEAVES[path].params if each.name not in COMMON for flag in each.opts if flag in common]

    assert own == []


@pytest.mark.parametrize("path", LEAVES)
def test_its_examples_parse(path: str) -> None:
    leaf = LEAVES[path]
    assert isinstance(leaf, Leaf)
    for example in "\n".join(leaf.examples).replace("\\\n", "").splitlines():
        for part in re.split(r"\s+[|<>]\s+", example):
            words = shlex.split(part.removeprefix('eval "$(').removesuffix(')"'))
            while words and "=" in words[0]:
                words.pop(0)
            if words[0] != "blixard":
                continue
            command, rest = resolve(words[1:])
            with command.make_context("blixard", rest):
                pass


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = root
    while isinstance(command, LazyGroup):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, words
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize("path", EVERY)
def test_a_summary_is_a_line_without_a_full_stop(path: str) -> None:
    summary = EVERY[path][1]

    assert len(summary) <= 66
    assert not summary.endswith(".")
    assert summary[0].isupper()


@pytest.mark.parametrize("path", LEAVES)
def test_every_option_says_what_it_does(path: str) -> None:
    silent = [each.name for each in LEAVES[path].params if isinstance(each, click.Option) and not each.help]

    assert silent == []


def test_help_of_a_group_imports_no_command() -> None:
    code = (
        "import sys; from blixard.cli import main; main(['cluster', '--help']); "
        "print([m for m in sys.modules if m.startswith(('blixard.ops', 'blixard.store', 'msgspec', 'numpy'))])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_BLIXARD_COMPLETE" in capsys.readouterr().out


def test_names_complete_without_importing_a_command() -> None:
    found = root.shell_complete(click.Context(root), "c")

    assert [each.value for each in found] == ["cluster", "config", "completion"]
