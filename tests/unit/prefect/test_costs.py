"""What steps cost is kept of the run that they belong to, also where they end badly, and of no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headworks.gold.table import Staged
from headworks.prefect.costs import costs_of, kept_costs, noted_cost, rows_of
from headworks.prefect.policy import shielded
from headworks.prefect.steps.extract import Run
from headworks.reports import (
    CurateReport,
    LandingReport,
    Parts,
    PublishedRows,
    PublishReport,
    RefineReport,
    StepCost,
    TableRef,
)
from headworks.silver.refinement import RefineOutcome

TABLE = TableRef(table="silver.t", version=1)
LANDED = LandingReport(dataset="t", stream="t", table=TABLE, read=5, landed=3, repeated=2)
STAGED = Staged(dataset="t", staging_id="a", base_version=1, inputs={}, code=1, rows=40, fresh=True)


def seconds() -> Iterator[float]:
    yield from (10.0, 12.5)


def test_a_step_has_its_seconds_and_rows_in_the_run_that_it_belongs_to() -> None:
    moments = seconds()
    with kept_costs("one") as one, kept_costs("other") as other:
        assert costs_of("one") is one
        with noted_cost("one", "extract t", lambda: next(moments)) as returned:
            returned.append((LANDED, LANDED))
        (cost,) = one
        assert (cost.step, cost.seconds, cost.rows, cost.failed) == ("extract t", 2.5, 10, False)
        assert cost.peak_mb is None or cost.peak_mb > 10
        assert other == []


def test_a_step_of_a_run_that_nobody_keeps_is_noted_nowhere() -> None:
    with noted_cost("gone", "extract t") as returned:
        returned.append((LANDED,))
    assert costs_of("gone") == []


def test_a_task_that_fails_is_noted_as_failed_and_once_more_where_it_is_tried_again() -> None:
    answers: list[Exception | None] = [ValueError("no"), None]

    @shielded
    def read(run: Run) -> tuple[LandingReport, ...]:
        if problem := answers.pop(0):
            raise problem
        return (LANDED,)

    run = Run(run_id="tried", lake="lake")
    with kept_costs("tried") as costs:
        with pytest.raises(ValueError, match="no"):
            read(run)
        read(run=run)
    assert [(cost.step, cost.rows, cost.failed) for cost in costs] == [
        ("read", None, True),
        ("read", 5, False),
    ]


def test_a_run_that_has_ended_keeps_nothing() -> None:
    with kept_costs("ended") as costs:
        costs.append(StepCost(step="a", seconds=1))
    assert costs_of("ended") == []


@pytest.mark.parametrize(
    ("result", "rows"),
    [
        ((LANDED,), 5),
        ((), None),
        ((TABLE,), None),
        (RefineOutcome(report=RefineReport(dataset="t", table=TABLE, landed=7, released=2, inserted=9)), 9),
        (STAGED, 40),
        (STAGED.model_copy(update={"parts": Parts(touched=1, of=9, rows=4)}), 4),
        (STAGED.model_copy(update={"fresh": False}), 0),
        (CurateReport(table=TABLE, rows=40, changed=False), 0),
        (CurateReport(table=TABLE, rows=40, changed=True), 40),
        (
            PublishReport(
                target="d", product="p", sequence=1,
                tables=(PublishedRows(table="a.t", rows=90, inserted=3, removed=1),),
            ),
            4,
        ),
        (None, None),
    ],
)  # fmt: skip
def test_the_rows_of_a_step_are_those_that_it_had_in_hand(result: object, rows: int | None) -> None:
    assert rows_of(result) == rows
