"""``headworks status`` is good only where all is known to be good, and says of each thing what is wrong with it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from flows.pipeline import pipeline
from headworks.errors import GateClosed, LakeUnusable
from headworks.ops.breakers import LakeBreakers
from headworks.ops.freshness import FreshnessPromise
from headworks.ports import system_clock
from headworks.settings import LakeSettings
from headworks.sources.api.breaker import Breaker
from headworks.status import StatusReport, status
from headworks.storage.store import Lake
from shop.project import SALES, SHOP
from tests.support.sales import Place

pytestmark = pytest.mark.server


def states(report: StatusReport) -> dict[str, str]:
    return {f"{line.kind} {line.name}": line.state for line in report.lines}


def test_after_a_good_run_all_is_good_and_the_rows_are_those_of_the_tables(published_place: Place) -> None:
    lake = published_place.lake
    report = status(SHOP, lake)
    assert report.wrong == ()
    assert {line.kind for line in report.lines} == {"source", "dataset", "product"}
    for line in report.lines:
        assert line.last_good_run is not None, line
        if line.kind == "dataset":
            assert line.rows == lake.must_open("silver", line.name).live_count()
            assert line.gate == "open"
        # No server was asked.
        assert line.next_run == "not known"
    (product,) = [line for line in report.lines if line.kind == "product"]
    assert product.owner == "the sales team"


def test_where_nothing_ran_nothing_is_good(tmp_path_factory: pytest.TempPathFactory) -> None:
    report = status(SHOP, Lake(LakeSettings(root=str(tmp_path_factory.mktemp("lake")))))
    assert set(states(report).values()) == {"never ran"}
    assert len(report.wrong) == len(report.lines)


def test_a_closed_gate_is_the_product_s_and_not_that_of_what_was_landed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(SALES.tables[0], totals=lambda inputs: pl.LazyFrame({"units": [1]}))
    monkeypatch.setattr(
        "shop.project.SHOP", replace(SHOP, products=(replace(SALES, tables=(broken, *SALES.tables[1:])),))
    )
    with pytest.raises(GateClosed):
        place.run(pipeline, product="sales")
    report = status(SHOP, place.lake)
    found = states(report)
    assert found.pop("product sales") == "held", (
        "a closed gate of gold holds the table until somebody decides"
    )
    assert [(line.gate, line.held) for line in report.lines if line.kind == "product"] == [("closed", 1)]
    assert set(found.values()) == {"ok"}


def test_a_run_that_failed_before_anything_was_landed_is_failed_and_no_longer_once_it_is_well(
    place: Place,
) -> None:
    """No landing, no row and no table says of it which product it was for: its report does."""
    place.run(pipeline, product="sales")
    needed = SHOP.needs("sales").sources
    bronze, away = place.root / "bronze", place.root.parent / "away"
    for _ in range(2):
        bronze.rename(away)
        with pytest.raises(LakeUnusable):
            place.run(pipeline, product="sales")
        if bronze.exists():
            shutil.rmtree(bronze)
        away.rename(bronze)
        report = status(SHOP, place.lake)
        found = states(report)
        assert not report.good
        assert found["product sales"] == "failed"
        assert {found[f"source {one.block} -> {one.into}"] for one in needed} == {"failed"}
        assert "Bronze" in next(line.why for line in report.lines if line.kind == "product")
        place.run(pipeline, product="sales")
        assert status(SHOP, place.lake).wrong == ()


def test_a_broken_promise_is_late_and_one_that_cannot_be_measured_is_not_good(published_place: Place) -> None:
    promised = replace(SHOP, freshness=(FreshnessPromise(table="silver.shop.orders", committed_within_h=26),))
    assert status(promised, published_place.lake).wrong == ()
    later = status(promised, published_place.lake, clock=lambda: system_clock() + timedelta(hours=27))
    assert [line.name for line in later.wrong] == ["shop.orders"]
    assert later.wrong[0].state == "late"
    unknown = FreshnessPromise(table="silver.shop.orders", event_column="nothing", event_within_h=1)
    found = status(replace(SHOP, freshness=(unknown,)), published_place.lake)
    assert [(line.state, "not known" in line.why) for line in found.wrong] == [("late", True)]


def test_an_open_circuit_breaker_is_named(published_place: Place) -> None:
    state = Breaker(failures=10, closed_until=system_clock() + timedelta(hours=1), reason="503")
    LakeBreakers(published_place.lake).save("shop-api", state.model_dump(mode="json"))
    wrong = status(SHOP, published_place.lake).wrong
    assert {line.state for line in wrong} == {"circuit breaker open"}
    assert {line.name for line in wrong} == {"shop-api -> shop.products", "shop-api -> shop.rates"}
    LakeBreakers(published_place.lake).reset("shop-api")


def test_when_things_run_next_is_shown_where_a_server_knows(published_place: Place) -> None:
    report = status(SHOP, published_place.lake, {"sales": "2030-01-01 05:15"})
    assert [line.next_run for line in report.lines if line.kind == "product"] == ["2030-01-01 05:15"]
