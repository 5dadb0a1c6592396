"""Rows against a dataframely schema: the good rows, and the others each with the names of the rules they break."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import dataframely as dy
import polars as pl

_INDEX = "_index"
REASONS = "_reasons"

_OF_ONE_ROW = frozenset(
    {
        "abs", "alias", "cast", "ceil", "col", "dt", "eq_missing", "fill_null", "floor", "is_between",
        "is_finite", "is_in", "is_infinite",
        "is_nan", "is_not_nan", "is_not_null", "is_null", "ne_missing", "not", "otherwise", "round",
        "sign", "str", "strict_cast", "then", "when",
    }
)  # fmt: skip
"""Functions of expressions that give each row its value whatever the other rows are."""

_PIECE = 250_000
"""Rows that are judged at once: larger pieces are no faster and need more memory."""


def all_among(column: str, reasons: Sequence[str]) -> pl.Expr:
    """Return whether each reason in a column of lists is one of ``reasons``."""
    return pl.col(column).list.eval(pl.element().is_in(reasons)).list.all()


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
    ``warnings`` reject nothing: the good rows that break them are counted. Rows are judged piece by piece, so that
    memory stays small, unless a rule looks at several rows at once: dataframely evaluates these itself.
    """
    numbered = rows.with_row_index(_INDEX)
    if judged_row_by_row(schema):
        _check_types(numbered, schema)
        pieces = [_suspects(piece, schema, unreadable) for piece in numbered.iter_slices(_PIECE)]
        # In one chunk: Polars' set operations fail on lists in chunks that do not match.
        judged = _with_rules(pl.concat([numbered.clear(), *pieces], rechunk=True), schema, unreadable)
    else:
        judged = _judged(numbered, schema, unreadable)
    warned: dict[str, int] = {}
    if warnings:
        only_warns = pl.col(REASONS).list.set_difference(list(warnings)).list.len() == 0
        warned, judged = _counted(judged.filter(only_warns)), judged.filter(~only_warns)
    # Most rows are good: they are picked by a mask, and reasons are made for the others alone.
    is_good = pl.repeat(True, rows.height, eager=True, dtype=pl.Boolean).scatter(
        judged.get_column(_INDEX), False
    )
    return Verdict(rows.filter(is_good), judged.select(*rows.columns, REASONS), warned)


def _check_types(rows: pl.DataFrame, schema: type[dy.Schema]) -> None:
    """Let dataframely raise its error where columns are missing or of another type than the schema's."""
    fits = all(
        name in rows.columns and column.validate_dtype(rows.schema[name])
        for name, column in schema.columns().items()
    )
    if not fits:
        schema.filter(rows.clear())


def _verdicts(schema: type[dy.Schema]) -> dict[str, pl.Expr]:
    """Return an expression for each rule that says whether it holds.

    Null counts as valid, as dataframely has it: whether a value may be null is a rule of its own.
    """
    rules = schema._validation_rules(with_cast=False)
    return {name: rule.expr.fill_null(True) for name, rule in rules.items()}


def _suspects(piece: pl.DataFrame, schema: type[dy.Schema], unreadable: str) -> pl.DataFrame:
    """Return the rows that break a rule or could not be read, in one pass over all rows."""
    holds = pl.all_horizontal(pl.lit(True), *_verdicts(schema).values())
    return piece.filter(~holds | (pl.col(unreadable).list.len() > 0))


def _with_rules(suspects: pl.DataFrame, schema: type[dy.Schema], unreadable: str) -> pl.DataFrame:
    """Give rows the names of the rules that each of them breaks: asked of these few rows alone."""
    broken = suspects.select((~holds).alias(rule) for rule, holds in sorted(_verdicts(schema).items()))
    # Most rules are broken by nobody; lists of the others' names are short.
    names: list[pl.Expr] = [
        pl.when(flags).then(pl.lit(flags.name)) for flags in broken.iter_columns() if flags.any()
    ]
    names = names or [pl.lit(None, dtype=pl.String)]
    judged = suspects.with_columns(pl.concat_list(names).list.drop_nulls().alias("_rules"))
    is_read = pl.col(unreadable).list.len() == 0
    reasons: pl.Expr = pl.col("_rules")
    if judged.select((~is_read).any()).item():
        reasons = pl.when(is_read).then(reasons).otherwise(_readable_first(unreadable))
    return judged.with_columns(reasons.alias(REASONS)).drop("_rules")


def _judged(piece: pl.DataFrame, schema: type[dy.Schema], unreadable: str) -> pl.DataFrame:
    """Return the rows of a piece that break a rule or could not be read, each with its reasons."""
    _, failure = _indexed(schema).filter(piece.select(*schema.column_names(), _INDEX))
    details = failure.details()
    rules = [column for column in details.columns if column not in {*schema.column_names(), _INDEX}]
    broken = details.select(
        _INDEX,
        pl.concat_list(
            [pl.when(pl.col(rule).cast(pl.String) == "invalid").then(pl.lit(rule)) for rule in rules]
            or [pl.lit(None, dtype=pl.String)]
        )
        .list.drop_nulls()
        .alias("_rules"),
    )
    is_reason = pl.col(_INDEX).is_in(broken.get_column(_INDEX).implode()) | (
        pl.col(unreadable).list.len() > 0
    )
    judged = piece.filter(is_reason).join(broken, on=_INDEX, how="left", maintain_order="left")
    return judged.with_columns(_readable_first(unreadable).alias(REASONS)).drop("_rules")


def _counted(rows: pl.DataFrame) -> dict[str, int]:
    counted = rows.select(pl.col(REASONS).explode(empty_as_null=False).alias("rule")).group_by("rule").len()
    return {rule: int(count) for rule, count in sorted(counted.iter_rows())}


@cache
def judged_row_by_row(schema: type[dy.Schema]) -> bool:
    """Return whether every rule of a schema can be judged for one row at a time: no primary key, no window, no sum.

    Polars does not say so of an expression (`is_row_separable` is true for windows too), so the functions that it is
    written with are looked up; one that is not known here may look at several rows.
    """
    rules = schema._validation_rules(with_cast=False).values()
    return all(_functions(str(rule.expr)) <= _OF_ONE_ROW for rule in rules)


def _functions(expression: str) -> set[str]:
    # A type such as Decimal(12, 2) is none, nor is the unit of a duration.
    names = re.findall(r"(?<![A-Za-z0-9_])([a-z_][a-z_0-9.]*)\(", expression)
    return {name if name in {"str.join", "str.concat"} else name.partition(".")[0] for name in names}


def _readable_first(unreadable: str) -> pl.Expr:
    """Join both lists of reasons; a column that could not be read is not also called null."""
    rules = pl.col("_rules").fill_null([])
    null_because_unreadable = pl.col(unreadable).list.eval(
        pl.element().str.replace(r"\|unreadable$", "|nullability")
    )
    # Of a record that could not be read as a whole, no rule says anything.
    whole_record = pl.col(unreadable).list.eval(pl.element().str.starts_with("record|")).list.any()
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
