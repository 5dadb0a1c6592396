"""A project checks itself when it is made, says what a product needs, and is found where it is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from headworks import project as module
from headworks.errors import SettingsError
from headworks.project import (
    VARIABLE,
    Api,
    Database,
    FileStore,
    Product,
    Project,
    Publish,
    project,
    this_project,
)
from headworks.publish.tables import PublishedTable
from headworks.silver.dataset import Reference
from headworks.sources.api.paginate import Single
from headworks.sources.api.resource import Resource
from headworks.sources.files.selection import Files
from headworks.sources.sql.table import Table
from shop import datasets, gold
from shop.project import SALES, SHOP

_RATES = Api("shop-api", Resource(path="/rates", pagination=Single()), into="shop.rates")
_TO_ITSELF = replace(
    datasets.CUSTOMERS,
    references=(Reference(("customer_id",), "shop.orders", ("order_id",), "no_order"),),
)
_PUBLISHED = Publish("db", "s", (PublishedTable("sales.nothing", "nothing", ("id",)),))

SLIPS: dict[str, tuple[Callable[[], Project], str]] = {
    "a dataset twice": (
        lambda: replace(SHOP, datasets=(*SHOP.datasets, datasets.RATES)),
        "datasets: shop.rates is declared twice",
    ),
    "a product twice": (lambda: replace(SHOP, products=(SALES, SALES)), "products: sales is declared twice"),
    "a gold table in two products": (
        lambda: replace(SHOP, products=(SALES, replace(SALES, name="other"))),
        "gold tables: sales.daily is declared twice",
    ),
    "two sources into one dataset": (
        lambda: replace(SHOP, sources=(*SHOP.sources, _RATES)),
        "sources into: shop.rates is declared twice",
    ),
    "a source into no dataset's name": (
        lambda: replace(SHOP, sources=(*SHOP.sources, replace(_RATES, into="Shop Rates"))),
        "'Shop Rates' is not a dataset's name",
    ),
    "a parent that is not there": (
        lambda: replace(SHOP, datasets=(datasets.ORDERS,), products=()),
        "dataset shop.orders refers to shop.customers, which is not declared",
    ),
    "a dataset that nothing fills": (
        lambda: replace(SHOP, sources=SHOP.sources[1:]),
        "dataset shop.customers is made from shop.customers, into which no source lands",
    ),
    "a circle": (
        lambda: replace(SHOP, datasets=(_TO_ITSELF, *SHOP.datasets[1:])),
        "in a circle: ",
    ),
    "an input that is not there": (
        lambda: replace(SHOP, datasets=(datasets.CUSTOMERS,)),
        "gold table sales.daily is made from shop.orders, which is not declared",
    ),
    "a product without a table": (
        lambda: replace(SHOP, products=(Product("empty", ()),)),
        "product empty has no table",
    ),
    "a table that is published and not made": (
        lambda: replace(SHOP, products=(replace(SALES, publish=_PUBLISHED),)),
        "product sales publishes sales.nothing, which is none of its tables",
    ),
    "one name in Postgres for two tables": (
        lambda: replace(
            SHOP,
            products=(replace(SALES, publish=Publish("db", "s", (gold.PUBLISHED[0], gold.PUBLISHED[0]))),),
        ),
        "tables of sales in s: sales_daily is declared twice",
    ),
    "a block of two kinds": (
        lambda: replace(SHOP, sources=(*SHOP.sources[:-1], replace(_RATES, block="shop-database"))),
        "block shop-database is used as database and as api",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_one_line_of_an_error_that_names_it(slip: str) -> None:
    make, line = SLIPS[slip]
    with pytest.raises(SettingsError) as caught:
        make()
    assert [each for each in caught.value.what.splitlines() if line in each], caught.value.what


def test_all_slips_are_in_one_error() -> None:
    with pytest.raises(SettingsError) as caught:
        replace(SHOP, datasets=(*SHOP.datasets, datasets.RATES), products=(SALES, SALES))
    assert len(caught.value.what.splitlines()) >= 3


def test_the_order_of_silver_follows_references_whatever_order_datasets_are_declared_in() -> None:
    for declared in (SHOP.datasets, tuple(reversed(SHOP.datasets))):
        ranks = [{dataset.name for dataset in rank} for rank in replace(SHOP, datasets=declared).ranks()]
        assert ranks == [
            {"shop.customers", "shop.products", "shop.rates"},
            {"shop.orders"},
            {"shop.order_lines"},
        ]


def test_a_product_needs_its_inputs_and_what_these_refer_to_and_their_sources_alone() -> None:
    table = replace(gold.DAILY, name="few", inputs=("shop.orders",))
    few = replace(SHOP, products=(Product("few", (table,)),))
    needs = few.needs("few")
    assert [[dataset.name for dataset in rank] for rank in needs.ranks] == [
        ["shop.customers"],
        ["shop.orders"],
    ]
    assert [source.into for source in needs.sources] == ["shop.customers", "shop.orders"]


def test_a_change_of_a_dataset_touches_the_products_that_need_it() -> None:
    rates = Product("rates", (replace(gold.DAILY, name="rates", inputs=("shop.rates",)),))
    both = replace(SHOP, products=(SALES, rates))
    assert [product.name for product in both.products_of("shop.rates")] == ["sales", "rates"]
    assert [product.name for product in both.products_of("shop.customers")] == ["sales"]


def test_names_that_there_are_not_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match="use one of sales"):
        SHOP.product("seals")
    with pytest.raises(SettingsError, match=r"shop\.order_lines"):
        SHOP.dataset("shop.order")


def test_each_block_has_the_kind_of_what_uses_it() -> None:
    assert SHOP.used_blocks() == {
        "lake": "lake",
        "shop-database": "database",
        "shop-api": "api",
        "analytics-database": "database",
    }
    assert SHOP.blocks()["receipts-files"] == "files"
    files = FileStore("in", Files(format="csv"), into="a.b")
    assert (files.takes_windows, _RATES.takes_windows) == (True, False)
    assert not Database("db", Table(name="t"), into="a.b").takes_windows


def test_the_project_of_a_place_is_that_of_the_variable_then_of_its_folder_then_of_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(module, "entry_points", lambda group: ())
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert project(inner) is None
    with pytest.raises(SettingsError, match="No project is named here"):
        this_project(inner)
    (tmp_path / "pyproject.toml").write_text('[tool.headworks]\nproject = "shop.project:SHOP"\n')
    assert project(inner) is SHOP
    (tmp_path / "a" / "pyproject.toml").write_text('[tool.headworks]\nproject = "shop.project:SALES"\n')
    with pytest.raises(SettingsError, match="is a Product and no Project"):
        project(inner)
    monkeypatch.setenv(VARIABLE, "shop.project:SHOP")
    assert project(inner) is SHOP


@pytest.mark.parametrize(
    "reference", ["shop.nothing:SHOP", "shop.project:NOTHING", "shop.project", ":", "a b:c"]
)
def test_a_project_that_cannot_be_had_is_an_error_that_says_where_it_is_named(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, reference)
    with pytest.raises(SettingsError, match="cannot be imported") as caught:
        project()
    assert caught.value.where == VARIABLE
