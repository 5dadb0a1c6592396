"""In a history a version that is read again was received when it came first, however its readings are divided.

So a full read, or files that are read again, do not change what was known when; and silver that is made again from
bronze says the same as silver that was merged run by run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.silver.compare import with_voids
from headworks.silver.dataset import Dataset
from headworks.silver.history import compare_history, versions

Row = dict[str, Any]
START = datetime(2026, 1, 5, tzinfo=UTC)


class _Thing(dy.Schema):
    id = dy.Int64(nullable=False)
    at = dy.Int64(nullable=False)
    v = dy.Int64(nullable=True)


THINGS = Dataset(
    name="t.things",
    key=("id",),
    schema=_Thing,
    columns={name: pl.col(name) for name in ("id", "at", "v")},
    cursor="at",
    keeps="history",
)


def _frame(rows: Sequence[Row]) -> pl.DataFrame:
    schema = THINGS.silver_schema()
    own = ("id", "at", "v", "_cursor", "_arrival", "_ingested_at", "_stream", "_sequence", "_row", "_deleted")
    return with_voids(pl.DataFrame(rows, schema={name: schema[name] for name in own}))


def _merged(silver: pl.DataFrame, rows: Sequence[Row]) -> pl.DataFrame:
    """Return silver after a refinement of rows."""
    found = compare_history(versions(_frame(rows), THINGS), silver.lazy(), THINGS)
    columns = list(THINGS.silver_schema())
    gone = pl.concat([found.removed, found.changes.select(THINGS.row_key)])
    kept = silver.join(gone, on=list(THINGS.row_key), how="anti")
    return pl.concat([kept, found.changes.select(columns)]).sort(THINGS.row_key)


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema=THINGS.silver_schema())


def _readings(seed: int, *, flips: bool = True, floating: bool = True) -> list[list[Row]]:
    """Return readings of a source that changes: what is new, all again, or a part again."""
    chance, readings = Random(seed), list[list[Row]]()
    there: dict[tuple[int, int], Row] = {}
    for number in range(chance.randint(3, 9)):
        for _ in range(chance.randint(0, 4)):
            key, at = chance.randint(1, 3), chance.randint(1, 4)
            value = chance.randint(1, 2) if flips else 10 * number + key
            there[key, at] = {"id": key, "at": at, "v": value, "_deleted": chance.random() < 0.15}
        rows: list[Row] = [dict(row) for row in there.values() if chance.random() < chance.choice((1.0, 0.4))]
        if floating and chance.random() < 0.3:
            rows.append({"id": chance.randint(1, 3), "at": None, "v": None, "_deleted": True})
        for place, row in enumerate(rows):
            row |= {"_cursor": row["at"], "_arrival": number + 1, "_row": place, "_sequence": number + 1}
            row |= {"_stream": "t.things", "_ingested_at": START + timedelta(hours=number)}
        readings.append(rows)
    return [rows for rows in readings if rows]


def _first_receipts(readings: Sequence[Sequence[Row]]) -> dict[tuple[int, int], datetime]:
    """Say for each version since when it has the values that it has now."""
    said: dict[tuple[int, int], tuple[Any, datetime]] = {}
    for rows in readings:
        for row in rows:
            place = (row["id"], row["at"])
            value = None if row["_deleted"] else row["v"]
            if place not in said or said[place][0] != (value, row["_deleted"]):
                said[place] = ((value, row["_deleted"]), row["_ingested_at"])
    return {place: received for place, (_, received) in said.items()}


@pytest.mark.parametrize("seed", [*range(20), 23])  # 23: values come back within a range
def test_however_readings_are_divided_each_version_was_received_when_it_came_first(seed: int) -> None:
    """Among them are deletions with and without a cursor, values that come back, and versions that are late."""
    readings = _readings(seed)
    chance = Random(seed)
    one_by_one, divided = _nothing(), _nothing()
    waiting: list[Row] = []
    for rows in readings:
        one_by_one = _merged(one_by_one, rows)
        waiting += rows
        if chance.random() < 0.5:
            divided, waiting = _merged(divided, waiting), []
    divided = _merged(divided, waiting) if waiting else divided
    at_once = _merged(_nothing(), [row for rows in readings for row in rows])
    assert one_by_one.equals(at_once)
    assert divided.equals(at_once)
    wanted = _first_receipts([[row for row in rows if row["at"] is not None] for rows in readings])
    with_cursor = at_once.filter(pl.col("_cursor").is_not_null())
    found = {(row["id"], row["valid_from"]): row["_ingested_at"] for row in with_cursor.to_dicts()}
    assert found == wanted


@pytest.mark.parametrize("seed", range(12))
def test_a_full_read_of_what_is_there_moves_no_receipt(seed: int) -> None:
    readings = _readings(seed, floating=False)
    silver = _nothing()
    for rows in readings:
        silver = _merged(silver, rows)
    last = {(row["id"], row["at"]): row for rows in readings for row in rows}
    again = [
        row | {"_arrival": 99, "_sequence": 99, "_ingested_at": START + timedelta(days=99)}
        for row in last.values()
    ]
    after = _merged(silver, again)
    moved = ("_arrival", "_sequence", "_row", "_void", "_ingested_at")
    assert after.drop(moved, strict=False).equals(silver.drop(moved, strict=False))
    assert after.get_column("_ingested_at").equals(silver.get_column("_ingested_at"))
    assert set(after.get_column("_arrival")) == {99}
    # Nor does it the third time.
    assert _merged(after, again).equals(after)


@pytest.mark.parametrize("seed", range(12))
def test_a_delivery_that_was_held_and_is_released_later_was_received_when_it_came(seed: int) -> None:
    """Where no value comes back: then silver does not know what was between."""
    readings = _readings(seed, flips=False, floating=False)
    held = Random(seed).randrange(len(readings))
    silver = _nothing()
    for rows in [*readings[:held], *readings[held + 1 :], readings[held]]:
        silver = _merged(silver, rows)
    at_once = _merged(_nothing(), [row for rows in readings for row in rows])
    assert silver.equals(at_once)


def test_other_values_of_the_same_moment_were_received_when_they_came() -> None:
    def reading(number: int, value: int) -> list[Row]:
        own = {"_cursor": 1, "_arrival": number, "_row": 0, "_sequence": number, "_stream": "t.things"}
        return [
            {
                "id": 1,
                "at": 1,
                "v": value,
                "_deleted": False,
                **own,
                "_ingested_at": START.replace(day=number),
            }
        ]

    silver = _nothing()
    for number, value, received in ((6, 1, 6), (7, 1, 6), (8, 2, 8), (9, 2, 8), (10, 1, 10), (11, 1, 10)):
        silver = _merged(silver, reading(number, value))
        assert silver.get_column("_ingested_at").to_list() == [START.replace(day=received)]
