"""The flow ``deliveries`` decides about tables that are held, in gold and in Postgres, as the command does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.deliveries import deliveries
from headworks.errors import GateClosed
from headworks.gold.holding import made_holds
from headworks.project import Product, Publish
from shop import gold
from shop.project import SALES, SHOP
from tests.support.sales import Place

pytestmark = pytest.mark.server

SIGNED: Any = {"by": "ada", "note": "it is right"}


def never_holding(original: Path | None, folder: Path) -> Path:
    """Return a contract that fails whatever the table has."""
    assert original is not None
    contract = folder / original.name
    text = original.read_text()
    contract.write_text(text.replace("must_be_greater_than: 0", "must_be_greater_than: 1000000"))
    return contract


def held_in_gold(folder: Path) -> Product:
    """Return the product with a gold table that its contract closes."""
    strict = replace(gold.DAILY, contract=never_holding(gold.DAILY.contract, folder))
    return replace(SALES, tables=(strict, gold.CUSTOMER_VALUE))


def held_in_postgres(folder: Path) -> Product:
    """Return the product with a published table that its contract closes."""
    first, *others = gold.PUBLISHED
    strict = replace(first, contract=never_holding(first.contract, folder))
    return replace(SALES, publish=Publish("analytics-database", gold.SCHEMA, (strict, *others)))


@pytest.mark.parametrize("product_of", [held_in_gold, held_in_postgres])
def test_a_table_that_is_held_is_released_by_the_flow_and_published(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, product_of: Any
) -> None:
    product = product_of(tmp_path)
    monkeypatch.setattr("flows.sales.SALES", product)
    monkeypatch.setattr("flows.deliveries.this_project", lambda: replace(SHOP, products=(product,)))
    before = place.seen().tables
    with pytest.raises(GateClosed):
        place.run()
    (one,) = made_holds(place.lake)
    place.run(deliveries, delivery=one.id, action="release", **SIGNED)
    assert [each.state for each in made_holds(place.lake)] == ["held"], "a dry run decides nothing"
    assert place.seen().tables == before
    report = place.run(deliveries, delivery=one.id[:6], action="release", dry_run=False, **SIGNED)
    assert report.status == "published"
    assert made_holds(place.lake) == ()
    place.assert_true()
