"""Rows are held against those that they refer to: one out of all proportion waits, and continues once it is fixed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.errors import SettingsError
from headworks.silver.dataset import Agreement, Reference
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.item_sales import SALE, reasons, sell, sold
from tests.support.items import ITEM, NAME, land_items, refine_items


@pytest.fixture
def shop(lake: Lake) -> Lake:
    """A lake with three items, of value 5, 50 and 500."""
    land_items(lake, [("1", "5", 1), ("2", "50", 1), ("3", "500", 1)])
    refine_items(lake)
    return lake


def test_a_row_that_disagrees_with_its_parent_is_rejected_for_that_reason_and_others_pass(shop: Lake) -> None:
    sell(shop, (1, 1, 50), (2, 1, 51), (3, 2, 51), (4, 3, 5_000))
    assert sold(shop) == [1, 3, 4]
    assert reasons(shop) == {"2": ["too_dear"]}


def test_a_row_without_its_parent_is_told_to_wait_for_it_and_nothing_else(shop: Lake) -> None:
    sell(shop, (1, 9, 1_000_000), (2, 1, 1))
    assert reasons(shop) == {"1": ["unknown_item"]}


def test_null_passes_as_in_any_rule(shop: Lake) -> None:
    sell(shop, (1, 1, None))
    assert sold(shop) == [1]


class FloatItemSchema(dy.Schema):
    """An item whose value is a float."""

    id = dy.Int64(nullable=False)
    v = dy.Float64(nullable=True, allow_nan=True)
    at = dy.Int64(nullable=True)


@pytest.mark.parametrize("holds", ["<=", ">=", "==", "!="])
def test_nothing_agrees_with_a_value_that_is_no_number(lake: Lake, holds: str) -> None:
    """Polars takes NaN for the largest number and for equal to itself; its row waits until there is a number."""
    compared = {
        "<=": pl.col("price") <= pl.col("t.items.v"),
        ">=": pl.col("t.items.v") >= pl.col("price"),
        "==": pl.col("t.items.v") == pl.col("t.items.v"),
        "!=": pl.col("price") != pl.col("t.items.v"),
    }
    columns = {**ITEM.columns, "v": pl.col("v").cast(pl.Float64)}
    item = replace(ITEM, schema=FloatItemSchema, columns=columns)
    sale = replace(SALE, agreements=(Agreement("disagrees", compared[holds]),))
    land_items(lake, [("1", "NaN", 1), ("2", "9.5", 1)])
    refine(Refinement(lake, "run"), item)
    sell(lake, (1, 1, 1), (2, 2, 1), dataset=sale)
    assert sold(lake) == [2]
    assert reasons(lake) == {"1": ["disagrees"]}
    land_items(lake, [("1", "9.5", 2)], f"{NAME}@fixed")
    refine(Refinement(lake, "run"), item)
    assert sell(lake, dataset=sale).released == 1


def test_a_row_that_disagreed_is_released_once_its_parent_is_mended(shop: Lake) -> None:
    """The price was right, and the item's value was not."""
    sell(shop, (1, 1, 400), (2, 1, 4_000), (3, 2, 1))
    assert sold(shop) == [3]
    land_items(shop, [("1", "50", 2)], f"{NAME}@fixed")
    refine_items(shop)
    assert sell(shop).released == 1
    assert sold(shop) == [1, 3]


def test_a_parent_that_changes_later_takes_nothing_back(shop: Lake) -> None:
    sell(shop, (1, 3, 5_000))
    land_items(shop, [("3", "1", 2)], f"{NAME}@cheaper")
    refine_items(shop)
    sell(shop, (2, 3, 5_000))
    assert sold(shop) == [1]


def test_of_a_parent_with_a_history_the_current_version_counts(lake: Lake) -> None:
    """Two versions of an item neither double its sales nor leave open which one is meant."""
    history = replace(ITEM, keeps="history")
    land_items(lake, [("1", "500", 1), ("1", "5", 2)])
    assert refine(Refinement(lake, "run"), history).gate is not None
    sell(lake, (1, 1, 50), (2, 1, 500))
    assert sold(lake) == [1]


def test_a_column_that_the_parent_does_not_have_is_named_with_those_that_it_has(shop: Lake) -> None:
    asked = replace(SALE, agreements=(Agreement("too_dear", pl.col("price") < pl.col("t.items.cost")),))
    with pytest.raises(SettingsError, match=r"t\.items has no column cost.*: id, v, at"):
        sell(shop, (1, 1, 1), dataset=asked)


def test_a_reference_to_no_key_leaves_open_which_row_is_meant(shop: Lake) -> None:
    land_items(shop, [("4", "5", 1)], f"{NAME}@more")
    refine_items(shop)
    by_value = replace(SALE, references=(Reference(("item",), NAME, ("v",), "unknown_value"),))
    with pytest.raises(SettingsError, match=r"v is no key of t\.items"):
        sell(shop, (1, 5, 1), dataset=by_value)


@pytest.mark.parametrize(
    ("holds", "references", "output"),
    [
        (pl.col("cost") < 1, SALE.references, "looks at what it cannot see: cost"),
        (pl.col("t.others.v") < 1, SALE.references, r"looks at what it cannot see: t\.others\.v"),
        (pl.col("price") < 1, (), "looks at no row that is referred to"),
        (pl.col("t.items.v") < 1, SALE.references * 2, r"which row of t\.items it means"),
    ],
)
def test_an_agreement_that_cannot_be_looked_up_is_refused_at_import(
    holds: pl.Expr, references: tuple[Reference, ...], output: str
) -> None:
    changed: dict[str, Any] = {"references": references, "agreements": (Agreement("too_dear", holds),)}
    with pytest.raises(SettingsError, match=output):
        replace(SALE, **changed)
