"""A model's weeks again: what would have been learned, promoted and noticed at each cut, in memory.

The rows of a cut are what was known then, so a year of runs can be made again from the table of features: at each cut
the rows up to it, with the outcomes that were known by it, are learned from and judged as a run does. Nothing is
written. What a run checks in the lake, leaks and the newest delivery of each dataset, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from headworks.errors import EstimatorFailed
from headworks.models.features import CUT, OBSERVED_UNTIL
from headworks.models.judging import data_checks, prediction_checks, quality_checks, training_checks
from headworks.models.model import Model
from headworks.models.training import (
    LABEL,
    Asked,
    Matrix,
    Split,
    Trained,
    described,
    fit,
    newest_cut,
    predict,
    split,
)
from headworks.reports import CheckReport

_OF_THE_LAKE = "features: as they were known"
_OUTCOMES = 2


@dataclass(frozen=True)
class Week:
    """What a run at a cut would have come to: how good both models were, which one scored then, and what was said."""

    cut: datetime
    rows: int
    challenger: float | None = None
    champion: float | None = None
    promoted: bool = False
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Fitted:
    estimator: Any
    trained: Trained

    def scores(self, rows: pl.DataFrame) -> Matrix:
        trained = self.trained
        return predict(self.estimator, trained.columns, trained.vocabulary, rows, trained.model)


def weeks_again(
    model: Model, frame: pl.DataFrame, *, seed: int = 1, last: int | None = None
) -> Iterator[Week]:
    """Yield for each cut of a table of features, or the last ones, what a run would have come to.

    The first model is promoted where the gate opens for it, as in a new lake.
    """
    cuts = frame.get_column(CUT).unique().sort().to_list()
    current: _Fitted | None = None
    promises: list[float] = []
    for cut in cuts if last is None else cuts[-last:]:
        known = frame.filter(pl.col(CUT) <= cut).with_columns(
            pl.lit(cut, dtype=frame.schema[OBSERVED_UNTIL]).alias(OBSERVED_UNTIL)
        )
        week, made = _week(model, known, cut, Asked(horizon=model.horizon, seed=seed), current, promises)
        if made is not None:
            current = made
            promises.append(week.challenger or 0.0)
        yield week


def _week(
    model: Model,
    known: pl.DataFrame,
    cut: datetime,
    asked: Asked,
    current: _Fitted | None,
    promises: list[float],
) -> tuple[Week, _Fitted | None]:
    newest = known.filter(pl.col(CUT) == newest_cut(known, asked))
    profile = None if current is None else current.trained.profile
    checks = [
        check for check in data_checks(model, known, asked, profile, None, cut) if check.name != _OF_THE_LAKE
    ]
    parts = split(model, known, asked)
    if _refused(checks):
        return Week(cut, newest.height, reasons=_refused(checks)), None
    if parts.train.get_column(LABEL).n_unique() < _OUTCOMES:
        few = f"of {parts.train.height} rows to learn from not both outcomes are known"
        return Week(cut, newest.height, reasons=(few,)), None
    try:
        challenger = _learned(model, known, asked, parts)
        scores = challenger.scores(parts.holdout)
        theirs = None if current is None else current.scores(parts.holdout)
        quality = quality_checks(model, parts.holdout, scores, theirs, promises, asked.seed)
        checks += training_checks(
            model, challenger.trained, parts, None if current is None else current.trained
        )
        checks += [*quality.checks, *prediction_checks(model, scores, challenger.scores(newest))]
    except EstimatorFailed as problem:
        return Week(cut, newest.height, reasons=(problem.what,)), None
    reasons = _refused(checks)
    week = Week(
        cut,
        newest.height,
        quality.challenger.value,
        None if quality.champion is None else quality.champion.value,
        promoted=not reasons,
        reasons=reasons,
        warnings=tuple(f"{check.name}: {check.detail}" for check in checks if check.outcome == "warned"),
    )
    return week, None if reasons else challenger


def _learned(model: Model, known: pl.DataFrame, asked: Asked, parts: Split) -> _Fitted:
    estimator, words = fit(model, parts, asked)
    return _Fitted(estimator, described(model, known, asked, parts, words))


def _refused(checks: list[CheckReport]) -> tuple[str, ...]:
    return tuple(
        f"{check.name}: {check.outcome} ({check.detail})"
        for check in checks
        if check.outcome in {"failed", "not evaluated", "error"}
    )
