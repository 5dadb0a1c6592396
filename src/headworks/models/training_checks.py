"""Checks of a training: whether there was enough to learn from, and outcomes are as common as they were."""

from __future__ import annotations

import numpy as np
import polars as pl

from headworks.models.checks import Checks
from headworks.models.features import CUT
from headworks.models.model import Model
from headworks.models.training import LABEL, Split, Trained, without_values
from headworks.reports import CheckReport

_FEW_POSITIVES = 10


def training_checks(
    model: Model, trained: Trained, parts: Split, champion: Trained | None
) -> tuple[CheckReport, ...]:
    """Check whether there was enough to learn from, and whether the outcomes are as common as they were."""
    checks, bounds = Checks(model), model.bounds
    checks.add(
        "training: rows",
        trained.rows >= bounds.rows,
        f"{trained.rows} of at least {bounds.rows}",
        value=trained.rows,
    )
    fewest = min(trained.positives, trained.rows - trained.positives)
    checks.add(
        "training: rows of each outcome",
        fewest >= bounds.positives,
        f"{fewest} of at least {bounds.positives}",
        value=fewest,
    )
    share = trained.positives / max(1, trained.rows)
    low, high = bounds.class_share
    checks.add(
        "training: class balance",
        low <= share <= high,
        f"the outcome happened in {share:.1%} of the rows; {low:.1%} to {high:.1%} is allowed",
        value=share,
    )
    _check_values(checks, parts.train, champion)
    _check_balance(checks, parts, share if champion is None else float(champion.profile["share"]))
    checks.add(
        "training: time", trained.seconds <= bounds.train_s, f"{trained.seconds:.0f} s", value=trained.seconds
    )
    return tuple(checks.made)


def _check_values(checks: Checks, train: pl.DataFrame, champion: Trained | None) -> None:
    """Check that each feature has a value in some row that is learned from: of one that has none nothing is learned."""
    name = "training: features have values"
    empty = without_values(checks.model, train)
    if not empty:
        checks.add(name, True)
        return
    detail = (
        f"{', '.join(empty)} {'is' if len(empty) == 1 else 'are'} null in each of the {train.height} rows to learn "
        "from, so nothing is learned of what it says; look into the join or the source that gives it, or take it out "
        "of the model's numbers and categories until it has values"
    )
    if champion is None or {*empty} - {*_empty_of(champion)}:
        checks.add(name, False, detail, kind="data")
    else:
        # A person let it through when the champion was promoted, or nobody asked then.
        checks.warn(name, f"{detail}; so it was for the champion")


def _empty_of(champion: Trained) -> list[str]:
    numbers, categories = champion.profile["numbers"], champion.profile["categories"]
    return [name for name, then in {**numbers, **categories}.items() if then["nulls"] == 1]


def _check_balance(checks: Checks, parts: Split, before: float) -> None:
    """Check the newest cuts alone: outcomes that were not delivered would look as if nothing had happened."""
    most = checks.model.bounds.class_change
    cuts = (
        parts.holdout.group_by(CUT).agg(pl.col(LABEL).mean().alias("share"), pl.len().alias("rows")).sort(CUT)
    )
    if not cuts.height or before <= 0:
        checks.add("training: class balance of the newest weeks", None, "no week has a known outcome yet")
        return
    off = []
    for row in cuts.iter_rows(named=True):
        noise = 3 * float(np.sqrt(before * (1 - before) / row["rows"]))
        if (
            row["share"] > before * most + noise
            or row["share"] < before / most - noise
            or (row["share"] == 0 and before * row["rows"] > _FEW_POSITIVES)
        ):
            off.append(f"{row['share']:.1%} at {row[CUT]:%Y-%m-%d}")
    checks.add(
        "training: class balance of the newest weeks",
        not off,
        f"{', '.join(off)}; it was {before:.1%}" if off else f"as before, {before:.1%}",
        value=float(cuts.get_column("share")[-1]),
        expected=before,
    )
