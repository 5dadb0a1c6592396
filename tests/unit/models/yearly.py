"""Weeks of a model in time-lapse and in memory: how the champion does, week by week, when the world changes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import numpy as np

from crm.churn import FEATURES, MODEL
from crm.timelapse import RUNS_AT
from crm.truth import feature_rows, received
from crm.world import WEEK, World
from headworks.models.judging import quality_checks
from headworks.models.measures import measure
from headworks.models.training import LABEL, predict, split
from tests.unit.models.weeks import ASKED, START, Fitted, learn

_INSTALLED = 8


@dataclass
class Year:
    """The champions of a year, and what was seen of them."""

    current: Fitted | None = None
    promises: list[float] = field(default_factory=list)


def year(
    seed: int, first: int, last: int, changes_in: int | None, *, show: bool = False, customers: int = 400
) -> list[tuple[int, bool]]:
    """Return for each week whether it was noticed that the champion is no longer as good as promised."""
    world = World(START, last + 1, customers=customers, seed=seed, changes_in=changes_in)
    frames = received(world, START + _INSTALLED * WEEK + RUNS_AT, START + last * WEEK + RUNS_AT, WEEK)
    # The rows of a cut are the same whatever was received later, so they are made once.
    rows = feature_rows(FEATURES, frames)
    lived, found = Year(), []
    for week in range(first, last + 1):
        until = START + week * WEEK + RUNS_AT
        known = rows.filter(rows["cut"] <= until).with_columns(observed_until=until)
        noticed, text = _week(lived, known)
        found.append((week, noticed))
        if show:
            print(f"week {week}: {text}{' NOTICED' if noticed else ''}", flush=True)
    return found


def _week(lived: Year, rows: object) -> tuple[bool, str]:
    import polars as pl

    assert isinstance(rows, pl.DataFrame)
    parts = split(MODEL, rows, ASKED)
    challenger = learn(MODEL, rows)
    scores = predict(challenger.estimator, MODEL.columns, challenger.words, parts.holdout)
    current = lived.current
    theirs = (
        None if current is None else predict(current.estimator, MODEL.columns, current.words, parts.holdout)
    )
    quality = quality_checks(MODEL, parts.holdout, scores, theirs, lived.promises, 1)
    noticed = any(check.outcome == "warned" for check in quality.checks)
    refused = [check.name for check in quality.checks if check.outcome in {"failed", "not evaluated"}]
    labels = parts.holdout.get_column(LABEL).cast(pl.Float64).to_numpy()
    of_champion = float("nan") if theirs is None else measure(MODEL.metric, labels, np.asarray(theirs))
    if not refused:
        lived.current = challenger
        lived.promises.append(quality.challenger.value)
    return (
        noticed,
        f"champion {of_champion:.3f}, challenger {quality.challenger.value:.3f} {'; '.join(refused)}",
    )


def main() -> int:
    """Show a year; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--weeks", type=int, default=60)
    parser.add_argument("--changes-in", type=int, default=30)
    options = parser.parse_args()
    year(options.seed, 24, options.weeks, options.changes_in, show=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
