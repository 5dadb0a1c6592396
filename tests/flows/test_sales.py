"""The sales flow on real parts: true to the cent, exactly once, whatever the mode, with an account that balances."""

from __future__ import annotations

import pytest

from tests.flows.conftest import WORLD
from tests.support.sales import Place

pytestmark = pytest.mark.server


def test_a_first_load_is_the_shops_truth(published_place: Place) -> None:
    report = published_place.last_run()
    assert report.status == "published"
    assert report.run_id
    assert sum(landing.landed for landing in report.landings) > 300


def test_a_day_more_is_taken_in_alone_and_is_the_shops_truth_and_a_second_run_changes_nothing(
    place: Place,
) -> None:
    report = place.run()
    place.assert_true()
    assert report.status == "published"
    landed = {landing.dataset: landing.landed for landing in report.landings}
    assert 0 < landed["shop.orders"] < 100, "more than a day was read"
    before = place.seen()
    silver = place.bytes_of("silver/shop/orders")
    report = place.run()
    assert report.status == "unchanged"
    assert place.seen() == before
    assert place.bytes_of("silver/shop/orders") == silver


def test_a_day_more_makes_the_days_and_customers_again_that_it_touches_and_they_are_true(
    place: Place,
) -> None:
    """By the plan of the shop's own transform, with its nearest rates; the second time on what the first one left."""
    for day in range(2):
        if day:
            place.live(WORLD)
        report = place.run()
        place.assert_true()
        for table in report.gold:
            assert table.parts is not None
            assert table.parts.whole == ""
            assert 0 < table.parts.touched < table.parts.of


def test_a_full_refresh_makes_both_tables_whole_too_and_compares(place: Place) -> None:
    report = place.run(mode="full")
    place.assert_true()
    assert [table.parts is not None and table.parts.compared for table in report.gold] == [True, True]


def test_a_full_refresh_keeps_the_truth(place: Place) -> None:
    place.run()
    report = place.run(mode="full")
    place.assert_true()
    assert all(refined.inserted == 0 for refined in report.refinements), "a full read found new keys"


def test_a_dry_run_changes_not_a_byte_and_counts_what_would_land(place: Place) -> None:
    before, lake = place.seen(), place.bytes_of(".")
    report = place.run(dry_run=True)
    assert report.status == "dry run"
    assert sum(landing.would_land for landing in report.landings) > 0
    assert place.seen() == before
    assert place.bytes_of(".") == lake


def test_a_window_is_taken_in_beside_the_live_position(place: Place) -> None:
    place.run()
    before = place.seen()
    report = place.run(window={"start": "2025-01-06", "end": "2025-01-08"})
    live = {landing.dataset for landing in report.landings if "@w" not in landing.stream}
    assert live == {"shop.products", "shop.rates"}
    assert {landing.landed > 0 for landing in report.landings if "@w" in landing.stream} == {True}
    assert report.status == "unchanged"
    assert place.seen() == before
    place.live(WORLD)
    assert place.run().status == "published"
    place.assert_true()
