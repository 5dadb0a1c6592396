"""Streams looked at and set back: what is read again is recognised, and nothing is duplicated in silver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from headworks.bronze.generations import window_reading
from headworks.bronze.landing import Landing, land
from headworks.bronze.streams import check_position, reset_stream, show_streams
from headworks.errors import CheckpointLost, ConcurrentRun, LakeUnusable, SettingsError, SourceUnavailable
from headworks.names import Window
from headworks.storage.store import Lake
from tests.support.faults import happened_but_failed, writes
from tests.support.items import NAME, Ticking, bronze, head, land_items, refine_items, silver
from tests.support.sources import Numbered, ids, items

FIVE = items(1, 5)


def landing(lake: Lake, stream: str = NAME) -> Landing:
    return Landing(lake, NAME, stream, "operator")


def test_each_stream_is_told_with_what_silver_has_taken_of_it(lake: Lake) -> None:
    land_items(lake, FIVE)
    refine_items(lake)
    land_items(lake, items(6, 7), f"{NAME}@other")
    output = [(each.stream, each.sequence, each.consumed, each.position) for each in show_streams(lake, NAME)]
    assert output == [(NAME, 3, 3, {"n": 5}), (f"{NAME}@other", 1, 0, {"n": 2})]


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


DATABASE: dict[str, Any] = {"cursor": "2026-01-05T08:00:00+00:00", "seen": ["ab"]}
NUMBERED: dict[str, Any] = {"cursor": "120", "key": ["7"]}
API: dict[str, Any] = {"v": 2, "done": True, "mark": {"us": 5}, "expected": ["x"]}
FILES: dict[str, Any] = {"segments": [["a", 1]], "recent": {"a.csv": "v1"}, "parts": {}}
OTHER: dict[str, Any] = {"n": 4}

REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "an empty object": ({}, DATABASE),
    "another name": ({"position": "2026-01-01"}, DATABASE),
    "an API's for a database": (API, DATABASE),
    "a database's for an API": (DATABASE, API),
    "a database's for files": (DATABASE, FILES),
    "files' without a part": ({"segments": [], "recent": {}}, FILES),
    "one name too many": ({"cursor": "2026-01-01T00:00:00+00:00", "curser": "x"}, DATABASE),
    "a cursor that is no moment": ({"cursor": "yesterday"}, DATABASE),
    "a cursor that is a number": ({"cursor": 5}, NUMBERED),
    "a cursor that is no text": ({"cursor": ["2026-01-01"]}, DATABASE),
    "a moment for a number": ({"cursor": "2026-01-01T00:00:00+00:00"}, NUMBERED),
    "a number for a moment": ({"cursor": "12"}, DATABASE),
    "ahead by a moment": ({"cursor": "2026-01-05T08:00:00.000001+00:00"}, DATABASE),
    "ahead by a number": ({"cursor": "121"}, NUMBERED),
    "ahead by the number's length alone": ({"cursor": "1000"}, NUMBERED),
    "a mark of another kind": ({"v": 2, "done": True, "mark": "5"}, API),
    "done as a number": ({"v": 2, "done": 1, "mark": {"us": 1}}, API),
    "a version as a text": ({"v": "2", "done": True, "mark": None}, API),
    "parts as a list": ({"segments": [], "recent": {}, "parts": []}, FILES),
    "an unknown source's other names": ({"m": 1}, OTHER),
    "an unknown source's other kind": ({"n": "1"}, OTHER),
    "no form at all, from the beginning": ({"whatever": 1}, None),
}
TAKEN: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "the same": (DATABASE, DATABASE),
    "an earlier moment without marks": ({"cursor": "2025-12-31T00:00:00+00:00"}, DATABASE),
    "an earlier moment in another zone": ({"cursor": "2026-01-05T09:30:00+02:00"}, DATABASE),
    "a smaller number with fewer digits": ({"cursor": "99"}, NUMBERED),
    "an API's earlier mark": ({"v": 2, "done": True, "mark": {"us": 1}}, API),
    "an API's from the beginning": ({"v": 2, "done": True, "mark": None}, API),
    "files' of an earlier day": ({"segments": [], "recent": {}, "parts": {}}, FILES),
    "an unknown source's earlier one": ({"n": 1}, OTHER),
    "any form, from the beginning": (DATABASE, None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_position_of_the_source_or_lies_ahead_is_refused(case: str) -> None:
    position, present = REFUSED[case]
    with pytest.raises(SettingsError, match="no position of the stream"):
        check_position(position, present, "stream t.things")


@pytest.mark.parametrize("case", TAKEN)
def test_a_position_of_the_source_from_an_earlier_time_is_taken(case: str) -> None:
    position, present = TAKEN[case]
    check_position(position, present, "stream t.things")


def test_a_stream_whose_checkpoint_is_lost_is_named_shown_and_set_by_hand(lake: Lake) -> None:
    land_items(lake, FIVE)
    refine_items(lake)
    for each in lake.list_objects("_headworks/checkpoints"):
        lake.remove_object(each.path)
    with pytest.raises(CheckpointLost, match="headworks stream reset"):
        land_items(lake, FIVE)
    (state,) = show_streams(lake, NAME)
    assert (state.sequence, state.position, state.lost) == (3, None, True)
    assert reset_stream(landing(lake)).sequence == 4
    assert reset_stream(landing(lake), {"n": 4}).sequence == 5
    assert land_items(lake, [*FIVE, *items(6, 6)]).landed == 2
    refine_items(lake)
    assert set(silver(lake)) == {1, 2, 3, 4, 5, 6}


def test_a_window_whose_checkpoint_is_lost_is_read_again(lake: Lake) -> None:
    window = Window(start=datetime(2026, 1, 1), end=datetime(2026, 1, 2))
    land_items(lake, FIVE)
    stream = window_reading(lake, NAME, window)
    land(landing(lake, stream), Numbered(FIVE, end_mark=True))
    for each in lake.list_objects(f"_headworks/checkpoints/t/items/{stream}"):
        lake.remove_object(each.path)
    again = window_reading(lake, NAME, window)
    assert again != stream
    assert land(landing(lake, again), Numbered(FIVE, end_mark=True)).landed == 5


def test_a_checkpoint_that_was_collected_while_its_run_slept_is_there_again(lake: Lake) -> None:
    """The machine slept for longer than a run may take, between a checkpoint and its commit; then the source failed."""
    clock = Ticking()
    asleep = replace(landing(lake), clock=clock)

    def sleeps(number: int, call: Callable[[], object]) -> object:
        for each in lake.list_objects("_headworks/checkpoints"):
            lake.remove_object(each.path)
        for _ in range(700):
            clock()
        return call()

    def fails(number: int) -> None:
        if number:
            raise SourceUnavailable("gone", where="the source", do="wait")

    # A landing that reaches its end writes the last checkpoint once more.
    with writes(sleeps), pytest.raises(SourceUnavailable):
        land(asleep, Numbered(items(1, 4), before_batch=fails))
    assert head(lake).position == {"n": 2}
    assert land_items(lake, items(1, 4)).landed == 2
