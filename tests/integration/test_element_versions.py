"""Elements that keep their first version or all of them: the same arrays come to the same in any portions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.landing import Landing, land
from headworks.bronze.nested import Nested, take_nested
from headworks.silver.dataset import Dataset, Keeping
from headworks.silver.expressions import utc_moment
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import Selection
from headworks.silver.replay import replay
from headworks.storage.store import Lake
from tests.integration.test_nested import LINES, ORDERS, LineSchema, landed, line, lines, order
from tests.support.sources import Frames
from tests.versions.oracle import Element, Lines, Oracle, Told

BY_SKU = replace(LINES, key=("order_id", "sku"), references=())


class _Moments(dy.Schema):
    """An order whose version is a time."""

    order_id = dy.Int64(nullable=False)
    version = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


class _LineMoments(_Moments):
    """A line whose version is a time."""

    place = dy.Int64(nullable=False)
    sku = dy.String(nullable=False)
    quantity = dy.Int64(nullable=False, min=1)


def refined(lake: Lake, dataset: Dataset, part_rows: int = 1_000) -> None:
    for one in (ORDERS, dataset):
        outcome = refine(Refinement(lake, "run", part_rows=part_rows), one)
        assert outcome.gate is None or outcome.gate.open, outcome.gate


def arrays(random: Random, count: int, versions: int) -> list[Told]:
    """Return random arrays of an order in the order in which they arrive; many are late, some are empty."""
    made = []
    for arrival in range(count):
        skus = random.sample("123", random.choice((0, 1, 1, 2, 3)))
        lines = [Element(sku, -1 if random.random() < 0.1 else random.randint(1, 3)) for sku in skus]
        if random.random() < 0.05:
            lines.append(Element(None, 1))
        made.append(
            Told("1", 1, random.randint(1, versions), arrival=arrival, lines=tuple(lines), form="array")
        )
    return made


def record(told: Told) -> str:
    return order(1, told.cursor or 0, *({"sku": one.sku, "quantity": one.w} for one in told.lines or ()))


def wanted_of(told: list[Told], keeps: Keeping, *, ordered: bool) -> Lines:
    orders = Oracle("newest", ordered=True)
    orders.take(told)
    lines = Lines(ordered, orders, referring=False, keeps=keeps)
    lines.take(told)
    return lines


def found_in(lake: Lake, keeps: Keeping) -> dict[int, int]:
    rows = lake.must_open("silver", "t.lines").scan().filter(~pl.col("_deleted")).collect()
    if keeps == "history":
        rows = rows.filter("current")
    return {int(sku): quantity for sku, quantity in rows.select("sku", "quantity").iter_rows()}


@pytest.mark.parametrize("ordered", [True, False], ids=["with the order's version", "by arrival"])
@pytest.mark.parametrize("keeps", ["newest", "first", "history"])
@pytest.mark.parametrize("seed", range(4))
def test_elements_are_what_an_oracle_says_however_their_arrays_are_divided_into_runs(
    lake: Lake, seed: int, keeps: Keeping, ordered: bool
) -> None:
    """Each version of a history with the time for which it held, too."""
    if keeps == "history" and not ordered:
        pytest.skip("a history needs a cursor")
    random = Random(f"{seed}{keeps}{ordered}")
    dataset = replace(BY_SKU, keeps=keeps, cursor="version" if ordered else None)
    told = arrays(random, 8, 8)
    done = 0
    while done < len(told):
        done = min(done + random.randint(1, 4), len(told))
        landed(lake, *[[record(one)] for one in told[:done]])
        refined(lake, dataset)
        wanted = wanted_of(told[:done], keeps, ordered=ordered)
        assert found_in(lake, keeps) == {sku: w for (_, sku), w in wanted.rows().items()}, told[:done]
        if keeps == "history":
            rows = lake.must_open("silver", "t.lines").scan().filter(~pl.col("_deleted")).collect()
            columns = rows.select("sku", "valid_from", "quantity", "valid_to").iter_rows()
            assert {(int(sku), since): (w, until) for sku, since, w, until in columns} == {
                (sku, since): (one.w, one.until) for (_, sku, since), one in wanted.all_versions().items()
            }, told[:done]
            assert rows.height == len(wanted.all_versions())


def over_runs(
    lake: Lake, dataset: Dataset, records: Sequence[str], runs: Sequence[int], part_rows: int
) -> None:
    """Land records, each in a batch of its own, and refine after so many of each run."""
    done = 0
    for count in runs:
        for _ in range(count):
            done += 1
            landed(lake, *[[one] for one in records[:done]])
            take_nested(lake, "t.lines", LINES.nested or Nested("", "", {}), "run")
        refined(lake, dataset, part_rows)


def times_of(lake: Lake, sku: str) -> list[tuple[Any, Any]]:
    rows = lake.must_open("silver", "t.lines").scan().filter((pl.col("sku") == sku) & ~pl.col("_deleted"))
    return rows.sort("valid_from").select("valid_from", "valid_to").collect().rows()


@pytest.mark.parametrize("runs", [(3,), (1, 1, 1)])
@pytest.mark.parametrize("places", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_a_history_has_a_gap_where_an_element_went_and_came_back(
    lake: Lake, places: tuple[int, ...], runs: tuple[int, ...]
) -> None:
    """In one run, in three, and where the array without it comes last: it is a function of the arrays alone."""
    records = [
        order(1, 1, line("a", 1), line("b", 1)), order(1, 5, line("a", 1)), order(1, 7, line("a", 1), line("b", 2)),
    ]  # fmt: skip
    over_runs(lake, replace(BY_SKU, keeps="history"), [records[place] for place in places], runs, 1_000)
    assert times_of(lake, "b") == [(1, 5), (7, None)]
    assert times_of(lake, "a") == [(1, 5), (5, 7), (7, None)]


def test_of_two_arrays_of_one_moment_the_later_one_counts_in_a_history(lake: Lake) -> None:
    records = [order(1, 2, line("a", 1)), order(1, 3, line("a", 2)), order(1, 3)]
    over_runs(lake, replace(BY_SKU, keeps="history"), records, (3,), 1_000)
    assert times_of(lake, "a") == [(2, 3)]
    rows = lake.must_open("silver", "t.lines").scan().select("valid_from").collect()
    assert rows.n_unique() == rows.height


@pytest.mark.parametrize("runs", [(4,), (2, 2), (3, 1), (1, 1, 1, 1)])
def test_an_empty_array_without_a_version_ends_nothing_that_a_later_reading_shows_again(
    lake: Lake, runs: tuple[int, ...]
) -> None:
    """Nor the version before that one: it had ended when the other one was read first."""
    shown = order(1, 4, line("a", 1))
    empty = json.dumps({"order_id": 1, "version": None, "lines": []})
    records = [order(1, 2, line("a", 1)), shown, empty, shown]
    over_runs(lake, replace(BY_SKU, keeps="history"), records, runs, 1_000)
    assert times_of(lake, "a") == [(2, 4), (4, None)]


def test_a_version_that_comes_late_ends_with_an_array_that_had_nothing_to_end_when_it_came(
    lake: Lake,
) -> None:
    records = [order(1, 1, line("a", 1)), order(1, 5), order(1, 9, line("b", -1)), order(1, 7, line("a", 1))]
    over_runs(lake, replace(BY_SKU, keeps="history"), records, (1, 1, 1, 1), 1_000)
    assert times_of(lake, "a") == [(1, 5), (7, 9)]


@pytest.mark.parametrize("part_rows", [1_000, 1])
@pytest.mark.parametrize("runs", [(3,), (1, 2), (2, 1), (1, 1, 1)])
@pytest.mark.parametrize("cursor", ["version", None])
def test_a_first_version_that_went_and_came_back_is_there_as_it_came_back(
    lake: Lake, cursor: str | None, runs: tuple[int, ...], part_rows: int
) -> None:
    records = [order(1, 1, line("a", 1)), order(1, 2, line("b", 1)), order(1, 3, line("a", 3))]
    over_runs(lake, replace(BY_SKU, keeps="first", cursor=cursor), records, runs, part_rows)
    assert [row[2:] for row in lines(lake)] == [("a", 3)]


@pytest.mark.parametrize("runs", [(3,), (2, 1), (1, 1, 1)])
def test_a_late_array_does_not_end_a_first_version_that_a_newer_one_shows(
    lake: Lake, runs: tuple[int, ...]
) -> None:
    """Silver has the values of the first array, and knows that the newest has the element, too."""
    records = [order(1, 1, line("a", 1)), order(1, 9, line("a", 2)), order(1, 5)]
    over_runs(lake, replace(BY_SKU, keeps="first"), records, runs, 1_000)
    assert [row[2:] for row in lines(lake)] == [("a", 1)]
    landed(lake, *[[one] for one in records], [order(1, 10)])
    refined(lake, replace(BY_SKU, keeps="first"))
    assert lines(lake) == []


def test_a_replay_and_a_parent_raise_a_first_version_that_came_back_and_not_the_one_that_ended(
    lake: Lake,
) -> None:
    """The rows of both were kept back: by a rule, or since their order was not there."""
    records = [
        order(1, 1, line("a", -1), line("b", 1)), order(1, 2), order(1, 3, line("a", -3), line("b", 3)),
    ]  # fmt: skip
    dataset = replace(LINES, key=BY_SKU.key, keeps="first")
    landed(lake, [order(2, 1)])
    refined(lake, dataset)
    landed(lake, [order(2, 1)], *[[one] for one in records])
    for _ in range(2):
        outcome = refine(Refinement(lake, "run"), dataset)
        assert outcome.report.inserted == 0
    refined(lake, dataset)
    assert [row[2:] for row in lines(lake)] == [("b", 3)]
    loose = type("Loose", (LineSchema,), {"quantity": dy.Int64(nullable=False)})
    replay(Refinement(lake, "run"), replace(dataset, schema=loose), Selection(), by="me", note="again")
    assert sorted(row[2:] for row in lines(lake)) == [("a", -3), ("b", 3)]


def test_in_a_history_an_element_ends_when_its_parent_did(lake: Lake) -> None:
    """Not when it was read itself, which may be long ago."""
    moment = {"version": utc_moment("version")}
    orders = replace(ORDERS, schema=_Moments, columns={**ORDERS.columns, **moment})
    dataset = replace(BY_SKU, schema=_LineMoments, columns={**BY_SKU.columns, **moment}, keeps="history")
    began, read, gone = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 9))
    text = json.dumps({"order_id": 1, "version": f"{began:%Y-%m-%dT%H:%M:%SZ}", "lines": [line("a", 1)]})
    frame = pl.DataFrame({"record": [text.encode()]})
    land(Landing(lake, "t.orders", "t.orders", "run", clock=lambda: read), Frames([frame]))
    for one in (orders, dataset):
        refine(Refinement(lake, "run", clock=lambda: read), one)
    landing = Landing(lake, "t.orders", "t.orders", "run", clock=lambda: gone)
    complete_generation(landing, begin_generation(landing, frame.schema))
    for one in (orders, dataset, dataset):
        refine(Refinement(lake, "run", clock=lambda: gone), one)
    assert times_of(lake, "a") == [(began, gone)]
