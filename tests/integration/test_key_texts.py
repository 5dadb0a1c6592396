"""A key's text in the quarantine is found again when its type has grown: a row that lies between two readings loses."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.quality.limits import AnomalyLimits
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.parse import key_text, same_key
from headworks.silver.refinement import Refinement, refine
from headworks.silver.replay import replay
from headworks.storage.store import Lake
from tests.support.sources import Frames

NAME = "t.keyed"


def declared(dtype: pl.DataType, *, loose: bool = False) -> Dataset:
    """Return a dataset of such a key and no cursor: of two versions the later reading counts."""
    if isinstance(dtype, pl.Decimal):
        key: dy.Column = dy.Decimal(dtype.precision, dtype.scale)
    elif dtype.is_float():
        key = dy.Float32() if dtype == pl.Float32() else dy.Float64()
    else:
        key = dy.Int32() if dtype == pl.Int32() else dy.Int64()
    columns: dict[str, dy.Column] = {"id": key, "part": dy.String(), "v": dy.Int64(min=None if loose else 0)}
    return Dataset(
        name=NAME,
        key=("id", "part"),
        schema=type("Keyed", (dy.Schema,), dict(columns)),
        columns={name: pl.col(name) for name in columns},
        limits=RejectLimits(share=1.0),
        anomalies=AnomalyLimits(enabled=False),
    )


@pytest.mark.sampled(4)
@pytest.mark.parametrize("part_rows", [250_000, 2], ids=["at once", "in parts"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (pl.Decimal(10, 2), pl.Decimal(14, 4)),
        (pl.Decimal(10, 0), pl.Decimal(14, 4)),
        (pl.Int32(), pl.Decimal(14, 2)),
        (pl.Int32(), pl.Int64()),
        (pl.Float32(), pl.Float64()),
        (pl.Int32(), pl.Float64()),
    ],
    ids=str,
)
def test_a_rejected_row_between_two_readings_loses_whatever_its_key_has_become(
    lake: Lake, before: pl.DataType, after: pl.DataType, part_rows: int
) -> None:
    frames: list[pl.DataFrame] = []

    def run(dtype: pl.DataType, value: int) -> None:
        ids: list[Any] = [
            Decimal(10),
            Decimal("1.5") if before == pl.Decimal(10, 2) else Decimal(3),
            Decimal(20),
        ]
        if before == pl.Float32():
            # As 32 bits hold them: their shortest texts are others in 64 bits.
            ids = pl.Series([0.1, 16777217.0, -0.3], dtype=pl.Float32()).to_list()
        made: Callable[[Any], Any] = float if dtype.is_float() else Decimal if dtype.is_decimal() else int
        key = pl.Series("id", [made(each) for each in ids], dtype=dtype)
        frames.append(pl.DataFrame([key]).with_columns(part=pl.lit("a.10"), v=pl.Series([5, value, 5])))
        land(Landing(lake, NAME, NAME, f"run {len(frames)}"), Frames(frames))
        outcome = refine(Refinement(lake, f"run {len(frames)}", part_rows=part_rows), declared(dtype))
        assert outcome.gate is None or outcome.gate.open, outcome.gate

    run(before, 5)
    run(before, -1)
    run(after, 5)
    run(after, 5)
    loose = declared(after, loose=True)
    outcome = replay(Refinement(lake, "replay"), replace(loose))
    # The later good reading has replaced it, by its key in either type: nothing is left to be judged.
    assert outcome.report.judged == 0
    rows = lake.must_open("silver", NAME).scan().select("v").collect()
    assert rows.get_column("v").to_list() == [5, 5, 5], "an older reading has won"


def test_a_number_has_one_text_in_every_type_that_holds_it_and_is_read_back_from_it() -> None:
    """Of 32 and 64 bits, with and without a scale: extremes, made-up ones, and both noughts."""
    chance = random.Random(16)
    small = pl.Series(
        [0.1, 16777217.0, 3.4e38, 1e-45, -0.0, 0.0, *(chance.uniform(-1e9, 1e9) for _ in range(200))]
    )
    ways = [small.cast(pl.Float32), small.cast(pl.Float32).cast(pl.Float64)]
    texts = [key_text(pl.DataFrame({"k": way}), ("k",)) for way in ways]
    assert texts[0].to_list() == texts[1].to_list()
    for text, value in zip(texts[0], ways[1], strict=True):
        assert float(text) == value
    assert set(texts[0][4:6]) == {"0.0"}
    wide = pl.Series([5e-324, 1.7e308, 2.0**53 + 2, *(chance.uniform(-1, 1) for _ in range(200))])
    assert [float(text) for text in key_text(pl.DataFrame({"k": wide}), ("k",))] == wide.to_list()
    cents = pl.Series(
        [Decimal(chance.randint(-(10**9), 10**9)).scaleb(-2) for _ in range(200)], dtype=pl.Decimal(12, 2)
    )
    plain = key_text(pl.DataFrame({"k": cents}), ("k",))
    scaled = key_text(pl.DataFrame({"k": cents.cast(pl.Decimal(20, 6))}), ("k",))
    assert [Decimal(text) for text in plain] == cents.to_list()
    both = pl.DataFrame({"one": plain, "other": scaled}).select(
        same_key(pl.col("one")) == same_key(pl.col("other"))
    )
    assert both.to_series().all()


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.50 / a", "1.5000 / a"), ("1.00", "1"), ("x / 10.0", "x / 10.000"), ("0.0 / 2.10", "0 / 2.1")],
)
def test_the_same_number_in_two_scales_is_one_text(one: str, other: str) -> None:
    frame = pl.DataFrame({"one": [one], "other": [other]})
    assert frame.select(same_key(pl.col("one")).eq(same_key(pl.col("other")))).item()


@pytest.mark.parametrize(
    ("one", "other"), [("10", "1"), ("1.5", "1.05"), ("100 / a", "1 / a"), ("1.50", "15.0")]
)
def test_other_numbers_stay_apart(one: str, other: str) -> None:
    frame = pl.DataFrame({"one": [one], "other": [other]})
    assert not frame.select(same_key(pl.col("one")).eq(same_key(pl.col("other")))).item()
