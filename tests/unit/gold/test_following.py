"""What is made again by parts is what is made whole: for transforms of all kinds, after changes of all kinds."""

from __future__ import annotations

import os
from datetime import timedelta
from random import Random
from typing import Any

import polars as pl
import pytest

from headworks.gold import plans
from headworks.gold.following import Changes, Following
from headworks.gold.parts import differing
from headworks.gold.plans import NotFollowed, plan_of
from tests.support.parted import SCHEMAS, Inputs, Step, Transform, played, some_transform

SEEDS = int(os.environ.get("PARTS_SEEDS", "10"))
"""So many transforms are made; 1,000 by hand."""
_STEPS = 4
ROUNDS = int(os.environ.get("PARTS_WORLDS", "1"))
"""In so many worlds each kind is tried; 20 by hand."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_transform_of_chance_by_parts_gives_what_it_gives_whole(seed: int) -> None:
    """Joins, filters, unions, distinct rows, groups, windows: equal after each change, row for row."""
    random = Random(seed)
    for step in played(some_transform(random), ["day"], random, _STEPS):
        assert_equal(step)


def assert_equal(step: Step) -> None:
    """Check that a table made by parts has just the rows of the whole one; floats are within what rounding does."""
    only_parts, only_whole = differing(step.by_parts, step.whole)
    assert only_parts.rows() == only_whole.rows() == []


def test_by_parts_not_everything_is_made_again() -> None:
    """Over many transforms and changes of a small world less than two thirds of the parts are touched."""
    steps = [
        step for seed in range(4) for step in played(some_transform(Random(seed)), ["day"], Random(seed), 3)
    ]
    assert 0 < 3 * sum(step.touched for step in steps) < 2 * sum(step.parts for step in steps)


def _lines(inputs: Inputs) -> pl.LazyFrame:
    return inputs["l"].join(inputs["o"], on="oid")


_QTY, _DAY = pl.col("qty"), pl.col("day")
_OF_DAYS = pl.LazyFrame({"st": ["x", "y"], "named": ["open", "closed"]})
_BOUNDS = (pl.date(2026, 1, 2), pl.date(2026, 1, 6))


def _rated(strategy: Any) -> Transform:
    def transform(inputs: Inputs) -> pl.LazyFrame:
        rates = inputs["r"].sort("day").with_columns(rate_day=pl.col("day"))
        return (
            inputs["o"]
            .sort("day")
            .join_asof(
                rates, left_on="day", right_on="rate_day", by="cur", strategy=strategy, check_sortedness=False
            )
        )

    return transform


FOLLOWED: dict[str, Transform] = {
    "columns of a selector": lambda i: _lines(i).select(pl.col("lid", "day"), pl.exclude("lid", "day")),
    "a column dropped": lambda i: _lines(i).drop("price"),
    "a column renamed": lambda i: _lines(i).rename({"qty": "pieces"}),
    "the key renamed": lambda i: (
        _lines(i).drop("day").join(i["o"].rename({"day": "d"}), on="oid").rename({"d": "day"})
    ),
    "nulls filled": lambda i: _lines(i).with_columns(pl.col("qty", "pid").fill_null(-1)),
    "nulls dropped": lambda i: _lines(i).drop_nulls(["qty"]),
    "a list of values": lambda i: _lines(i).filter(_QTY.is_in([1, 2]), _DAY.is_between(*_BOUNDS)),
    "a case": lambda i: _lines(i).with_columns(
        size=pl.when(_QTY > 2).then(pl.lit("big")).otherwise(pl.col("st"))
    ),
    "text": lambda i: _lines(i).with_columns(
        pl.format("{}-{}", "st", "oid"), up=pl.col("st").str.to_uppercase()
    ),
    "a constant table": lambda i: _lines(i).join(_OF_DAYS, on="st", how="left"),
    "a join by an expression": lambda i: i["l"].join(i["o"], left_on=pl.col("oid") + 1, right_on="oid"),
    "a join by several columns": lambda i: i["o"].join(i["r"], on=["cur", "day"]),
    "a join where nulls are equal": lambda i: i["o"].join(
        i["r"], on=["cur", "day"], how="left", nulls_equal=True
    ),
    "a join with itself": lambda i: i["o"].join(
        i["o"].select("oid", other=pl.col("cid")), left_on="cid", right_on="oid"
    ),
    "orders with lines": lambda i: i["o"].join(i["l"], on="oid", how="semi"),
    "orders without lines": lambda i: i["o"].join(i["l"], on="oid", how="anti"),
    "days without a rate": lambda i: i["o"].join(i["r"], on=["day", "cur"], how="anti"),
    "orders that have a large sum": lambda i: i["o"].join(
        i["l"].group_by("oid").agg(_QTY.sum()).filter(_QTY > 5), on="oid", how="semi"
    ),
    "the rate of the day or before": _rated("backward"),
    "the rate of the day or after": _rated("forward"),
    "the nearest rate": _rated("nearest"),
    "all of both sides": lambda i: i["o"].join(i["r"].drop("cur"), on="day", how="full", coalesce=True),
    "a union by name": lambda i: pl.concat([_lines(i).select("day", "qty"), i["r"]], how="diagonal"),
    "distinct rows": lambda i: _lines(i).select("day", "st", "qty").unique(),
    "values that are there once": lambda i: (
        _lines(i).select("day", "qty").unique(["day", "qty"], keep="none")
    ),
    "a share of the day": lambda i: _lines(i).with_columns(share=_QTY / _QTY.sum().over("day")),
    "a sum over the state, of whatever day": lambda i: _lines(i).with_columns(of_state=_QTY.sum().over("st")),
    "the largest of a day": lambda i: _lines(i).filter(_QTY.max().over("day") == _QTY),
    "the largest of an order": lambda i: _lines(i).filter(_QTY.max().over("oid") == _QTY),
    "lists taken apart": lambda i: _lines(i).join(i["p"], on="pid").explode("tags"),
    "groups of groups": lambda i: (
        _lines(i).group_by("oid", "day").agg(_QTY.sum()).group_by("day").agg(orders=pl.len(), most=_QTY.max())
    ),
    "groups of a later day": lambda i: (
        _lines(i).group_by(_DAY.dt.offset_by("1d")).agg(_QTY.sum(), n=pl.len())
    ),
    "groups with a condition": lambda i: _lines(i).group_by("day").having(pl.len() > 2).agg(_QTY.median()),
    "how many of what": lambda i: (
        _lines(i)
        .group_by("day")
        .agg(
            _QTY.min().alias("least"),
            pl.col("st").n_unique(),
            _QTY.null_count().alias("none"),
            _QTY.quantile(0.5),
        )
    ),
    "a mean over days": lambda i: _lines(i).group_by("day").agg(m=_QTY.sum() / pl.len(), x=(_QTY > 1).any()),
    "a frame that is named twice": lambda i: pl.concat(
        [(q := _lines(i)).group_by("day").agg(_QTY.sum()), q.group_by("day").agg(_QTY.max())]
    ),
    "the schema asked on the way": lambda i: (q := _lines(i)).select(q.collect_schema().names()),
    "a cache": lambda i: _lines(i).cache().group_by("day").agg(_QTY.sum()),
    "a sorted result": lambda i: _lines(i).sort("day", "lid", descending=[True, False], nulls_last=True),
}


@pytest.mark.parametrize("kind", FOLLOWED)
def test_a_kind_of_transform_that_is_followed_gives_what_it_gives_whole(kind: str) -> None:
    """Each kind after four changes of a world."""
    for seed in range(ROUNDS):
        for step in played(FOLLOWED[kind], ["day"], Random(seed), 4):
            assert_equal(step)


def _python(values: pl.Series) -> pl.Series:
    return values


NOT_FOLLOWED: dict[str, tuple[Any, str]] = {
    "the first rows": (lambda i: _lines(i).sort("lid").head(5), "first or the last rows"),
    "the largest rows": (lambda i: _lines(i).top_k(3, by="qty"), "first or the last rows"),
    "the last rows": (lambda i: _lines(i).tail(3), "first or the last rows"),
    "numbered rows": (lambda i: _lines(i).with_row_index(), "numbering rows"),
    "a row before": (lambda i: _lines(i).with_columns(_QTY.shift(1)), "Shift"),
    "a running sum": (lambda i: _lines(i).with_columns(_QTY.cum_sum().over("day")), "CumSum"),
    "a rank over all": (lambda i: _lines(i).with_columns(_QTY.rank()), "Rank"),
    "a rank by the order of rows": (
        lambda i: _lines(i).with_columns(_QTY.rank("ordinal").over("day")),
        "rank",
    ),
    "a window over all": (lambda i: _lines(i).with_columns(_QTY.sum().over(pl.lit(1))), "window"),
    "windows that share no column": (
        lambda i: _lines(i).with_columns(a=_QTY.sum().over("oid"), b=_QTY.sum().over("st")),
        "share no column",
    ),
    "a comparison with all rows": (lambda i: _lines(i).filter(_QTY.mean() < _QTY), "aggregate of all rows"),
    "a sum of all": (lambda i: _lines(i).select("day", _QTY.sum()), "aggregate of all rows"),
    "values that are there twice": (lambda i: _lines(i).filter(_QTY.is_duplicated()), "IsDuplicated"),
    "a value among all": (
        lambda i: _lines(i).filter(_QTY.is_in(pl.col("pid").implode())),
        "aggregate of all rows",
    ),
    "the first of a group": (lambda i: _lines(i).group_by("day").agg(_QTY.first()), "order of rows"),
    "the last of a sorted group": (
        lambda i: _lines(i).group_by("day").agg(_QTY.sort_by("lid").last()),
        "order of rows",
    ),
    "a list of a group": (lambda i: _lines(i).group_by("day").agg(_QTY), "order of rows"),
    "one of equal keys": (lambda i: _lines(i).unique(["day", "st"]), "depends on their order"),
    "the first of equal keys": (lambda i: _lines(i).unique(["day"], keep="first"), "depends on their order"),
    "a moving window": (
        lambda i: i["o"].sort("day").group_by_dynamic("day", every="2d").agg(pl.len()),
        "moving windows",
    ),
    "rolling": (lambda i: i["o"].sort("day").rolling("day", period="2d").agg(pl.len()), "moving windows"),
    "a join by inequalities": (
        lambda i: i["o"].join_where(i["r"].rename({"day": "d"}), pl.col("day") > pl.col("d")),
        "inequalities",
    ),
    "a join that is validated": (lambda i: i["l"].join(i["o"], on="oid", validate="m:1"), "validated"),
    "the nearest within a time": (
        lambda i: (
            i["o"]
            .sort("day")
            .join_asof(i["r"].sort("day"), on="day", by="cur", tolerance="1d", check_sortedness=False)
        ),
        "tolerance",
    ),
    "frames put side by side": (
        lambda i: pl.concat([i["o"].select("day"), i["l"].select("qty")], how="horizontal"),
        "side by side",
    ),
    "a function of Python over rows": (
        lambda i: _lines(i).map_batches(lambda f: f.head(2)),
        "function of Python",
    ),
    "a function of Python over values": (
        lambda i: _lines(i).with_columns(_QTY.map_batches(_python, return_dtype=pl.Int64)),
        "function of Python",
    ),
    "a look at rows": (
        lambda i: _lines(i).filter(i["l"].select(_QTY.max()).collect().item() < _QTY),
        "looks at rows",
    ),
    "rows that are collected": (lambda i: _lines(i).collect(), "looks at rows"),
    "a random sample of a list": (
        lambda i: _lines(i).join(i["p"], on="pid").with_columns(pl.col("tags").list.sample(fraction=0.5)),
        "Sample",
    ),
    "a row of constants": (lambda i: i["o"].select(day=pl.lit(None, dtype=pl.Date)), "constants"),
    "no day": (lambda i: _lines(i).drop("day"), "no column day"),
}


@pytest.mark.parametrize("kind", NOT_FOLLOWED)
def test_what_depends_on_more_than_is_followed_is_not_followed_and_says_why(kind: str) -> None:
    """Order, neighbours, all rows, functions, other data: each is named, and the table is then made whole."""
    transform, why = NOT_FOLLOWED[kind]
    with pytest.raises(NotFollowed, match=why):
        for _ in played(transform, ["day"], Random(1), 1):
            pass


def test_a_file_that_is_no_input_is_not_followed(tmp_path: Any) -> None:
    """It may be another tomorrow."""
    pl.DataFrame({"st": ["x"]}).write_parquet(tmp_path / "st.parquet")
    other = pl.scan_parquet(tmp_path / "st.parquet")
    with pytest.raises(NotFollowed, match="no input"):
        plan_of(lambda inputs: inputs["o"].join(other, on="st"), SCHEMAS)


def test_rates_of_equal_moments_are_not_followed() -> None:
    """Which of them is the nearest depends on the order of rows."""
    day = pl.Series([0], dtype=pl.Int32).cast(pl.Date)
    orders = pl.DataFrame(
        {"oid": [1], "cid": [1], "day": day, "cur": ["a"], "st": ["x"]}, schema=SCHEMAS["o"]
    )
    rates = pl.DataFrame({"cur": ["a", "a"], "day": [day[0]] * 2, "eur": [1, 2]}, schema=SCHEMAS["r"])
    plan = plan_of(
        lambda i: (
            i["o"].sort("day").join_asof(i["r"].sort("day"), on="day", by="cur", check_sortedness=False)
        ),
        SCHEMAS,
    )
    nothing = {name: Changes(schema.to_frame(), schema.to_frame()) for name, schema in SCHEMAS.items()}
    frames = {name: schema.to_frame().lazy() for name, schema in SCHEMAS.items()}
    after = {**frames, "o": orders.lazy(), "r": rates.lazy()}
    changed = {**nothing, "o": Changes(orders.clear(), orders)}
    with pytest.raises(NotFollowed, match="equal moments"):
        Following(plan, {**frames, "r": rates.lazy()}, after, changed).touched(["day"])


@pytest.mark.parametrize("strategy", ["backward", "forward"])
def test_of_two_rates_that_change_both_touch_what_is_nearest_to_them(strategy: str) -> None:
    """Each order in between, before and after has one of the two."""
    days = pl.Series(range(2, 12, 3), dtype=pl.Int32).cast(pl.Date)
    orders = pl.DataFrame({"day": days}).select(
        oid=pl.int_range(pl.len()), cid=pl.int_range(pl.len()), day="day", cur=pl.lit("a"), st=pl.lit("x")
    )
    rates = pl.DataFrame({"day": pl.Series([1, 7, 12], dtype=pl.Int32).cast(pl.Date)}).select(
        cur=pl.lit("a"), day="day", eur=pl.lit(1, dtype=pl.Int64)
    )
    changed = rates.head(2) if strategy == "backward" else rates.tail(2)
    newer = changed.with_columns(eur=pl.lit(2, dtype=pl.Int64))
    after = pl.concat([rates.join(changed, on="day", how="anti"), newer])
    nothing = {name: Changes(schema.to_frame(), schema.to_frame()) for name, schema in SCHEMAS.items()}
    frames = {name: schema.to_frame().lazy() for name, schema in SCHEMAS.items()} | {"o": orders.lazy()}
    following = Following(
        plan_of(_rated(strategy), SCHEMAS),
        {**frames, "r": rates.lazy()},
        {**frames, "r": after.lazy()},
        {**nothing, "r": Changes(changed, newer)},
    )
    wanted = days if strategy == "backward" else days.filter(days > changed["day"][0] - timedelta(days=6))
    assert sorted(following.touched(["day"]).to_series()) == sorted(wanted)


def test_a_plan_that_is_not_made_again_word_for_word_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """So what a later Polars says otherwise, or an option that is not known here, is never guessed at."""
    monkeypatch.setitem(plans._MAKERS, "Filter", lambda own: lambda frames: frames[0])
    with pytest.raises(NotFollowed, match="form that is not known"):
        plan_of(lambda inputs: inputs["o"].filter(pl.col("st") == "x"), SCHEMAS)
