"""The harness must be able to fail: each rule of a page is broken once."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.docs_runner import run_text
from support.pages import PageError, blocks_of, exchanges_of, shows


def page(*blocks: tuple[str, str]) -> str:
    """A page of (info string, body)."""
    return "# A page\n\n" + "\n\n".join(f"```{info}\n{body}\n```" for info, body in blocks) + "\n"


def test_blocks_share_one_shell_and_one_clean_directory(tmp_path: Path) -> None:
    text = page(("sh", "name=world; mkdir deep; cd deep"), ("sh", 'test "$name" = world; test "$(ls ..)" = deep'))

    run_text(text, "page", tmp_path)


def test_a_failing_command_fails_the_page_and_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"page:8: exit 1"):
        run_text(page(("sh", "true"), ("sh", "false")), "page", tmp_path)


def test_a_failure_inside_a_pipe_fails_the_page(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="exit 1"):
        run_text(page(("sh", "false | cat")), "page", tmp_path)


def test_an_unset_variable_fails_the_page(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="unbound variable"):
        run_text(page(("sh", "echo $nothing")), "page", tmp_path)


def test_a_session_shows_what_the_command_prints(tmp_path: Path) -> None:
    run_text(page(("console", "$ printf 'a 17 b\\nx\\ny\\nend\\n'\na ... b\n...\nend")), "page", tmp_path)


def test_a_session_that_shows_something_else_fails(tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"page:4: `echo one` shows\ntwo\nand prints\none"):
        run_text(page(("console", "$ echo one\ntwo")), "page", tmp_path)


def test_a_session_that_leaves_out_output_fails(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="shows"):
        run_text(page(("console", "$ printf 'one\\ntwo\\n'\none")), "page", tmp_path)


def test_a_failing_command_in_a_session_fails_unless_its_status_is_asked_for(tmp_path: Path) -> None:
    run_text(page(("console", "$ (exit 5)\n$ echo $?\n5")), "page", tmp_path / "a")

    with pytest.raises(PageError, match="page:4: exit 1"):
        run_text(page(("console", "$ (exit 5)\n$ true")), "page", tmp_path / "b")


def test_a_session_shares_the_shell_of_the_page(tmp_path: Path) -> None:
    run_text(page(("console", "$ cd /; here=yes"), ("sh", 'test "$here$PWD" = yes/')), "page", tmp_path)


def test_a_block_with_a_file_name_is_written_and_not_run(tmp_path: Path) -> None:
    run_text(page(("sh file=job", "exit 9"), ("sh", "test -x job; grep -q 'exit 9' job")), "page", tmp_path)


def test_python_runs_and_its_warnings_are_errors(tmp_path: Path) -> None:
    run_text(page(("python", "import blixard")), "page", tmp_path / "a")

    with pytest.raises(PageError, match="DeprecationWarning"):
        run_text(page(("python", "import warnings\nwarnings.warn('old', DeprecationWarning)")), "page", tmp_path / "b")


def test_a_cron_line_runs_without_our_environment(tmp_path: Path) -> None:
    text = page(
        ("sh", "export SECRET=1"),
        ("cron", "# nightly\nMAILTO=root\n30 2 * * * env > $HOME/seen; date +\\%Y >> $HOME/seen"),
        ("sh", '! grep SECRET "$HOME/seen"; grep -q MAILTO=root "$HOME/seen"; grep -Eq "^[0-9]{4}$" "$HOME/seen"'),
    )

    run_text(text, "page", tmp_path)


def test_a_percent_sign_in_a_cron_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="cron ends a command"):
        run_text(page(("cron", "0 1 * * * date +%Y")), "page", tmp_path)


def test_hidden_set_up_runs_in_its_place(tmp_path: Path) -> None:
    run_text("<!-- setup\nmade=here\n-->\n" + page(("sh", 'test "$made" = here')), "page", tmp_path)


def test_a_block_that_does_not_run_says_why() -> None:
    text = "*Not run in the tests: it needs a second machine.*\n\n" + page(("sh", "false"))

    assert blocks_of(text.replace("# A page\n\n", ""), "page")[0].not_run == "it needs a second machine"


def test_data_that_does_not_parse_fails(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="not toml"):
        run_text(page(("toml", "a = = 1")), "page", tmp_path)


@pytest.mark.parametrize("info", ["", "bash", "shell", "yaml"])
def test_a_block_in_a_language_without_meaning_is_refused(info: str) -> None:
    with pytest.raises(PageError, match="a block in"):
        blocks_of(page((info, "ls")), "page")


def test_a_block_without_an_end_is_refused() -> None:
    with pytest.raises(PageError, match="without an end"):
        blocks_of("```sh\nls\n", "page")


def test_a_command_may_go_on_in_the_next_line() -> None:
    block = blocks_of(page(("console", "$ one \\\n> two\nout")), "page")[0]

    assert [(each.command, each.shown) for each in exchanges_of(block)] == [("one \\\ntwo", ("out",))]


def test_dots_alone_stand_for_no_line_too() -> None:
    assert shows(("a", "...", "b"), "a\nb\n")
