"""What Postgres would refuse ends the run before the lake's product moves: both show the same, run after run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import psycopg
import pytest

from headworks.errors import PublicationRefused
from headworks.gold.products import read_product
from shop import gold
from shop.project import SALES
from tests.support.sales import Place

pytestmark = pytest.mark.server


def retyped(inputs: Any) -> pl.LazyFrame:
    """Give the number of orders as text, which its column in Postgres does not hold."""
    return gold.daily(inputs).with_columns(pl.col("orders").cast(pl.String))


def nul(inputs: Any) -> pl.LazyFrame:
    """Give categories with a character that Postgres does not take."""
    return gold.daily(inputs).with_columns(pl.col("category") + "\0")


def test_what_postgres_refuses_moves_neither_the_lakes_product_nor_the_tables(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three refused runs for three reasons, a dry run that says so too, and one that publishes all that waited."""
    before, first = place.seen(), read_product(place.lake, gold.PRODUCT)
    contract = place.root.parent / "loose.yml"
    contract.write_text("dataset: lake/gold/sales_daily\ncolumns:\n- name: day\n  checks:\n  - missing:\n")
    loose = replace(gold.DAILY, contract=contract, totals=None, retyped=("orders",))
    for transform, said in ((retyped, "'orders' is bigint in the database and text in gold"), (nul, "NUL")):
        with monkeypatch.context() as patch:
            tables = (replace(loose, transform=transform), gold.CUSTOMER_VALUE)
            patch.setattr("flows.sales.SALES", replace(SALES, tables=tables))
            for dry_run in (False, True):
                with pytest.raises(PublicationRefused, match=said) as caught:
                    place.run(dry_run=dry_run)
                assert caught.value.where == "analytics.sales_daily"
        assert place.seen() == before
    with psycopg.connect(place.analytics, autocommit=True) as connection:
        connection.execute("ALTER TABLE analytics.sales_daily RENAME TO ours")
        connection.execute("CREATE VIEW analytics.sales_daily AS SELECT * FROM analytics.ours")
        with pytest.raises(PublicationRefused, match="a view"):
            place.run()
        assert read_product(place.lake, gold.PRODUCT) == first
        connection.execute("DROP VIEW analytics.sales_daily")
        connection.execute("ALTER TABLE analytics.ours RENAME TO sales_daily")
    assert place.run().status == "published"
    place.assert_true()
