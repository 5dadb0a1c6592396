"""Each promise of the README and the docs names the test that holds it, and that test is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PROMISES = CHECKOUT / "docs" / "promises.md"
PAGES = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md")))
COVERED = (
    "README",
    "files.md",
    "databases.md",
    "api.md",
    "quality.md",
    "rules.md",
    "operations.md",
    "security.md",
)


def _rows() -> list[tuple[str, str]]:
    """Return each promise with what is in its column of tests."""
    lines = [line for line in PROMISES.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [(row[0], row[-1]) for row in cells if row[0] != "promise"]


@pytest.mark.parametrize(("promise", "named"), _rows(), ids=[promise for promise, _ in _rows()])
def test_a_promise_names_tests_that_exist(promise: str, named: str) -> None:
    tests = [each.strip("`") for each in named.split(", ")]
    assert len(set(tests)) == len(tests), promise
    for test in tests:
        file, name = test.split("::")
        path = CHECKOUT / "tests" / file
        assert path.is_file(), test
        assert f"def {name}(" in path.read_text(), test


def test_each_page_with_promises_has_a_section_and_links_to_it() -> None:
    headings = " ".join(line for line in PROMISES.read_text().splitlines() if line.startswith("## "))
    for page in COVERED:
        assert page in headings, page
        path = CHECKOUT / "README.md" if page == "README" else CHECKOUT / "docs" / page
        assert "promises.md" in path.read_text(), page


def test_each_file_of_tests_that_a_page_names_exists() -> None:
    named = [
        (page.name, found)
        for page in PAGES
        for found in re.findall(r"tests/[\w/]+(?:\.py)?", page.read_text())
    ]
    assert named
    assert [each for each in named if not (CHECKOUT / each[1]).exists()] == []
