"""Columns that change at the source: distinguished, taken or refused by the policy, and never cut to fit."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.bronze.landing import Landing, land
from headworks.errors import CommitUnclear, SchemaChanged, ValueRefused
from headworks.settings import DatabaseSettings
from headworks.storage.drift import wider
from headworks.storage.store import Lake
from tests.support.databases import NAME, landed, source, take
from tests.support.faults import happened_but_failed, not_happened, writes
from tests.support.sources import Frames


@pytest.fixture
def begun(lake: Lake, database: DatabaseSettings, connection: psycopg.Connection) -> Lake:
    """A lake that has two rows of a table with a few types.

    The second is read again in each run, and lands again where the change of columns changed it.
    """
    connection.execute(
        "CREATE TABLE rows (id int PRIMARY KEY, small int2, single float4, money numeric(6,2), v varchar(3))"
    )
    connection.execute("INSERT INTO rows VALUES (1, 32767, 0.1, 9999.99, 'abc'), (2, 2, 2, 2, 'b')")
    take(lake, source(database, cursor="id"))
    return lake


def by_id(lake: Lake) -> dict[int, dict[str, Any]]:
    """Return bronze's rows by their ids."""
    return {row["id"]: row for row in landed(lake).rows(named=True)}


WIDER = """
ALTER TABLE rows ALTER small TYPE int8, ALTER single TYPE float8, ALTER money TYPE numeric(12,4), ALTER v TYPE text;
INSERT INTO rows VALUES (3, 9223372036854775807, 1e300, 12345678.1234, 'longer');
"""


@pytest.mark.parametrize("policy", ["evolve", "ignore"])
def test_wider_types_are_taken_and_what_was_there_stays_exact(
    begun: Lake, database: DatabaseSettings, connection: psycopg.Connection, policy: str
) -> None:
    before = by_id(begun)[1]
    connection.execute(WIDER)
    assert take(begun, source(database, cursor="id", drift=policy))[0].landed in {1, 2}
    rows = by_id(begun)
    assert rows[1]["small"] == before["small"] == 32767
    assert rows[1]["single"] == before["single"], (
        "a float as it was, not after the merge written in longer digits"
    )
    assert (rows[1]["money"], rows[3]["money"]) == (Decimal("9999.9900"), Decimal("12345678.1234"))
    assert (rows[3]["small"], rows[3]["single"], rows[3]["v"]) == (2**63 - 1, 1e300, "longer")
    types = landed(begun).schema
    assert (types["small"], types["single"], types["money"]) == (pl.Int64(), pl.Float64(), pl.Decimal(12, 4))


def test_a_table_that_was_widened_goes_on_from_where_it_stood(
    begun: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute(WIDER)
    take(begun, source(database, cursor="id"))
    (again,) = take(begun, source(database, cursor="id"))
    assert (again.landed, again.first_sequence) == (0, 3)
    assert sorted(by_id(begun)) == [1, 2, 3]


@pytest.mark.parametrize("fault", [happened_but_failed(1), not_happened(1)])
def test_a_widening_that_fails_or_seems_to_is_repeated_without_harm(
    begun: Lake, database: DatabaseSettings, connection: psycopg.Connection, fault: Any
) -> None:
    connection.execute(WIDER)
    with writes(fault), suppress(CommitUnclear):
        take(begun, source(database, cursor="id"))
    take(begun, source(database, cursor="id"))
    found = landed(begun).get_column("id").to_list()
    assert (set(found), found.count(1), found.count(3)) == ({1, 2, 3}, 1, 1)


def test_a_narrower_type_lands_in_the_wider_one_that_is_there(
    begun: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute(
        "UPDATE rows SET money = 1; ALTER TABLE rows ALTER money TYPE numeric(5,1);"
        "INSERT INTO rows VALUES (3, 1, 1, 1.5, 'x')"
    )
    take(begun, source(database, cursor="id"))
    assert by_id(begun)[3]["money"] == Decimal("1.50")


def test_a_new_column_is_added_or_left_out_or_refused(
    begun: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute(
        "ALTER TABLE rows ADD extra date; INSERT INTO rows VALUES (3, 1, 1, 1, 'x', '2026-01-05')"
    )
    with pytest.raises(SchemaChanged, match="extra was not there and is Date"):
        take(begun, source(database, cursor="id", drift="freeze"))
    assert len(landed(begun)) == 2
    take(begun, source(database, cursor="id", drift="ignore"))
    assert "extra" not in landed(begun).columns
    connection.execute("INSERT INTO rows VALUES (4, 1, 1, 1, 'x', '2026-01-06')")
    (report,) = take(begun, source(database, cursor="id"))
    assert report.warnings == ("the source's columns changed: extra (Date) is new",)
    rows = by_id(begun)
    assert [rows[key]["extra"] is None for key in (1, 2, 4)] == [True, True, False]


def test_a_dropped_column_stays_empty_or_is_refused(
    begun: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute("ALTER TABLE rows DROP v; INSERT INTO rows VALUES (3, 1, 1, 1)")
    with pytest.raises(SchemaChanged, match="v was String and is gone"):
        take(begun, source(database, cursor="id", drift="freeze"))
    take(begun, source(database, cursor="id"))
    assert [by_id(begun)[key]["v"] for key in (1, 3)] == ["abc", None]


def test_a_renamed_column_is_reported_once_as_a_new_and_a_lost_one(
    begun: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute("ALTER TABLE rows RENAME v TO w; INSERT INTO rows VALUES (3, 1, 1, 1, 'x')")
    (report,) = take(begun, source(database, cursor="id"))
    assert report.warnings == ("the source's columns changed: w (String) is new, v (String) is gone",)
    connection.execute("INSERT INTO rows VALUES (4, 1, 1, 1, 'y')")
    (report,) = take(begun, source(database, cursor="id"))
    assert report.warnings == ()
    assert [by_id(begun)[key]["w"] for key in (1, 3, 4)] == [None, "x", "y"]


@pytest.mark.parametrize("policy", ["evolve", "freeze", "ignore"])
def test_a_changed_type_is_refused_with_column_before_and_after(
    begun: Lake, database: DatabaseSettings, connection: psycopg.Connection, policy: str
) -> None:
    connection.execute(
        "ALTER TABLE rows ALTER small TYPE text USING small::text; INSERT INTO rows VALUES (3, 'x')"
    )
    with pytest.raises(
        SchemaChanged, match=r"small was Int16 and is String.*bronze.t.rows.*Cast the column back"
    ):
        take(begun, source(database, cursor="id", drift=policy))
    assert len(landed(begun)) == 2
    query = (
        "SELECT id, CASE WHEN small ~ '^[0-9]+$' THEN small::int2 END AS small, small AS small_code FROM rows"
    )
    take(begun, source(database, query=query, key=["id"], cursor="id", drift="evolve"))
    assert by_id(begun)[3]["small_code"] == "x"


def test_columns_change_for_frames_as_for_tables(lake: Lake) -> None:
    """A source of Polars frames, and a table that is widened while it has several streams."""
    one, two = pl.DataFrame({"a": pl.Series([1], dtype=pl.Int32)}), pl.DataFrame({"a": [2**40], "b": ["x"]})
    land(Landing(lake, NAME, NAME, "run"), Frames([one]))
    land(Landing(lake, NAME, f"{NAME}@g1", "run"), Frames([two]))
    land(Landing(lake, NAME, f"{NAME}@g2", "run"), Frames([one]))
    assert landed(lake).sort("a").rows() == [(1, None), (1, None), (2**40, "x")]
    assert lake.must_open("bronze", NAME).transaction(NAME) == 1


_TYPES = st.sampled_from(
    [pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.Float32(), pl.Float64()]
) | st.builds(
    lambda scale, digits: pl.Decimal(max(1, digits + scale), scale), st.integers(0, 19), st.integers(0, 19)
)


@settings(deadline=None)
@given(_TYPES, _TYPES)
def test_the_wider_of_two_types_holds_the_extremes_of_both(one: pl.DataType, other: pl.DataType) -> None:
    common = wider(one, other)
    assert common == wider(other, one)
    if common is None:
        return
    for dtype in (one, other):
        values = pl.Series(_extremes(dtype), dtype=dtype)
        assert values.cast(common).cast(dtype).equals(values)


def _extremes(dtype: pl.DataType) -> list[Any]:
    if isinstance(dtype, pl.Decimal):
        return [Decimal((0, (9,) * dtype.precision, -dtype.scale))]
    if dtype.is_float():
        return [3.4028234663852886e38 if dtype == pl.Float32 else 1.7976931348623157e308, 0.1]
    bits = {"Int8": 7, "Int16": 15, "Int32": 31, "Int64": 63}[str(dtype)]
    return [2**bits - 1, -(2**bits)]


def test_what_bronze_cannot_hold_is_refused_before_anything_is_written(lake: Lake) -> None:
    """Neither cut nor taken for a failed commit: finer moments, types of no table, names that differ in case alone."""
    whole, finer = (pl.Series("a", [number]).cast(pl.Datetime("ns")) for number in (1_000, 1_001))
    land(Landing(lake, NAME, NAME, "run"), Frames([whole.to_frame()]))
    for frame, message in (
        (
            finer.to_frame(),
            r"a was .*'us'.* and is .*'ns'.*1 values do not fit, such as 1970-01-01 00:00:00.000001001",
        ),
        (
            pl.DataFrame({"a": whole, "b": [timedelta(1)]}),
            "no type|has a type for these columns: b is Duration",
        ),
        (pl.DataFrame({"a": whole, "A": [1]}), "differ in nothing but upper and lower case: a and A"),
    ):
        with pytest.raises((SchemaChanged, ValueRefused), match=message):
            land(Landing(lake, NAME, NAME, "run"), Frames([frame, frame]))
    assert landed(lake).rows() == [(datetime(1970, 1, 1, 0, 0, 0, 1),)]
    land(Landing(lake, NAME, NAME, "run"), Frames([whole.to_frame()] * 2))
    assert landed(lake).height == 2
