"""Incremental readings: each row once, whatever commits when, shares a timestamp, or comes late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import polars as pl
import psycopg
import pytest

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.landing import read_head
from headworks.bronze.readers import TableIngest
from headworks.errors import SettingsError, SourceMissing, SourceUnavailable
from headworks.settings import DatabaseSettings
from headworks.sources.sql import marks
from headworks.storage.store import Lake
from tests.support.databases import NAME, ids, landed, source, take

TABLE = "CREATE TABLE rows (id int PRIMARY KEY, at timestamptz, v text)"


@pytest.fixture(autouse=True)
def table(connection: psycopg.Connection) -> None:
    """An empty table."""
    connection.execute(TABLE)


def put(connection: psycopg.Connection, *rows: tuple[int, str]) -> None:
    """Write rows with a time in seconds of one minute long ago."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO rows VALUES (%s, '2026-01-05 12:00:00Z'::timestamptz + %s::interval, 'v') "
            "ON CONFLICT (id) DO UPDATE SET at = excluded.at, v = 'again'",
            rows,
        )


def position(lake: Lake) -> Any:
    """Return where the live stream is."""
    return read_head(lake, lake.must_open("bronze", NAME), NAME, NAME).position


def test_what_is_new_lands_and_nothing_twice(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    reading = source(database, cursor="at")
    put(connection, (1, "1 s"), (2, "2 s"))
    assert take(lake, reading)[0].landed == 2
    (again,) = take(lake, reading)
    assert (again.read, again.landed, again.repeated, again.batches) == (1, 0, 1, 0)
    put(connection, (3, "2 s"), (1, "3 s"))
    assert take(lake, reading)[0].landed == 2
    assert ids(lake) == [1, 1, 2, 3]


def test_a_row_with_the_boundarys_own_timestamp_is_taken_though_its_key_is_smaller(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    reading = source(database, cursor="at")
    put(connection, (5, "2 s"), (6, "2 s"))
    take(lake, reading)
    put(connection, (4, "2 s"))
    assert take(lake, reading)[0].landed == 1
    assert ids(lake) == [4, 5, 6]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 7])
def test_a_reading_that_ends_at_any_batch_goes_on_behind_it(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, batch_rows: int
) -> None:
    """Three rows share each timestamp, so that batches end in the middle of them."""
    put(connection, *((number, f"{number // 3} s") for number in range(12)))
    reading = source(database, cursor="at", batch_rows=batch_rows)
    for _ in range(12 // batch_rows + 2):
        with pytest.raises(Stopped) if len(landed_so_far(lake)) + batch_rows < 12 else nothing():
            take_until(lake, reading, batches=1)
    take(lake, reading)
    assert ids(lake) == list(range(12))


def test_more_rows_with_one_timestamp_than_are_marked_are_passed_by_their_key(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "MOST_MARKS", 3)
    put(connection, *((number, "1 s") for number in range(10)), (10, "2 s"))
    reading = source(database, cursor="at", batch_rows=4)
    with pytest.raises(Stopped):
        take_until(lake, reading, batches=1)
    assert position(lake)["key"] == ["3"]
    take(lake, reading)
    assert ids(lake) == list(range(11))
    put(connection, *((number, "2 s") for number in range(11, 20)))
    take(lake, reading)
    take(lake, reading)
    assert ids(lake) == list(range(20))


def test_rows_that_come_late_are_found_by_looking_back_and_the_others_are_recognised(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    reading = source(database, cursor="at", lookback_s=30, batch_rows=2)
    put(connection, *((number, f"{number} s") for number in range(0, 60, 10)))
    take(lake, reading)
    put(connection, (31, "31 s"), (1, "1 s"), (70, "70 s"))
    (report,) = take(lake, reading)
    assert (report.landed, report.repeated) == (2, 4)
    assert ids(lake) == [0, 10, 20, 30, 31, 40, 50, 70], "the row of second 1 is older than the lookback"
    (again,) = take(lake, reading)
    assert (again.landed, again.batches) == (0, 0)


def test_a_lookback_that_is_cut_short_never_moves_the_position_back(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    reading = source(database, cursor="at", lookback_s=60, batch_rows=2)
    put(connection, *((number, f"{number} s") for number in range(10)))
    take(lake, reading)
    before = position(lake)
    put(connection, (20, "0.5 s"))
    with pytest.raises(Stopped):
        take_until(lake, reading, batches=1)
    assert position(lake)["cursor"] == before["cursor"]
    take(lake, reading)
    assert ids(lake) == [*range(10), 20]


def test_rows_without_a_cursor_are_counted_and_taken_by_a_full_read(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    put(connection, (1, "1 s"))
    connection.execute("INSERT INTO rows VALUES (2, NULL), (3, 'infinity'), (4, '-infinity')")
    reading = source(database, cursor="at", extremes="beside")
    (report,) = take(lake, reading)
    assert (report.landed, report.null_cursor) == (1, 3)
    full, caught_up = take(lake, reading, "full")
    assert (full.landed, caught_up.landed) == (4, 0)


def test_a_date_or_a_whole_number_is_a_cursor_too(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute("CREATE TABLE days (id bigserial PRIMARY KEY, day date)")
    connection.execute(
        "INSERT INTO days (day) SELECT '2026-01-01'::date + n / 3 FROM generate_series(0, 20) n"
    )
    for cursor in ("day", "id"):
        reading = source(database, name="days", cursor=cursor, batch_rows=4)
        dataset = f"t.by_{cursor}"
        take(lake, reading, dataset=dataset)
        connection.execute("INSERT INTO days (day) VALUES ('2026-01-07'), ('2026-01-09')")
        take(lake, reading, dataset=dataset)
        found = sorted(landed(lake, dataset).get_column("id").to_list())
        assert found == [number for (number,) in connection.execute("SELECT id FROM days ORDER BY id")]


def test_a_transaction_longer_than_the_lag_is_never_passed_by(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    """It began before everything else, wrote nothing until the first reading was over, and commits last."""
    reading = source(database, cursor="at", commit_lag_s=0)
    with psycopg.connect(database.libpq_url()) as slow:
        slow.execute("SELECT 1")
        connection.execute("INSERT INTO rows VALUES (2, now(), 'quick')")
        (first,) = take(lake, reading)
        assert first.landed == 0
        slow.execute("INSERT INTO rows VALUES (1, now(), 'slow')")
        slow.commit()
    take(lake, reading)
    assert ids(lake) == [1, 2]


def test_numbers_of_a_sequence_wait_for_the_transactions_that_write(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    waits: list[float] = []
    with psycopg.connect(database.libpq_url()) as slow:

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            slow.commit()

        slow.execute("INSERT INTO rows VALUES (1, now(), 'slow')")
        connection.execute("INSERT INTO rows VALUES (2, now(), 'quick')")
        reading = source(database, cursor="id")
        object.__setattr__(reading, "sleep", sleep)
        take(lake, reading)
        slow.execute("INSERT INTO rows VALUES (3, now(), 'slow')")
        object.__setattr__(reading, "sleep", waits.append)
        with pytest.raises(SourceUnavailable, match="writing for longer than the commit lag"):
            take(lake, reading)
    assert waits
    assert ids(lake) == [1, 2]


def test_rows_of_transactions_that_commit_out_of_order_land_once_each(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    """10,000 rows by 24 connections whose transactions overlap at random, some over many readings."""
    random = Random(7)
    reading = source(database, cursor="at", commit_lag_s=0, batch_rows=700)
    writers = [psycopg.connect(database.libpq_url()) for _ in range(24)]
    written, rounds = 0, 0
    while written < 10_000:
        writer = random.choice(writers)
        if random.random() < 0.35:
            writer.commit()
            continue
        count = min(random.randint(1, 120), 10_000 - written)
        # Whether by the transaction's clock or by the statement's: neither lies before the transaction's beginning.
        clock = random.choice(["now()", "now()", "clock_timestamp()"])
        writer.execute(
            f"INSERT INTO rows SELECT n, {clock}, 'v' FROM generate_series(%s::int, %s::int) n",
            [written, written + count - 1],
        )
        written += count
        if random.random() < 0.15:
            rounds += 1
            take(lake, reading)
    for writer in writers:
        writer.commit()
        writer.close()
    take(lake, reading)
    found = Counter(landed(lake).get_column("id").to_list())
    assert rounds > 10
    assert (set(range(10_000)) - set(found), [key for key, times in found.items() if times > 1]) == (
        set(),
        [],
    )


def test_an_update_moves_a_row_in_the_order_and_lands_it_again(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    reading = source(database, cursor="at")
    put(connection, (1, "1 s"), (2, "2 s"))
    take(lake, reading)
    put(connection, (1, "3 s"))
    take(lake, reading)
    rows = landed(lake).filter(pl.col("id") == 1)
    assert rows.get_column("v").to_list() == ["v", "again"]


def test_a_query_is_read_like_a_table(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    put(connection, (1, "1 s"), (2, "2 s"))
    reading = source(
        database,
        query="SELECT id AS number, at FROM rows WHERE id > 1 -- the end",
        key=["number"],
        cursor="at",
    )
    take(lake, reading)
    take(lake, reading)
    assert ids(lake, "number") == [2]


def test_a_cursor_that_cannot_be_read_by_is_refused(database: DatabaseSettings) -> None:
    with pytest.raises(SettingsError, match="type text cannot be the cursor"):
        _ = source(database, cursor="v").schema
    with pytest.raises(SourceMissing, match=r"no column 'changed'.*choose among id, at, v"):
        _ = source(database, cursor="changed").schema
    with pytest.raises(SettingsError, match="no time to look back"):
        _ = source(database, cursor="id", lookback_s=5).schema
    with pytest.raises(SettingsError, match="no name of their own"):
        _ = source(database, query="SELECT 1, 2 AS a, 3 AS a").schema


def test_the_primary_key_is_found_in_its_own_order(
    database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute("CREATE TABLE pairs (a int, b int, c int, PRIMARY KEY (c, a) INCLUDE (b))")
    assert source(database, name="pairs").key == ("c", "a")
    assert source(database, name="pairs", key=["b"]).key == ("b",)


class Stopped(Exception):
    """The reading was cut short."""


def take_until(lake: Lake, reading: Any, batches: int) -> None:
    """Ingest, and stop after so many batches were committed."""
    seen = 0

    def count(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == batches:
            raise Stopped

    ingest(IngestRequest(lake, NAME, "another run"), TableIngest(reading), count)


def landed_so_far(lake: Lake) -> list[int]:
    """Return the ids that are landed, none before there is a table."""
    return ids(lake) if lake.open("bronze", NAME) else []


@contextmanager
def nothing() -> Iterator[None]:
    """Expect nothing in particular."""
    try:
        yield
    except Stopped:
        return
