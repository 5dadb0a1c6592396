"""Silver follows a declaration that changes: no value changes, what does not fit is refused, a kill leaves it exact."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.errors import (
    CandidateStale,
    HeadworksError,
    SchemaChanged,
    SettingsError,
    SourceMissing,
    ValueRefused,
)
from headworks.gold.table import pin
from headworks.quality.limits import AnomalyLimits
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.mirror import mirror
from headworks.silver.quarantine import rejected_rows
from headworks.silver.rebuild import rebuild
from headworks.silver.refinement import PART_ROWS, Refinement, RefineOutcome, refine
from headworks.storage.store import Lake
from tests.support.faults import Crash, crash_after, crash_before, happened_but_failed, not_happened, writes
from tests.support.items import Ticking
from tests.support.sources import Frames

NAME = "t.rows"
QUIET = AnomalyLimits(enabled=False)


def declared(keeps: Any = "newest", **columns: dy.Column) -> Dataset:
    """Declare a dataset of an id, a cursor and the given columns, each as bronze has it."""
    made = {"id": dy.Int64(nullable=False), "at": dy.Int64(nullable=False), **columns}
    return Dataset(
        name=NAME,
        key=("id",),
        schema=type("Declared", (dy.Schema,), dict(made)),
        columns={name: pl.col(name) for name in made},
        cursor="at",
        keeps=keeps,
        limits=RejectLimits(share=1.0),
        anomalies=QUIET,
    )


class Feed:
    """Frames that come one after another, each landed and refined by a declaration."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.clock, self.part_rows = lake, Ticking(), PART_ROWS
        self.frames: list[pl.DataFrame] = []

    def land(self, ids: list[int], at: int = 1, **columns: pl.Series) -> None:
        rows = {"id": ids, "at": [at] * len(ids)}
        self.frames.append(pl.DataFrame(rows).with_columns(**columns))
        # The last one alone is read, as by a source whose columns are those that it has now.
        land(
            Landing(self.lake, NAME, NAME, "run", clock=self.clock),
            Frames(self.frames[-1:] * len(self.frames)),
        )

    def refine(self, dataset: Dataset, **asked: Any) -> RefineOutcome:
        work = Refinement(self.lake, "run", clock=self.clock, part_rows=self.part_rows)
        outcome = refine(work, dataset, **asked)
        assert outcome.gate is None or outcome.gate.open, outcome.gate
        return outcome

    def silver(self, *columns: str) -> list[tuple[Any, ...]]:
        return self.lake.must_open("silver", NAME).scan().sort("id").select(columns).collect().rows()

    def dtype(self, column: str) -> pl.DataType:
        return self.lake.must_open("silver", NAME).schema[column]


@pytest.fixture
def feed(lake: Lake) -> Feed:
    return Feed(lake)


CENTS, FINER = pl.Decimal(10, 2), pl.Decimal(14, 4)


def money(*values: str, dtype: pl.DataType = FINER) -> pl.Series:
    return pl.Series([Decimal(value) for value in values], dtype=dtype)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("part_rows", [1, PART_ROWS])
@pytest.mark.parametrize("keeps", ["newest", "first", "history"])
def test_a_wider_type_keeps_every_value_over_later_runs(feed: Feed, keeps: str, part_rows: int) -> None:
    """Whether a range is refined at once or, where it is large, in parts."""
    feed.part_rows = part_rows
    old, new = declared(keeps, v=dy.Decimal(10, 2)), declared(keeps, v=dy.Decimal(14, 4))
    feed.land([1, 2], v=money("1.25", "99999999.99", dtype=CENTS))
    feed.refine(old)
    feed.land([3], v=money("30.5678"))
    assert feed.refine(new).report.columns == (f"v grew from {CENTS} to {FINER}",)
    feed.land([2], at=2, v=money("0.0001"))
    feed.refine(new)
    feed.land([4], v=money("9999999999.9999"))
    last = feed.refine(new).report
    assert (last.inserted, last.columns) == (1, ())
    found = feed.silver("id", "at", "v")
    kept = [(1, 1, Decimal("1.2500")), (3, 1, Decimal("30.5678")), (4, 1, Decimal("9999999999.9999"))]
    assert set(kept) <= set(found)
    second = {row[2] for row in found if row[0] == 2}
    was, now = Decimal("99999999.9900"), Decimal("0.0001")
    assert second == {"newest": {now}, "first": {was}, "history": {was, now}}[keeps]
    assert feed.dtype("v") == FINER


def test_the_cursor_of_a_history_may_grow_with_the_moments_that_are_made_of_it(feed: Feed) -> None:
    small = declared("history", v=dy.Int64())
    small = replace(small, schema=type("Small", (dy.Schema,), {**small.schema.columns(), "at": dy.Int32()}))
    feed.land([1], v=pl.Series([1]))
    feed.refine(replace(small, columns={**small.columns, "at": pl.col("at").cast(pl.Int32)}))
    feed.land([1], at=2**40, v=pl.Series([2]))
    feed.refine(declared("history", v=dy.Int64()))
    found = sorted(feed.silver("id", "v", "valid_from", "valid_to"))
    assert found == [(1, 1, 1, 2**40), (1, 2, 2**40, None)]
    assert feed.dtype("valid_from") == feed.dtype("valid_to") == pl.Int64()


def test_a_new_column_is_empty_in_the_rows_that_are_there(feed: Feed) -> None:
    feed.land([1, 2], v=pl.Series([1, 2]))
    feed.refine(declared(v=dy.Int64()))
    more = declared(v=dy.Int64(), w=dy.String(nullable=True))
    output: list[str] = []
    for number in (3, 4, 5):
        feed.land([number], v=pl.Series([number]), w=pl.Series([f"w{number}"]))
        output += feed.refine(more).report.columns
    assert output == ["w (String) is new, and empty in the rows that silver has"]
    assert feed.silver("id", "w") == [(1, None), (2, None), (3, "w3"), (4, "w4"), (5, "w5")]


def test_a_column_that_is_declared_no_longer_is_refused_until_it_is_named_as_dropped(feed: Feed) -> None:
    both, one = declared(v=dy.Int64(), w=dy.Int64()), declared(v=dy.Int64())
    feed.land([1], v=pl.Series([1]), w=pl.Series([10]))
    feed.refine(both)
    feed.land([2], v=pl.Series([2]), w=pl.Series([20]))
    with pytest.raises(SchemaChanged, match=r"w is Int64 in silver and is not declared.*`dropped`"):
        feed.refine(one)
    renamed = declared(v=dy.Int64(), u=dy.Int64(nullable=True))
    renamed = replace(renamed, columns={**renamed.columns, "u": pl.col("w")})
    with pytest.raises(
        SchemaChanged, match=r"w is Int64.*is not declared; u is not in silver and is declared as Int64"
    ):
        feed.refine(renamed)
    assert feed.silver("id", "w") == [(1, 10)]
    feed.refine(replace(one, dropped=("w",)))
    feed.land([3], v=pl.Series([3]), w=pl.Series([30]))
    feed.refine(replace(one, dropped=("w",)))
    assert feed.silver("id", "v") == [(1, 1), (2, 2), (3, 3)]
    assert "w" not in feed.lake.must_open("silver", NAME).columns


def test_a_type_that_holds_not_all_is_refused_with_both_and_what_to_do(feed: Feed) -> None:
    feed.land([1], v=pl.Series([2**53 + 1]))
    feed.refine(declared(v=dy.Int64()))
    version = feed.lake.must_open("silver", NAME).version
    for other in (dy.Float64(), dy.String(), dy.Date(), dy.Bool()):
        with pytest.raises(
            SchemaChanged, match=f"v is Int64 in silver and is declared as {other.dtype}.*from bronze"
        ):
            feed.refine(declared(v=other))
    assert feed.lake.must_open("silver", NAME).version == version
    feed.refine(declared(v=dy.Int64()))


@pytest.mark.parametrize("way", ["the command", "folders moved away"])
def test_silver_is_made_again_from_bronze_as_the_message_says(feed: Feed, way: str) -> None:
    feed.land([1, 2], v=pl.Series([1, 2]))
    feed.refine(declared(v=dy.Int64()))
    feed.land([3], v=pl.Series([3]))
    text = replace(
        declared(v=dy.String()),
        columns={"id": pl.col("id"), "at": pl.col("at"), "v": pl.col("v").cast(pl.String)},
    )
    with pytest.raises(SchemaChanged, match="headworks silver rebuild"):
        feed.refine(text)
    if way == "the command":
        assert rebuild(Refinement(feed.lake, "rebuild"), text).lost == 0
    else:
        for layer in ("silver", "quarantine"):
            shutil.rmtree(feed.lake.uri(layer, NAME))
    feed.refine(text)
    assert feed.silver("id", "v") == [(1, "1"), (2, "2"), (3, "3")]


def test_a_value_that_its_declared_type_does_not_hold_is_rejected_and_its_neighbours_land(feed: Feed) -> None:
    feed.land([1, 2, 3], v=money("1.23", "1.239", "1.2300"))
    feed.refine(declared(v=dy.Decimal(10, 2)))
    assert feed.silver("id", "v") == [(1, Decimal("1.23")), (3, Decimal("1.23"))]
    kept = rejected_rows(feed.lake, NAME, feed.lake.must_open("silver", NAME))
    assert kept is not None
    assert kept.select("key", "reasons").collect().rows() == [("2", ["v|unreadable"])]


def test_another_kind_of_type_and_a_column_that_bronze_lacks_are_named(feed: Feed) -> None:
    feed.land([1], v=pl.Series(["7"]))
    with pytest.raises(SettingsError, match="v is declared as Int64, and its expression gives String"):
        feed.refine(declared(v=dy.Int64()))
    with pytest.raises(SourceMissing, match=r"Bronze lacks columns.*w is made of w.*Bronze has id, at, v"):
        feed.refine(declared(v=dy.String(), w=dy.String()))
    # The table was made by the first of these, and has no row: any declaration may take it over.
    feed.refine(declared(v=dy.String()))
    assert feed.silver("id", "v") == [(1, "7")]


def test_rejected_rows_stay_readable_and_count_once_over_a_widening(feed: Feed) -> None:
    """Those of a try that silver never named stay uncounted, those that it named stay counted."""
    old = declared(v=dy.Decimal(10, 2, min=0))
    feed.land([1, 2], v=money("1.00", "-2.00", dtype=CENTS))
    closed = replace(old, limits=RejectLimits(share=0.1, from_rows=1))
    assert refine(Refinement(feed.lake, "closed"), closed).gate.open is False  # type: ignore[union-attr]
    feed.refine(old)
    closed = replace(closed, schema=declared(v=dy.Decimal(14, 4, min=0)).schema)
    feed.land([3, 4], v=money("3.0001", "-4"))
    assert refine(Refinement(feed.lake, "closed again"), closed).gate.open is False  # type: ignore[union-attr]

    def counted() -> list[str]:
        kept = rejected_rows(feed.lake, NAME, feed.lake.must_open("silver", NAME))
        return [] if kept is None else sorted(kept.select("key").collect().to_series().to_list())

    assert counted() == ["2"]
    feed.refine(declared(v=dy.Decimal(14, 4, min=0)))
    assert counted() == ["2", "4"]


def faults() -> list[Callable[[], Any]]:
    """Ways in which each of the two commits of a widening, to quarantine and to silver, can end."""
    return [
        lambda at=at, way=way: way(at)  # type: ignore[misc]
        for way in (happened_but_failed, not_happened, crash_before, crash_after)
        for at in (1, 2, 3)
    ]


@pytest.mark.sampled(6)
@pytest.mark.parametrize("fault", faults())
@pytest.mark.parametrize("keeps", ["newest", "history"])
def test_a_run_that_ends_anywhere_in_a_widening_leaves_silver_exact(
    feed: Feed, keeps: str, fault: Callable[[], Any]
) -> None:
    old, new = declared(keeps, v=dy.Decimal(10, 2, min=0)), declared(keeps, v=dy.Decimal(14, 4, min=0))
    feed.land([1, 2], v=money("1.25", "-1", dtype=CENTS))
    feed.refine(old)
    feed.land([3, 4], v=money("0.0001", "-1"))
    with writes(fault()), suppress(Crash, OSError, HeadworksError):
        feed.refine(new)
    # Readers find every row in between.
    assert feed.silver("id", "v")[0] == (1, Decimal("1.25"))
    feed.refine(new)
    feed.land([5], v=money("5"))
    feed.refine(new)
    assert feed.silver("id", "v") == [(1, Decimal("1.25")), (3, Decimal("0.0001")), (5, Decimal(5))]
    kept = rejected_rows(feed.lake, NAME, feed.lake.must_open("silver", NAME))
    assert kept is not None
    assert sorted(kept.select("key").collect().to_series()) == ["2", "4"]


def test_a_widening_and_another_commit_of_silver_exclude_each_other(feed: Feed) -> None:
    """Whichever comes second finds its table moved, is refused, and is right when it is repeated."""
    old, new = declared(v=dy.Decimal(10, 2)), declared(v=dy.Decimal(14, 4))
    feed.land([1], v=money("1.25", dtype=CENTS))
    feed.refine(old)
    feed.land([2], v=money("2", dtype=CENTS))
    happened: list[int] = []

    def meanwhile(number: int, call: Callable[[], Any]) -> Any:
        if not happened:
            happened.append(number)
            feed.refine(old)
        return call()

    with writes(meanwhile), pytest.raises(CandidateStale):
        feed.refine(new)
    feed.refine(new)
    assert feed.silver("id", "v") == [(1, Decimal("1.25")), (2, Decimal(2))]


def test_a_dry_run_judges_by_the_new_declaration_and_changes_nothing(feed: Feed) -> None:
    feed.land([1], v=money("1.25", dtype=CENTS))
    feed.refine(declared(v=dy.Decimal(10, 2)))
    feed.land([1, 2], at=2, v=money("1.2567", "2"), w=pl.Series(["a", "b"]))
    version = feed.lake.must_open("silver", NAME).version
    report = feed.refine(declared(v=dy.Decimal(14, 4), w=dy.String(nullable=True)), dry_run=True).report
    assert (report.inserted, report.updated) == (1, 1)
    assert feed.lake.must_open("silver", NAME).version == version


def test_a_table_that_nothing_changes_in_is_not_written_again(feed: Feed) -> None:
    feed.land([1], v=money("1.25"))
    feed.refine(declared(v=dy.Decimal(14, 4)))
    version = feed.lake.must_open("silver", NAME).version
    feed.refine(declared(v=dy.Decimal(14, 4)))
    narrower = declared(v=dy.Decimal(10, 2))
    feed.land([2, 3], v=money("2", "2.0001"))
    assert feed.refine(narrower).report.reasons == {"v|unreadable": 1}
    assert (feed.lake.must_open("silver", NAME).version, feed.dtype("v")) == (version + 1, FINER)


CURSORS: list[tuple[pl.DataType, list[Any]]] = [
    (pl.Float64(), [1700000000.1, 1700000000.9, 1700000000.9000003]),
    (pl.Float32(), [-1.5, 0.25, 0.5]),
    (CENTS, [Decimal("-0.01"), Decimal("0.01"), Decimal("0.02")]),
    (pl.Decimal(38, 0), [Decimal(10**36), Decimal(10**37), Decimal(10**37 + 1)]),
    (pl.String(), ["2026-01-09", "2026-01-10", "2026-01-10T00:00:00.1"]),
    (pl.Binary(), [b"\x01", b"\x02", b"\x02\x00"]),
]


@pytest.mark.parametrize(("dtype", "values"), CURSORS, ids=str)
def test_versions_are_ordered_by_the_exact_value_of_any_cursor(
    lake: Lake, dtype: pl.DataType, values: list[Any]
) -> None:
    """Whether a version comes in the same batch or later: the largest cursor wins, and nothing is rejected."""
    schema = pl.Schema({"id": pl.Int64(), "v": pl.String(), "u": dtype})
    dataset = replace(mirror(NAME, ("id",), schema, "u"), anomalies=QUIET)
    low, middle, high = values
    batches = [
        [(1, "b", middle)],
        [(1, "a", low), (1, "c", high), (1, "b", middle)],
        [(1, "b", middle), (1, "n", None)],
    ]
    for number, rows in enumerate(batches):
        frames = [pl.DataFrame(each, schema=schema, orient="row") for each in batches[: number + 1]]
        land(Landing(lake, NAME, NAME, "run"), Frames(frames))
        outcome = refine(Refinement(lake, "run"), dataset)
        assert outcome.report.rejected == 0
        found = lake.must_open("silver", NAME).scan().select("v").collect().to_series().to_list()
        assert found == ["b" if number == 0 else "c"], rows


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_a_cursor_that_is_not_finite_is_older_than_any_other(lake: Lake, odd: float) -> None:
    schema = pl.Schema({"id": pl.Int64(), "v": pl.String(), "u": pl.Float64()})
    dataset = replace(mirror(NAME, ("id",), schema, "u"), anomalies=QUIET)
    for rows in ([(1, "odd", odd)], [(1, "odd", odd), (1, "good", -1e308)], [(1, "late", odd)]):
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        land(Landing(lake, NAME, f"{NAME}@g{len(rows)}", "run"), Frames([frame]))
        refine(Refinement(lake, "run"), dataset)
    found = lake.must_open("silver", NAME).scan().select("v").collect().to_series().to_list()
    assert found == ["good"]


def test_a_mirror_keeps_what_no_rule_would_take(lake: Lake) -> None:
    schema = pl.Schema({"id": pl.Int64(), "v": pl.Float64(), "w": pl.Float32(), "x": pl.List(pl.Float64())})
    odd = [float("nan"), float("inf"), float("-inf"), None, -0.0]
    frame = pl.DataFrame({"id": range(5), "v": odd, "w": odd, "x": [[value] for value in odd]}, schema=schema)
    land(Landing(lake, NAME, NAME, "run"), Frames([frame]))
    dataset = replace(mirror(NAME, ("id",), schema, None), anomalies=QUIET)
    assert refine(Refinement(lake, "run"), dataset).report.rejected == 0
    silver = lake.must_open("silver", NAME).scan().sort("id").select(list(schema)).collect()
    assert silver.equals(frame)
    assert str(silver["v"][4]) == "-0.0"


def test_gold_is_made_again_of_a_silver_whose_types_grew(feed: Feed) -> None:
    """No row came, and the same numbers have another type: what was made of them is not current."""
    feed.land([1], v=money("1.25", dtype=CENTS))
    feed.refine(declared(v=dy.Decimal(10, 2)))
    (before,) = pin(feed.lake, [NAME]).tables
    feed.refine(declared(v=dy.Decimal(14, 4)))
    (after,) = pin(feed.lake, [NAME]).tables
    assert (before.change, after.change) == (1, 2)
    feed.refine(declared(v=dy.Decimal(14, 4)))
    assert pin(feed.lake, [NAME]).tables == (after,)


def test_a_commit_never_casts_what_its_table_does_not_hold(lake: Lake) -> None:
    """Neither an append nor a merge nor a replacement, of rows that are there or are computed; what fits is widened."""
    table = lake.ensure("ops", "kept", pl.Schema({"id": pl.Int64(), "v": pl.Int64()}))
    table.append(pl.DataFrame({"id": [1], "v": [10]}), {"n": 1}, retries=0)
    half = pl.DataFrame({"id": [1], "v": [2.75]})
    text = pl.DataFrame({"id": [1], "v": ["7"]})
    ways: list[Callable[[Any], None]] = [
        lambda rows: table.append(rows, {"n": 2}, retries=0),
        lambda rows: table.append(rows.lazy(), {"n": 2}, retries=0),
        lambda rows: table.merge(rows, ("id",), {"n": 2}),
        lambda rows: table.merge(rows.lazy(), ("id",), {"n": 2}),
        lambda rows: table.overwrite(rows, {"n": 2}, predicate="id = 1"),
    ]
    for way in ways:
        for rows in (half, text):
            with pytest.raises((SchemaChanged, ValueRefused), match="v was Int64 and is"):
                way(rows)
    small = pl.DataFrame({"id": [2], "v": [20]}, schema={"id": pl.Int8, "v": pl.UInt16})
    table.append(small, {"n": 2}, retries=0)
    assert lake.must_open("ops", "kept").scan().sort("id").collect().rows() == [(1, 10), (2, 20)]


@pytest.mark.parametrize(
    ("dtype", "values", "kept"),
    [
        (CENTS, [Decimal("4.99"), Decimal("5.00"), Decimal("5.01")], 500),
        (pl.Float64(), [1700000000.1, 1700000000.5, 1700000000.9], 1700000000),
        (pl.String(), ["20260101", "20260102", "20260103"], 20260102),
    ],
    ids=str,
)
def test_the_order_that_older_versions_kept_is_made_exact(
    lake: Lake, dtype: pl.DataType, values: list[Any], kept: int
) -> None:
    """They kept every cursor as a whole number: decimals without the point, floats and texts cut."""
    schema = pl.Schema({"id": pl.Int64(), "v": pl.String(), "u": dtype})
    dataset = replace(mirror(NAME, ("id",), schema, "u"), anomalies=QUIET)
    older = [(1, "older", values[0])]
    land(Landing(lake, NAME, NAME, "run"), Frames([pl.DataFrame(older, schema=schema, orient="row")]))
    columns = pl.Schema({**dataset.silver_schema(), "_cursor": pl.Int64()})
    there = {
        "id": 1,
        "v": "there",
        "u": values[1],
        "_cursor": kept,
        "_stream": f"{NAME}@g1",
        "_sequence": 1,
        "_row": 0,
    }
    row = pl.DataFrame([{**dict.fromkeys(columns), **there, "_deleted": False}], schema=columns)
    row = row.with_columns(pl.lit(datetime(2026, 1, 1, tzinfo=UTC)).alias("_ingested_at"))
    lake.ensure("silver", NAME, columns).append(row, {"writer": 1}, retries=0)
    assert refine(Refinement(lake, "run"), dataset).report.superseded == 1
    newer = pl.DataFrame([(1, "newer", values[2])], schema=schema, orient="row")
    land(Landing(lake, NAME, NAME, "run"), Frames([newer, newer]))
    assert refine(Refinement(lake, "run"), dataset).report.updated == 1
    assert lake.must_open("silver", NAME).scan().select("v", "u").collect().rows() == [("newer", values[2])]
