"""The reference in the docs is what the code says: every command, parameter and setting is in it."""

from __future__ import annotations

import pytest

from headworks.cli.main import the_parser
from headworks.cli.reference import page
from tests.support.pools import CHECKOUT

PAGE = CHECKOUT / "docs" / "reference.md"


@pytest.fixture(scope="module")
def made() -> str:
    """The page as the code makes it."""
    return page(the_parser())


def test_the_reference_is_what_the_code_says(made: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == made, "make it again: headworks reference > docs/reference.md"


def test_no_secret_and_no_path_of_this_machine_is_a_default(made: str) -> None:
    assert str(CHECKOUT) not in made
    assert "**********" not in made
    assert " at 0x" not in made


@pytest.mark.parametrize(
    "text",
    [
        "### headworks delivery release",
        "### headworks deploy",
        "`--by-hand`",
        "`--like RECIPE`",
        "### backfill",
        "`--on-conflict`",
        "#### Incremental",
        "`false_alarms`",
        "`committed_within_h`",
        "`token` | secret text",
    ],
)
def test_what_a_user_looks_for_is_in_it(made: str, text: str) -> None:
    assert text in made
