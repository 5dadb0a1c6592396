"""The gate of a model: checks of the data, of the training, of the challenger against the champion, of the scores.

Each check is a `CheckReport`, and the gate is that of everything else: it opens only where each passed or warned.
What a check cannot know is "not evaluated", which keeps the gate closed. A segment with few rows, and what needs a
champion before there is one, is a "cold start": nothing is objected to, and nothing has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from headworks.models.checks import Checks
from headworks.models.entities import likenesses
from headworks.models.features import CUT, OBSERVED_UNTIL, LeakCheck, Received
from headworks.models.measures import (
    Indices,
    Numbers,
    calibration,
    calibration_error,
    draws,
    entities_of,
    interval,
    lift,
    lift_curve,
    measure,
)
from headworks.models.model import Model
from headworks.models.training import (
    LABEL,
    Asked,
    category_profile,
    feature_profiles,
    newest_cut,
    number_profile,
)
from headworks.quality.statistics import psi, psi_noise
from headworks.reports import CheckReport, Report

_FEW_CATEGORIES = 0.02
"""A value with a smaller share may come and go."""
_MOST_UNSEEN, _UNSEEN_FACTOR, _NEARLY_UNIQUE = 0.1, 3.0, 0.3
"""The share of rows with values that were not there before, against what chance brings; ids say nothing."""
_FEW_OUTSIDE, _FEW_OUTSIDE_SHARE = 3, 0.005
"""So many values may lie far outside."""
_FEW_POSITIVES = 10
_LOWEST = 2
_CLOCKS = timedelta(hours=1)
"""So far clocks of machines may be apart."""
_SHARED_SIGMAS, _SHARED_SPREAD = 6.0, 0.05
_PROMISES = 12
_LIKENESS_SIGMAS = 3.0


class Measured(Report):
    """How good a model is on rows that it has not seen."""

    metric: str
    value: float
    low: float = Field(description="Lower end of the interval.")
    high: float
    rows: int
    positives: int
    calibration: tuple[dict[str, float], ...]
    calibration_error: float
    lift: float = Field(
        description="How many times the base rate the target happens in the tenth with the highest scores."
    )
    brier: float
    lift_curve: tuple[dict[str, float], ...] = Field(
        default=(),
        description="For growing shares of rows, the highest scores first: the lift, and the part of the target there.",
    )
    segments: tuple[dict[str, Any], ...] = ()
    cuts: tuple[datetime, ...] = ()


@dataclass(frozen=True)
class Quality:
    """What the checks of a challenger were, and what they came from."""

    checks: tuple[CheckReport, ...]
    challenger: Measured
    champion: Measured | None


def data_checks(
    model: Model,
    frame: pl.DataFrame,
    asked: Asked,
    profile: Mapping[str, Any] | None,
    leak: LeakCheck | None,
    now: datetime,
    received: Received | None = None,
) -> tuple[CheckReport, ...]:
    """Check the features of the cut that is scored against those that the champion was made with.

    ``received`` says when each dataset was received last, where that is known.

    ``profile`` is the champion's. Without one, where there is no champion yet, nothing can have moved: these checks are
    left out, and one says so.
    """
    checks = Checks(model)
    scored = newest_cut(frame, asked)
    if scored is None:
        checks.add("features: there is a cut", False, "the table of features has no rows", kind="data")
        return tuple(checks.made)
    rows = frame.filter(pl.col(CUT) == scored)
    _check_age(checks, frame, scored, now, received)
    if received is not None and asked.cut is None:
        missing = received.newest > scored
        checks.add(
            "features: rows of the newest cut",
            not missing,
            f"0 rows at cut {received.newest:%Y-%m-%d %H:%M}; the newest cut with rows is {scored:%Y-%m-%d %H:%M}"
            if missing
            else f"{rows.height} rows at cut {scored:%Y-%m-%d %H:%M}",
            kind="data",
        )
    duplicates = frame.height - frame.select(*model.key, CUT).n_unique()
    checks.add(
        "features: key is unique",
        not duplicates,
        f"{duplicates} rows too many",
        value=duplicates,
        kind="data",
    )
    _check_leaks(checks, leak)
    _check_finite(checks, frame)
    _check_entities(checks, frame, scored)
    if profile is None:
        checks.add_without_comparison("features: drift", "there is no champion to compare with", kind="drift")
        return tuple(checks.made)
    most = model.bounds.rows_change
    expected = float(profile["rows"])
    change = rows.height / expected - 1 if expected else float("inf")
    checks.add(
        "features: rows",
        abs(change) <= most,
        f"{rows.height} rows, {change:+.0%} of the {expected:.0f} a cut that the champion was made with; the limit is "
        f"{most:.0%}",
        value=rows.height,
        expected=expected,
        kind="drift",
    )
    # What the champion does not have is held against the cuts before.
    cuts = frame.filter(pl.col(CUT) < scored).get_column(CUT).unique().sort().to_list()
    new = feature_profiles(
        frame,
        cuts,
        [name for name in model.numbers if name not in profile["numbers"]],
        [name for name in model.categories if name not in profile["categories"]],
    )
    for name, then in {**profile["numbers"], **new["numbers"]}.items():
        if not _dropped(model, rows, name):
            _check_number(checks, name, rows, then)
    for name, then in {**profile["categories"], **new["categories"]}.items():
        if not _dropped(model, rows, name):
            _check_category(checks, name, rows, then)
    return tuple(checks.made)


def _dropped(model: Model, rows: pl.DataFrame, name: str) -> bool:
    """Return whether neither the model nor the features have a column any more: what the champion lacks says so."""
    return name not in model.columns and name not in rows.columns


def _check_finite(checks: Checks, frame: pl.DataFrame) -> None:
    """Check that no feature is infinite, as one that was divided by nothing: it has no distribution."""
    floats = [
        name for name in checks.model.numbers if name in frame.columns and frame.schema[name].is_float()
    ]
    counted = frame.select(pl.col(name).is_infinite().sum() for name in floats)
    infinite = {name: count for name in floats if (count := int(counted.get_column(name).item() or 0))}
    said = ", ".join(f"{count} values of {name} are infinite" for name, count in infinite.items())
    checks.add(
        "features: finite",
        not infinite,
        f"{said}; let the table of features give null, or another number, where it divides by nothing"
        if said
        else "",
        value=sum(infinite.values()),
        kind="data",
    )


def _check_entities(checks: Checks, frame: pl.DataFrame, scored: datetime) -> None:
    """Check that entities are like themselves at the cuts before, as they were: keys may have got others' features."""
    name, kind = "features: of their own entity", "drift"
    found = likenesses(checks.model, frame, scored)
    if not found:
        few = "too few entities are in several cuts, or no feature stays alike from one to the next"
        checks.add_without_comparison(name, few, kind=kind)
        return
    alike = checks.model.bounds.alike
    less = [one for one in found if one.now < one.least - max(alike, _LIKENESS_SIGMAS * one.spread)]
    said = "; ".join(
        f"{one.column} is alike by {one.now:.2f}, and was by {one.least:.2f} at least" for one in less
    )
    checks.add(
        name,
        not less,
        f"entities are not what they were at the cut before: {said}. If they have not changed, a join gives keys the "
        "features of others"
        if less
        else "",
        value=len(less),
        kind=kind,
    )


def _check_age(
    checks: Checks, frame: pl.DataFrame, scored: datetime, now: datetime, received: Received | None
) -> None:
    """Check that each dataset that comes steadily has come lately, and that nothing was received in the future."""
    bounds = checks.model.bounds
    until = frame.get_column(OBSERVED_UNTIL).max()
    last = until if isinstance(until, datetime) else scored
    newest = last if received is None else received.newest
    stopped = [
        f"of {name} the last delivery was received at {moment:%Y-%m-%d %H:%M}"
        for name, moment in sorted(({} if received is None else received.steady).items())
        if now - moment > bounds.age
    ]
    ahead = newest > now + _CLOCKS
    detail = (
        (f"{'; '.join(stopped)}; " if stopped else "")
        + f"the last delivery of all was received at {newest:%Y-%m-%d %H:%M}{', in the future' if ahead else ''}, the "
    )
    detail += f"cut is {scored:%Y-%m-%d %H:%M}, now it is {now:%Y-%m-%d %H:%M}; {bounds.age} is allowed"
    checks.add(
        "features: deliveries are new",
        not stopped and not ahead and now - newest <= bounds.age and scored <= newest,
        detail,
        kind="data",
    )


def _check_leaks(checks: Checks, leak: LeakCheck | None) -> None:
    if leak is None or not leak.rows:
        checks.add(
            "features: as they were known",
            None,
            "no cut could be made again from what had been received by then",
            kind="leak",
        )
        return
    names = sorted({one.column for one in leak.leaks})
    detail = (
        f"made again from what had been received by the cut, {', '.join(names)} differ: they know what came later"
        if names
        else ""
    )
    if leak.missing:
        detail += f"{'; ' if detail else ''}rows of {leak.missing[0]:%Y-%m-%d} come or go by what came later"
    checks.add("features: as they were known", not leak.leaks and not leak.missing, detail, kind="leak")


def _check_number(checks: Checks, name: str, rows: pl.DataFrame, then: Mapping[str, Any]) -> None:
    bounds = checks.model.bounds
    if name not in rows.columns:
        checks.add(f"feature {name}: drift", None, "the column is gone", kind="drift")
        return
    # As in what the estimator gets, no number is a null.
    values = rows.get_column(name).cast(pl.Float64).fill_nan(None)
    now = number_profile(values, then["edges"])
    _check_nulls(checks, name, now["nulls"], then["nulls"])
    if not sum(now["counts"]) and not sum(then["counts"]):
        return
    _check_range(checks, name, values, then)
    # A champion from before NaN was a null may have kept medians that are no numbers.
    medians = [one for one in then.get("medians") or () if one is not None and np.isfinite(one)]
    if medians:
        _check_shared(checks, name, now["median"], medians, then)
        return
    moved, limit = _psi(now["counts"], then["counts"], bounds.feature_drift)
    said = _moved_most(now["counts"], then["counts"], then["edges"])
    # One value in much of the rows hides what becomes of the others.
    if (rest := then.get("rest")) is not None:
        others = number_profile(values.filter(values != rest["without"]), rest["edges"])["counts"]
        apart, allowed = _psi(others, rest["counts"], bounds.feature_drift)
        if apart / allowed > moved / limit:
            moved, limit = apart, allowed
            said = (
                f"of the values other than {_shown(rest['without'])} "
                f"{_moved_most(others, rest['counts'], rest['edges'])}"
            )
    checks.add(
        f"feature {name}: drift",
        moved <= limit,
        f"PSI {moved:.2f} of {limit:.2f} allowed; {said}; its median is {_shown(now['median'])} and was "
        f"{_shown(then['median'])}",
        value=moved,
        expected=limit,
        kind="drift",
    )


def _check_range(checks: Checks, name: str, values: pl.Series, then: Mapping[str, Any]) -> None:
    """Check that values lie about where the champion's did: the outermost bins have no end, and hide another unit."""
    low, high = then.get("low"), then.get("high")
    if low is None or high is None or high <= low:
        # Of a constant feature, and of a champion from before this was kept, it is not known.
        return
    # Of what many rows share there are few values at a cut, and the next ones may lie further.
    margin = (high - low) * checks.model.bounds.feature_beyond * (2 if then.get("medians") else 1)
    outside = values.filter((values < low - margin) | (values > high + margin))
    few = max(_FEW_OUTSIDE, _FEW_OUTSIDE_SHARE * len(values))
    farthest = "" if outside.is_empty() else f", such as {_shown(_farthest(outside, low, high))}"
    checks.add(
        f"feature {name}: range",
        len(outside) < few,
        f"{len(outside)} of {len(values)} values lie far outside of {_shown(low)} to {_shown(high)}{farthest}",
        value=len(outside),
        expected=few,
        kind="drift",
    )


def _farthest(outside: pl.Series, low: float, high: float) -> float:
    return max((float(value) for value in outside), key=lambda value: max(low - value, value - high))


def _moved_most(now: Sequence[int], then: Sequence[int], edges: Sequence[float]) -> str:
    """Return in words of which range the share of rows has changed most."""
    here, there = sum(now) or 1, sum(then) or 1
    changes = [one / here - other / there for one, other in zip(now, then, strict=True)]
    place = int(np.argmax(np.abs(changes)))
    share = f"are {now[place] / here:.0%} of the rows, and were {then[place] / there:.0%}"
    if place < _LOWEST and len(edges) >= _LOWEST and np.nextafter(edges[1], -np.inf) == edges[0]:
        # The lowest value fills a bin of its own.
        return f"{('below', 'at')[place]} {_shown(edges[1])} {share}"
    below = f"above {_shown(edges[place - 1])}" if place else ""
    above = f"up to {_shown(edges[place])}" if place < len(edges) else ""
    where = " ".join(each for each in (below, above) if each) or "everywhere"
    return f"{where} {share}"


def _check_shared(
    checks: Checks,
    name: str,
    now: float | None,
    then: Sequence[float],
    profile: Mapping[str, Any] | None = None,
) -> None:
    """Check a feature that many rows share by its median alone, against those of the cuts before.

    Medians of few values may happen to be alike, so it may move as far as its values have been apart.
    """
    usual = float(np.median(then))
    low, high = (profile or {}).get("low"), (profile or {}).get("high")
    apart = 0.0 if low is None or high is None else float(high - low) / _SHARED_SIGMAS
    spread = max(float(np.std(then)), _SHARED_SPREAD * abs(usual), apart)
    moved = (
        float("inf")
        if now is None
        else abs(now - usual) / spread
        if spread
        else (0.0 if now == usual else float("inf"))
    )
    checks.add(
        f"feature {name}: drift",
        moved <= _SHARED_SIGMAS,
        f"its median is {_shown(now)}, and was {_shown(usual)} with a spread of {_shown(spread)}",
        value=now,
        expected=usual,
        kind="drift",
    )


def _check_category(checks: Checks, name: str, rows: pl.DataFrame, then: Mapping[str, Any]) -> None:
    bounds = checks.model.bounds
    if name not in rows.columns:
        checks.add(f"feature {name}: drift", None, "the column is gone", kind="drift")
        return
    now = category_profile(rows.get_column(name))
    _check_nulls(checks, name, now["nulls"], then["nulls"])
    before, total = then["counts"], sum(then["counts"].values())
    gone = [
        value
        for value, count in before.items()
        if count > _FEW_CATEGORIES * total and value not in now["counts"]
    ]
    there = sum(now["counts"].values())
    new = [
        value
        for value, count in now["counts"].items()
        if value not in before and count > _FEW_CATEGORIES * there
    ]
    said = [f"{', '.join(gone)} is gone"] * bool(gone) + [f"{', '.join(new)} is new"] * bool(new)
    said += _unseen(now["counts"], before)
    checks.add(f"feature {name}: values", not said, "; ".join(said), kind="segment")
    values = sorted({*before, *now["counts"]})
    moved, limit = _psi(
        [now["counts"].get(value, 0) for value in values],
        [before.get(value, 0) for value in values],
        bounds.feature_drift,
    )
    checks.add(
        f"feature {name}: drift",
        moved <= limit,
        f"PSI {moved:.2f} of {limit:.2f} allowed",
        value=moved,
        expected=limit,
        kind="drift",
    )


def _unseen(now: Mapping[str, int], before: Mapping[str, int]) -> list[str]:
    """Say that many rows have values that were never there, though each value has few: thousands that were renamed.

    Of what is drawn from the same values, about as many are new as were there just once.
    """
    there, total = sum(now.values()), sum(before.values())
    if not there or not total:
        return []
    usual = sum(count for count in before.values() if count == 1) / total
    share = sum(count for value, count in now.items() if value not in before) / there
    if usual >= _NEARLY_UNIQUE or share <= max(_MOST_UNSEEN, _UNSEEN_FACTOR * usual):
        return []
    return [f"{share:.0%} of the rows have values that were not there before; about {usual:.0%} is usual"]


def _check_nulls(checks: Checks, name: str, now: float, then: float) -> None:
    most = checks.model.bounds.nulls
    checks.add(
        f"feature {name}: nulls",
        now - then <= most,
        f"{now:.0%} are null, and were {then:.0%}",
        value=now,
        expected=then,
        kind="drift",
    )


def measured(model: Model, rows: pl.DataFrame, scores: Numbers, weights: Sequence[Numbers]) -> Measured:
    """Return how good scores are for rows with a known outcome."""
    labels = rows.get_column(LABEL).cast(pl.Float64).to_numpy()
    drawn = [measure(model.metric, labels, scores, weight) for weight in weights]
    low, high = interval(drawn, model.bounds.confidence)
    bins = calibration(labels, scores)
    return Measured(
        metric=model.metric,
        value=_finite(measure(model.metric, labels, scores)),
        low=_finite(low),
        high=_finite(high),
        rows=rows.height,
        positives=int(labels.sum()),
        calibration=tuple(bins),
        calibration_error=calibration_error(bins),
        lift=_finite(lift(labels, scores)),
        lift_curve=tuple(lift_curve(labels, scores)),
        brier=float(((scores - labels) ** 2).mean()) if len(labels) else 0.0,
        segments=tuple(_by_segment(model, rows, labels, scores)),
        cuts=tuple(rows.get_column(CUT).unique().sort().to_list()),
    )


def _by_segment(
    model: Model, rows: pl.DataFrame, labels: Numbers, scores: Numbers
) -> Iterator[dict[str, Any]]:
    for column in model.segments:
        for value, there in _segments(rows, column):
            of = measure(model.metric, labels[there], scores[there])
            yield {
                "segment": f"{column} {value}",
                "rows": int(there.sum()),
                "positives": int(labels[there].sum()),
                "value": of if np.isfinite(of) else None,
                "predicted": float(scores[there].mean()),
                "happened": float(labels[there].mean()),
            }


def _segments(rows: pl.DataFrame, column: str) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[np.bool_]]]]:
    texts = rows.get_column(column).cast(pl.String).fill_null("none")
    for value in texts.unique().sort().to_list():
        yield value, (texts == value).to_numpy()


def quality_checks(
    model: Model,
    holdout: pl.DataFrame,
    challenger: Numbers,
    champion: Numbers | None,
    promises: Sequence[float],
    seed: int,
    kept: Measured | None = None,
) -> Quality:
    """Check a challenger on the newest rows with a known outcome, and against the champion on the very same rows.

    ``promises`` are the metrics with which earlier champions were promoted, the newest last. ``kept`` is what a
    champion that cannot predict any more was measured by when it was promoted: the challenger is held against that.
    """
    checks, bounds = Checks(model), model.bounds
    entities: Indices = entities_of(holdout, model.key)
    weights = draws(entities, bounds.draws, seed)
    mine = measured(model, holdout, challenger, weights)
    labels = holdout.get_column(LABEL).cast(pl.Float64).to_numpy()
    chance = 0.5 if model.metric == "roc_auc" else mine.positives / max(1, mine.rows)
    known = mine.positives >= _FEW_POSITIVES and mine.rows - mine.positives >= _FEW_POSITIVES
    said = (
        f"{model.metric} {mine.value:.3f} ({mine.low:.3f} to {mine.high:.3f}) on {mine.rows} rows of "
        f"{len(mine.cuts)} cuts"
    )
    checks.add(
        "quality: better than chance",
        (mine.low > chance) if known else None,
        said,
        value=mine.value,
        expected=chance,
    )
    checks.add(
        "quality: good enough",
        (mine.value >= bounds.least) if known else None,
        f"{said}; at least {bounds.least}",
        value=mine.value,
        expected=bounds.least,
    )
    checks.add(
        "quality: not too good",
        mine.value <= bounds.most,
        f"{said}: above {bounds.most} a feature knows the target",
        value=mine.value,
        expected=bounds.most,
        kind="leak",
    )
    noise = 2.5 * float(np.sqrt(max(1e-9, labels.mean() * (1 - labels.mean())) / max(1, len(labels))))
    limit = bounds.calibration + noise
    checks.add(
        "quality: calibration",
        mine.calibration_error <= limit,
        f"predictions are off by {mine.calibration_error:.3f} on average; {limit:.3f} is allowed",
        value=mine.calibration_error,
        expected=limit,
    )
    theirs = None
    if champion is None and kept is not None:
        _check_against_kept(checks, mine, kept, known=known)
    elif champion is None:
        checks.add_without_comparison("quality: against the champion", "there is no champion yet")
    else:
        theirs = measured(model, holdout, champion, weights)
        _check_against(checks, labels, challenger, champion, weights, known=known)
        _check_promise(checks, theirs, promises)
    _check_segments(checks, holdout, labels, challenger, champion, entities, seed)
    return Quality(tuple(checks.made), mine, theirs)


def _check_against(
    checks: Checks,
    labels: Numbers,
    challenger: Numbers,
    champion: Numbers,
    weights: Sequence[Numbers],
    *,
    known: bool,
) -> None:
    model, bounds = checks.model, checks.model.bounds
    difference = measure(model.metric, labels, challenger) - measure(model.metric, labels, champion)
    drawn = [
        measure(model.metric, labels, challenger, weight) - measure(model.metric, labels, champion, weight)
        for weight in weights
    ]
    low, high = interval(drawn, bounds.confidence)
    checks.add(
        "quality: against the champion",
        (low >= -bounds.worse_by) if known else None,
        f"{difference:+.3f} ({low:+.3f} to {high:+.3f}) on the same rows; it may be worse by {bounds.worse_by}",
        value=difference,
        expected=-bounds.worse_by,
    )


def _check_against_kept(checks: Checks, mine: Measured, kept: Measured, *, known: bool) -> None:
    """Check a challenger against what the champion was measured by, on the rows of then."""
    worse_by = checks.model.bounds.worse_by
    difference = mine.value - kept.value
    checks.add(
        "quality: against the champion",
        (difference >= -worse_by) if known and kept.metric == mine.metric else None,
        f"{difference:+.3f} against the {kept.value:.3f} that the champion was promoted with, since it cannot predict "
        f"these rows; it may be worse by {worse_by}",
        value=difference,
        expected=-worse_by,
    )


def _check_promise(checks: Checks, champion: Measured, promises: Sequence[float]) -> None:
    """Notice a world that has changed: the champion is no longer as good as champions were when they were promoted."""
    if not promises:
        return
    usual = float(np.median(promises[-_PROMISES:]))
    name, said = (
        "champion: as good as promised",
        f"{champion.value:.3f} ({champion.low:.3f} to {champion.high:.3f})",
    )
    if champion.high < usual:
        checks.warn(
            name,
            f"it is {said} on the newest weeks, and was {usual:.3f}: what leads to the outcome has changed",
            value=champion.value,
            expected=usual,
        )
    else:
        checks.add(name, True, said, value=champion.value, expected=usual)


def _check_segments(
    checks: Checks,
    holdout: pl.DataFrame,
    labels: Numbers,
    challenger: Numbers,
    champion: Numbers | None,
    entities: Indices,
    seed: int,
) -> None:
    model, bounds = checks.model, checks.model.bounds
    for column in model.segments:
        for value, there in _segments(holdout, column):
            name = f"segment {column} {value}"
            count, positives = int(there.sum()), int(labels[there].sum())
            if count < bounds.segment_rows or positives < _FEW_POSITIVES:
                few = f"not known: {count} rows, {positives} with the outcome are too few to judge by"
                checks.add_without_comparison(name, few)
                continue
            _, numbered = np.unique(entities[there], return_inverse=True)
            weights = draws(numbered, bounds.draws, seed)
            mine, ours = labels[there], challenger[there]
            if champion is None:
                drawn = [measure(model.metric, mine, ours, weight) for weight in weights]
                _, high = interval(drawn, bounds.confidence)
                at_least = 0.5 if model.metric == "roc_auc" else positives / count
                at_most = measure(model.metric, mine, ours)
                checks.add(
                    name,
                    high > at_least,
                    f"{at_most:.3f}, at most {high:.3f}",
                    value=at_most,
                    expected=at_least,
                )
                continue
            theirs = champion[there]
            difference = measure(model.metric, mine, ours) - measure(model.metric, mine, theirs)
            drawn = [
                measure(model.metric, mine, ours, weight) - measure(model.metric, mine, theirs, weight)
                for weight in weights
            ]
            _, high = interval(drawn, bounds.confidence)
            worse = high < 0 and difference < -bounds.segment_worse_by
            checks.add(
                name,
                not worse,
                f"{difference:+.3f} against the champion, at most {high:+.3f}; it may be worse by "
                f"{bounds.segment_worse_by}",
                value=difference,
                expected=-bounds.segment_worse_by,
            )


def prediction_checks(model: Model, before: Numbers, now: Numbers) -> tuple[CheckReport, ...]:
    """Check the scores of the newest cut against those that the same model gives the rows that it was judged by."""
    checks = Checks(model)
    if not len(now) or not len(before):
        checks.add("scores: drift", None, "there are no scores to compare", kind="drift")
        return tuple(checks.made)
    strange = {
        "of the newest cut": int((~((now >= 0) & (now <= 1))).sum()),
        "of the rows that it was judged by": int((~((before >= 0) & (before <= 1))).sum()),
    }
    said = ", ".join(f"{count} {which}" for which, count in strange.items() if count)
    checks.add(
        "scores: are chances", not said, f"no numbers from 0 to 1: {said}" if said else "", kind="data"
    )
    then = number_profile(pl.Series("score", before))
    counts = number_profile(pl.Series("score", now), then["edges"])["counts"]
    moved, limit = _psi(counts, then["counts"], model.bounds.prediction_drift)
    checks.add(
        "scores: drift",
        moved <= limit,
        f"PSI {moved:.2f} of {limit:.2f} allowed; the mean is {now.mean():.3f} and was {before.mean():.3f}",
        value=moved,
        expected=limit,
        kind="drift",
    )
    return tuple(checks.made)


def importance(
    model: Model, score: Callable[[Any], Numbers], values: Any, labels: Numbers, seed: int
) -> dict[str, float]:
    """Return how much of the metric is lost when a feature's values are exchanged between rows."""
    chance = np.random.default_rng(seed)
    whole = measure(model.metric, labels, score(values))
    found = {}
    for place, name in enumerate(model.columns):
        exchanged = values.copy()
        exchanged[:, place] = chance.permutation(exchanged[:, place])
        found[name] = _finite(whole - measure(model.metric, labels, score(exchanged)))
    return found


def _psi(now: Sequence[int], then: Sequence[int], limit: float) -> tuple[float, float]:
    """Return how far a distribution has moved, and how far it may: of few rows chance alone moves it further."""
    here = {str(place): int(count) for place, count in enumerate(now)}
    there = {str(place): int(count) for place, count in enumerate(then)}
    return psi(here, there), max(limit, psi_noise(len(now), sum(now), sum(then)))


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else 0.0


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
