"""Arrays inside records become rows of a dataset of their own, exactly once, with the keys of their parents."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.bronze.nested import Nested, take_nested
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.reports import RefineReport
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset, Reference
from headworks.silver.expressions import whole_number
from headworks.silver.refinement import Refinement, RefineOutcome, refine
from headworks.storage.store import Lake
from tests.support.faults import Crash, writes
from tests.support.sources import Frames

ANY = RejectLimits(share=1.0)


class OrderSchema(dy.Schema):
    """An order without its lines."""

    order_id = dy.Int64(nullable=False)
    version = dy.Int64(nullable=False)


class LineSchema(dy.Schema):
    """A line inside an order."""

    order_id = dy.Int64(nullable=False)
    place = dy.Int64(nullable=False)
    version = dy.Int64(nullable=False)
    sku = dy.String(nullable=False)
    quantity = dy.Int64(nullable=False, min=1)


ORDERS = Dataset(
    name="t.orders",
    key=("order_id",),
    schema=OrderSchema,
    fields=("order_id", "version"),
    columns={name: whole_number(name) for name in ("order_id", "version")},
    cursor="version",
    limits=ANY,
)
LINES = Dataset(
    name="t.lines",
    key=("order_id", "place"),
    schema=LineSchema,
    fields=("order_id", "place", "version", "sku", "quantity"),
    columns={
        **{name: whole_number(name) for name in ("order_id", "place", "version", "quantity")},
        "sku": pl.col("sku"),
    },
    cursor="version",
    references=(Reference(("order_id",), "t.orders", ("order_id",), "orphan_line"),),
    nested=Nested("t.orders", "lines", {"order_id": "order_id", "version": "version"}, index="place"),
    limits=ANY,
)


def order(number: int, version: int, *lines: Any) -> str:
    return json.dumps({"order_id": number, "version": version, "lines": list(lines)})


def line(sku: str, quantity: int) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity}


def landed(lake: Lake, *loads: list[str]) -> None:
    frames = [pl.DataFrame({"record": [text.encode() for text in load]}) for load in loads]
    land(Landing(lake, "t.orders", "t.orders", "run"), Frames(frames))


def refined(lake: Lake, *datasets: Dataset) -> RefineReport:
    for dataset in datasets:
        outcome = refine(Refinement(lake, "run"), dataset)
        assert outcome.gate is None or outcome.gate.open, outcome.gate
    return outcome.report


def lines(lake: Lake) -> list[tuple[Any, ...]]:
    table = lake.must_open("silver", "t.lines").scan().filter(~pl.col("_deleted"))
    return table.select("order_id", "place", "sku", "quantity").sort("order_id", "place").collect().rows()


FIRST = [order(1, 1, line("a", 1), line("b", 2)), order(2, 1), order(3, 1, line("c", 3))]


def test_each_element_is_a_row_with_its_parents_key_and_its_place(lake: Lake) -> None:
    landed(lake, FIRST)
    report = refined(lake, ORDERS, LINES)
    assert lines(lake) == [(1, 0, "a", 1), (1, 1, "b", 2), (3, 0, "c", 3)]
    assert (report.landed, report.inserted) == (3, 3)
    assert refined(lake, LINES).landed == 0


def test_a_newer_version_of_the_parent_brings_newer_elements(lake: Lake) -> None:
    newer = [order(1, 2, line("a", 5), line("b", 2)), order(4, 1, line("d", 1))]
    landed(lake, FIRST)
    refined(lake, ORDERS, LINES)
    landed(lake, FIRST, newer)
    refined(lake, ORDERS, LINES)
    assert lines(lake) == [(1, 0, "a", 5), (1, 1, "b", 2), (3, 0, "c", 3), (4, 0, "d", 1)]


def test_a_bad_element_is_rejected_alone_and_kept_with_its_parents_key(lake: Lake) -> None:
    landed(lake, [order(1, 1, line("a", 0), line("b", 2), "no object"), "{broken", order(2, 1, line("c", 1))])
    report = refined(lake, ORDERS, LINES)
    assert lines(lake) == [(1, 1, "b", 2), (2, 0, "c", 1)]
    assert report.reasons == {"quantity|min": 1, "quantity|nullability": 1, "sku|nullability": 1}
    kept = lake.must_open("quarantine", "t.lines").scan().sort("key").collect()
    assert kept.get_column("key").to_list() == ["1 / 0", "1 / 2"]
    assert json.loads(kept.get_column("record")[1]) == {
        "value": "no object", "order_id": 1, "version": 1, "place": 2,
    }  # fmt: skip


@pytest.mark.parametrize("array", ["null", '"text"', "7", "{}"])
def test_what_is_no_array_has_no_elements(lake: Lake, array: str) -> None:
    landed(lake, [f'{{"order_id": 1, "version": 1, "lines": {array}}}', '{"order_id": 2, "version": 1}'])
    refined(lake, ORDERS)
    take_nested(lake, "t.lines", LINES.nested or Nested("", "", {}), "run")
    bronze = lake.must_open("bronze", "t.lines").scan().collect()
    assert bronze.filter(pl.col("_element") >= 0).is_empty()


def test_elements_wait_for_their_parent_and_are_released_when_it_comes(lake: Lake) -> None:
    """The parent was rejected: its lines are held back with it, and come with its fixed version."""
    wrong = '{"order_id": 1, "version": "x", "lines": [{"sku": "a", "quantity": 1}]}'
    columns = {**LINES.columns, "version": pl.lit(1, dtype=pl.Int64)}
    patient = replace(LINES, columns=columns)
    landed(lake, [wrong])
    assert refined(lake, ORDERS, patient).waiting == 1
    landed(lake, [wrong], ['{"order_id": 1, "version": 2}'])
    assert refined(lake, ORDERS, patient).released == 1
    assert lines(lake) == [(1, 0, "a", 1)]


def test_a_crash_after_any_commit_takes_no_element_twice(lake: Lake) -> None:
    landed(lake, FIRST, [order(5, 1, line("e", 1))])
    refined(lake, ORDERS)

    def crash_after_the_first(number: int, call: Any) -> Any:
        result = call()
        if number == 1:
            raise Crash
        return result

    with writes(crash_after_the_first), pytest.raises(Crash):
        refine(Refinement(lake, "killed"), LINES)
    refined(lake, LINES)
    assert len(lines(lake)) == 4
    bronze = lake.must_open("bronze", "t.lines").scan().filter(pl.col("_element") >= 0).collect()
    assert bronze.height == 4


def test_a_column_of_json_text_is_an_array_too(lake: Lake) -> None:
    frame = pl.DataFrame(
        {"order_id": [1, 2], "version": [1, 1], "lines": ['[{"sku": "a", "quantity": 1}]', None]}
    )
    land(Landing(lake, "t.orders", "t.orders", "run"), Frames([frame]))
    table = replace(ORDERS, fields=(), columns={name: pl.col(name) for name in ("order_id", "version")})
    refined(lake, table, LINES)
    assert lines(lake) == [(1, 0, "a", 1)]


@pytest.mark.parametrize(
    ("given", "elements", "refused"),
    [
        ('[{"sku": "a", "quantity": 1}]', 1, 0),
        ('"[{\\"sku\\": \\"a\\", \\"quantity\\": 1}]"', 1, 0),
        ("[]", 0, 0),
        ("null", 0, 0),
        ('""', 0, 0),
        ('{"sku": "a", "quantity": 1}', 0, 1),
        ("7", 0, 1),
        ("true", 0, 1),
        ('"one line"', 0, 1),
        ('"{}"', 0, 1),
    ],
)
def test_what_stands_in_the_place_of_an_array_is_taken_or_refused_by_name(
    lake: Lake, given: str, elements: int, refused: int
) -> None:
    """An array in a text is one; what is no array is in the child's quarantine, and stops none of its neighbours."""
    landed(lake, [f'{{"order_id": 1, "version": 1, "lines": {given}}}', order(2, 1, line("z", 2))])
    refine(Refinement(lake, "run"), ORDERS)
    report = refine(Refinement(lake, "run"), LINES).report
    assert (report.inserted, report.rejected) == (elements + 1, refused)
    assert report.reasons == ({"lines|no array": 1} if refused else {})


def test_a_parent_without_a_cursor_that_was_read_later_has_the_elements_that_count(lake: Lake) -> None:
    """A full read shows the old, the live stream the new: the child's order is that of their landing."""
    full, live = ([order(1, 0, line("old", 1))], [order(1, 0, line("new", 1))])
    for stream, load in (("t.orders@g1", full), ("t.orders", live)):
        frame = pl.DataFrame({"record": [text.encode() for text in load]})
        land(Landing(lake, "t.orders", stream, "run"), Frames([frame]))
    refine(Refinement(lake, "run"), ORDERS)
    refine(Refinement(lake, "run"), replace(LINES, cursor=None))
    assert lake.must_open("silver", "t.lines").scan().collect().get_column("sku").to_list() == ["new"]


def test_retention_keeps_what_a_child_has_not_taken_yet(lake: Lake) -> None:
    """The child took the first order; the second waits for it in the parent's bronze, however old it gets."""
    first, second = [order(1, 1, line("a", 1))], [order(2, 1, line("b", 1))]
    landed(lake, first)
    refine(Refinement(lake, "run"), ORDERS)
    refine(Refinement(lake, "run"), LINES)
    landed(lake, first, second)
    refine(Refinement(lake, "run"), ORDERS)
    _aged(lake)
    assert lake.must_open("bronze", "t.orders").row_count() == 1
    outcome = refine(Refinement(lake, "run"), LINES)
    assert [row[:2] for row in lines(lake)] == [(1, 0), (2, 0)]
    assert _warned(outcome) == []
    _aged(lake)
    assert lake.must_open("bronze", "t.orders").row_count() == 0


def test_a_child_that_comes_after_retention_says_that_it_cannot_know(lake: Lake) -> None:
    landed(lake, [order(1, 1, line("a", 1))])
    refine(Refinement(lake, "run"), ORDERS)
    _aged(lake)
    landed(lake, [order(1, 1, line("a", 1))], [order(2, 1, line("b", 1))])
    refine(Refinement(lake, "run"), ORDERS)
    (output,) = _warned(refine(Refinement(lake, "run"), LINES))
    assert "it is not known what they held" in output
    assert _warned(refine(Refinement(lake, "run"), LINES)) == []


def _aged(lake: Lake) -> None:
    late = datetime.now(UTC) + timedelta(days=100)
    maintain(lake, MaintenanceSettings(keep_days={"bronze": 90}), clock=lambda: late)


def _warned(outcome: RefineOutcome) -> list[str]:
    checks = outcome.gate.checks if outcome.gate else ()
    return [check.detail for check in checks if check.outcome == "warned"]
