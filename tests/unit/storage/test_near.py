"""Rows with one of some keys are the same ones, whatever is left out of the reading."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from headworks.storage import near
from headworks.storage.near import among

KINDS: dict[str, tuple[pl.DataType, Any]] = {
    "numbers": (pl.Int64(), lambda n: (n - 50) * 2**40),
    "small numbers": (pl.Int8(), lambda n: n % 256 - 128),
    "texts": (pl.String(), lambda n: f"{'éz'[n % 2] * (n % 3)}{n}"),
    "days": (pl.Date(), lambda n: date(1, 1, 1) + timedelta(days=n * 20_000)),
    "moments": (pl.Datetime("us", "UTC"), lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n)),
    "decimals": (pl.Decimal(20, 3), lambda n: Decimal(n) / 8),
    "floats": (pl.Float64(), lambda n: [n / 7, float("inf"), float("-inf"), 0.0][n % 4]),
    "flags": (pl.Boolean(), lambda n: n % 2 == 0),
    "bytes": (pl.Binary(), lambda n: bytes([n % 256, 0, 255])),
}


@pytest.mark.parametrize("most", [0, 3, 20_000])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_with_one_of_some_keys_are_those_of_a_join(
    kind: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any type, of one column and of two, with nulls on both sides, from files with statistics of small groups."""
    monkeypatch.setattr(near, "_MOST_LISTED", most)
    random = Random(f"near {kind}")
    dtype, made = KINDS[kind]

    def values(count: int) -> list[Any]:
        return [None if random.random() < 0.1 else made(random.randrange(120)) for _ in range(count)]

    for number in range(5):
        size, asked = random.choice((0, 1, 40, 300)), random.choice((0, 1, 5, 60))
        columns = {"n": pl.Series(range(size), dtype=pl.Int64), "k": pl.Series(values(size), dtype=dtype)}
        second = [random.choice((None, "a", "b", "c")) for _ in range(size)]
        rows = pl.DataFrame({**columns, "l": pl.Series(second, dtype=pl.String)})
        rows = rows.sort("k") if number % 2 else rows
        keys = pl.DataFrame(
            {
                "k": pl.Series(values(asked), dtype=dtype),
                "l": pl.Series([random.choice("abx") for _ in range(asked)], dtype=pl.String),
            }
        )
        rows.write_parquet(tmp_path / "rows.parquet", row_group_size=16)
        for names in (["k"], ["k", "l"], ["l", "k"]):
            expected = rows.join(keys.select(names).unique(), on=names, how="semi").sort("n")
            for scanned in (rows.lazy(), pl.scan_parquet(tmp_path / "rows.parquet")):
                assert among(scanned, keys, names).collect().sort("n").equals(expected)
