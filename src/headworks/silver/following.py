"""A dataset's silver, with the columns that its declaration asks for."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from headworks.silver.dataset import Dataset
from headworks.silver.evolution import Wanted, columns_after, followed
from headworks.silver.work import Refinement
from headworks.storage.delta import Table
from headworks.storage.drift import drift_of, wider
from headworks.storage.exact import exactly


def following(work: Refinement, dataset: Dataset, silver: Table, *, dry_run: bool) -> Table:
    """Return silver as a dataset's declaration needs it; a dry run only sees it so.

    Raises `SchemaChanged` where a value would change, see ``silver/evolution.py``.
    """
    wanted = Wanted(dataset.silver_schema(), dataset.dropped, _remade(dataset, silver))
    if not dry_run:
        return followed(work.lake, dataset.name, silver, wanted, work.token)
    columns = columns_after(silver, wanted)
    return silver if columns is None else silver.seen_as(columns)


def changed_columns(dataset: Dataset, silver: Table) -> tuple[str, ...]:
    """Return for people which columns a declaration changes in a silver table that has rows."""
    drift = drift_of(dataset.silver_schema(), silver.schema)
    if not drift.all() or not silver.row_count():
        return ()
    texts = [
        f"{name} ({dtype}) is new, and empty in the rows that silver has"
        for name, dtype in drift.new.items()
        if not name.startswith("_")
    ]
    texts += [f"{name} grew from {before} to {after}" for name, (before, after) in drift.widened.items()]
    return (*texts, *(f"{name} ({drift.dropped[name]}) is taken out" for name in drift.dropped))


def _remade(dataset: Dataset, silver: Table) -> dict[str, pl.Expr]:
    """Return how the order of versions is made of what older versions of headworks kept: all cursors as whole numbers.

    Decimals were kept without their point, floats and texts cut to what is whole.
    """
    have, kind = silver.schema, dataset.cursor_type()
    if dataset.cursor is None or have["_cursor"] != pl.Int64() or kind == pl.Int64():
        return {}
    before, kept = have.get(dataset.cursor), pl.col("_cursor")
    if isinstance(before, pl.Decimal) and isinstance(kind, pl.Decimal):
        scale, kind = before.scale, wider(before, kind) or kind

        def pointed(numbers: pl.Series) -> pl.Series:
            values = [None if number is None else Decimal(number).scaleb(-scale) for number in numbers]
            return pl.Series(numbers.name, values, dtype=pl.Decimal(38, scale))

        return {
            "_cursor": exactly(
                kept.map_batches(pointed, return_dtype=pl.Decimal(38, scale)), pl.Decimal(38, scale), kind
            )
        }
    if before is None:
        return {"_cursor": kept.cast(kind)}
    return {"_cursor": pl.when(kept.is_not_null()).then(exactly(pl.col(dataset.cursor), before, kind))}
