"""Several runs and several streams in one bronze table at once: where they clash one wins, and the others end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from deltalake.exceptions import CommitFailedError

from headworks.bronze.consumed import checkpoint_id
from headworks.bronze.landing import Landing, land
from headworks.errors import ConcurrentRun
from headworks.settings import LakeSettings
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from tests.support.faults import not_happened, writes
from tests.support.items import NAME, bronze, head, land_items
from tests.support.sources import ITEMS, Numbered, frame_of, ids, items

SIX = items(1, 6)
SIX_IDS = ["1", "2", "3", "4", "5", "6"]


def at_batch(wanted: int, action: Callable[[], Any]) -> Callable[[int], None]:
    def before(number: int) -> None:
        if number == wanted:
            action()

    return before


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_of_two_runs_on_one_stream_one_wins_and_the_other_ends(lake: Lake, batch: int) -> None:
    """The other run lands everything while this one holds a batch in its hands."""
    source = Numbered(SIX, before_batch=at_batch(batch, lambda: land_items(lake, SIX)))
    with pytest.raises(ConcurrentRun):
        land(Landing(lake, NAME, NAME, "slow"), source)
    assert ids(bronze(lake)) == SIX_IDS
    assert source.closed == 1, "the loser lets go of its source"


def test_without_the_table_object_that_was_read_two_runs_double(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule taken out: each append goes through a freshly opened table."""
    real = Table.append_part

    def by_path(self: Table, *arguments: Any, **named: Any) -> None:
        real(lake.must_open("bronze", NAME), *arguments, **named)

    monkeypatch.setattr(Table, "append_part", by_path)
    source = Numbered(SIX, before_batch=at_batch(1, lambda: land_items(lake, SIX)))
    land(Landing(lake, NAME, NAME, "slow"), source)
    assert len(ids(bronze(lake))) > len(SIX_IDS)


def test_a_zombie_that_wakes_after_another_took_over_is_refused(lake: Lake) -> None:
    """The other run took over and continued with new records before the sleeper woke."""

    def take_over() -> None:
        land_items(lake, SIX)
        land_items(lake, [*SIX, *items(7, 9)])

    source = Numbered(SIX, before_batch=at_batch(1, take_over))
    with pytest.raises(ConcurrentRun, match="sequence 5"):
        land(Landing(lake, NAME, NAME, "zombie"), source)
    assert ids(bronze(lake)) == [*SIX_IDS, "7", "8", "9"]
    assert head(lake).position == {"n": 9}


def test_another_run_between_a_failed_commit_and_its_repetition_is_noticed(lake: Lake) -> None:
    """The commit fails without having happened, and before it is tried again somebody else lands the same."""
    calls = 0

    def token() -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            land_items(lake, SIX)
        return 10_000 + calls

    with writes(not_happened(2)), pytest.raises(ConcurrentRun):
        land(Landing(lake, NAME, NAME, "slow", token=token), Numbered(SIX))
    assert ids(bronze(lake)) == SIX_IDS


def test_a_run_that_moved_the_stream_to_the_same_sequence_is_told_apart_by_the_token(lake: Lake) -> None:
    """Sequence 1 is there, but it is the other run's: the token says so, the number does not."""
    source = Numbered(SIX[:2], before_batch=at_batch(0, lambda: land_items(lake, SIX[:2])))
    with pytest.raises(ConcurrentRun):
        land(Landing(lake, NAME, NAME, "slow"), source)
    assert ids(bronze(lake)) == ["1", "2"]


def test_many_streams_land_in_one_table_at_once(lake: Lake) -> None:
    """More writers than the fifteen internal retries that delta-rs allows of itself."""
    streams = 32
    start = threading.Barrier(streams)

    def one(number: int) -> int:
        records = items(number * 100, number * 100 + 3)
        start.wait(timeout=30)
        return land(Landing(lake, NAME, f"{NAME}@s{number}", "run"), Numbered(records)).landed

    with ThreadPoolExecutor(streams) as pool:
        assert list(pool.map(one, range(streams))) == [4] * streams
    expected = sorted(str(n * 100 + i) for n in range(streams) for i in range(4))
    assert ids(bronze(lake)) == expected
    table = lake.must_open("bronze", NAME)
    assert table.streams() == sorted(f"{NAME}@s{n}" for n in range(streams))
    assert {table.transaction(stream) for stream in table.streams()} == {2}


def test_many_runs_on_one_stream_at_once_land_it_once(lake: Lake) -> None:
    runs = 8
    start = threading.Barrier(runs)

    def one(number: int) -> bool:
        start.wait(timeout=30)
        try:
            land(Landing(lake, NAME, NAME, f"run{number}"), Numbered(SIX))
        except ConcurrentRun:
            return False
        return True

    with ThreadPoolExecutor(runs) as pool:
        ended_well = list(pool.map(one, range(runs)))
    assert any(ended_well)
    assert ids(bronze(lake)) == SIX_IDS


def test_a_stale_append_of_another_stream_needs_the_internal_retries(lake: Lake) -> None:
    """With none it is refused; with those that bronze allows it is rebased, and both streams' rows are there."""
    lake.ensure("bronze", NAME, ITEMS)
    first, second, third = (lake.must_open("bronze", NAME) for _ in range(3))
    first.append(frame_of(SIX), {"a": 1, checkpoint_id("a"): 11})
    with pytest.raises(CommitFailedError):
        second.append(frame_of(SIX), {"b": 1}, retries=0)
    third.append(frame_of(SIX), {"c": 1})
    assert lake.must_open("bronze", NAME).row_count() == 12


def made_at_once(lake: Lake, dataset: str) -> None:
    """Have a table made by several at once, each of whom then writes to it; it must be made once, and have all rows."""
    makers = 4
    start = threading.Barrier(makers)

    def make(_: int) -> None:
        start.wait(timeout=30)
        lake.ensure("ops", dataset, ITEMS).append(frame_of(items(1, 1)), {})

    with ThreadPoolExecutor(makers) as pool:
        list(pool.map(make, range(makers)))
    made = lake.must_open("ops", dataset)
    assert made.row_count() == makers
    first = lake.open("ops", dataset, 0)
    assert first is not None
    assert first.id == made.id, "it was made again on top of what others had written"


def test_of_many_makers_of_one_table_one_makes_it_and_all_write_to_it(lake: Lake) -> None:
    for number in range(10):
        made_at_once(lake, f"t.each{number}")


def test_a_folder_that_another_run_makes_while_it_is_looked_for_is_no_error(tmp_path: Path) -> None:
    """Who lists a lake sees its first dataset or none, at whatever moment that comes into being."""
    for number in range(300):
        lake = Lake(LakeSettings(root=str(tmp_path / str(number))))
        other = threading.Thread(
            target=(tmp_path / str(number) / "bronze" / "t" / "_delta_log").mkdir, args=(0o777, True)
        )
        other.start()
        while other.is_alive():
            assert lake.datasets("bronze") in ([], ["t"])
        other.join()
