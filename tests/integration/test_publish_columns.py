"""Columns on Postgres: new ones are added, other types refused, and every value arrives as it is."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import psycopg
import pytest

from headworks.errors import PublicationRefused
from headworks.publish.postgres import publish_postgres
from headworks.settings import DatabaseSettings
from headworks.storage.store import Lake
from tests.support.published import ONE, SCHEMA, ask, single


def test_a_new_column_is_added_and_old_rows_get_its_values(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    publish_postgres(lake, database, SCHEMA, single(lake, pl.DataFrame({"id": [1, 2]})), ONE)
    connection.execute("CREATE VIEW analytics.seen AS SELECT * FROM analytics.one")
    wider = pl.DataFrame({"id": [1, 2, 3], "colour": ["red", None, "blue"]})
    publish_postgres(lake, database, SCHEMA, single(lake, wider), ONE)
    assert ask(connection, "SELECT * FROM analytics.one ORDER BY id") == wider.rows()
    assert ask(connection, "SELECT * FROM analytics.seen ORDER BY id") == [(1,), (2,), (3,)]


def test_a_column_of_another_type_is_refused_and_nothing_changes(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    publish_postgres(lake, database, SCHEMA, single(lake, pl.DataFrame({"id": [1], "v": [1]})), ONE)
    texts = pl.DataFrame({"id": [1], "v": ["one"], "more": [True]})
    with pytest.raises(PublicationRefused, match="bigint in the database and text in gold") as caught:
        publish_postgres(lake, database, SCHEMA, single(lake, texts), ONE)
    assert (caught.value.where, "change the column to text" in caught.value.do) == ("analytics.one", True)
    assert ask(connection, "SELECT * FROM analytics.one") == [(1, 1)]


def test_a_type_without_a_counterpart_is_refused_before_anything_is_made(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    raw = pl.DataFrame({"id": [1], "tags": [{"raw": b"a"}]})
    with pytest.raises(PublicationRefused, match="'tags'") as caught:
        publish_postgres(lake, database, SCHEMA, single(lake, raw), ONE)
    assert "cast it" in caught.value.do
    assert ask(connection, "SELECT to_regclass('analytics.one')") == [(None,)]


def test_every_value_arrives_as_it_is(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2],
            "text": ["tab\tnewline\nback\\slash \\N 'quoted' é😀", ""],
            "money": pl.Series(["123456789012345678.12", None], dtype=pl.String).cast(pl.Decimal(20, 2)),
            "moment": pl.Series(
                [datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC), None]
            ).dt.cast_time_unit("us"),
            "local": [datetime(2026, 3, 29, 2, 30, 0, 1), None],
            "day": [date(1582, 10, 4), date(9999, 12, 31)],
            "share": [0.1 + 0.2, float("nan")],
            "flag": [True, None],
            "raw": [b"\x00\xff\\x", b""],
        }
    )
    publish_postgres(lake, database, SCHEMA, single(lake, frame), ONE)
    connection.execute("SET timezone = 'UTC'")
    first, second = ask(connection, "SELECT * FROM analytics.one ORDER BY id")
    assert first == frame.row(0)
    assert second[:6] + second[7:] == frame.row(1)[:6] + frame.row(1)[7:]
    assert second[6] != second[6], "not a number"
    types = ask(
        connection,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'analytics.one'::regclass AND attnum > 0 ORDER BY attnum",
    )
    assert [name for (name,) in types] == [
        "bigint", "text", "numeric(20,2)", "timestamp with time zone", "timestamp without time zone",
        "date", "double precision", "boolean", "bytea",
    ]  # fmt: skip
