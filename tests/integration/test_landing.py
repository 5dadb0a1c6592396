"""The landing loop on real Delta tables: what was committed is there once, whatever the commit said of itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

import headworks.bronze.landing as landing_module
from headworks.bronze.consumed import checkpoint_id
from headworks.bronze.landing import Landing, land, read_head
from headworks.errors import CommitUnclear, ConcurrentRun, LakeUnusable
from headworks.reports import LandingReport
from headworks.sources.base import Batch, Effort, Position
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from tests.support.faults import (
    Call,
    Crash,
    crash_after,
    crash_before,
    happened_but_failed,
    not_happened,
    writes,
)
from tests.support.items import NAME, bronze, head, land_items
from tests.support.sources import ITEMS, Frames, Numbered, frame_of, ids, items

FIVE = items(1, 5)
FIVE_IDS = ["1", "2", "3", "4", "5"]


def landing(lake: Lake, stream: str = NAME) -> Landing:
    return Landing(lake, NAME, stream, "run")


def test_all_records_land_once_with_their_origin(lake: Lake) -> None:
    report = land(landing(lake), Numbered(FIVE))
    rows = bronze(lake).sort("_sequence", "_row")
    assert rows.get_column("id").to_list() == FIVE_IDS
    assert rows.get_column("_sequence").to_list() == [1, 1, 2, 2, 3]
    assert rows.get_column("_row").to_list() == [0, 1, 0, 1, 0]
    assert (report.read, report.landed, report.batches) == (5, 5, 3)
    assert (report.first_sequence, report.last_sequence, report.position) == (1, 3, {"n": 5})


def test_landing_again_goes_on_after_the_position(lake: Lake) -> None:
    land(landing(lake), Numbered(FIVE))
    report = land(landing(lake), Numbered([*FIVE, *items(6, 7)]))
    assert (report.read, report.landed, report.first_sequence) == (2, 2, 4)
    assert ids(bronze(lake)) == [*FIVE_IDS, "6", "7"]


def test_nothing_new_commits_nothing(lake: Lake) -> None:
    land(landing(lake), Numbered(FIVE))
    version = lake.must_open("bronze", NAME).version
    report = land(landing(lake), Numbered(FIVE))
    assert (report.read, report.landed, report.batches) == (0, 0, 0)
    assert lake.must_open("bronze", NAME).version == version


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_commit_that_happened_and_is_reported_as_failed_lands_once(lake: Lake, at: int) -> None:
    seen: list[LandingReport] = []
    with writes(happened_but_failed(at)):
        report = land(landing(lake), Numbered(FIVE), on_batch=seen.append)
    assert ids(bronze(lake)) == FIVE_IDS
    assert (report.read, report.landed, report.batches, report.last_sequence) == (5, 5, 3, 3)
    assert [each.landed for each in seen] == [2, 4, 5]


def test_without_reading_the_transactions_again_such_a_commit_doubles(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule taken out: the failed append is repeated on the newest version, as a retry by path does."""
    real = Table.append_part

    def blind(self: Table, *arguments: Any, **named: Any) -> None:
        try:
            real(self, *arguments, **named)
        except LakeUnusable:
            real(lake.must_open("bronze", NAME), *arguments, **named)

    monkeypatch.setattr(Table, "append_part", blind)
    with writes(happened_but_failed(3)):
        land(landing(lake), Numbered(FIVE))
    assert ids(bronze(lake)) == [*FIVE_IDS, "5"]


def test_a_sequence_is_refused_from_a_stale_snapshot_and_doubles_from_a_fresh_one(lake: Lake) -> None:
    """Why the loop commits through the table object that it read, and never by path."""
    lake.ensure("bronze", NAME, ITEMS)
    first, stale = lake.must_open("bronze", NAME), lake.must_open("bronze", NAME)
    first.append(frame_of(FIVE), {NAME: 1})
    with pytest.raises(CommitFailedError):
        stale.append(frame_of(FIVE), {NAME: 1})
    assert lake.must_open("bronze", NAME).row_count() == 5
    lake.must_open("bronze", NAME).append(frame_of(FIVE), {NAME: 1})
    assert lake.must_open("bronze", NAME).row_count() == 10


def test_a_crash_before_the_commit_leaves_a_checkpoint_that_means_nothing(lake: Lake) -> None:
    with writes(crash_before(2)), pytest.raises(Crash):
        land(landing(lake), Numbered(FIVE))
    checkpoints = list((Path(lake.settings.root) / "_headworks/checkpoints/t/items" / NAME).iterdir())
    assert len(checkpoints) == 2, "the orphan of the crashed commit is there"
    assert (head(lake).sequence, head(lake).position) == (1, {"n": 2})
    land(landing(lake), Numbered(FIVE))
    assert ids(bronze(lake)) == FIVE_IDS


def test_a_crash_just_after_the_commit_loses_and_doubles_nothing(lake: Lake) -> None:
    with writes(crash_after(2)), pytest.raises(Crash):
        land(landing(lake), Numbered(FIVE))
    assert land(landing(lake), Numbered(FIVE)).landed == 1
    assert ids(bronze(lake)) == FIVE_IDS


def test_a_commit_that_keeps_failing_ends_in_commit_unclear_and_moves_nothing(lake: Lake) -> None:
    land_items(lake, FIVE[:2])
    before = head(lake)
    with writes(not_happened(1, 2, 3)), pytest.raises(CommitUnclear, match="3 times"):
        land(landing(lake), Numbered(FIVE))
    assert head(lake) == before
    assert land(landing(lake), Numbered(FIVE)).landed == 3
    assert ids(bronze(lake)) == FIVE_IDS


def test_a_commit_that_fails_twice_and_then_works_lands_once(lake: Lake) -> None:
    """Failures count from again after each commit that worked: four in all end nothing here."""
    with writes(not_happened(1, 2, 4, 5)):
        report = land(landing(lake), Numbered(FIVE))
    assert ids(bronze(lake)) == FIVE_IDS
    assert (report.read, report.landed, report.batches) == (5, 5, 3)


class _WithFirstPage(Numbered):
    """Yields a first page of what is known already before each reading, as an API does that looks back."""

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        effort = Effort(pages=1, requests=2, retries=1)
        yield Batch(frame_of([], ITEMS), position or {}, read=3, repeated=3, effort=effort)
        yield from super().read(position, until)


@pytest.mark.parametrize("failing", [(), (1,), (2,), (1, 2), (2, 3), (1, 2, 4)])
@pytest.mark.parametrize("happened", [False, True])
def test_what_is_read_again_after_a_failed_commit_is_counted_once(
    lake: Lake, failing: tuple[int, ...], happened: bool
) -> None:
    """A page that lands nothing is read again with each try; what was read before a commit that happened counts."""
    failing = failing[:1] if happened else failing
    with writes(happened_but_failed(*failing) if happened and failing else not_happened(*failing)):
        report = land(landing(lake), _WithFirstPage(FIVE))
    assert ids(bronze(lake)) == FIVE_IDS
    # After a commit the source is read on from there, with a first page of that reading.
    readings = 1 + (len(failing) if happened else sum(at - 1 not in failing and at > 1 for at in failing))
    assert report.read == report.landed + report.repeated
    assert (report.landed, report.repeated) == (5, 3 * readings)
    assert (report.pages, report.requests, report.retries) == (readings, 2 * readings, readings)


def test_a_commit_that_keeps_failing_ends_also_where_each_reading_begins_with_a_page_of_nothing_new(
    lake: Lake,
) -> None:
    with writes(not_happened(*range(1, 20))), pytest.raises(CommitUnclear, match="3 times"):
        land(landing(lake), _WithFirstPage(FIVE))


def test_a_failed_commit_closes_the_reading_and_begins_a_new_one(lake: Lake) -> None:
    source = Numbered(FIVE)
    with writes(not_happened(2)):
        land(landing(lake), source)
    assert source.closed == 2


def test_an_error_of_the_source_keeps_all_batches_before_it(lake: Lake) -> None:
    def fail(number: int) -> None:
        if number == 2:
            raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        land(landing(lake), Numbered(FIVE, before_batch=fail))
    assert head(lake).position == {"n": 4}
    land(landing(lake), Numbered(FIVE))
    assert ids(bronze(lake)) == FIVE_IDS


def test_an_empty_batch_with_a_new_position_is_committed_and_moves_the_stream(lake: Lake) -> None:
    report = land(landing(lake), Numbered(FIVE, end_mark=True))
    assert (report.last_sequence, report.landed) == (4, 5)
    assert head(lake).position == {"n": 5, "done": True}


def test_the_position_is_that_of_the_committed_token(lake: Lake) -> None:
    """Two checkpoints are there for sequence 1; the one whose token the table names is read."""
    tokens = iter([111, 222])
    source = Numbered(FIVE)
    with writes(crash_before(1)), pytest.raises(Crash):
        land(Landing(lake, NAME, NAME, "first", token=lambda: next(tokens)), source)
    land(Landing(lake, NAME, NAME, "second", token=lambda: next(tokens)), Numbered(FIVE, size=5))
    table = lake.must_open("bronze", NAME)
    assert table.transaction(checkpoint_id(NAME)) == 222
    assert read_head(lake, table, NAME, NAME).position == {"n": 5}


@pytest.mark.parametrize("token_in_name", [True, False])
def test_two_runs_that_write_different_positions_for_one_sequence(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, token_in_name: bool
) -> None:
    """The loser writes its checkpoint last. With the token in its name that harms nothing; without, rows double."""
    if not token_in_name:
        monkeypatch.setattr(landing_module, "_checkpoint_path", _path_without_token)
    tokens = iter(range(1, 100))

    def interrupted() -> int:
        token = next(tokens)
        if token == 1:
            other = Landing(lake, NAME, NAME, "other", token=lambda: 1000)
            land(other, Numbered(FIVE[:4], size=4))
        return token

    with pytest.raises(ConcurrentRun):
        land(Landing(lake, NAME, NAME, "slow", token=interrupted), Numbered(FIVE))
    land(landing(lake), Numbered(FIVE))
    landed = ids(bronze(lake))
    assert landed == (FIVE_IDS if token_in_name else ["1", "2", "3", "3", "4", "4", "5"])


def test_the_checkpoint_is_readable_before_the_table_names_it(lake: Lake) -> None:
    """Seen at the moment of each commit: the object is there with the position after that very batch."""
    seen: list[Any] = []
    tokens = iter(range(101, 110))

    def look(number: int, call: Call) -> Any:
        seen.append(lake.get_object(f"_headworks/checkpoints/t/items/{NAME}/{number}-{100 + number}.json"))
        return call()

    with writes(look):
        land(Landing(lake, NAME, NAME, "run-9", token=lambda: next(tokens)), Numbered(FIVE))
    assert [each["position"] for each in seen] == [{"n": 2}, {"n": 4}, {"n": 5}]
    assert [(each["stream"], each["sequence"], each["run_id"]) for each in seen] == [
        (NAME, number, "run-9") for number in (1, 2, 3)
    ]


def test_the_checkpoint_that_each_version_of_the_table_names_is_readable(lake: Lake) -> None:
    for stream in (NAME, f"{NAME}@other"):
        land(landing(lake, stream), Numbered(FIVE))
    newest = lake.must_open("bronze", NAME).version
    for version in range(newest + 1):
        table = lake.must_open("bronze", NAME, version)
        for stream in (NAME, f"{NAME}@other"):
            at = read_head(lake, table, NAME, stream)
            assert at.position == (None if at.sequence == 0 else {"n": min(2 * at.sequence, 5)})


def test_a_checkpoint_that_is_gone_is_an_error_and_not_a_beginning_from_the_start(lake: Lake) -> None:
    land(landing(lake), Numbered(FIVE))
    for path in (Path(lake.settings.root) / "_headworks/checkpoints/t/items" / NAME).iterdir():
        path.unlink()
    with pytest.raises(LakeUnusable) as caught:
        land(landing(lake), Numbered([*FIVE, *items(6, 7)]))
    assert f"{NAME}/3-" in caught.value.where
    assert ids(bronze(lake)) == FIVE_IDS


def test_a_table_that_forgets_transactions_is_refused(lake: Lake) -> None:
    """Its progress would be forgotten with them, and everything would land again."""
    land(landing(lake), Numbered(FIVE[:2]))
    forgetful = DeltaTable(lake.uri("bronze", NAME))
    forgetful.alter.set_table_properties({"delta.setTransactionRetentionDuration": "interval 1 day"})
    with pytest.raises(LakeUnusable, match="forgets transactions") as caught:
        land(landing(lake), Numbered(FIVE))
    assert "unset delta.setTransactionRetentionDuration" in caught.value.do
    with pytest.raises(LakeUnusable):
        lake.open("bronze", NAME)


def test_a_new_column_of_the_source_is_added_and_old_rows_have_null_in_it(lake: Lake) -> None:
    land(landing(lake), Frames([frame_of(FIVE[:2])]))
    wider = frame_of(FIVE[2:]).with_columns(colour=pl.lit("red"))
    land(landing(lake), Frames([frame_of(FIVE[:2]), wider]))
    rows = bronze(lake).sort("id")
    assert rows.get_column("colour").to_list() == [None, None, "red", "red", "red"]
    assert ids(rows) == FIVE_IDS


def test_a_source_with_bronzes_own_columns_is_refused_before_anything_is_made(lake: Lake) -> None:
    clashing = frame_of(FIVE).with_columns(_row=pl.lit(1))
    with pytest.raises(LakeUnusable, match="_row"):
        land(landing(lake), Frames([clashing]))
    assert lake.open("bronze", NAME) is None


def _path_without_token(dataset: str, stream: str, sequence: int, token: int) -> str:
    return f"_headworks/checkpoints/{dataset}/{stream}/{sequence}.json"
