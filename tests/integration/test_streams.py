"""Streams looked at and set back: what is read again is recognised, and nothing is doubled in silver."""

from __future__ import annotations

import pytest

from headworks.errors import ConcurrentRun, LakeUnusable, SettingsError
from headworks.lake.landing import Landing
from headworks.lake.store import Lake
from headworks.lake.streams import reset_stream, show_streams
from tests.support.faults import happened_but_failed, writes
from tests.support.items import NAME, bronze, head, land_items, refine_items, silver
from tests.support.sources import ids, items

FIVE = items(1, 5)


def landing(lake: Lake, stream: str = NAME) -> Landing:
    return Landing(lake, NAME, stream, "operator")


def test_each_stream_is_told_with_what_silver_has_taken_of_it(lake: Lake) -> None:
    land_items(lake, FIVE)
    refine_items(lake)
    land_items(lake, items(6, 7), f"{NAME}@other")
    told = [(each.stream, each.sequence, each.consumed, each.position) for each in show_streams(lake, NAME)]
    assert told == [(NAME, 3, 3, {"n": 5}), (f"{NAME}@other", 1, 0, {"n": 2})]


def test_a_stream_that_is_set_back_is_read_again_and_silver_stays_exact(lake: Lake) -> None:
    land_items(lake, FIVE)
    refine_items(lake)
    before = silver(lake)
    state = reset_stream(landing(lake))
    assert (state.sequence, state.position) == (4, None)
    assert land_items(lake, FIVE).landed == 5
    report = refine_items(lake)
    assert (report.landed, report.unchanged, report.accepted) == (5, 5, 0)
    assert silver(lake) == before
    assert len(ids(bronze(lake))) == 10, "bronze keeps what it received"


def test_a_stream_can_be_set_to_a_position_in_between(lake: Lake) -> None:
    land_items(lake, FIVE)
    reset_stream(landing(lake), {"n": 4})
    assert land_items(lake, FIVE).landed == 1


def test_another_stream_of_the_dataset_is_not_moved(lake: Lake) -> None:
    land_items(lake, FIVE)
    land_items(lake, FIVE, f"{NAME}@other")
    reset_stream(landing(lake, f"{NAME}@other"))
    assert head(lake).position == {"n": 5}


def test_a_reset_that_happened_and_was_reported_as_failed_counts_once(lake: Lake) -> None:
    land_items(lake, FIVE)
    with writes(happened_but_failed(1)):
        assert reset_stream(landing(lake)).sequence == 4
    assert head(lake).position is None


def test_a_reset_while_a_run_moves_the_stream_is_refused(lake: Lake) -> None:
    land_items(lake, FIVE)

    def another_lands_first(number: int, call: object) -> object:
        if number == 1:
            land_items(lake, items(1, 6))
        return call()  # type: ignore[operator]

    with writes(another_lands_first), pytest.raises(ConcurrentRun):
        reset_stream(landing(lake))
    assert head(lake).position == {"n": 6}


def test_a_stream_that_landed_nothing_is_refused_with_those_that_did(lake: Lake) -> None:
    land_items(lake, FIVE)
    with pytest.raises(SettingsError) as caught:
        reset_stream(landing(lake, f"{NAME}@nowhere"))
    assert NAME in caught.value.do


def test_a_dataset_without_bronze_is_an_error_that_names_it(lake: Lake) -> None:
    with pytest.raises(LakeUnusable, match="no such table"):
        show_streams(lake, NAME)
