"""Schema drift: a source's columns beside those that bronze has.

New, dropped, widened and changed columns are told apart, and the dataset's policy says what happens. Bronze never holds
a value that was cut to fit: a wider type widens the table first, and delta-rs, which would put infinity in place of
a double that does not fit a float, never sees the two types meet.

What belongs here: telling apart, deciding. What does not: rewriting the table (``delta.py``), landing (``landing.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from headworks.errors import SchemaChanged

Policy = Literal["evolve", "freeze", "ignore"]
Change = tuple[str, pl.DataType | None, pl.DataType | None]
"""A column with its type before, None where it is new, and after, None where it is gone."""

_WHOLE = (pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64())


@dataclass(frozen=True)
class Drift:
    """How a source's columns differ from bronze's: types by the names of the columns.

    ``narrowed`` columns hold values that fit into bronze's wider type as they are.
    """

    new: Mapping[str, pl.DataType] = field(default_factory=dict)
    dropped: Mapping[str, pl.DataType] = field(default_factory=dict)
    widened: Mapping[str, tuple[pl.DataType, pl.DataType]] = field(default_factory=dict)
    changed: Mapping[str, tuple[pl.DataType, pl.DataType]] = field(default_factory=dict)

    def all(self) -> list[Change]:
        """Return every difference."""
        found: list[Change] = [(name, None, after) for name, after in self.new.items()]
        found += [(name, before, None) for name, before in self.dropped.items()]
        found += [(name, *types) for name, types in {**self.widened, **self.changed}.items()]
        return found


def drift_of(source: pl.Schema, bronze: pl.Schema) -> Drift:
    """Compare a source's columns with those that bronze has of it, its own metadata left out."""
    both = [(name, bronze[name], dtype) for name, dtype in source.items() if name in bronze]
    widened, changed = {}, {}
    for name, before, after in both:
        common = wider(before, after)
        if common is None:
            changed[name] = (before, after)
        elif common != before:
            widened[name] = (before, common)
    return Drift(
        new={name: dtype for name, dtype in source.items() if name not in bronze},
        dropped={name: dtype for name, dtype in bronze.items() if name not in source},
        widened=widened,
        changed=changed,
    )


def check(drift: Drift, policy: Policy, where: str) -> None:
    """Raise `SchemaChanged` for what the policy does not let through, with every such column named."""
    refused: list[Change] = [(name, *types) for name, types in drift.changed.items()]
    if policy == "freeze":
        refused = drift.all()
    if not refused:
        return
    told = "; ".join(
        f"{name} was {before or 'not there'} and is {after or 'gone'}" for name, before, after in refused
    )
    raise SchemaChanged(
        f"The source's columns changed: {told}.",
        where=where,
        do="nothing was landed, and nothing is lost. Cast the column back in a query of the table, or read it under "
        "a new name, or land in a new dataset"
        + (', or set the drift policy to "evolve".' if policy == "freeze" and not drift.changed else "."),
    )


def wider(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return the type that holds every value of both exactly, or None where there is none of the same kind."""
    if one == other:
        return one
    if one in _WHOLE and other in _WHOLE:
        return max(one, other, key=_WHOLE.index)
    if {one, other} == {pl.Float32(), pl.Float64()}:
        return pl.Float64()
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal):
        scale = max(one.scale, other.scale)
        digits = max(one.precision - one.scale, other.precision - other.scale)
        return pl.Decimal(digits + scale, scale) if digits + scale <= 38 else None
    return None
