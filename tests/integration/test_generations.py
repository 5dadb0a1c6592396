"""Full reads: only a complete one deletes, and only what nothing has shown since it began."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.bronze.generations import (
    Generation,
    begin_generation,
    complete_generation,
    newest_complete,
)
from headworks.bronze.landing import Landing, land
from headworks.errors import ConcurrentRun, HeadworksError, LakeUnusable, ReadIncomplete
from headworks.reports import RefineReport
from headworks.settings import LakeSettings
from headworks.silver import merging
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.faults import happened_but_failed, not_happened, writes
from tests.support.items import BEGINNING, ITEM, NAME, Ticking, bronze, head, silver
from tests.support.sampled import examples
from tests.support.sources import ITEMS, Numbered, Record, bad_items, items


class Shop:
    """Lands, reads in full and refines with one clock, so that every row has a moment of its own."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.clock = lake, Ticking()

    def landing(self, stream: str = NAME) -> Landing:
        return Landing(self.lake, NAME, stream, "run", clock=self.clock)

    def live(self, records: list[Record]) -> None:
        land(self.landing(), Numbered(records))

    def begin(self) -> Generation:
        return begin_generation(self.landing(), ITEMS)

    def read(self, generation: Generation, records: list[Record]) -> None:
        land(self.landing(generation.stream), Numbered(records))

    def complete(self, generation: Generation) -> None:
        complete_generation(self.landing(), generation)

    def refine(self) -> RefineReport:
        outcome = refine(Refinement(self.lake, "run", clock=self.clock), ITEM)
        assert outcome.gate is None or outcome.gate.open, outcome.gate
        return outcome.report


@pytest.fixture
def shop(lake: Lake) -> Shop:
    return Shop(lake)


def test_a_complete_generation_deletes_what_it_no_longer_shows(shop: Shop) -> None:
    shop.live(items(1, 4))
    shop.refine()
    generation = shop.begin()
    shop.read(generation, items(2, 3))
    shop.complete(generation)
    report = shop.refine()
    assert (report.deleted, report.unchanged) == (2, 2)
    assert set(silver(shop.lake)) == {2, 3}


def test_a_generation_without_its_end_mark_deletes_nothing(shop: Shop) -> None:
    shop.live(items(1, 4))
    generation = shop.begin()
    shop.read(generation, items(2, 2))
    report = shop.refine()
    assert report.deleted == 0
    assert set(silver(shop.lake)) == {1, 2, 3, 4}


def test_a_deleted_key_leaves_a_tombstone(shop: Shop) -> None:
    shop.live(items(1, 2))
    shop.refine()
    _full_read(shop, items(1, 1))
    rows = shop.lake.must_open("silver", NAME).scan().collect()
    assert dict(zip(rows["id"], rows["_deleted"], strict=True)) == {1: False, 2: True}


def test_an_end_mark_is_consumed_once(shop: Shop) -> None:
    shop.live(items(1, 2))
    _full_read(shop, items(1, 1))
    assert not shop.refine().committed


def test_keys_that_the_live_stream_showed_since_its_start_are_not_deleted(shop: Shop) -> None:
    """Key 3 came while the full read was past its place: the generation does not show it, the live stream does."""
    shop.live(items(1, 2))
    shop.refine()
    generation = shop.begin()
    shop.read(generation, items(1, 2))
    shop.live([*items(1, 2), *items(3, 3)])
    shop.complete(generation)
    report = shop.refine()
    assert report.deleted == 0
    assert set(silver(shop.lake)) == {1, 2, 3}


def test_keys_that_silver_took_in_since_its_start_are_not_deleted(shop: Shop) -> None:
    """Key 3 was landed and refined while the full read continued."""
    shop.live(items(1, 2))
    shop.refine()
    generation = shop.begin()
    shop.live([*items(1, 2), *items(3, 3)])
    shop.refine()
    shop.read(generation, items(1, 2))
    shop.complete(generation)
    assert shop.refine().deleted == 0
    assert set(silver(shop.lake)) == {1, 2, 3}


def test_without_the_look_at_the_start_keys_of_the_live_stream_are_deleted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule taken out: only the generation's own rows count as seen."""
    shop.live(items(1, 2))
    shop.refine()
    generation = shop.begin()
    shop.live([*items(1, 2), *items(3, 3)])
    shop.refine()
    shop.read(generation, items(1, 2))
    shop.complete(generation)
    real = newest_complete

    def later(*arguments: Any) -> Generation | None:
        found = real(*arguments)
        assert found is not None
        everything = dict.fromkeys([NAME, found.stream], 1_000)
        return replace(found, before=everything, landed=1_000)

    monkeypatch.setattr(merging, "newest_complete", later)
    assert shop.refine().deleted == 3


def test_a_key_whose_row_is_rejected_counts_as_seen(shop: Shop) -> None:
    """The source still has it, in bad shape: that is no reason to delete the last good version."""
    shop.live(items(1, 2))
    shop.refine()
    _full_read(shop, [*items(1, 1), *bad_items(2, 2)])
    assert set(silver(shop.lake)) == {1, 2}


def test_a_second_generation_that_began_invalidates_the_first(shop: Shop) -> None:
    shop.live(items(1, 4))
    shop.refine()
    first = shop.begin()
    shop.read(first, items(1, 1))
    second = shop.begin()
    with pytest.raises(ReadIncomplete, match="later full read"):
        shop.complete(first)
    assert shop.refine().deleted == 0
    shop.read(second, items(1, 3))
    shop.complete(second)
    assert shop.refine().deleted == 1
    assert set(silver(shop.lake)) == {1, 2, 3}


def test_each_generation_has_a_stream_of_its_own(shop: Shop) -> None:
    first, second = shop.begin(), shop.begin()
    assert (first.stream, second.stream) == (f"{NAME}@g1", f"{NAME}@g2")


def test_a_generation_never_moves_the_live_position(shop: Shop) -> None:
    shop.live(items(1, 3))
    before = head(shop.lake)
    _full_read(shop, items(1, 9))
    assert head(shop.lake) == before


def test_of_two_runs_that_begin_at_once_one_is_refused(shop: Shop) -> None:
    shop.live(items(1, 1))

    def clock() -> Any:
        if not begun:
            begun.append(shop.begin())
        return BEGINNING

    begun: list[Generation] = []
    with pytest.raises(ConcurrentRun):
        begin_generation(Landing(shop.lake, NAME, NAME, "slow", clock=clock), ITEMS)
    assert shop.begin().number == 2


def test_an_end_mark_that_names_sequences_that_are_not_there_is_not_believed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.live(items(1, 2))
    shop.refine()
    generation = shop.begin()
    shop.read(generation, items(1, 1))
    real = shop.lake.put_object

    def lying(path: str, content: dict[str, Any]) -> None:
        real(path, {**content, "streams": {NAME: 99}})

    monkeypatch.setattr(shop.lake, "put_object", lying)
    shop.complete(generation)
    with pytest.raises(ReadIncomplete, match="sequence 99"):
        shop.refine()
    assert set(silver(shop.lake)) == {1, 2}


def test_a_mark_whose_object_is_missing_is_an_error_and_not_a_delete(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.live(items(1, 2))
    shop.refine()
    generation = shop.begin()
    monkeypatch.setattr(shop.lake, "put_object", lambda *_: None)
    shop.complete(generation)
    with pytest.raises(LakeUnusable):
        shop.refine()
    assert set(silver(shop.lake)) == {1, 2}


def test_a_crashed_generation_begins_anew_under_another_number(shop: Shop) -> None:
    """What the first attempt landed stays in bronze and does no harm; the second one alone decides."""
    shop.live(items(1, 4))
    crashed = shop.begin()
    shop.read(crashed, items(1, 4))
    _full_read(shop, items(1, 2))
    assert set(silver(shop.lake)) == {1, 2}
    complete = newest_complete(shop.lake, shop.lake.must_open("bronze", NAME), NAME)
    assert complete is not None
    assert complete.number == 2
    assert len(bronze(shop.lake)) == 10


def test_a_row_landed_before_the_start_and_refined_after_the_end_is_deleted_too(shop: Shop) -> None:
    """Key 2 was last seen before the full read began; that nobody refined it until now makes no difference."""
    shop.live(items(1, 2))
    generation = shop.begin()
    shop.read(generation, items(1, 1))
    shop.complete(generation)
    shop.refine()
    assert set(silver(shop.lake)) == {1}


def test_an_update_landed_before_the_start_of_a_key_that_is_gone_since_is_deleted(shop: Shop) -> None:
    """Silver has key 2; its update waits in bronze when the full read finds it gone: one tombstone, no clash."""
    shop.live(items(1, 2))
    shop.refine()
    shop.live([*items(1, 2), ("2", "21", 2)])
    generation = shop.begin()
    shop.read(generation, items(1, 1))
    shop.complete(generation)
    shop.refine()
    assert set(silver(shop.lake)) == {1}


@pytest.mark.parametrize("fault", [happened_but_failed(1), not_happened(1)])
def test_a_mark_whose_commit_fails_can_be_set_again(shop: Shop, fault: Any) -> None:
    shop.live(items(1, 2))
    shop.refine()
    generation = shop.begin()
    shop.read(generation, items(1, 1))
    with writes(fault), suppress(HeadworksError, OSError):
        shop.complete(generation)
    shop.complete(generation)
    assert shop.refine().deleted == 1
    assert not shop.refine().committed


def test_an_old_version_does_not_raise_a_deleted_key(shop: Shop) -> None:
    """A backfill that shows an older version than the one that was deleted is superseded by the tombstone."""
    shop.live([("1", "10", 5), ("2", "20", 5)])
    shop.refine()
    _full_read(shop, [("1", "10", 5)])
    land(shop.landing(f"{NAME}@old"), Numbered([("2", "19", 4)]))
    report = shop.refine()
    assert (report.superseded, report.updated) == (1, 0)
    assert set(silver(shop.lake)) == {1}


def test_a_key_that_comes_back_with_a_newer_version_lives_again(shop: Shop) -> None:
    shop.live(items(1, 2))
    shop.refine()
    _full_read(shop, items(1, 1))
    shop.live([*items(1, 2), ("2", "20", 2)])
    shop.refine()
    assert silver(shop.lake) == {1: (10, 1), 2: (20, 2)}


def test_a_key_that_the_source_shows_again_unchanged_lives_again(shop: Shop) -> None:
    """The same version, read after the full read: the source has it, so it is not gone."""
    shop.live(items(1, 2))
    shop.refine()
    _full_read(shop, items(1, 1))
    land(shop.landing(f"{NAME}@later"), Numbered(items(2, 2)))
    shop.refine()
    assert set(silver(shop.lake)) == {1, 2}


HOURS = st.integers(-48, 48).map(lambda hours: timedelta(hours=hours))
KEYS = st.sets(st.integers(1, 8), min_size=1)


class Machine:
    """A machine whose clock is off by a constant, which moves on with the true time."""

    def __init__(self, shop: Shop, off: timedelta) -> None:
        self.shop, self.off = shop, off

    def __call__(self) -> Any:
        return self.shop.clock() + self.off

    def land(self, stream: str, keys: set[int]) -> None:
        landing = replace(self.shop.landing(stream), clock=self)
        land(landing, Numbered([(str(key), str(10 * key), 1) for key in sorted(keys)]))


@settings(max_examples=examples(25), deadline=None)
@given(
    known=KEYS,
    shown=KEYS,
    alongside=st.lists(KEYS, max_size=2),
    off=st.tuples(*[HOURS] * 4),
    early=st.booleans(),
)
def test_what_is_deleted_does_not_depend_on_the_clocks_of_the_machines(
    known: set[int], shown: set[int], alongside: list[set[int]], off: tuple[timedelta, ...], early: bool
) -> None:
    """Four machines, each up to two days off: gone is what neither the full read nor anything since has shown."""
    with TemporaryDirectory() as folder:
        shop = Shop(Lake(LakeSettings(root=str(Path(folder) / "lake"))))
        first, reader, second, third = (Machine(shop, one) for one in off)
        first.land(f"{NAME}@wbefore", known)
        if early:
            shop.refine()
        generation = begin_generation(replace(shop.landing(), clock=reader), ITEMS)
        for number, (machine, keys) in enumerate(zip((second, third), alongside, strict=False)):
            machine.land(f"{NAME}@wbeside{number}", keys)
            if early:
                shop.refine()
        reader.land(generation.stream, shown)
        complete_generation(replace(shop.landing(), clock=reader), generation)
        report = shop.refine()
        assert set(silver(shop.lake)) == shown.union(*alongside)
        assert report.deleted == len(known - shown.union(*alongside))


def test_a_full_read_whose_mark_tells_no_sequences_deletes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was completed by an older version of headworks; the next full read finds what is gone."""
    shop.live(items(1, 2))
    shop.refine()
    generation = shop.begin()
    shop.read(generation, items(1, 1))
    shop.complete(replace(generation, before=None))
    assert shop.refine().deleted == 0
    _full_read(shop, items(1, 1))
    assert set(silver(shop.lake)) == {1}


def _full_read(shop: Shop, records: list[Record]) -> None:
    generation = shop.begin()
    shop.read(generation, records)
    shop.complete(generation)
    shop.refine()
