"""Cursors without a zone: by whichever clock they are written, no row is passed by and none waits for hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import psycopg
import pytest
from pydantic import ValidationError

from headworks.errors import SettingsError
from headworks.settings import DatabaseSettings
from headworks.sources.sql import bound
from headworks.sources.sql.clocks import clock_of
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake
from tests.support.databases import ids, source, take

WEST, EAST = "America/New_York", "Asia/Tokyo"


@pytest.mark.parametrize("own", [WEST, EAST, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("clock", ["localtimestamp", "now() AT TIME ZONE 'UTC'"])
@pytest.mark.parametrize("kind", ["timestamp", "date"])
def test_a_long_transaction_is_waited_for_by_whichever_clock_it_writes(
    lake: Lake,
    database: DatabaseSettings,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    own: str,
    clock: str,
    kind: str,
) -> None:
    """It began 26 hours before the others, which are read at once, and commits last; four runs."""
    connection.execute(f"ALTER DATABASE {connection.info.dbname} SET timezone TO '{own}'")
    connection.execute(f"CREATE TABLE rows (id int PRIMARY KEY, at {kind})")
    writer = psycopg.connect(database.libpq_url(), autocommit=True)
    reading = source(database, cursor="at", commit_lag_s=0)

    def put(number: int, hours: float) -> None:
        writer.execute(f"INSERT INTO rows VALUES ({number}, {clock} - interval '{hours} hours')")

    def oldest(hours: float) -> None:
        output = f"now() - interval '{hours} hours'" if hours else "NULL::timestamptz"
        monkeypatch.setattr(
            bound,
            "_PRESENT",
            f"SELECT clock_timestamp(), false, true, {output}, NULL::timestamptz WHERE %s <> ''",
        )

    oldest(26)
    put(1, 30)
    assert take(lake, reading)[0].landed == 1
    put(3, 2)
    take(lake, reading)
    oldest(0)
    put(2, 26)
    put(4, 0.01)
    take(lake, reading)
    assert ids(lake) == [1, 2, 3, 4]
    assert take(lake, reading)[0].landed == 0
    writer.close()


def test_the_hour_that_a_declared_clock_shows_twice_is_read_twice(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    """Summer's 02:59, then winter's 02:10; weeks later nothing is looked back at."""
    connection.execute("CREATE TABLE rows (id int PRIMARY KEY, at timestamp)")
    reading = source(database, cursor="at", cursor_zone="Europe/Berlin")
    connection.execute("INSERT INTO rows VALUES (1, '2025-10-26 02:59'), (2, '2025-10-26 02:05')")
    take(lake, reading)
    connection.execute("INSERT INTO rows VALUES (3, '2025-10-26 02:10')")
    assert (take(lake, reading)[0].landed, ids(lake)) == (1, [1, 2, 3])
    connection.execute("INSERT INTO rows VALUES (4, '2025-10-26 03:05'), (5, '2025-11-16 03:05')")
    assert (take(lake, reading)[0].landed, ids(lake)) == (2, [1, 2, 3, 4, 5])
    (report,) = take(lake, reading)
    assert (report.read, report.landed) == (1, 0)


def test_a_declared_clock_is_the_only_one_and_an_unknown_zone_is_refused() -> None:
    present = datetime(2026, 7, 1, 12, tzinfo=UTC)
    berlin = clock_of("Europe/Berlin", own=EAST)
    assert berlin.latest(present) == berlin.earliest(present) == datetime(2026, 7, 1, 14)
    both = clock_of(None, own=WEST)
    assert (both.earliest(present).hour, both.latest(present).hour) == (8, 12)
    assert clock_of(None, own="<+03>-03", offset=timedelta(hours=3)).latest(present).hour == 15
    assert both.shifted(present, datetime(2026, 7, 1, 21)).latest(present).hour == 21
    assert both.shifted(present, datetime(2026, 7, 9)).latest(present).hour == 12
    assert clock_of("America/Havana").looks_back(date(2025, 11, 2)) == timedelta(hours=1)
    assert timezone(timedelta(hours=9)) in both.shifted(present, datetime(2026, 7, 1, 21)).zones
    with pytest.raises((SettingsError, ValidationError), match="no time zone"):
        Table(name="t", cursor_zone="Europe/Atlantis")
