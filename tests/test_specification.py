"""The page on the specification cites sources and tests by name, and every one of them exists."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "specification.md"
RULES, DONE_IN, HELD_BY, CELLS = 0, 4, 5, 6

SOURCES = {
    "io/": ("rust/io/src", ".rs"),
    "shell/": ("python/mcp_ferry", ".py"),
    "": ("rust/proto/src", ".rs"),
}
TESTS = {
    "unit/": ("rust/proto/src", ".rs"),
    "transcripts/": ("rust/proto/tests/transcripts", ".rs"),
    "properties/": ("rust/proto/tests/properties", ".rs"),
    "io/": ("rust/io/tests", ".rs"),
    "server/": ("rust/server/tests/server", ".rs"),
    "process/": ("tests", ".py"),
}
"""What the beginning of a citation stands for: a directory, and how its files end."""

SCENARIOS = ROOT / "tests" / "conformance" / "scenarios.py"
REVISIONS = {"24-11", "25-03", "25-06", "25-11", "26-07"}


def rows() -> list[list[str]]:
    """The cells of every rule."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[RULES] != "rule" and not row[RULES].startswith("---")]


def cited(column: int) -> list[str]:
    """Everything between backticks in a column."""
    return sorted({name for row in rows() for name in re.findall(r"`([^`]+)`", row[column])})


def marks(column: int) -> set[str]:
    """The names of what is not held, or not followed, in a column."""
    return {
        name for row in rows() for name in re.findall(r"(?:not yet|otherwise): ([a-z0-9-]+)", row[column])
    }


@cache
def text(path: Path) -> str:
    """The text of a file, which has to be there."""
    assert path.is_file(), f"{path.relative_to(ROOT)} is not there"
    return path.read_text()


def resolve(citation: str, roots: dict[str, tuple[str, str]]) -> tuple[Path, str]:
    """The file that a citation names, and the name in it."""
    where, _, name = citation.partition("::")
    for prefix, (directory, ending) in roots.items():
        if where.startswith(prefix):
            return ROOT / directory / (where.removeprefix(prefix) + ending), name
    pytest.fail(f"{citation} begins with none of {sorted(roots)}")


def test_every_rule_has_its_cells_and_somebody_who_holds_it() -> None:
    for row in rows():
        assert len(row) == CELLS, row
        assert set(re.findall(r"\d\d-\d\d", row[2])) <= REVISIONS, row
        assert re.search(r"`|not yet: |otherwise: ", row[HELD_BY]), row
        assert ("`" in row[DONE_IN]) != (row[DONE_IN] == "nowhere"), row


@pytest.mark.parametrize("citation", cited(DONE_IN))
def test_a_cited_source_exists(citation: str) -> None:
    path, name = resolve(citation, SOURCES)
    assert re.search(
        rf"\b(?:fn|const|static|struct|enum|type|def|class) {name}\b|^{name}\b", text(path), re.MULTILINE
    )


@pytest.mark.parametrize("citation", cited(HELD_BY))
def test_a_cited_test_exists(citation: str) -> None:
    if citation.startswith("conformance/"):
        wanted = citation.removeprefix("conformance/")
        assert re.search(rf"(?<![\w/-]){re.escape(wanted)}(?![\w/-])", text(SCENARIOS))
        return
    path, name = resolve(citation, TESTS)
    is_test = rf"#\[(?:tokio::)?test\]\n(?:\s*#.*\n)*\s*(?:async )?fn {name}\(|^(?:async )?def {name}\("
    assert re.search(is_test, text(path), re.MULTILINE), f"{name} is no test in {path.relative_to(ROOT)}"


def test_what_is_not_held_or_not_followed_is_explained_and_nothing_else() -> None:
    explained = re.findall(r"\*\*([a-z0-9-]+)\*\*", PAGE.read_text().partition("\n## Not yet\n")[2])
    assert sorted(explained) == sorted(marks(HELD_BY))
