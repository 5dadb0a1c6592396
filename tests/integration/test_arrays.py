"""Elements of a parent's array end with a newer array that lacks them and with their parent, in whatever order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest

from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.key_sets import compare_keys
from headworks.bronze.landing import Landing, land
from headworks.bronze.nested import Nested, take_nested
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.silver.dataset import Dataset, Keeping
from headworks.silver.refinement import Refinement, refine
from headworks.sources.base import Batch
from headworks.storage.store import Lake
from tests.integration.test_nested import LINES, ORDERS, landed, line, lines, order
from tests.support.sources import Frames

PATIENT = replace(LINES, references=())
RECORD = pl.Schema({"record": pl.Binary()})


def refined(lake: Lake, dataset: Any = PATIENT, part_rows: int = 1_000) -> None:
    for one in (ORDERS, dataset):
        outcome = refine(Refinement(lake, "run", part_rows=part_rows), one)
        assert outcome.gate is None or outcome.gate.open, outcome.gate


def shown(lake: Lake) -> list[tuple[int, int, str]]:
    return [row[:3] for row in lines(lake)]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("part_rows", [1_000, 1])
@pytest.mark.parametrize("keeps", ["newest", "first"])
def test_elements_that_a_newer_array_lacks_are_deleted(lake: Lake, keeps: Keeping, part_rows: int) -> None:
    """Over five runs: it shrinks, is emptied, comes back larger, and is read once more as it is."""
    dataset = replace(PATIENT, keeps=keeps)
    loads = [
        [order(1, 1, line("a", 1), line("b", 1), line("c", 1)), order(2, 1, line("z", 1))],
        [order(1, 2, line("a", 1))],
        [order(1, 3)],
        [order(1, 4, line("a", 1), line("d", 1))],
        [order(1, 4, line("a", 1), line("d", 1))],
    ]
    wanted = [[(1, 0), (1, 1), (1, 2)], [(1, 0)], [], [(1, 0), (1, 1)], [(1, 0), (1, 1)]]
    for number, of_first in enumerate(wanted, start=1):
        landed(lake, *loads[:number])
        refined(lake, dataset, part_rows)
        assert [row[:2] for row in shown(lake)] == [*of_first, (2, 0)]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("places", list(itertools.permutations(range(3))))
def test_the_order_in_which_versions_come_does_not_matter(
    lake: Lake, places: tuple[int, ...], runs: int
) -> None:
    versions = [
        [order(1, 1, line("a", 1), line("b", 1), line("c", 1))],
        [order(1, 2, line("a", 2), line("b", 2))],
        [order(1, 3, line("a", 3))],
    ]
    loads = [versions[place] for place in places]
    for number in range(1, 4):
        landed(lake, *loads[:number])
        if number == 3 or runs == 3:
            refined(lake)
    assert shown(lake) == [(1, 0, "a")]
    assert lines(lake)[0][3] == 3


def test_a_late_array_raises_nothing_where_the_newest_one_was_empty(lake: Lake) -> None:
    """Nothing in silver remembers an empty array that ended nothing: it came first, or came twice."""
    loads = [
        [order(1, 5)],
        [order(1, 3, line("a", 1))],
        [order(2, 2, line("z", 1))],
        [order(2, 4)],
        [order(2, 9)],
    ]
    loads += [[order(2, 6, line("y", 1))], [order(1, 4, line("b", 1))]]
    for number in range(1, len(loads) + 1):
        landed(lake, *loads[:number])
        refined(lake)
    assert shown(lake) == []


@pytest.mark.sampled(4)
@pytest.mark.parametrize("part_rows", [1_000, 1])
@pytest.mark.parametrize("seed", range(6))
def test_random_arrays_over_random_runs_are_what_an_oracle_says(
    lake: Lake, seed: int, part_rows: int
) -> None:
    """The newest array of an order by (version, arrival); some are empty, many come late."""
    random = Random(seed)
    loads: list[list[str]] = []
    newest: dict[int, tuple[tuple[int, int], list[str]]] = {}
    count = 0
    for _ in range(6):
        for _ in range(random.randint(1, 2)):
            load = []
            for _ in range(random.randint(1, 3)):
                number, version = random.randint(1, 2), random.randint(1, 12)
                skus = random.sample("abcd", random.choice((0, 0, 1, 2, 3)))
                load.append(order(number, version, *(line(sku, 1) for sku in skus)))
                count += 1
                if number not in newest or (version, count) > newest[number][0]:
                    newest[number] = ((version, count), skus)
            loads.append(load)
        landed(lake, *loads)
        refined(lake, PATIENT, part_rows)
        wanted = [(n, at, sku) for n, (_, skus) in sorted(newest.items()) for at, sku in enumerate(skus)]
        assert shown(lake) == wanted


def test_a_line_of_the_newest_array_that_is_rejected_stays_as_it_was(lake: Lake) -> None:
    landed(lake, [order(1, 1, line("a", 1), line("b", 1))])
    refined(lake)
    landed(lake, [order(1, 1, line("a", 1), line("b", 1))], [order(1, 2, line("a", 0))])
    refined(lake)
    assert shown(lake) == [(1, 0, "a")]


@pytest.mark.parametrize("portions", [(0, 1, 2), (0, 1, 1), (0, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize("last", [("b", 0), (None, 1)], ids=["rejected", "without a key"])
def test_a_line_that_an_array_lacked_is_not_raised_by_one_that_is_no_better_however_both_come(
    lake: Lake, portions: tuple[int, ...], last: tuple[str | None, int]
) -> None:
    """The third array has the line as one that is rejected, or one whose key nobody can read, after it was gone."""
    dataset = replace(PATIENT, key=("order_id", "sku"))
    third = {"sku": last[0], "quantity": last[1]}
    records = [
        order(1, 1, line("a", 1), line("b", 1)), order(1, 2, line("a", 1)), order(1, 3, line("a", 1), third),
    ]  # fmt: skip
    loads = [
        [record for record, at in zip(records, portions, strict=True) if at == portion]
        for portion in range(max(portions) + 1)
    ]
    for number in range(1, len(loads) + 1):
        landed(lake, *loads[:number])
        refined(lake, dataset)
    assert [row[2] for row in shown(lake)] == ["a"]


def test_an_array_that_comes_late_is_as_if_it_had_come_in_time(lake: Lake) -> None:
    """The newest array has the line as one that is rejected: it is as the array before that one has it."""
    landed(lake, [order(1, 9, line("a", 1), line("b", 0))])
    refined(lake)
    landed(lake, [order(1, 9, line("a", 1), line("b", 0))], [order(1, 5, line("a", 1), line("b", 7))])
    refined(lake)
    assert [(row[1], row[3]) for row in lines(lake)] == [(0, 1), (1, 7)]


def test_an_array_that_comes_late_raises_nothing_though_bronze_has_not_the_newer_one_any_more(
    lake: Lake,
) -> None:
    """Retention took it: what silver has of it says that there is a newer one."""
    first = [order(1, 9, line("a", 1))]
    landed(lake, first)
    refined(lake)
    maintain(
        lake,
        MaintenanceSettings(keep_days={"bronze": 1}),
        clock=lambda: datetime.now(UTC) + timedelta(days=30),
    )
    assert lake.must_open("bronze", "t.lines").scan().collect().is_empty()
    landed(lake, first, [order(1, 5, line("a", 1), line("b", 7))])
    refined(lake)
    assert [row[:2] for row in shown(lake)] == [(1, 0)]


def test_a_parent_that_a_full_read_does_not_show_takes_its_lines_along_and_brings_them_back(
    lake: Lake,
) -> None:
    landed(lake, [order(1, 1, line("a", 1)), order(2, 1, line("z", 1))])
    refined(lake)
    landing = Landing(lake, "t.orders", "t.orders", "run")

    def full(*records: str) -> None:
        generation = begin_generation(landing, RECORD)
        frame = pl.DataFrame({"record": [text.encode() for text in records]}, schema=RECORD)
        land(replace(landing, stream=generation.stream), Frames([frame]))
        complete_generation(landing, generation)
        refined(lake)

    full(order(2, 1, line("z", 1)))
    assert shown(lake) == [(2, 0, "z")]
    refined(lake)
    assert shown(lake) == [(2, 0, "z")]
    full(order(1, 1, line("a", 1)), order(2, 1, line("z", 1)))
    assert shown(lake) == [(1, 0, "a"), (2, 0, "z")]
    full(order(1, 2, line("a", 1), line("b", 1)))
    assert shown(lake) == [(1, 0, "a"), (1, 1, "b")]


def test_a_parent_that_goes_while_nothing_new_comes_takes_its_lines_along(lake: Lake) -> None:
    landed(lake, [order(1, 1, line("a", 1))])
    refined(lake)
    landing = Landing(lake, "t.orders", "t.orders", "run")
    complete_generation(landing, begin_generation(landing, RECORD))
    for _ in range(3):
        refined(lake)
        assert shown(lake) == []


def test_a_history_ends_a_line_when_the_array_without_it_begins(lake: Lake) -> None:
    dataset = replace(PATIENT, keeps="history")
    loads = [
        [order(1, 1, line("a", 1), line("b", 1))],
        [order(1, 5, line("a", 2))],
        [order(1, 7, line("a", 2), line("b", 3))],
    ]
    for number in range(1, 4):
        landed(lake, *loads[:number])
        refined(lake, dataset)
    rows = (
        lake.must_open("silver", "t.lines").scan().filter(pl.col("place") == 1).sort("valid_from").collect()
    )
    assert rows.select("valid_from", "valid_to", "_deleted").rows() == [
        (1, 5, False), (5, 7, True), (7, None, False),
    ]  # fmt: skip


def test_without_a_cursor_the_array_that_came_later_counts(lake: Lake) -> None:
    dataset = replace(PATIENT, cursor=None)
    for number, load in enumerate([[line("a", 1), line("b", 1)], [line("a", 1)], []], start=1):
        landed(
            lake,
            *[[order(1, 0, line("a", 1), line("b", 1))], [order(1, 0, line("a", 1))], [order(1, 0)]][:number],
        )
        refined(lake, dataset)
        assert len(shown(lake)) == len(load)


@pytest.mark.parametrize(
    ("given", "left"), [("", 2), (', "lines": null', 0), (', "lines": []', 0), (', "lines": 7', 2)]
)
def test_only_a_record_that_shows_its_array_ends_what_it_lacks(lake: Lake, given: str, left: int) -> None:
    """A record in part, or one with something else in the place of the array, does not say that there are no lines."""
    first = [order(1, 1, line("a", 1), line("b", 1))]
    landed(lake, first)
    refined(lake)
    landed(lake, first, [f'{{"order_id": 1, "version": 2{given}}}'])
    refine(Refinement(lake, "run"), ORDERS)
    refine(Refinement(lake, "run"), PATIENT)
    assert len(shown(lake)) == left


def test_an_array_with_an_element_whose_key_cannot_be_read_ends_nothing(lake: Lake) -> None:
    columns = {**PATIENT.columns, "place": pl.col("sku").cast(pl.Int64, strict=False)}
    dataset = replace(PATIENT, columns=columns)
    landed(lake, [order(1, 1, line("1", 1), line("2", 1))])
    refined(lake, dataset)
    landed(lake, [order(1, 1, line("1", 1), line("2", 1))], [order(1, 2, line("1", 1), line("x", 1))])
    refined(lake, dataset)
    assert [row[1] for row in shown(lake)] == [1, 2]


@dataclass
class _Keys:
    """A table of orders with their lines in a column of JSON, asked for its keys alone."""

    numbers: Sequence[int]
    schema: pl.Schema
    key: tuple[str, ...] = ("order_id",)

    def read_keys(self) -> Iterator[Batch]:
        frame = pl.DataFrame({"order_id": list(self.numbers)}, schema={"order_id": pl.Int64()})
        yield Batch(frame, {}, read=frame.height)


ROWS = pl.Schema({"order_id": pl.Int64(), "version": pl.Int64(), "lines": pl.String()})


@pytest.mark.sampled(2)
@pytest.mark.parametrize("key", [("order_id", "place"), ("sku",)])
@pytest.mark.parametrize("seed", range(2))
def test_a_comparison_of_the_parents_keys_ends_and_brings_back_the_lines_of_just_these_parents(
    lake: Lake, seed: int, key: tuple[str, ...]
) -> None:
    """Over six runs of changes and comparisons, some of which miss a key that is there, against an oracle."""
    random = Random(f"{seed}{key}")
    orders = replace(ORDERS, fields=(), columns={name: pl.col(name) for name in ("order_id", "version")})
    dataset = replace(LINES, key=key)
    arrays: dict[int, list[str]] = {}
    alive: set[int] = set()
    frames: list[pl.DataFrame] = []
    for version in range(1, 7):
        changed = random.sample(range(1, 5), random.randint(0, 2))
        for number in changed:
            arrays[number] = [f"{number}{sku}" for sku in random.sample("abc", random.randint(0, 3))]
        rows = [(number, version, json.dumps([line(sku, 1) for sku in arrays[number]])) for number in changed]
        frames.append(pl.DataFrame(rows, schema=ROWS, orient="row"))
        landing = Landing(lake, "t.orders", "t.orders", f"run-{version}")
        land(landing, Frames(frames))
        alive |= set(changed)
        if version > 1 and random.random() < 0.7:
            shown_now = [number for number in arrays if random.random() < 0.75]
            compare_keys(landing, _Keys(shown_now, ROWS), None, 1.0)
            alive = set(shown_now)
        for one in random.choice([[orders, dataset], [dataset, orders, dataset]]):
            refined_one(lake, one)
        wanted = sorted((number, sku) for number in alive for sku in arrays[number])
        found = lake.must_open("silver", "t.lines").scan().filter(~pl.col("_deleted")).collect()
        assert sorted(found.select("order_id", "sku").rows()) == wanted, version


def refined_one(lake: Lake, dataset: Dataset) -> None:
    if dataset.nested is not None and lake.open("silver", "t.orders") is None:
        return
    outcome = refine(Refinement(lake, "run"), dataset)
    assert outcome.gate is None or outcome.gate.open, outcome.gate


@pytest.mark.parametrize("part_rows", [1_000, 1])
@pytest.mark.parametrize("runs", [(1, 2), (1, 1, 1), (2, 1), (3,)])
@pytest.mark.parametrize("between", [(), ("b",)], ids=["empty", "another line"])
def test_without_a_cursor_a_line_that_went_and_came_back_is_there_however_records_are_divided_into_runs(
    lake: Lake, between: Sequence[str], runs: Sequence[int], part_rows: int
) -> None:
    """It came back as silver has it, so nothing of it is new but when it was seen."""
    dataset = replace(PATIENT, cursor=None)
    arrays: list[Sequence[str]] = [("a", "c"), between, ("a", "c")]
    loads = [[order(1, 0, *(line(sku, 1) for sku in array))] for array in arrays]
    for upto, count in zip(itertools.accumulate(runs), runs, strict=True):
        for number in range(upto - count, upto):
            # Each array in a batch of its own, which parts are made of.
            landed(lake, *loads[: number + 1])
            take_nested(lake, "t.lines", LINES.nested or Nested("", "", {}), "run")
        refined(lake, dataset, part_rows)
        assert [row[2] for row in shown(lake)] == list(arrays[upto - 1])
    # An array that comes again changes nothing, and what nobody has shown since stays gone.
    landed(lake, *loads, [order(1, 0, line("c", 1))])
    refined(lake, dataset, part_rows)
    assert [row[2] for row in shown(lake)] == ["c"]
