"""The gate of a model refuses bad weeks for the right reason, lets good ones pass, and notices a world that changes.

A sample; ``python -m tests.unit.models.campaign`` judges all kinds in worlds of their own.
"""

from __future__ import annotations

import numpy as np
import pytest

from crm.year import year
from tests.unit.models.weeks import BAD, Kind, bad_week, good_week

SAMPLE = 5


@pytest.mark.parametrize("kind", BAD, ids=lambda kind: kind.__name__)
def test_a_bad_week_is_refused_for_its_reason(kind: Kind) -> None:
    gate = bad_week(kind, SAMPLE)
    assert not gate.open
    named = {reason.partition(": failed")[0].partition(": not evaluated")[0] for reason in gate.reasons}
    assert named & set(BAD[kind]), gate.reasons


def test_a_good_week_passes() -> None:
    gate = good_week(SAMPLE)
    assert gate.open, gate.reasons
    assert {check.outcome for check in gate.checks} <= {"passed", "warned", "cold start"}


def test_what_cannot_be_known_is_never_green() -> None:
    """Without a known outcome, without a cut that was made again, without scores: each closes the gate."""
    from datetime import UTC, datetime

    import polars as pl

    from crm.churn import MODEL
    from headworks.models.judging import data_checks, prediction_checks, quality_checks
    from headworks.models.training import split
    from headworks.models.training_checks import training_checks
    from tests.unit.models.weeks import ASKED, WEEK_OF_CHAMPION, champion, rows_of

    rows = rows_of(SAMPLE, WEEK_OF_CHAMPION + 1)
    outcomes = {
        check.name: check.outcome
        for check in (
            *data_checks(MODEL, rows, ASKED, None, None, datetime(2026, 10, 7, tzinfo=UTC)),
            *prediction_checks(MODEL, np.zeros(0), np.zeros(0)),
            *training_checks(
                MODEL,
                champion(SAMPLE).trained,
                split(MODEL, rows.filter(pl.col("cut") > rows["cut"].max()), ASKED),
                champion(SAMPLE).trained,
            ),
        )
    }
    assert outcomes["features: as they were known"] == "not evaluated"
    assert outcomes["scores: drift"] == "not evaluated"
    assert outcomes["training: class balance of the newest weeks"] == "not evaluated"
    few = split(MODEL, rows, ASKED).holdout.head(40)
    quality = quality_checks(MODEL, few, np.full(40, 0.1), np.full(40, 0.1), (), 1)
    assert {check.outcome for check in quality.checks if check.name == "quality: good enough"} == {
        "not evaluated"
    }


def test_a_world_that_changes_is_noticed() -> None:
    """From week 30 on customers leave for other reasons: the champion's metric falls, and the check says so."""
    noticed = [number for number, week in year(3, last=15, weeks=42, changes_in=30) if week.warnings]
    before = [week for week in noticed if week <= 30]
    after = [week for week in noticed if week > 30]
    assert before == []
    assert after, "nobody noticed"
    assert after[0] <= 40
