"""Messages and docs use the field's words: none of a short list of words that nobody would search for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CODE = ("src", "flows", "tasks", "blocks", "deployments", "dashboard")

WORDS = {
    r"told": "reported, notified, asked, known",
    r"tells?|telling": "report, notify, say, distinguish",
    r"beside": "alongside, next to, in addition to",
    r"stands": "is, position, state",
    r"goes on|go on|going on": "continues, resumes",
    r"anew": "again, restart",
    r"mend(s|ed|ing)?": "fix",
    r"left in peace": "the circuit breaker is open",
    r"well again": "recovered, resolved",
    r"as it would be": "after the merge",
    r"nothing (is )?doubled|(or|nor|and) doubled": "duplicate",
    r"unplaced": "rows with a null cursor",
    r"remarks?": "warning",
    r"intakes?|taking[ -]in|takes in|taken in(?! (?:part|parts|this)\b)": "ingest, ingestion",
    r"is no name of": "is not a valid name of",
    r"cannot be read by\.": "cannot be the cursor",
    r"afflict\w*|struck": "fault, injected",
    r"manners": "behaviour",
    r"what belongs here": "nothing: one sentence says what a module is",
}
"""What must not be read, and what is said instead."""

ALLOWED = (
    # Values and names that users have in their projects and lakes.
    r"extremes: beside",
    r"[`\"']+beside[`\"':]*",
    r"\bbeside: the row lands",
    r"[`\"]unplaced[`\"]",
    r"\.manners is called behaviour",
    # Paths of decisions stay what they were linked by.
    r"\d{4}-[a-z0-9-]+\.md",
)


def texts_of_the_checkout() -> Iterator[tuple[str, str]]:
    """Return every page of the docs, and every text in the code, each with its place."""
    for page in sorted((CHECKOUT / "docs").rglob("*.md")):
        yield str(page.relative_to(CHECKOUT)), page.read_text()
    for name in ("README.md", "prefect.yaml"):
        yield name, (CHECKOUT / name).read_text()
    for folder in CODE:
        for module in sorted((CHECKOUT / folder).rglob("*.py")):
            place = str(module.relative_to(CHECKOUT))
            for node in ast.walk(ast.parse(module.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                    yield f"{place}:{node.lineno}", node.value


@pytest.fixture(scope="module")
def texts() -> list[tuple[str, str]]:
    allowed = re.compile("|".join(ALLOWED))
    return [
        (place, " ".join(allowed.sub("", text).split()))
        for place, text in texts_of_the_checkout()
        if "moved.py" not in place
    ]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_nobody_would_search_for_is_in_no_message_and_no_page(
    word: str, texts: list[tuple[str, str]]
) -> None:
    pattern = re.compile(rf"(?<![\w.-])(?:{word})(?![\w(-])", re.IGNORECASE)
    found = [
        f"{place}: …{text[max(0, hit.start() - 40) : hit.end() + 30]!r}"
        for place, text in texts
        for hit in pattern.finditer(text)
    ]
    assert not found, f"say {WORDS[word]}:\n" + "\n".join(found)
