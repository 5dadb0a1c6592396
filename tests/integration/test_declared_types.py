"""What a declaration in YAML makes of columns that a source has with types of its own: each value as it is, or refused.

Every type of a source meets every type that can be declared, through bronze and silver.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.declared import read_dataset
from headworks.errors import SettingsError
from headworks.quality.limits import AnomalyLimits
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.sources import Frames

TYPES = ("String", "Int64", "Float64", "Boolean", "Datetime", "Date", "Json", "Decimal(12,2)")
DAY_0 = -719_528
"""The first of January of the year 0, in days since 1970."""
SOURCES: dict[str, pl.Series] = {
    "whole numbers": pl.Series([1, -(2**63), 2**53 + 1, 1_704_067_200, None], dtype=pl.Int64),
    "unsigned numbers": pl.Series([1, 2**64 - 1], dtype=pl.UInt64),
    "floats": pl.Series([1.5, 2.0, 0.1, 1e300, None]),
    "small floats": pl.Series([0.1, 1.5], dtype=pl.Float32),
    "decimals": pl.Series([Decimal("1.23900"), Decimal("1.10000"), None], dtype=pl.Decimal(20, 5)),
    "truths": pl.Series([True, False, None]),
    "days": pl.Series([date(2024, 2, 29), date(1, 1, 1), date(9999, 12, 31), None]),
    "days that no calendar has": pl.Series([0, DAY_0, 2_932_897, -(2**31)], dtype=pl.Int32).cast(pl.Date),
    "moments": pl.Series([datetime(2024, 1, 1, 5, 6, 7, 8), datetime(9999, 12, 31, 23, 59, 59, 999_999)]),
    "moments in a zone": pl.Series([datetime(2024, 1, 1, 5, tzinfo=UTC)]).dt.convert_time_zone(
        "Asia/Kathmandu"
    ),
    "moments that no calendar has": pl.Series(
        [0, -62_167_219_200_000_000, 253_402_300_800_000_000, 2**63 - 1], dtype=pl.Int64
    ).cast(pl.Datetime("us", "UTC")),
    "texts of days": pl.Series(["2024-02-29", "2023-02-29", "0000-01-01", "24-02-03", "x"]),
    "texts of moments": pl.Series(
        ["2024-01-01T00:00:00Z", "2024-01-01 00:00:00", "2024-01-01T00:00:60Z", ""]
    ),
    "texts of numbers": pl.Series(
        [
            "1",
            "0.1",
            "9007199254740993",
            "1e-400",
            "1e400",
            "123456789012345678901234567890",
            "1.005",
            "1e2",
            "007",
        ]
    ),
    "texts of truths": pl.Series(["true", "F", "yes", "1"]),
    "lists": pl.Series([[1, 2], None]),
    "objects": pl.Series([{"day": date(2024, 1, 1)}]),
}


def declare(folder: Path, kind: str, *, text: bool) -> Dataset:
    file = folder / "t_x.yml"
    file.write_text(
        "dataset: t.x\nkey: [id]\nsource: {files: {block: b, files: {format: parquet}}}\n"
        f"columns:\n  id: {{type: Int64}}\n  v: {{type: '{kind}'{', text: true' if text else ''}}}\n"
    )
    made = read_dataset(file)
    return replace(made, limits=RejectLimits(share=1.0), anomalies=AnomalyLimits(enabled=False))


def become(folder: Path, values: pl.Series, dataset: Dataset) -> dict[int, Any]:
    """Land and refine values; return those that silver has, with the number of their row.

    None of them where the run was refused, which must say of which column, and declared as what.
    """
    lake = Lake(LakeSettings(root=str(folder / "lake")))
    frame = pl.DataFrame({"id": pl.int_range(len(values), eager=True), "v": values})
    land(Landing(lake, "t.x", "t.x", "run"), Frames([frame]))
    try:
        refine(Refinement(lake, "run"), dataset)
    except SettingsError as refused:
        if "Column v is declared as" in str(refused) and refused.where == "t.x":
            return {}
        raise
    kept = lake.must_open("silver", "t.x").scan().filter(~pl.col("_deleted")).select("id", "v").collect()
    return {row["id"]: row["v"] for row in kept.iter_rows(named=True)}


def is_same(before: Any, after: Any) -> bool:
    """Return whether a value means what the source's did, by Python's own types."""
    if before is None or after is None:
        return before is None and after is None
    if isinstance(before, str) and not isinstance(after, str):
        return _means(before, after)
    if isinstance(before, datetime) and isinstance(after, datetime):
        zoned = before if before.tzinfo else before.replace(tzinfo=UTC)
        return zoned == after
    numbers = (int, float, Decimal)
    if isinstance(before, numbers) and isinstance(after, numbers):
        return isinstance(before, bool) == isinstance(after, bool) and Fraction(before) == Fraction(after)
    return type(before) is type(after) and bool(before == after)


def _means(text: str, value: Any) -> bool:
    if isinstance(value, bool):
        return text.lower() in ({"true", "t", "1"} if value else {"false", "f", "0"})
    if isinstance(value, float):
        # The shortest text of a float names it, and no other digits do.
        return Decimal(repr(value)) == Decimal(text)
    if isinstance(value, int | Decimal):
        return Fraction(value) == Fraction(Decimal(text))
    if isinstance(value, datetime):
        return value == datetime.fromisoformat(text)
    return bool(value == date.fromisoformat(text))


def pairs() -> Iterator[tuple[str, bool]]:
    for name, values in SOURCES.items():
        yield name, False
        if values.dtype == pl.String():
            yield name, True


@pytest.mark.parametrize("kind", TYPES)
def test_each_value_is_as_the_source_has_it_or_its_row_is_rejected_or_the_run_names_the_column(
    tmp_path: Path, kind: str
) -> None:
    accepted = 0
    for number, (name, text) in enumerate(pairs()):
        folder = tmp_path / str(number)
        folder.mkdir()
        values = SOURCES[name]
        found = become(folder, values, declare(folder, kind, text=text))
        accepted += len(found)
        for row, value in found.items():
            before = values.gather([row]).to_list()[0]
            assert is_same(before, value), (name, kind, before, value)
    assert accepted


def test_a_day_that_no_calendar_has_is_rejected_and_the_others_are_published(tmp_path: Path) -> None:
    """A row of the year 0 or 10000 in silver would stop each later publication of the product."""
    for name, kind in (("days that no calendar has", "Date"), ("moments that no calendar has", "Datetime")):
        folder = tmp_path / kind
        folder.mkdir()
        found = become(folder, SOURCES[name], declare(folder, kind, text=False))
        assert list(found) == [0]
