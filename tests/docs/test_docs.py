"""What README and docs show, runs: each page is one story in one clean directory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.docs_runner import ROOT, run_page
from support.pages import Kind, blocks_of

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
NOT_RUN_AT_MOST = 3


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose_of(page: Path) -> str:
    """The page without its fenced blocks and hidden set-up."""
    return re.sub(r"(?ms)^ *```.*?^ *```$|<!--.*?-->", "", page.read_text())


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", prose_of(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(page: Path) -> list[tuple[Path, str]]:
    """Links to other files of the repository, as (file, anchor)."""
    found = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", prose_of(page))
    return [((page.parent / target).resolve() if target else page, anchor) for target, anchor in found]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_runs_as_shown(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        f"{target.name}#{anchor}" if anchor else str(target)
        for target, anchor in links_of(page)
        if not target.exists() or (anchor and anchor not in anchors_of(target))
    ]

    assert broken == []


def test_blocks_that_do_not_run_are_rare() -> None:
    kept = [
        f"{name_of(page)}:{block.line} {block.not_run}"
        for page in PAGES
        for block in blocks_of(page.read_text(), name_of(page))
        if block.not_run
    ]

    assert len(kept) <= NOT_RUN_AT_MOST, kept


def test_text_that_is_only_shown_holds_no_commands() -> None:
    commands = [
        f"{name_of(page)}:{block.line}"
        for page in PAGES
        if page.name != "cli.md"  # help pages; the tests of the command line parse their examples
        for block in blocks_of(page.read_text(), name_of(page))
        if block.kind is Kind.TEXT and re.search(r"(?m)^\s*(\$ |blixard |make |jq |cp |curl )", block.body)
    ]

    assert commands == []


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        waiting += [target for target, _ in links_of(page) if target.suffix == ".md" and target not in reached]

    assert [name_of(page) for page in PAGES if page not in reached | {ROOT / "README.md"}] == []
