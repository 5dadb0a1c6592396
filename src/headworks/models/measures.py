"""How good predictions are, in numbers: ranking, calibration, lift, segments, and intervals by a seeded bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from headworks.models.model import Metric

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]


def measure(metric: Metric, labels: Numbers, scores: Numbers, weights: Numbers | None = None) -> float:
    """Return a metric; not a number where one of the outcomes is missing."""
    weights = np.ones(len(labels)) if weights is None else weights
    positive = float((weights * labels).sum())
    if positive <= 0 or positive >= float(weights.sum()):
        return float("nan")
    return _roc_auc(labels, scores, weights) if metric == "roc_auc" else _precision(labels, scores, weights)


def _roc_auc(labels: Numbers, scores: Numbers, weights: Numbers) -> float:
    """Return the chance that a row with the target has a higher score than one without; ties count half."""
    groups, inverse = np.unique(scores, return_inverse=True)
    positive = np.bincount(inverse, weights * labels, len(groups))
    negative = np.bincount(inverse, weights * (1 - labels), len(groups))
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def _precision(labels: Numbers, scores: Numbers, weights: Numbers) -> float:
    """Return the average precision: the precision at each score, weighted by the recall that it adds."""
    groups, inverse = np.unique(-scores, return_inverse=True)
    positive = np.cumsum(np.bincount(inverse, weights * labels, len(groups)))
    every = np.cumsum(np.bincount(inverse, weights, len(groups)))
    gained = np.diff(positive, prepend=0.0) / positive[-1]
    precise = np.divide(positive, every, out=np.zeros_like(positive), where=every > 0)
    return float((gained * precise).sum())


def draws(entities: Indices, count: int, seed: int) -> list[Numbers]:
    """Return weights of rows for each draw of a bootstrap over entities: an entity's rows come or go together."""
    chance = np.random.default_rng(seed)
    number = int(entities.max()) + 1 if len(entities) else 0
    return [
        np.bincount(chance.integers(0, number, number), minlength=number).astype(np.float64)[entities]
        for _ in range(count)
    ]


def interval(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return the middle share of the values that are numbers."""
    known = np.asarray([value for value in values if np.isfinite(value)])
    if not len(known):
        return float("nan"), float("nan")
    rest = (1 - confidence) / 2
    return float(np.quantile(known, rest)), float(np.quantile(known, 1 - rest))


def entities_of(rows: pl.DataFrame, key: Sequence[str]) -> Indices:
    """Return a number for each entity, the same in each of its rows."""
    numbered = rows.select(pl.struct(key).rank("dense").cast(pl.Int64) - 1)
    return numbered.to_series().to_numpy()


def calibration(labels: Numbers, scores: Numbers, parts: int = 10) -> list[dict[str, float]]:
    """Return for ten parts of the rows, by their score, what was predicted and what happened."""
    order = np.argsort(scores, kind="stable")
    found = []
    for part in np.array_split(order, parts):
        if len(part):
            found.append(
                {
                    "rows": float(len(part)),
                    "predicted": float(scores[part].mean()),
                    "happened": float(labels[part].mean()),
                }
            )
    return found


def calibration_error(bins: Sequence[dict[str, float]]) -> float:
    """Return how far predictions are from what happened, on average over rows."""
    rows = sum(each["rows"] for each in bins)
    return (
        sum(each["rows"] * abs(each["predicted"] - each["happened"]) for each in bins) / rows if rows else 0.0
    )


def lift(labels: Numbers, scores: Numbers, share: float = 0.1) -> float:
    """Return how many times more often the target happens among the rows with the highest scores."""
    base = float(labels.mean()) if len(labels) else 0.0
    top = np.argsort(-scores, kind="stable")[: max(1, round(len(scores) * share))]
    return float(labels[top].mean() / base) if base > 0 else float("nan")


def lift_curve(labels: Numbers, scores: Numbers, parts: int = 20) -> list[dict[str, float]]:
    """Return for growing shares of the rows, the highest scores first, the lift and the part of the target in them."""
    total = float(labels.sum())
    if total <= 0:
        return []
    ordered = labels[np.argsort(-scores, kind="stable")]
    found = []
    for part in range(1, parts + 1):
        rows = max(1, round(len(ordered) * part / parts))
        inside = float(ordered[:rows].sum())
        share = rows / len(ordered)
        found.append({"share": share, "lift": inside / total / share, "found": inside / total})
    return found
