"""Tables of SQLite and MariaDB: increments, windows, keys, one snapshot, one pool a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from headworks.bronze.landing import Landing, land
from headworks.names import Window
from headworks.reports import LandingReport
from headworks.sources.sql.engines import shared_engine
from headworks.storage.store import Lake
from tests.support.dialects import NAME, ids, insert, make, run, settings, table, take
from tests.support.items import bronze
from tests.support.mariadb import MariaDb


def test_an_incremental_reading_takes_each_row_once_though_many_share_a_moment(url: str, lake: Lake) -> None:
    make(url)
    insert(url, 1, 5)
    source = table(url, cursor="at", batch_rows=2)
    assert take(source, lake).landed == 5
    insert(url, 6, 7)
    insert(url, 8, 9, "2026-01-05 08:00:00.500000")
    report = take(table(url, cursor="at"), lake)
    assert (report.landed, ids(lake)) == (4, list(range(1, 10)))
    assert take(table(url, cursor="at"), lake).landed == 0


def test_a_changed_row_comes_again_and_one_without_a_cursor_is_counted(url: str, lake: Lake) -> None:
    make(url)
    insert(url, 1, 3)
    run(url, "INSERT INTO rows_t VALUES (4, 'x', NULL)")
    assert take(table(url, cursor="at"), lake).null_cursor == 1
    run(url, "UPDATE rows_t SET v = 'new', at = '2026-01-06 08:00:00' WHERE id = 2")
    assert take(table(url, cursor="at"), lake).landed == 1
    assert ids(lake) == [1, 2, 2, 3]


def test_a_reading_that_is_cut_off_goes_on_at_its_last_batch(url: str, lake: Lake) -> None:
    make(url)
    insert(url, 1, 9)

    class Stopped(Exception):
        pass

    def stop(report: LandingReport) -> None:
        if report.batches:
            raise Stopped

    for _ in range(4):
        with pytest.raises(Stopped):
            land(Landing(lake, NAME, NAME, "run"), table(url, cursor="id", batch_rows=2), on_batch=stop)
    take(table(url, cursor="id", batch_rows=2), lake)
    assert ids(lake) == list(range(1, 10))


def test_rows_that_commit_late_are_within_the_commit_lag(url: str, lake: Lake) -> None:
    """What is younger than the lag, by the database's own clock, is left for the next run."""
    make(url)
    insert(url, 1, 1)
    now = "datetime('now')" if url.startswith("sqlite") else "NOW()"
    run(url, f"INSERT INTO rows_t VALUES (2, 'x', {now})")
    take(table(url, cursor="at", commit_lag_s=3600), lake)
    assert ids(lake) == [1]


def test_a_window_and_keys(url: str, lake: Lake) -> None:
    make(url)
    for number in range(1, 5):
        insert(url, number, number, f"2026-01-0{number} 08:00:00")
    window = Window(start=datetime(2026, 1, 2, 8, tzinfo=UTC), end=datetime(2026, 1, 4, 8, tzinfo=UTC))
    take(table(url, cursor="at", window=window), lake)
    assert ids(lake) == [2, 3]
    keys = pl.concat(pl.DataFrame(each.frame) for each in table(url).read_keys())
    assert keys.schema == {"id": pl.Int64()}
    assert sorted(keys.get_column("id")) == [1, 2, 3, 4]


def test_very_many_rows_of_one_moment_are_passed_by_their_key(
    maria: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that marks do not fill the checkpoint; where the key is text with odd characters, too."""
    monkeypatch.setattr("headworks.sources.sql.marks.MOST_MARKS", 3)
    run(
        maria,
        "CREATE TABLE rows_t (k VARCHAR(20) COLLATE utf8mb4_bin, n INTEGER, at DATETIME, PRIMARY KEY (k, n))",
        "INSERT INTO rows_t VALUES "
        + ", ".join(f"('k%%''\\\\{n % 3}', {n}, '2026-01-05 08:00:00')" for n in range(20)),
    )
    source = table(maria, cursor="at", batch_rows=5)

    class Stopped(Exception):
        pass

    def stop(report: LandingReport) -> None:
        if report.batches:
            raise Stopped

    for _ in range(3):
        with pytest.raises(Stopped):
            land(Landing(lake, NAME, NAME, "run"), source, on_batch=stop)
    take(source, lake)
    assert sorted(bronze(lake, NAME).get_column("n").to_list()) == list(range(20))


def test_mariadb_streams_one_snapshot_while_others_write(mariadb: MariaDb, maria: str) -> None:
    make(maria)
    insert(maria, 1, 1000)
    batches = table(maria, batch_rows=100).read(None, None)
    first = next(batches)
    run(maria, "DELETE FROM rows_t")
    assert first.read + sum(batch.read for batch in batches) == 1000


def test_all_readings_of_a_run_share_one_pool(url: str) -> None:
    make(url)
    insert(url, 1, 3)
    made = 0

    def count(*_: Any) -> None:
        nonlocal made
        made += 1

    event.listen(Pool, "connect", count)
    try:
        with shared_engine(settings(url), "run-1") as engine:
            for _ in range(5):
                assert sum(batch.read for batch in table(url, run_id="run-1").read(None, None)) == 3
            with shared_engine(settings(url), "run-1") as other:
                assert other is engine
    finally:
        event.remove(Pool, "connect", count)
    assert made == 1


def test_a_lookback_finds_rows_that_were_written_late(url: str, lake: Lake) -> None:
    make(url)
    insert(url, 1, 3)
    take(table(url, cursor="at", lookback_s=60), lake)
    late = datetime(2026, 1, 5, 8) - timedelta(seconds=30)
    insert(url, 4, 4, late.isoformat(" "))
    assert take(table(url, cursor="at", lookback_s=60), lake).landed == 1
    assert ids(lake) == [1, 2, 3, 4]
