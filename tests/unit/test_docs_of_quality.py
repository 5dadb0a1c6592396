"""The page about quality is about a project of anybody's, and its Python runs: datasets, and the tests of them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from headworks.silver.dataset import Dataset
from tests.support.pools import CHECKOUT

FIRST_HOUR = (CHECKOUT / "docs" / "first-hour.md").read_text(encoding="utf-8")
PAGE = (CHECKOUT / "docs" / "quality.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page's blocks define, one after the other, in a project with the contract of the first hour."""
    folder = tmp_path_factory.mktemp("acme")
    (contract,) = re.findall(r"cat > (src/acme/contracts/\S+) <<'YAML'\n(.*?)\nYAML\n", FIRST_HOUR, re.DOTALL)
    (folder / contract[0]).parent.mkdir(parents=True)
    (folder / contract[0]).write_text(contract[1])
    before = Path.cwd()
    os.chdir(folder)
    try:
        return _run_blocks()
    finally:
        os.chdir(before)


def _run_blocks() -> dict[str, Any]:
    defined: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "docs/quality.md", "exec"), defined)
    return defined


def test_the_page_s_datasets_are_declared(page: dict[str, Any]) -> None:
    found = {one.name for one in page.values() if isinstance(one, Dataset)}
    assert found == {"crm.contacts", "erp.orders", "erp.lines"}


@pytest.mark.parametrize("name", re.findall(r"^def (test_\w+)", PAGE, re.MULTILINE))
def test_the_page_s_tests_pass(page: dict[str, Any], name: str) -> None:
    page[name]()


def test_the_page_has_tests() -> None:
    assert len(re.findall(r"^def test_", PAGE, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    "name", ["quality.md", "data.md", "own-project.md", "first-hour.md", "testing.md", "api.md"]
)
def test_a_page_for_users_takes_no_dataset_of_the_shop_for_the_library_s_own(name: str) -> None:
    page = (CHECKOUT / "docs" / name).read_text(encoding="utf-8")
    assert not re.findall(
        r"\b(?:shop|sales)\.(?:orders|customers|order_lines|lines|products|rates|daily)\b", page
    )


def test_the_page_about_deploying_speaks_of_the_shop_only_where_it_says_so() -> None:
    page = (CHECKOUT / "docs" / "deployment.md").read_text(encoding="utf-8")
    general, _, own = page.partition("## This repository's own project")
    assert own
    found = re.findall(r".*(?:\bshop\b|SHOP|\bsales\b|receipts|make de\w+|churn).*", general)
    assert found == []
