"""Rules that became stricter are asked of the rows that silver has: which break them is found, and nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dataframely as dy
import pytest

from headworks.silver.dataset import Keeping
from headworks.silver.rebuild import rebuild
from headworks.silver.recheck import recheck
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.items import ITEM, NAME, land_items, refine_items
from tests.support.sources import items


class _Stricter(dy.Schema):
    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=False, min=0, max=50)
    at = dy.Int64(nullable=True)


STRICTER = replace(ITEM, schema=_Stricter)


@pytest.mark.parametrize("keeps", ["newest", "first", "history"])
def test_rows_that_break_a_stricter_rule_are_counted_with_their_keys(lake: Lake, keeps: Keeping) -> None:
    land_items(lake, items(1, 12))
    refine(Refinement(lake, "run"), replace(ITEM, keeps=keeps))
    version = lake.must_open("silver", NAME).version
    assert recheck(lake, replace(ITEM, keeps=keeps)).holds
    found = recheck(lake, replace(STRICTER, keeps=keeps))
    assert not found.holds
    (broken,) = found.broken
    assert (found.rows, broken.rule, broken.rows) == (12, "v|max", 7)
    assert broken.keys == ("10", "11", "12", "6", "7")
    assert lake.must_open("silver", NAME).version == version


def test_after_silver_is_made_again_nothing_breaks_the_rule(lake: Lake) -> None:
    """What the command says to do does it."""
    land_items(lake, items(1, 12))
    refine_items(lake)
    rebuild(Refinement(lake, "by-hand"), STRICTER)
    assert recheck(lake, STRICTER).holds
    assert recheck(lake, STRICTER).rows == 5


def test_a_contract_that_became_stricter_objects(lake: Lake, tmp_path: Path) -> None:
    land_items(lake, items(1, 12))
    refine_items(lake)
    contract = tmp_path / "items.yml"
    contract.write_text(
        "dataset: lake/silver/t_items\ncolumns:\n  - name: v\n    valid_max: 100\n    checks:\n      - invalid:\n"
    )
    found = recheck(lake, replace(ITEM, contract=contract))
    assert not found.holds
    assert [check.outcome for check in found.checks] == ["failed"]
    contract.write_text(contract.read_text().replace("100", "1000"))
    assert recheck(lake, replace(ITEM, contract=contract)).holds
