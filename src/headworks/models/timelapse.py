"""A model's weeks again: what would have been learned, promoted and noticed at each cut, in memory.

The rows of a cut are what was known then, so a year of runs can be made again from the table of features: at each cut
the rows up to it, with the outcomes that were known by it, are learned from and judged as a run does. Nothing is
written. What a run checks in the lake, leaks and the newest delivery of each dataset, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from headworks.errors import EstimatorFailed
from headworks.models.features import CUT, OBSERVED_UNTIL
from headworks.models.judging import Quality, data_checks, prediction_checks, quality_checks
from headworks.models.model import Model
from headworks.models.training import (
    LABEL,
    Asked,
    Matrix,
    Split,
    Trained,
    check_columns,
    described,
    fit,
    newest_cut,
    predict,
    split,
)
from headworks.models.training_checks import training_checks
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
class Fitted:
    """A model in memory: what was fitted, and what it was made with."""

    estimator: Any
    trained: Trained

    def scores(self, rows: pl.DataFrame) -> Matrix:
        """Return the chance of the target for each row."""
        trained = self.trained
        return predict(self.estimator, trained.columns, trained.vocabulary, rows, trained.model)


@dataclass(frozen=True)
class Judged:
    """What the checks of a week came to, and the challenger where there was something to learn from."""

    checks: tuple[CheckReport, ...]
    challenger: Fitted | None = None
    quality: Quality | None = None
    problem: str = ""
    """Why nothing was learned, where no check says so."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the challenger is refused."""
        return tuple([self.problem] * bool(self.problem)) + _refused(self.checks)


def weeks_again(
    model: Model, frame: pl.DataFrame, *, seed: int = 1, last: int | None = None
) -> Iterator[Week]:
    """Yield for each cut of a table of features, or the last ones, what a run would have come to.

    The first model is promoted where the gate opens for it, as in a new lake.
    """
    check_columns(model, frame)
    cuts = frame.get_column(CUT).unique().sort().to_list()
    current: Fitted | None = None
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
    current: Fitted | None,
    promises: Sequence[float],
) -> tuple[Week, Fitted | None]:
    data = data_checks(model, known, asked, None if current is None else current.trained.profile, None, cut)
    data = tuple(check for check in data if check.name != _OF_THE_LAKE)
    found = judged(model, known, asked, current, promises, data)
    quality, reasons = found.quality, found.reasons
    week = Week(
        cut,
        known.filter(pl.col(CUT) == newest_cut(known, asked)).height,
        None if quality is None else quality.challenger.value,
        None if quality is None or quality.champion is None else quality.champion.value,
        promoted=not reasons,
        reasons=reasons,
        warnings=tuple(
            f"{check.name}: {check.detail}" for check in found.checks if check.outcome == "warned"
        ),
    )
    return week, None if reasons else found.challenger


def judged(
    model: Model,
    known: pl.DataFrame,
    asked: Asked,
    current: Fitted | None,
    promises: Sequence[float],
    data: Sequence[CheckReport],
) -> Judged:
    """Learn from rows and judge what was learned, as a run does once it has made the checks of the data."""
    if _refused(data):
        return Judged(tuple(data))
    parts = split(model, known, asked)
    if parts.train.get_column(LABEL).n_unique() < _OUTCOMES:
        few = f"of {parts.train.height} rows to learn from not both outcomes are known"
        return Judged(tuple(data), problem=few)
    try:
        challenger = learned(model, known, asked, parts)
        scores = challenger.scores(parts.holdout)
        theirs = None if current is None else current.scores(parts.holdout)
        quality = quality_checks(model, parts.holdout, scores, theirs, promises, asked.seed)
        newest = challenger.scores(known.filter(pl.col(CUT) == newest_cut(known, asked)))
    except EstimatorFailed as problem:
        return Judged(tuple(data), problem=problem.what)
    champion = None if current is None else current.trained
    checks = (
        *data,
        *training_checks(model, challenger.trained, parts, champion),
        *quality.checks,
        *prediction_checks(model, scores, newest),
    )
    return Judged(checks, challenger, quality)


def learned(model: Model, known: pl.DataFrame, asked: Asked, parts: Split | None = None) -> Fitted:
    """Fit a model to rows, in memory."""
    parts = split(model, known, asked) if parts is None else parts
    estimator, words = fit(model, parts, asked)
    return Fitted(estimator, described(model, known, asked, parts, words))


def _refused(checks: Sequence[CheckReport]) -> tuple[str, ...]:
    return tuple(
        f"{check.name}: {check.outcome} ({check.detail})"
        for check in checks
        if check.outcome in {"failed", "not evaluated", "error"}
    )
