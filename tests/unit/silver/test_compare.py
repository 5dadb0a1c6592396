"""The newest version of a key: any order of arrival, in any portions, gives the same silver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.silver.compare import Comparison, compare, newest
from headworks.silver.dataset import PROVENANCE

KEY = ("id",)
SCHEMA = pl.Schema({"id": pl.Int64(), "v": pl.Int64(), "at": pl.Int64(), **PROVENANCE})
SILVER = pl.Schema({**SCHEMA, "_deleted": pl.Boolean(), "_void_until": pl.Int64()})
BEGINNING = datetime(2026, 1, 5, tzinfo=UTC)

Row = dict[str, Any]


@st.composite
def versions(draw: st.DrawFn) -> list[Row]:
    """Draw versions of a few keys; what orders them never ties, since no two rows of bronze share an origin.

    The cursor is a column of silver, too, as in every dataset that has one; and a source does not give two different
    rows of one key the same cursor.
    """
    count = draw(st.integers(1, 12))
    cursors = [draw(st.one_of(st.none(), st.integers(-2, 2))) for _ in range(count)]
    keys = [draw(st.integers(1, 3)) for _ in range(count)]
    return [
        {
            "id": keys[number],
            "v": (keys[number] * 7 + (cursors[number] or 0)) % 3 or None,
            "at": cursors[number],
            "_cursor": cursors[number],
            "_arrival": draw(st.integers(0, 3)),
            "_ingested_at": BEGINNING + timedelta(seconds=draw(st.integers(0, 2))),
            "_stream": draw(st.sampled_from(["t.x", "t.x@g1"])),
            "_sequence": draw(st.integers(1, 3)),
            "_row": number,
        }
        for number in range(count)
    ]


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def order(row: Row) -> tuple[Any, ...]:
    cursor = row["_cursor"]
    return (
        cursor is not None,
        cursor,
        row["_arrival"],
        row["_ingested_at"],
        row["_stream"],
        row["_sequence"],
        row["_row"],
    )


def ingest(silver: pl.DataFrame, arrived: list[Row]) -> tuple[pl.DataFrame, Comparison]:
    """Merge a portion as a refinement does."""
    compared = compare(newest(frame(arrived), KEY), silver.lazy(), KEY)
    changes = compared.changes.with_columns(_deleted=pl.lit(False)).select(list(SILVER))
    kept = silver.join(changes, on=list(KEY), how="anti")
    return pl.concat([kept, changes]), compared


def portions(draw: st.DrawFn, rows: list[Row]) -> list[list[Row]]:
    found: list[list[Row]] = [[]]
    for row in draw(st.permutations(rows)):
        found[-1].append(row)
        if draw(st.booleans()):
            found.append([])
    return [portion for portion in found if portion]


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Row], list[list[Row]]]:
    rows = draw(versions())
    return rows, portions(draw, rows)


@settings(deadline=None)
@given(arrivals())
def test_any_order_and_any_portions_show_the_values_of_the_newest_versions(
    arrival: tuple[list[Row], list[list[Row]]],
) -> None:
    rows, arriving = arrival
    silver = pl.DataFrame(schema=SILVER)
    for portion in arriving:
        silver, _ = ingest(silver, portion)
    winners: dict[int, Row] = {}
    for row in rows:
        if row["id"] not in winners or order(row) > order(winners[row["id"]]):
            winners[row["id"]] = row
    assert {row["id"]: (row["v"], row["at"]) for row in silver.to_dicts()} == {
        key: (row["v"], row["at"]) for key, row in winners.items()
    }


@settings(deadline=None)
@given(arrivals())
def test_every_row_that_arrives_becomes_exactly_one_thing(
    arrival: tuple[list[Row], list[list[Row]]],
) -> None:
    silver = pl.DataFrame(schema=SILVER)
    for portion in arrival[1]:
        candidates = newest(frame(portion), KEY)
        silver, compared = ingest(silver, portion)
        went = compared.inserts.height + compared.updates.height + compared.superseded + compared.unchanged
        assert went == candidates.height
        assert silver.select(KEY).n_unique() == silver.height


@settings(deadline=None)
@given(versions())
def test_taking_the_same_in_twice_changes_nothing(rows: list[Row]) -> None:
    silver, _ = ingest(pl.DataFrame(schema=SILVER), rows)
    again, compared = ingest(silver, rows)
    assert compared.changes.is_empty()
    assert again.sort("id").equals(silver.sort("id"))


def test_a_null_is_a_value_and_differs_from_every_other() -> None:
    row = {
        "id": 1,
        "v": None,
        "at": 1,
        "_cursor": 1,
        "_ingested_at": BEGINNING,
        "_stream": "s",
        "_sequence": 1,
        "_row": 0,
    }
    silver, _ = ingest(pl.DataFrame(schema=SILVER), [row])
    assert ingest(silver, [{**row, "_row": 1}])[1].unchanged == 1
    assert ingest(silver, [{**row, "_row": 1, "v": 0}])[1].updates.height == 1


def test_a_tombstone_is_lifted_by_a_newer_version_and_not_by_an_older_one() -> None:
    row = {
        "id": 1,
        "v": 5,
        "at": 3,
        "_cursor": 3,
        "_ingested_at": BEGINNING,
        "_stream": "s",
        "_sequence": 2,
        "_row": 0,
    }
    dead = pl.DataFrame([{**row, "_deleted": True}], schema=SILVER)
    assert ingest(dead, [{**row, "_sequence": 1}])[1].superseded == 1
    assert ingest(dead, [{**row, "_sequence": 3}])[1].updates.height == 1


def test_a_dataset_that_is_all_key_can_be_compared() -> None:
    bare = frame(
        [
            {
                "id": 1,
                "v": 0,
                "at": 1,
                "_cursor": 1,
                "_ingested_at": BEGINNING,
                "_stream": "s",
                "_sequence": 1,
                "_row": 0,
            }
        ]
    ).drop("v", "at")
    there = bare.with_columns(_deleted=pl.lit(False), _row=pl.lit(0, dtype=pl.Int64))
    assert compare(bare, there.lazy(), KEY).unchanged == 1
