"""Deletions end what arrived before them and nothing else, in every way of keeping versions, whatever clocks say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.key_sets import compare_keys
from headworks.bronze.landing import Landing, land
from headworks.errors import SettingsError
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.reports import RefineReport
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset, Keeping, Reference
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import Selection
from headworks.silver.replay import discard, replay
from headworks.sources.base import REFUSAL, Batch
from headworks.storage.store import Lake
from tests.support.sources import Frames

NAME = "t.things"
MORNING = datetime(2026, 1, 5, 8, tzinfo=UTC)
Row = tuple[str | None, int | None, int | None, bool]
"""A key, a value, how many minutes after the morning it changed, and whether the key is gone."""
LIVE, GONE = False, True


class Thing(dy.Schema):
    """A thing, whose key the schema lets be null, as that of a view may be."""

    id = dy.Int64(nullable=True)
    v = dy.Int64(nullable=False, min=0)
    at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")


class Loose(dy.Schema):
    """The same after a rule was taken back."""

    id = dy.Int64(nullable=True)
    v = dy.Int64(nullable=False)
    at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")


THING = Dataset(
    name=NAME,
    key=("id",),
    schema=Thing,
    columns={"id": pl.col("id").cast(pl.Int64, strict=False), "v": pl.col("v"), "at": pl.col("at")},
    cursor="at",
    deleted_when=pl.col("gone"),
    limits=RejectLimits(share=1.0),
)
KEEPING: list[Keeping] = ["newest", "first", "history"]
SCHEMA = pl.Schema(
    {"id": pl.String(), "v": pl.Int64(), "at": pl.Datetime("us", "UTC"), "gone": pl.Boolean(), **REFUSAL}
)


class Machine:
    """A machine with a clock of its own, which lands and refines in one lake."""

    def __init__(self, lake: Lake, dataset: Dataset, ahead: timedelta = timedelta(0)) -> None:
        self.lake, self.dataset, self.ahead = lake, dataset, ahead
        self.loads: dict[str, list[pl.DataFrame]] = {}

    def clock(self) -> datetime:
        return MORNING + self.ahead

    def landing(self, stream: str = NAME) -> Landing:
        return Landing(self.lake, NAME, stream, "run", clock=self.clock)

    def frame(self, rows: Sequence[Row], refused: bytes | None = None) -> pl.DataFrame:
        moments = [None if at is None else MORNING + timedelta(minutes=at) for _, _, at, _ in rows]
        made = [(key, v, at, gone, None, None) for (key, v, _, gone), at in zip(rows, moments, strict=True)]
        damaged = [] if refused is None else [(None, None, None, None, "line|fields", refused)]
        return pl.DataFrame([*made, *damaged], schema=SCHEMA, orient="row")

    def land(self, *rows: Row, stream: str = NAME) -> None:
        self.loads.setdefault(stream, []).append(self.frame(rows))
        land(self.landing(stream), Frames(self.loads[stream]))

    def full(self, *rows: Row, refused: bytes | None = None) -> RefineReport:
        generation = begin_generation(self.landing(), SCHEMA)
        land(self.landing(generation.stream), Frames([self.frame(rows, refused)]))
        complete_generation(self.landing(), generation)
        return self.refine()

    def keys(self, *keys: str) -> RefineReport:
        compare_keys(self.landing(), _Keys(keys), None, 1.0)
        return self.refine()

    def refine(self, dataset: Dataset | None = None) -> RefineReport:
        work = Refinement(self.lake, "run", clock=lambda: self.clock() + timedelta(minutes=1))
        outcome = refine(work, dataset or self.dataset)
        assert outcome.gate is None or outcome.gate.open, outcome.gate
        return outcome.report

    def alive(self) -> dict[int, int]:
        rows = self.lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted")).collect()
        if self.dataset.keeps == "history":
            rows = rows.filter("current")
        found = dict(rows.select("id", "v").iter_rows())
        assert len(found) == rows.height
        return found


class _Keys:
    key = ("id",)
    schema = SCHEMA

    def __init__(self, keys: Sequence[str]) -> None:
        self.shown = keys

    def read_keys(self) -> Iterator[Batch]:
        frame = pl.DataFrame({"id": list(self.shown)}, schema={"id": pl.String()})
        yield Batch(frame, {}, read=frame.height)


@pytest.fixture(params=KEEPING)
def machine(request: pytest.FixtureRequest, lake: Lake) -> Machine:
    return Machine(lake, replace(THING, keeps=request.param))


def test_a_tombstone_with_nothing_but_its_key_ends_the_key(machine: Machine) -> None:
    machine.land(("1", 10, 1, LIVE), ("2", 20, 1, LIVE))
    machine.refine()
    machine.land(("1", None, None, GONE))
    machine.refine()
    assert machine.alive() == {2: 20}


def test_what_arrives_after_a_tombstone_in_the_same_batch_lives(machine: Machine) -> None:
    machine.land(("1", 10, 1, LIVE), ("1", None, None, GONE), ("1", 11, 2, LIVE))
    machine.refine()
    assert machine.alive() == {1: 11}


def test_the_first_of_a_batch_is_the_first(lake: Lake) -> None:
    machine = Machine(lake, replace(THING, keeps="first"))
    machine.land(("1", 10, 1, LIVE), ("1", 11, 2, LIVE))
    machine.land(("1", 12, 3, LIVE))
    machine.refine()
    assert machine.alive() == {1: 10}


def test_a_row_without_a_key_is_rejected_and_not_there_once_more_with_each_reading(machine: Machine) -> None:
    for _ in range(3):
        machine.land((None, 10, 1, LIVE), ("2", 20, 1, LIVE))
        assert machine.refine().reasons == {"id|nullability": 1}
    assert machine.alive() == {2: 20}


def test_a_version_without_a_beginning_is_rejected_by_a_history(lake: Lake) -> None:
    machine = Machine(lake, replace(THING, keeps="history"))
    machine.land(("1", 10, None, LIVE), ("2", 20, 1, LIVE))
    assert machine.refine().reasons == {"at|nullability": 1}
    assert machine.alive() == {2: 20}


@pytest.mark.parametrize("optional", [None, True, False])
def test_a_null_refers_to_nothing_where_the_reference_is_optional(lake: Lake, optional: bool | None) -> None:
    """Left out, it is optional where the schema lets the column be null, as `at` does here."""
    parents = replace(THING, name="t.parents")
    lake.ensure("silver", "t.parents", parents.silver_schema())
    referring = Reference(("at",), "t.parents", ("at",), "no_parent", optional=optional)
    machine = Machine(lake, replace(THING, references=(referring,)))
    machine.land(("1", 10, None, LIVE), ("2", 20, 1, LIVE))
    report = machine.refine()
    assert machine.alive() == ({} if optional is False else {1: 10})
    assert report.waiting == (2 if optional is False else 1)


@pytest.mark.parametrize("ahead", [-60, 60])
def test_within_a_stream_the_sequence_decides_and_no_clock(lake: Lake, ahead: int) -> None:
    """The same cursor, from two machines that are an hour apart."""
    first, second = Machine(lake, THING, timedelta(minutes=ahead)), Machine(lake, THING)
    first.land(("1", 10, 5, LIVE))
    first.refine()
    second.loads = first.loads
    second.land(("1", 11, 5, LIVE))
    second.refine()
    assert second.alive() == {1: 11}


@pytest.mark.parametrize("ahead", [-60, 60])
def test_of_two_full_reads_the_later_counts_and_no_clock(lake: Lake, ahead: int) -> None:
    dataset = replace(THING, cursor=None)
    Machine(lake, dataset, timedelta(minutes=ahead)).full(("1", 10, None, LIVE))
    second = Machine(lake, dataset)
    second.full(("1", 11, None, LIVE))
    assert second.alive() == {1: 11}


@pytest.mark.parametrize("waits", [True, False])
def test_a_replay_does_not_raise_a_key_that_was_deleted_since(machine: Machine, waits: bool) -> None:
    """A newer version was rejected, or silver never had the key at all; then the source deleted it."""
    if waits:
        machine.land(("1", 10, 1, LIVE), ("2", 20, 1, LIVE))
        machine.refine()
    machine.land(("1", 10, 1, LIVE), ("2", -5, 2, LIVE))
    machine.refine()
    machine.full(("1", 10, 1, LIVE))
    loose = replace(machine.dataset, schema=Loose)
    replay(Refinement(machine.lake, "again", clock=machine.clock), loose)
    assert machine.alive() == {1: 10}
    machine.refine(loose)
    assert machine.alive() == {1: 10}


def test_a_key_that_was_wrongly_deleted_comes_back_when_it_is_shown_again(machine: Machine) -> None:
    machine.full(("1", 10, 1, LIVE), ("2", 20, 1, LIVE))
    assert machine.full(("1", 10, 1, LIVE)).deleted == 1
    assert machine.alive() == {1: 10}
    machine.full(("1", 10, 1, LIVE), ("2", 20, 1, LIVE))
    assert machine.alive() == {1: 10, 2: 20}
    assert machine.full(("1", 10, 1, LIVE)).deleted == 1
    machine.full(("1", 10, 1, LIVE), ("2", 20, 1, LIVE))
    assert machine.alive() == {1: 10, 2: 20}


def test_a_key_that_was_wrongly_deleted_comes_back_by_any_later_reading_of_it(machine: Machine) -> None:
    """A window shows the same version again: no full read is needed to take the deletion back."""
    machine.full(("1", 10, 1, LIVE), ("2", 20, 1, LIVE))
    machine.full(("1", 10, 1, LIVE))
    machine.land(("2", 20, 1, LIVE), stream=f"{NAME}@w1")
    machine.refine()
    assert machine.alive() == {1: 10, 2: 20}


def test_a_key_that_was_wrongly_missed_comes_back_by_its_key_alone(machine: Machine) -> None:
    machine.land(("1", 10, 1, LIVE), ("2", 20, 1, LIVE))
    machine.refine()
    assert machine.keys("1").deleted == 1
    assert machine.keys("1", "2").returned == 1
    assert machine.alive() == {1: 10, 2: 20}
    assert machine.keys("1", "2").returned == 0


@pytest.mark.parametrize("ahead", [-90, 0, 90])
def test_a_key_that_is_gone_is_not_current_whatever_the_clock_of_the_source(lake: Lake, ahead: int) -> None:
    """A history, whose source is before or behind us; the key is gone once, and back with a newer version."""
    machine = Machine(lake, replace(THING, keeps="history"))
    machine.full(("1", 10, ahead, LIVE), ("2", 20, ahead, LIVE))
    machine.full(("1", 10, ahead, LIVE))
    assert machine.alive() == {1: 10}
    machine.full(("1", 10, ahead, LIVE), ("2", 21, ahead + 1, LIVE))
    assert machine.alive() == {1: 10, 2: 21}
    rows = lake.must_open("silver", NAME).scan().collect()
    assert rows.filter(pl.col("valid_to") <= pl.col("valid_from")).is_empty()


@pytest.mark.parametrize("damage", ["key", "record"])
def test_a_full_read_with_a_record_that_nobody_can_name_deletes_nothing(
    machine: Machine, damage: str
) -> None:
    """Any missing key may be its; once somebody has discarded the record, it holds nothing back."""
    rows: list[Row] = [("1", 10, 1, LIVE), ("2", 20, 1, LIVE)]
    machine.full(*rows)
    bad: list[Row] = [("2?", 20, 1, LIVE)] if damage == "key" else []
    refused = b"2,20" if damage == "record" else None
    report = machine.full(rows[0], *bad, refused=refused)
    assert (report.deleted, report.unidentified) == (0, 1)
    assert machine.alive() == {1: 10, 2: 20}
    work = Refinement(machine.lake, "person", clock=machine.clock)
    assert discard(work, NAME, Selection(), by="me", note="it is nothing") == 1
    report = machine.full(rows[0], *bad, refused=refused)
    assert (report.deleted, report.unidentified) == (1, 0)
    assert machine.alive() == {1: 10}


@pytest.mark.parametrize("by_keys", [True, False])
def test_a_deletion_is_found_after_the_bronze_of_its_key_has_aged(machine: Machine, by_keys: bool) -> None:
    rows: list[Row] = [("1", 10, 1, LIVE), ("2", 20, 1, LIVE), ("3", 30, 1, LIVE)]
    machine.land(*rows)
    machine.refine()
    machine.full(*rows)
    late = MORNING + timedelta(days=100)
    maintain(machine.lake, MaintenanceSettings(keep_days={"bronze": 90}), clock=lambda: late)
    machine.ahead = timedelta(days=101)
    if by_keys:
        (noted,) = compare_keys(machine.landing(), _Keys(("1", "2")), None, 1.0)
        assert noted.missing == 0, "silver has seen the keys that bronze has forgotten"
    report = machine.refine() if by_keys else machine.full(*rows[:2])
    assert report.deleted == 1
    assert machine.alive() == {1: 10, 2: 20}


def test_columns_by_the_names_that_silver_keeps_for_itself_are_refused() -> None:
    columns = {**THING.columns, "_deleted": pl.col("gone")}
    schema = type("Own", (Thing,), {"_deleted": dy.Bool(nullable=True)})
    with pytest.raises(SettingsError, match="_deleted"):
        replace(THING, columns=columns, schema=schema)


def test_a_key_that_silver_never_had_does_not_come_back_without_values(machine: Machine) -> None:
    """It was rejected, then gone, and is shown again as bad as before: there is nothing to bring back."""
    machine.land(("1", 10, 1, LIVE), ("2", -5, 1, LIVE))
    machine.refine()
    machine.full(("1", 10, 1, LIVE))
    machine.full(("1", 10, 1, LIVE), ("2", -5, 1, LIVE))
    assert machine.alive() == {1: 10}
    machine.land(("2", 20, 2, LIVE))
    machine.refine()
    assert machine.alive() == {1: 10, 2: 20}


def test_a_key_that_comes_back_by_its_key_alone_was_gone_before_all_the_same(lake: Lake) -> None:
    """In a history the last deletion is taken back alone: a newer version followed each earlier one."""
    machine = Machine(lake, replace(THING, keeps="history"))

    def lives() -> list[tuple[object, ...]]:
        rows = lake.must_open("silver", NAME).scan().filter(pl.col("id") == 2).sort("valid_from").collect()
        return rows.select("v", "_deleted", "valid_from", "valid_to", "current").rows()

    machine.land(("1", 10, 1, LIVE), ("2", 20, 1, LIVE))
    machine.refine()
    for day in (1, 2):
        assert machine.keys("1").deleted == 1
        machine.land(("2", 20 + day, 5 * day, LIVE))
        machine.refine()
    before = lives()
    assert [deleted for _, deleted, *_ in before] == [False, True, False, True, False]
    for _ in range(3):
        assert machine.keys("1").deleted == 1
        assert machine.alive() == {1: 10}
        assert machine.keys("1", "2").returned == 1
        assert lives() == before
