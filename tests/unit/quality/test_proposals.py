"""What good deliveries kept is proposed as rules: adopted as they are, good rows pass them, and broken ones do not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
import pytest

from headworks.quality.profiles import Profile, profile_columns, profile_rows
from headworks.quality.proposals import Proposal, as_text, proposals
from headworks.quality.rules import judge

BEGINS = datetime(2026, 3, 2, tzinfo=UTC)
CURRENCIES = {"DE": "EUR", "PL": "PLN", "SE": "SEK", "AT": "EUR"}


class Sales(dy.Schema):
    """Sales, with hardly a rule."""

    id = dy.Int64(nullable=False)
    country = dy.String(nullable=True)
    currency = dy.String(nullable=True)
    net = dy.Float64(nullable=True)
    tax = dy.Float64(nullable=True)
    gross = dy.Float64(nullable=True)
    seats = dy.Int64(nullable=True)
    asked_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    given_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    reason = dy.String(nullable=True)
    refunded_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")


def rows(number: int, count: int = 120) -> pl.DataFrame:
    """Return a clean delivery."""
    rng = np.random.default_rng(number)
    country = rng.choice(list(CURRENCIES), count)
    net = np.round(rng.lognormal(3, 0.6, count), 2)
    asked = [BEGINS + timedelta(days=number, seconds=int(each)) for each in rng.integers(0, 80_000, count)]
    back = rng.random(count) < 0.1
    return pl.DataFrame(
        {
            "id": number * 1_000 + np.arange(count),
            "country": country,
            "currency": [CURRENCIES[each] for each in country],
            "net": net,
            "tax": np.round(net * 0.2, 2),
            "gross": np.round(net + np.round(net * 0.2, 2), 2),
            "seats": rng.integers(0, 4, count),
            "asked_at": asked,
            "given_at": [each + timedelta(seconds=int(rng.integers(1, 90))) for each in asked],
            "reason": [f"because {each}" if gone else None for each, gone in zip(net, back, strict=True)],
            "refunded_at": [each if gone else None for each, gone in zip(asked, back, strict=True)],
        },
        schema={name: column.dtype for name, column in Sales.columns().items()},
    )


@cache
def found() -> tuple[Proposal, ...]:
    """Return what twenty clean deliveries propose."""
    profiles = []
    for number in range(20):
        frame, moment = rows(number), BEGINS + timedelta(days=number)
        columns = profile_columns(frame, ["id"], moment, timedelta(days=1))
        values: dict[str, Any] = {
            "scope": "silver.t.sales", "kind": "live", "run_id": str(number), "moment": moment, "rows": frame.height,
            "columns": columns, **profile_rows(frame, columns, ["id"], ["id"], None),
        }  # fmt: skip
        profiles.append(Profile.model_validate(values))
    return proposals(profiles, Sales)


def adopted() -> type[dy.Schema]:
    """Return the schema with the proposed rules in it, word for word."""
    body = "\n".join(f"    {line}" for line in as_text(found(), "Sales").splitlines())
    scope: dict[str, Any] = {"dy": dy, "pl": pl, "Sales": Sales}
    exec(f"class Adopted(Sales):\n{body}\n", scope)
    schema: type[dy.Schema] = scope["Adopted"]
    return schema


BROKEN: dict[str, tuple[str, Callable[[], pl.Expr]]] = {
    "gross_is_net_plus_tax": ("gross", lambda: pl.col("net")),
    "asked_at_not_above_given_at": ("asked_at", lambda: pl.col("given_at") + pl.duration(hours=1)),
    "currency_of_country": ("currency", lambda: pl.lit("CHF")),
    "known_country": ("country", lambda: pl.lit("XX")),
    "reason_null_as_refunded_at": ("reason", lambda: pl.lit("without a date")),
}


def test_what_is_proposed_is_what_holds_and_no_chance() -> None:
    names = {one.name for one in found() if one.kind == "rule"}
    assert set(BROKEN) <= names
    assert not {name for name in names if "seats" in name}, "of another unit"
    columns = {(one.name, one.text) for one in found() if one.kind == "column"}
    assert {("country", "nullable=False"), ("net", "min_exclusive=0"), ("seats", "min=0")} <= columns
    assert not {each for each in columns if each[0] in {"reason", "refunded_at"}}


def test_good_rows_pass_what_was_adopted() -> None:
    frame = rows(99).with_columns(pl.lit([], dtype=pl.List(pl.String)).alias("_unreadable"))
    assert judge(frame, adopted(), "_unreadable").rejected.is_empty()


@pytest.mark.parametrize("rule", BROKEN)
def test_rows_that_break_what_was_adopted_are_rejected_by_its_name(rule: str) -> None:
    column, wrong = BROKEN[rule]
    frame = rows(98).with_columns(pl.lit([], dtype=pl.List(pl.String)).alias("_unreadable"))
    touched = frame.with_columns(
        pl.when(pl.col("id") % 40 == 3).then(wrong()).otherwise(pl.col(column)).alias(column)
    )
    verdict = judge(touched, adopted(), "_unreadable")
    rejected = verdict.rejected.filter(pl.col("_reasons").list.contains(rule))
    assert rejected.get_column("id").to_list() == [98_003, 98_043, 98_083]


def test_few_rows_propose_nothing() -> None:
    assert proposals((), Sales) == ()
    frame = rows(1)
    columns = profile_columns(frame, ["id"], BEGINS, timedelta(days=1))
    one = Profile(scope="s", kind="live", run_id="1", moment=BEGINS, rows=frame.height, columns=columns)
    assert proposals((one,), Sales) == ()
