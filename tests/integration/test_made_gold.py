"""What a transform makes: refused by the name of the table where it is no gold, and held in types of the lake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headworks.errors import SchemaChanged, StopError, TransformFailed
from headworks.gold.curation import GoldTable, Inputs, audit, stage
from headworks.storage.store import Lake
from tests.support.golden import committed, fill, tables
from tests.support.items import NAME
from tests.support.sources import items


@pytest.fixture
def each(tmp_path: Path) -> GoldTable:
    """The items themselves as gold."""
    return replace(tables(tmp_path / "contracts")[0], totals=None)


def giving(table: GoldTable, *columns: Any, **named: Any) -> GoldTable:
    """Let a table be made of other columns."""
    return replace(table, transform=lambda inputs: inputs[NAME].select(*columns, **named))


FAULTS: dict[str, tuple[Callable[[Inputs], Any], str]] = {
    "it raises": (lambda inputs: 1 / 0, "ZeroDivisionError: division by zero"),
    "it names a column that is not there": (lambda inputs: inputs[NAME].select("nope"), "nope"),
    "it names an input that is not there": (lambda inputs: inputs["t.none"], "KeyError: 't.none'"),
    "it gives something else": (lambda inputs: 5, "gave a int"),
    "it gives nothing": (lambda inputs: None, "gave a NoneType"),
    "it gives no key": (
        lambda inputs: inputs[NAME].select("v"),
        "gives no column id, which the key names; it gives v",
    ),
    "it fails on a row": (
        lambda inputs: inputs[NAME].select("id", v=pl.lit("x").cast(pl.Int64)),
        "InvalidOperationError",
    ),
    "a column of nothing": (lambda inputs: inputs[NAME].select("id", v=pl.lit(None)), "nothing but nulls"),
    "a time of day": (lambda inputs: inputs[NAME].select("id", t=pl.lit(time(1))), "t is Time"),
    "a length of time": (lambda inputs: inputs[NAME].select("id", d=pl.lit(timedelta(1))), "d is Duration"),
    "nanoseconds that the lake does not hold": (
        lambda inputs: inputs[NAME].select("id", n=pl.lit(1, pl.Int64).cast(pl.Datetime("ns"))),
        "values of n, a Datetime",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_transform_is_said_with_the_tables_name(
    lake: Lake, each: GoldTable, fault: str
) -> None:
    transform, said = FAULTS[fault]
    pins = fill(lake, items(1, 3))
    with pytest.raises(StopError) as caught:
        stage(lake, replace(each, transform=transform), pins)
    assert isinstance(caught.value, TransformFailed | SchemaChanged)
    assert caught.value.where == "gold.t.each"
    assert said in caught.value.what
    assert caught.value.do
    assert lake.open("gold", "t.each") is None, "nothing was made"


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (lambda inputs: inputs[NAME].select("nope"), "Its totals raised ColumnNotFoundError"),
        (lambda inputs: inputs[NAME].select("v"), "3 rows"),
        (lambda inputs: inputs[NAME].filter(pl.lit(False)).select("v"), "0 rows"),
    ],
)
def test_what_is_wrong_with_totals_is_said_with_the_tables_name(
    lake: Lake, each: GoldTable, totals: Any, said: str
) -> None:
    pins = fill(lake, items(1, 3))
    with pytest.raises(StopError, match=said) as caught:
        stage(lake, replace(each, totals=totals), pins)
    assert caught.value.where == "gold.t.each"


def test_a_frame_that_is_there_already_is_as_good_as_one_to_come(lake: Lake, each: GoldTable) -> None:
    eager = replace(each, transform=lambda inputs: inputs[NAME].select("id").collect())  # type: ignore[arg-type,return-value]
    assert committed(lake, eager, fill(lake, items(1, 3))).rows == 3


def test_columns_are_kept_in_types_that_hold_every_value(lake: Lake, each: GoldTable) -> None:
    table = giving(
        each,
        "id",
        u8=pl.lit(255, pl.UInt8),
        u32=pl.lit(2**32 - 1, pl.UInt32),
        u64=pl.lit(2**64 - 1, pl.UInt64),
        kind=pl.lit("a").cast(pl.Enum(["a", "b"])),
        day=pl.lit(date(2026, 1, 1)),
        moment=pl.lit(datetime(2026, 1, 1), pl.Datetime("ms")),
        raw=pl.lit(b"\x00\xff"),
        many=pl.concat_list("id", "v"),
        inner=pl.struct("id", "v"),
    )
    committed(lake, table, fill(lake, items(1, 2)))
    made = lake.must_open("gold", each.name).scan().sort("id").collect()
    assert made.row(0) == (
        1, 255, 2**32 - 1, 2**64 - 1, "a", date(2026, 1, 1), datetime(2026, 1, 1), b"\x00\xff", [1, 10],
        {"id": 1, "v": 10},
    )  # fmt: skip


def test_a_key_with_a_null_closes_the_gate_and_names_the_row(lake: Lake, each: GoldTable) -> None:
    table = replace(
        giving(each, pl.when(pl.col("id") > 1).then("id").alias("id"), "v"), key=("id", "v"), name="t.each"
    )
    gate = audit(lake, table, stage(lake, table, fill(lake, items(1, 3))))
    assert gate is not None
    assert "key is unique: failed (1 keys with a null, such as id=None/v=10)" in gate.reasons


def test_a_type_that_widens_is_let_through_and_another_one_closes_the_gate(
    lake: Lake, each: GoldTable
) -> None:
    """Three further runs: wider, another type, and that type where the declaration names the column."""
    pins = fill(lake, items(1, 3))
    committed(lake, giving(each, "id", n=pl.col("v").cast(pl.Int32)), pins)
    committed(lake, giving(each, "id", n=pl.col("v")), pins)
    text = giving(each, "id", n=pl.col("v").cast(pl.String))
    gate = audit(lake, text, stage(lake, text, pins))
    assert gate is not None
    (reason,) = gate.reasons
    assert "n was Int64 and is String" in reason
    committed(lake, replace(text, retyped=("n",)), pins)
    assert lake.must_open("gold", each.name).schema["n"] == pl.String()


def test_a_changed_contract_audits_again_although_silver_and_transform_did_not_change(
    lake: Lake, each: GoldTable
) -> None:
    pins = fill(lake, items(1, 3))
    committed(lake, each, pins)
    assert not stage(lake, each, pins).fresh
    each.contract.write_text(
        each.contract.read_text()
        + "checks:\n- row_count:\n    threshold:\n      must_be_greater_than: 1000\n"
    )
    again = stage(lake, each, pins)
    assert (again.fresh, again.changed) == (True, False)
    gate = audit(lake, each, again)
    assert gate is not None
    assert not gate.open
