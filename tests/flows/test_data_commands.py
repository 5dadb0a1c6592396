"""``headworks sql`` and ``show``: what is there is what they show, as it is now, and they change nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from headworks import open_lake
from headworks.errors import LakeUnusable, SettingsError
from headworks.gold.products import open_product, roll_back
from headworks.ops.query import query, tables
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.flows.test_commands import Said, one_message, tree
from tests.flows.test_commands import run as run  # noqa: PLC0414 - a fixture
from tests.support.sales import Place

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    "written",
    [
        "silver.shop.orders",
        "silver.shop_orders",
        'silver."shop.orders"',
        '"silver"."shop"."orders"',
        "shop.orders",
        "shop_orders",
        '"shop.orders"',
        "SILVER.Shop.Orders",
    ],
)
def test_a_table_is_found_however_its_name_is_written(published_place: Place, written: str) -> None:
    silver = published_place.lake.must_open("silver", "shop.orders")
    rows = query(published_place.lake, f"SELECT * FROM {written} AS o")
    assert rows.height == silver.live_count()
    assert not [name for name in rows.columns if name.startswith("_")]


def test_a_query_joins_layers_and_uses_names_of_its_own(published_place: Place) -> None:
    rows = query(
        published_place.lake,
        """
        WITH shown AS (SELECT customer_id, count(*) AS orders FROM silver.shop.orders GROUP BY 1)
        SELECT count(*) AS customers, sum(shown.orders) AS orders
        FROM shown JOIN silver.shop.customers USING (customer_id)
        WHERE customer_id IN (SELECT customer_id FROM gold.sales.customer_value)
        """,
    )
    customers = open_product(published_place.lake, "sales")["sales.customer_value"].collect().height
    assert rows["customers"].to_list() == [customers]


def test_gold_is_what_was_published_and_not_what_is_newest(place: Place) -> None:
    """Rolled back, a product shows what it was; gold has gone further."""
    first = open_product(place.lake, "sales")["sales.daily"].collect()
    run_id = place.last_run().run_id
    assert place.run().status == "published"
    newest = place.lake.must_open("gold", "sales.daily").scan().collect()
    shown = query(place.lake, "SELECT * FROM gold.sales.daily").select(newest.columns)
    assert shown.sort(pl.all()).equals(newest.sort(pl.all()))
    roll_back(place.lake, "sales", run_id, "wrong rates")
    shown = query(place.lake, "SELECT * FROM gold.sales.daily").select(first.columns)
    assert shown.sort(pl.all()).equals(first.sort(pl.all()))
    assert not shown.sort(pl.all()).equals(newest.sort(pl.all()))


def test_the_quarantine_shows_the_rejected_rows_that_count(published_place: Place) -> None:
    rows = query(published_place.lake, "SELECT count(*) AS n FROM quarantine.shop.order_lines")
    assert rows["n"].to_list() == [published_place.rejected("shop.order_lines")]


WRONG = {
    "no SELECT": ("DELETE FROM shop.orders", "Only a SELECT"),
    "a file is written": ("COPY (SELECT 1) TO 'here.csv'", "Only a SELECT"),
    "two statements": ("SELECT 1; SELECT 2", "Several statements"),
    "no SQL": ("SELEC 1", "cannot be read"),
    "no table": ("SELECT * FROM shop.ordres", "There is no table shop.ordres"),
    "no table of a layer": ("SELECT * FROM gold.shop.orders", "There is no table gold.shop.orders"),
    "no column": ("SELECT nothing FROM shop.orders", "nothing"),
    "a wrong type": ("SELECT order_id + 'x' FROM shop.orders", "cannot be run"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_run_is_an_error_that_says_why_and_writes_nothing(
    published_place: Place, wrong: str
) -> None:
    before = tree(published_place.root)
    sql, said = WRONG[wrong]
    with pytest.raises(SettingsError, match=said):
        query(published_place.lake, sql)
    assert tree(published_place.root) == before


def test_a_name_that_two_datasets_may_mean_is_asked_for(tmp_path: Path) -> None:
    lake = Lake(LakeSettings(root=str(tmp_path)))
    for dataset in ("a.b_c", "a_b.c"):
        lake.ensure("gold", dataset, pl.Schema({"x": pl.Int64()}))
    with pytest.raises(SettingsError, match=r"may be a\.b_c or a_b\.c"):
        query(lake, "SELECT * FROM gold.a_b_c")
    assert query(lake, "SELECT * FROM gold.a.b_c").height == 0
    assert tables(lake) == ["gold.a.b_c", "gold.a_b.c"]


def test_rows_come_as_a_table_as_json_and_as_csv_that_a_sheet_computes_nothing_of(
    run: Callable[..., Said], published_place: Place
) -> None:
    given = {"HEADWORKS_SPOT_LAKE_ROOT": str(published_place.root)}
    before = tree(published_place.root)
    lake = ("--lake", "spot-lake")
    shown = run("show", "shop.orders", "--limit", "3", "--where", "status = 'paid'", *lake, **given)
    assert (shown.code, shown.out.splitlines()[-1]) == (0, "3 rows")
    asked = "SELECT '=1+1' AS text, [1, 2] AS list, 'é' AS \"=name\" FROM shop.orders LIMIT 1"
    as_json = run("sql", asked, "--json", *lake)
    assert json.loads(as_json.out) == {"text": "=1+1", "list": [1, 2], "=name": "é"}
    (head, row) = csv.reader(io.StringIO(run("sql", asked, "--csv", *lake).out))
    assert (head, row) == (["text", "list", "'=name"], ["'=1+1", "[1, 2]", "é"])
    listed = run("sql", *lake).out.splitlines()
    assert {"gold.sales.daily", "silver.shop.orders", "bronze.shop.orders"} <= {*listed}
    assert "use one of" in one_message(run("show", "shop.nothing", *lake))
    assert tree(published_place.root) == before


def test_days_that_python_has_not_are_shown_as_text(run: Callable[..., Said], tmp_path: Path) -> None:
    """A Parquet file may have the year 0 or 10000: alone, in a list and in a struct."""
    lake = Lake(LakeSettings(root=str(tmp_path)))
    days = pl.Series([-719_529, 2_932_897, 0, None], dtype=pl.Int32).cast(pl.Date)
    rows = pl.DataFrame({"d": days, "m": days.cast(pl.Datetime("us", "UTC"))})
    rows = rows.with_columns(several=pl.concat_list("d"), inside=pl.struct("m"))
    lake.ensure("bronze", "t.old", rows.schema).append(rows, {})
    place = ("--lake", "old-lake")
    for how in ((), ("--json",), ("--csv",)):
        said = run("show", "bronze.t.old", *how, *place, HEADWORKS_OLD_LAKE_ROOT=str(tmp_path))
        assert said.code == 0
        assert said.out.count("-0001-12-31") >= 2
        assert said.out.count("10000-01-01") == 4


@pytest.mark.parametrize("root", ["", "there/is/none", "a%20b"])
def test_a_lake_that_is_not_there_is_an_error_in_a_notebook_too(root: str, tmp_path: Path) -> None:
    with pytest.raises((LakeUnusable, SettingsError)):
        open_lake(tmp_path / root)
    assert list(tmp_path.iterdir()) == []
