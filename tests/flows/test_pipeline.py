"""The flow of any product, on the shop's: what the project declares is all that it knows, and the truth comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from flows.pipeline import pipeline
from headworks.errors import GateClosed, SettingsError
from headworks.project import VARIABLE
from shop.project import SALES, SHOP
from tests.flows.conftest import WORLD
from tests.support.sales import Place

pytestmark = pytest.mark.server

TRIMMED = replace(SHOP, name="trimmed", products=(replace(SALES, publish=None),))
"""The shop, whose product stays in the lake."""


def test_it_continues_where_the_story_by_hand_was_and_publishes_the_truth_for_days(place: Place) -> None:
    """Sales ran before; three days follow, each by this flow, and an unchanged one."""
    for day in range(3):
        report = place.run(pipeline, product="sales")
        assert report.status == "published"
        landed = {landing.dataset: landing.landed for landing in report.landings}
        assert 0 < landed["shop.orders"] < 100, "more than a day was read"
        place.assert_true()
        costs = {cost.step: cost for cost in report.costs}
        assert {"refine shop.orders", "pin silver", "stage sales.daily", "commit sales.daily"} <= costs.keys()
        assert costs["refine shop.orders"].rows == landed["shop.orders"]
        assert all(cost.seconds >= 0 and not cost.failed for cost in report.costs)
        if day < 2:
            place.live(WORLD)
    before = place.seen()
    assert place.run(pipeline, product="sales").status == "unchanged"
    assert place.run().status == "unchanged"
    assert place.seen() == before


def test_a_dry_run_writes_nothing_and_a_window_and_a_full_read_change_no_truth(place: Place) -> None:
    lake = place.bytes_of(".")
    assert place.run(pipeline, product="sales", dry_run=True).status == "dry run"
    assert place.bytes_of(".") == lake
    place.run(pipeline, product="sales")
    before = place.seen()
    report = place.run(pipeline, product="sales", window={"start": "2025-01-06", "end": "2025-01-08"})
    live = {landing.dataset for landing in report.landings if "@w" not in landing.stream}
    assert live == {"shop.products", "shop.rates"}
    assert place.seen() == before
    assert place.run(pipeline, product="sales", mode="full").status == "unchanged"
    place.assert_true()


def test_a_closed_gate_publishes_nothing_and_the_last_good_product_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(SALES.tables[0], totals=lambda inputs: pl.LazyFrame({"units": [1]}))
    project = replace(SHOP, products=(replace(SALES, tables=(broken, *SALES.tables[1:])),))
    monkeypatch.setattr("shop.project.SHOP", project)
    before = place.seen()
    with pytest.raises(GateClosed, match=r"sales\.daily"):
        place.run(pipeline, product="sales")
    assert place.seen() == before
    monkeypatch.setattr("shop.project.SHOP", SHOP)
    place.run(pipeline, product="sales")
    place.assert_true()


def test_a_product_that_goes_to_no_database_is_named_in_the_lake(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.project.SHOP", TRIMMED)
    report = place.run(pipeline, product="sales")
    assert (report.status, report.publications) == ("published", ())


def test_other_blocks_are_read_in_the_place_of_those_of_the_project(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWORKS_NEW_SHOP_URL", place.shop)
    broken = replace(place, shop="postgresql://nobody@127.0.0.1:1/nothing")
    report = broken.run(pipeline, product="sales", blocks={"shop-database": "new-shop"})
    assert report.status == "published"
    place.assert_true()


def test_a_product_that_is_not_declared_and_a_project_that_is_not_there_are_errors_that_say_so(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="use one of sales"):
        pipeline(product="seals")
    monkeypatch.setenv(VARIABLE, "shop.nothing:HERE")
    with pytest.raises(SettingsError, match="cannot be imported"):
        pipeline(product="sales")
