"""Small worlds of four datasets that change at random, and transforms of them that a seed makes.

An order has lines, a line is of a product, an order's currency has a rate a day. Any value may be null, keys of others
may lead nowhere, and rows come in any order. What is made by parts is compared with what is made whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

import polars as pl

from headworks.gold.following import Changes, Following, without_equal
from headworks.gold.plans import plan_of

Inputs = Mapping[str, pl.LazyFrame]
Transform = Callable[[Inputs], pl.LazyFrame]

SCHEMAS = {
    "o": pl.Schema(
        {"oid": pl.Int64(), "cid": pl.Int64(), "day": pl.Date(), "cur": pl.String(), "st": pl.String()}
    ),
    "l": pl.Schema(
        {
            "lid": pl.Int64(),
            "oid": pl.Int64(),
            "pid": pl.Int64(),
            "qty": pl.Int64(),
            "price": pl.Decimal(18, 2),
        }
    ),
    "p": pl.Schema({"pid": pl.Int64(), "cat": pl.String(), "w": pl.Int64(), "tags": pl.List(pl.String)}),
    "r": pl.Schema({"cur": pl.String(), "day": pl.Date(), "eur": pl.Int64()}),
}
_FIRST = date(2026, 1, 1)
_DAYS = 8


def _keys(dataset: str) -> list[Any]:
    rates = [(cur, _FIRST + timedelta(days=number)) for cur in "ab" for number in range(-1, _DAYS)]
    return {"o": [*range(14)], "l": [*range(40)], "p": [*range(6)], "r": rates}[dataset]


def _row(random: Random, dataset: str, key: Any) -> tuple[Any, ...]:
    def value(made: Any) -> Any:
        return None if random.random() < 0.08 else made

    match dataset:
        case "o":
            day = _FIRST + timedelta(days=random.randrange(_DAYS))
            return (
                key,
                value(random.randrange(6)),
                value(day),
                value(random.choice("ab")),
                value(random.choice("xyz")),
            )
        case "l":
            price = random.randrange(300) / 100
            return (
                key,
                value(random.randrange(14)),
                value(random.randrange(5)),
                value(random.randrange(5)),
                value(price),
            )
        case "p":
            tags = random.sample("kmn", random.randrange(3))
            return key, value(random.choice("uvw")), value(random.randrange(4)), value(tags)
    return *key, value(random.randrange(3))


class World:
    """Rows of the four datasets by their keys."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._rows = {
            name: {key: _row(random, name, key) for key in _keys(name) if random.random() < 0.7}
            for name in SCHEMAS
        }

    def frames(self) -> dict[str, pl.DataFrame]:
        """Return the rows, each time in another order."""
        return {name: self._frame(name) for name in SCHEMAS}

    def _frame(self, name: str) -> pl.DataFrame:
        rows = list(self._rows[name].values())
        self._random.shuffle(rows)
        return pl.DataFrame(rows, schema=SCHEMAS[name], orient="row")

    def change(self) -> None:
        """Insert, update and delete some rows of some datasets."""
        random = self._random
        for name in random.sample(list(SCHEMAS), random.choice([1, 1, 2, 3])):
            for key in random.sample(_keys(name), random.choice([1, 1, 2, 4])):
                if key in self._rows[name] and random.random() < 0.35:
                    del self._rows[name][key]
                else:
                    self._rows[name][key] = _row(random, name, key)


@dataclass(frozen=True)
class Step:
    """One change: what was made by parts, what was made whole, and how many parts were made again of how many."""

    by_parts: pl.DataFrame
    whole: pl.DataFrame
    touched: int
    parts: int


def played(transform: Transform, by: Sequence[str], random: Random, steps: int) -> Iterator[Step]:
    """Change a world again and again, and yield what the transform makes of it by parts and whole.

    Each time the parts are put into what was made by parts before. Raises `NotFollowed`.
    """
    plan = plan_of(transform, SCHEMAS)
    world = World(random)
    before = world.frames()
    gold = transform(_lazy(before)).collect()
    for _ in range(steps):
        world.change()
        after = world.frames()
        changed: dict[str, Changes] = {name: without_equal(before[name], after[name]) for name in SCHEMAS}
        following = Following(plan, _lazy(before), _lazy(after), changed)
        following.check()
        values = following.touched(by)
        rows = following.rows(by, values).collect()
        gold = pl.concat([gold.join(values, on=list(by), how="anti", nulls_equal=True), rows])
        whole = transform(_lazy(after)).collect()
        yield Step(
            gold.sort(gold.columns), whole.sort(whole.columns), len(values), whole.select(by).n_unique()
        )
        before = after


def _lazy(frames: Mapping[str, pl.DataFrame]) -> dict[str, pl.LazyFrame]:
    return {name: frame.lazy() for name, frame in frames.items()}


def some_transform(random: Random) -> Transform:
    """Return a transform that joins, filters, unites, groups and compares as chance has it; its parts are its days."""
    choose = random.choice
    orders, products = (
        choose(["inner", "inner", "left"]),
        choose(["inner", "left", "semi", "anti", "full", "right"]),
    )
    status, strategy = choose([None, "x"]), choose([None, "backward", "forward", "nearest"])
    window = choose([None, None, ["day"], ["oid"], ["day", "cat"]])
    keys = choose(["day", "day and product", "order and day", "a few days", "none"])
    then, first = choose([None, "having", "filter", "window"]), choose([None, "of orders", "of products"])
    distinct, united, crossed, swapped = (random.random() < share for share in (0.25, 0.3, 0.1, 0.3))

    def transform(inputs: Inputs) -> pl.LazyFrame:
        rows = _lines(inputs, orders, status, strategy, swapped=swapped)
        if first == "of orders":
            sums = inputs["l"].group_by("oid").agg(total=pl.col("qty").sum()).filter(pl.col("total") > 4)
            rows = rows.join(sums, on="oid", how="left")
        if first == "of products":
            counts = rows.group_by("pid").agg(total=pl.len(), most=pl.col("price").max())
            rows = rows.filter(pl.col("qty") > 1).join(counts, on="pid")
        if crossed:
            most = inputs["r"].group_by(none=pl.col("cur").is_null()).agg(most_eur=pl.col("eur").max())
            rows = rows.join(most.filter(~pl.col("none")).select("most_eur"), how="cross")
        how: Any = products
        rows = rows.join(
            inputs["p"].drop("tags"), on="pid", how=how, coalesce=True if how == "full" else None
        )
        if how in {"semi", "anti"}:
            rows = rows.with_columns(cat=pl.lit("k"))
        if united:
            twos = rows.filter(pl.col("qty") == 2).with_columns(part=pl.lit("2"))
            rows = pl.concat([rows.with_columns(part=pl.lit("1")), twos])
        if window:
            rows = rows.with_columns(
                in_window=pl.col("qty").sum().over(window), rank=pl.col("price").rank("dense").over(window)
            )
        if distinct:
            rows = rows.select("day", "pid", "qty", "oid", "cat", "price").unique()
        return rows.filter(pl.col("qty").is_not_null()) if keys == "none" else _grouped(rows, keys, then)

    return transform


def _lines(inputs: Inputs, how: Any, status: str | None, strategy: Any, *, swapped: bool) -> pl.LazyFrame:
    orders = inputs["o"].drop("cid")
    if status:
        orders = orders.filter(pl.col("st") != status)
    if strategy:
        rates = inputs["r"].sort("day").with_columns(rate_day=pl.col("day"))
        orders = orders.sort("day").join_asof(
            rates, left_on="day", right_on="rate_day", by="cur", strategy=strategy, check_sortedness=False
        )
    else:
        orders = orders.with_columns(eur=pl.lit(1, dtype=pl.Int64))
    lines = inputs["l"].sort("lid")
    rows = (
        orders.join(lines, on="oid") if swapped and how == "inner" else lines.join(orders, on="oid", how=how)
    )
    return rows.select("lid", "oid", "pid", "qty", "price", "day", "eur", "st")


def _grouped(rows: pl.LazyFrame, keys: str, then: str | None) -> pl.LazyFrame:
    by: dict[str, list[Any]] = {
        "day": ["day"],
        "day and product": ["day", "pid"],
        "order and day": ["oid", "day"],
        "a few days": [pl.col("day").dt.truncate("4d")],
    }
    qty = pl.col("qty")
    made = rows.group_by(by[keys]).agg(
        n=pl.len(),
        q=qty.sum(),
        most=pl.col("price").max(),
        orders=pl.col("oid").n_unique(),
        large=qty.filter(qty > 1).sum(),
    )
    match then:
        case "having":
            return made.filter(pl.col("q") > 3)
        case "filter":
            return made.filter(pl.col("day").is_not_null()).with_columns(mean=pl.col("q") / pl.col("n"))
        case "window":
            return made.with_columns(of_day=pl.col("q").sum().over("day"))
    return made
