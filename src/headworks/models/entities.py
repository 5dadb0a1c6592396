"""Whether entities are like themselves at the cuts before: what a join under wrong keys changes, and no distribution.

A feature's likeness at a cut is how far it ranks entities as the cut before did (the correlation of ranks), of a
category in which part of them it is the same. Where it is low as a rule, a feature says nothing of its entity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from headworks.models.features import CUT
from headworks.models.model import Model

_BEFORE, _AT_LEAST, _ROWS = 12, 4, 100
"""Compared with so many cuts before, at least so many of which are known, each by so many entities."""
_ENTITIES_AT_MOST = 20_000
_SAYS_SOMETHING = 0.5
_LAGS = 2
"""A cut is held against two before it: one that was wrong itself would let the next one look wrong."""


@dataclass(frozen=True)
class Likeness:
    """How like themselves entities are in a feature at the newest cut, and at least were at the cuts before."""

    column: str
    now: float
    least: float
    spread: float
    """Of how like they were at these cuts."""


def likenesses(model: Model, frame: pl.DataFrame, scored: datetime) -> list[Likeness]:
    """Return the features that say something of an entity, with how like itself it is at the cut that is scored."""
    cuts = frame.filter(pl.col(CUT) <= scored).get_column(CUT).unique().sort().to_list()
    cuts = cuts[-(_BEFORE + _LAGS + 1) :]
    columns = [name for name in model.columns if name in frame.columns]
    rows = {cut: frame.filter(pl.col(CUT) == cut).unique(model.key, keep="none") for cut in cuts}
    keys = rows[scored].select(model.key).sort(model.key)
    keys = keys.gather_every(1 + keys.height // _ENTITIES_AT_MOST)
    rows = {cut: of_cut.join(keys, on=model.key, how="semi") for cut, of_cut in rows.items()}
    each = [_alike(model, columns, rows, cuts[: place + 1]) for place in range(len(cuts))]
    found = []
    for name in columns:
        known = [alike[name] for alike in each[:-1] if name in alike][-_BEFORE:]
        if name in each[-1] and len(known) >= _AT_LEAST and min(known) >= _SAYS_SOMETHING:
            found.append(Likeness(name, each[-1][name], min(known), float(np.std(known))))
    return found


def _alike(
    model: Model, columns: Sequence[str], rows: dict[datetime, pl.DataFrame], cuts: Sequence[datetime]
) -> dict[str, float]:
    """Return of each feature how like themselves entities are at the last of some cuts; not where too few are known."""
    found: dict[str, float] = {}
    for before in cuts[-1 - _LAGS : -1]:
        both = rows[cuts[-1]].join(rows[before], on=model.key, suffix="|then")
        for name in columns:
            alike = _of_categories(both, name) if name in model.categories else _of_numbers(both, name)
            if alike is not None:
                found[name] = max(alike, found.get(name, alike))
    return found


def _of_categories(both: pl.DataFrame, name: str) -> float | None:
    now, then = (both.get_column(one).cast(pl.String) for one in (name, f"{name}|then"))
    same = (now == then).drop_nulls()
    return float(same.sum()) / len(same) if len(same) >= _ROWS else None


def _of_numbers(both: pl.DataFrame, name: str) -> float | None:
    pair = both.select(pl.col(name, f"{name}|then").cast(pl.Float64).fill_nan(None)).drop_nulls()
    if pair.height < _ROWS:
        return None
    now, then = (pair.get_column(one).rank().to_numpy() for one in pair.columns)
    if not np.std(now) or not np.std(then):
        # Of one value for all there is no order.
        return None
    return float(np.corrcoef(now, then)[0, 1])
