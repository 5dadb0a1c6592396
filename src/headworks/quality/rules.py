"""Rows against a dataframely schema: the good rows, and the others each with the names of the rules they break.

What belongs here: the judging of rows. What does not: what is done with rejected rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import dataframely as dy
import polars as pl

_INDEX = "_index"
REASONS = "_reasons"


@dataclass(frozen=True)
class Verdict:
    """Rows divided: ``good`` and ``rejected``, the latter with a column ``_reasons``, a list of rule names.

    ``warned`` counts the good rows that break a rule which only warns.
    """

    good: pl.DataFrame
    rejected: pl.DataFrame
    warned: dict[str, int] = field(default_factory=dict)


def judge(
    rows: pl.DataFrame, schema: type[dy.Schema], unreadable: str, warnings: Sequence[str] = ()
) -> Verdict:
    """Divide ``rows`` by the rules of ``schema`` and by the reasons that the column ``unreadable`` has already.

    A row that has such reasons is rejected for them and for every other rule that it breaks. Rules named in
    ``warnings`` reject nothing: the good rows that break them are counted.
    """
    numbered = rows.with_row_index(_INDEX)
    typed = numbered.select(*schema.column_names(), _INDEX)
    _, failure = _indexed(schema).filter(typed)
    details = failure.details()
    rules = [column for column in details.columns if column not in typed.columns]
    broken = details.select(
        _INDEX,
        pl.concat_list(
            [pl.when(pl.col(rule).cast(pl.String) == "invalid").then(pl.lit(rule)) for rule in rules]
            or [pl.lit(None, dtype=pl.String)]
        )
        .list.drop_nulls()
        .alias("_rules"),
    )
    told = numbered.join(broken, on=_INDEX, how="left", maintain_order="left").with_columns(
        _readable_first(unreadable).alias(REASONS)
    )
    kept = rows.columns
    if not warnings:
        is_good = pl.col(REASONS).list.len() == 0
        return Verdict(told.filter(is_good).select(kept), told.filter(~is_good).select(*kept, REASONS))
    is_good = pl.col(REASONS).list.set_difference(list(warnings)).list.len() == 0
    good = told.filter(is_good)
    counted = good.select(pl.col(REASONS).explode(empty_as_null=False).alias("rule")).group_by("rule").len()
    return Verdict(
        good.select(kept),
        told.filter(~is_good).select(*kept, REASONS),
        {rule: int(count) for rule, count in sorted(counted.iter_rows())},
    )


def _readable_first(unreadable: str) -> pl.Expr:
    """Join both lists of reasons; a column that could not be read is not also called null."""
    rules = pl.col("_rules").fill_null([])
    null_because_unreadable = pl.col(unreadable).list.eval(
        pl.element().str.replace(r"\|unreadable$", "|nullability")
    )
    whole_record = pl.col(unreadable).list.contains("record|unreadable")
    rest = (
        pl.when(whole_record)
        .then(rules.list.head(0))
        .otherwise(rules.list.set_difference(null_because_unreadable))
    )
    return pl.concat_list(pl.col(unreadable), rest.list.sort())


@cache
def _indexed(schema: type[dy.Schema]) -> type[dy.Schema]:
    """Extend a schema by the row's number, by which verdicts find their way back."""
    return type(
        f"{schema.__name__}Indexed",
        (schema,),
        {"row_index": dy.UInt32(alias=_INDEX, nullable=False)},
    )
