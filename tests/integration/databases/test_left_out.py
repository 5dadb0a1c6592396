"""Each way in which a row of a table is not read: counted with a reason, or the report says what it cannot know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest
from psycopg import conninfo
from pydantic import SecretStr

from headworks.bronze.key_sets import compare_keys
from headworks.bronze.landing import Landing, land
from headworks.names import Window
from headworks.quality.limits import AnomalyLimits
from headworks.reports import LandingReport
from headworks.settings import DatabaseSettings
from headworks.silver.mirror import mirror
from headworks.silver.refinement import Refinement, refine
from headworks.sources.sql import marks
from headworks.sources.sql.reader import reader_of
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake
from tests.integration.dialects.conftest import mariadb
from tests.support import dialects
from tests.support.databases import NAME, ids, source, take
from tests.support.mariadb import MariaDb

__all__ = ["mariadb"]

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Place:
    """A table with ten rows of an hour ago, and somebody who writes to it."""

    database: DatabaseSettings
    connection: psycopg.Connection
    lake: Lake
    undone: ExitStack
    reader: DatabaseSettings

    def put(self, number: int, at: str) -> None:
        """Write a row with a cursor value in Postgres' words."""
        self.connection.execute(f"INSERT INTO rows VALUES ({number}, {at})")

    def running(self) -> psycopg.Connection:
        """Begin a transaction that stays open."""
        other = psycopg.connect(self.database.libpq_url())
        self.undone.callback(other.close)
        other.execute("SELECT 1")
        return other


@pytest.fixture
def place(database: DatabaseSettings, connection: psycopg.Connection, lake: Lake) -> Iterator[Place]:
    """The table, and a role that may read it and is no superuser."""
    connection.execute("DROP ROLE IF EXISTS onlooker")
    connection.execute("CREATE ROLE onlooker LOGIN")
    connection.execute("GRANT pg_read_all_stats TO onlooker")
    connection.execute("CREATE TABLE rows (id int PRIMARY KEY, at timestamptz, day date, plain timestamp)")
    connection.execute("GRANT SELECT ON rows TO onlooker")
    connection.execute(
        "INSERT INTO rows SELECT n, now() - interval '1 hour', now() - interval '1 hour', "
        "now() - interval '1 hour' FROM generate_series(1, 10) n"
    )
    parts = conninfo.conninfo_to_dict(database.libpq_url())
    reader = DatabaseSettings(url=SecretStr(f"postgresql://onlooker@/{parts['dbname']}?host={parts['host']}"))
    with ExitStack() as undone:
        yield Place(database, connection, lake, undone, reader)
    connection.execute("DROP OWNED BY onlooker; DROP ROLE onlooker")


Way = Callable[[Place], LandingReport]


def null(place: Place) -> LandingReport:
    """No cursor value."""
    place.put(11, "NULL")
    return take(place.lake, source(place.database, cursor="at"))[0]


def endless(place: Place) -> LandingReport:
    """A cursor value without a place in the order."""
    place.put(11, "'infinity'")
    return take(place.lake, source(place.database, cursor="at", extremes="beside"))[0]


def future(place: Place) -> LandingReport:
    """A cursor value after the present."""
    place.put(11, "now() + interval '3 days'")
    return take(place.lake, source(place.database, cursor="at"))[0]


def future_day(place: Place) -> LandingReport:
    """A day after today."""
    place.connection.execute("INSERT INTO rows VALUES (11, now(), now() + interval '3 days')")
    return take(place.lake, source(place.database, cursor="day"))[0]


def future_plain(place: Place) -> LandingReport:
    """A moment without a zone that no clock on earth shows yet."""
    place.connection.execute("INSERT INTO rows VALUES (11, now(), NULL, now() + interval '3 days')")
    return take(place.lake, source(place.database, cursor="plain"))[0]


def within_lag(place: Place) -> LandingReport:
    """A cursor value of just now."""
    place.put(11, "now()")
    return take(place.lake, source(place.database, cursor="at", commit_lag_s=600))[0]


def after_a_transaction(place: Place) -> LandingReport:
    """A row that was committed while a transaction of before it still runs."""
    place.running()
    place.put(11, "clock_timestamp()")
    return take(place.lake, source(place.database, cursor="at", commit_lag_s=0))[0]


def unseen_transactions(place: Place) -> LandingReport:
    """Transactions that the reading user may not see."""
    place.connection.execute("REVOKE pg_read_all_stats FROM onlooker")
    place.running()
    return take(place.lake, source(place.reader, cursor="at"))[0]


def window_with_a_transaction(place: Place) -> LandingReport:
    """A row of the window that a transaction writes after it was read."""
    other = place.running()
    window = Window(start=NOW - 2 * HOUR, end=datetime.now(UTC) + timedelta(seconds=0.1))
    reading = source(place.database, cursor="at", commit_lag_s=0)
    (report,) = take(place.lake, reading, window=window)
    other.execute("INSERT INTO rows VALUES (11, now())")
    other.commit()
    while datetime.now(UTC) < window.end:
        pass
    (again,) = take(place.lake, reading, window=window)
    assert (again.landed, again.warnings, again.shown) == (1, (), None), (
        "the window continues and is finished"
    )
    return report


def window_into_the_future(place: Place) -> LandingReport:
    """A window that is not over."""
    place.put(11, "now() + interval '20 minutes'")
    # Of the row's moment and not of when this file was read: a long suite gets here an hour later.
    window = Window(start=NOW - 2 * HOUR, end=NOW + 48 * HOUR)
    return take(place.lake, source(place.database, cursor="at"), window=window)[0]


def window_of_days(place: Place) -> LandingReport:
    """A window that holds today."""
    window = Window(start=NOW - 72 * HOUR, end=NOW + 48 * HOUR)
    return take(place.lake, source(place.database, cursor="day"), window=window)[0]


def policies(place: Place) -> LandingReport:
    """Rows that row-level security hides."""
    place.connection.execute(
        "ALTER TABLE rows ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON rows USING (id <= 3)"
    )
    return take(place.lake, source(place.reader, cursor="at"))[0]


def policies_whole(place: Place) -> LandingReport:
    """Rows that row-level security hides from a whole read."""
    place.connection.execute(
        "ALTER TABLE rows ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON rows USING (id <= 3)"
    )
    return take(place.lake, source(place.reader))[0]


def policies_in_a_query(place: Place) -> LandingReport:
    """Rows that row-level security hides from a query."""
    place.connection.execute(
        "ALTER TABLE rows ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON rows USING (id <= 3)"
    )
    query = "SELECT r.id, r.at FROM rows r JOIN rows s USING (id)"
    return take(place.lake, source(place.reader, query=query, key=["id"], cursor="at"))[0]


def written_in_the_past(place: Place) -> LandingReport:
    """A row with a cursor value that had been read past: a comparison of keys counts it."""
    reading = source(place.database, cursor="at")
    take(place.lake, reading)
    place.put(11, "now() - interval '3 hours'")
    return compare_keys(Landing(place.lake, NAME, NAME, "keys"), reading, reading, 0.2)[0]


def many_of_one_value(place: Place) -> LandingReport:
    """One of more rows of one value than are marked, replaced by another."""
    place.connection.execute("UPDATE rows SET at = '2026-01-01'")
    reading = source(place.database, cursor="at")
    take(place.lake, reading)
    return take(place.lake, reading)[0]


def more_than_looked_back_at(place: Place) -> LandingReport:
    """A row that comes later than the rows which a run can recognise."""
    place.connection.execute("UPDATE rows SET plain = '2026-01-01'::timestamp + id * interval '1 min'")
    return take(place.lake, source(place.database, cursor="plain"))[0]


KNOWN = {"null_cursor": 0, "later": 0, "ahead": 0, "missing": 0}
WAYS: list[tuple[Way, dict[str, int], str, bool | None]] = [
    (null, {"null_cursor": 1}, "", None),
    (endless, {"null_cursor": 1}, "", None),
    (future, {"later": 1, "ahead": 1}, "1 rows have a cursor after the present", None),
    (future_day, {"later": 1, "ahead": 1, "null_cursor": 0}, "1 rows have a cursor after the present", None),
    (future_plain, {"later": 1, "ahead": 1}, "1 rows have a cursor after the present", None),
    (within_lag, {"later": 1}, "", None),
    (after_a_transaction, {"later": 1}, "", None),
    (unseen_transactions, {}, "bounded by the commit lag alone", None),
    (window_with_a_transaction, {}, "is not finished: a transaction that runs", False),
    (window_into_the_future, {"later": 1, "ahead": 1}, "is not finished", False),
    (window_of_days, {}, "is not finished", False),
    (policies, {}, "how many others there are is not known", False),
    (policies_whole, {}, "how many others there are is not known", False),
    (policies_in_a_query, {}, "how many others there are is not known", False),
    (written_in_the_past, {"missing": 1}, "1 keys of the source are not in bronze", None),
    (many_of_one_value, {}, "were replaced since they were read is not known", None),
    (more_than_looked_back_at, {}, "the next run looks back to", None),
]


@pytest.mark.parametrize(
    ("way", "counted", "says", "shown"), WAYS, ids=lambda way: getattr(way, "__name__", "")
)
def test_a_row_that_is_not_read_is_counted_or_said_not_to_be_known(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    way: Way,
    counted: dict[str, int],
    says: str,
    shown: bool | None,
) -> None:
    if way in {many_of_one_value, more_than_looked_back_at}:
        monkeypatch.setattr(marks, "MOST_MARKS", 5)
        monkeypatch.setattr(marks, "MOST_EARLIER", 5)
    report = way(place)
    found = {name: getattr(report, name) for name in KNOWN}
    assert found == {**KNOWN, **counted}
    assert says in " ".join(report.warnings)
    assert report.shown is shown
    assert ids(place.lake), "and the good neighbours are read"


def test_rows_within_the_lag_and_of_late_transactions_come_with_the_next_runs(place: Place) -> None:
    """Four runs, each of which leaves something for the next."""
    reading = source(place.database, cursor="at", commit_lag_s=0)
    other = place.running()
    place.put(11, "clock_timestamp()")
    assert take(place.lake, reading)[0].later == 1
    other.execute("INSERT INTO rows VALUES (12, now())")
    place.put(13, "clock_timestamp()")
    assert take(place.lake, reading)[0].later == 2
    other.commit()
    assert take(place.lake, reading)[0].later == 0
    assert ids(place.lake) == list(range(1, 14))
    assert take(place.lake, reading)[0].landed == 0


@pytest.mark.parametrize("kind", ["timestamptz", "date", "bigint", "timestamp"])
@pytest.mark.parametrize("most", [3, 1000])
def test_rows_that_share_a_value_are_read_in_each_later_run_whatever_their_key(
    place: Place, monkeypatch: pytest.MonkeyPatch, kind: str, most: int
) -> None:
    """With smaller and larger keys, in five runs, with more of them than are marked and with fewer."""
    monkeypatch.setattr(marks, "MOST_MARKS", most)
    at = {"timestamptz": "2026-01-05 08:00Z", "timestamp": "2026-01-05 08:00", "date": "2026-01-05"}.get(
        kind, "7"
    )
    place.connection.execute(f"CREATE TABLE ties (id uuid PRIMARY KEY, at {kind})")
    reading = source(place.database, name="ties", cursor="at", batch_rows=4)
    expected: set[str] = set()
    for run in range(5):
        for number in range(6):
            key = f"{(number * 7919 + run * 104729) * 65537 % 2**32:08x}-0000-4000-8000-{run:012x}"
            place.connection.execute("INSERT INTO ties VALUES (%s, %s)", (key, at))
            expected.add(key)
        (report,) = take(place.lake, reading, dataset="t.ties")
        found = ids_of(place.lake)
        assert set(found) == expected
        if most == 1000:
            assert len(found) == len(expected), "each of them once"
        else:
            assert run == 0 or "all of them are read again" in " ".join(report.warnings)


def ids_of(lake: Lake) -> list[str]:
    """Return the keys that were landed."""
    rows = lake.must_open("bronze", "t.ties").scan().select("id").collect()
    return [str(key) for key in rows.get_column("id")]


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_other_databases_count_what_is_left_out_too(
    kind: str, tmp_path: Any, lake: Lake, request: pytest.FixtureRequest
) -> None:
    """Null, within the lag, in the future; a window that is not over continues until it is."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    if kind == "mariadb":
        server: MariaDb = request.getfixturevalue("mariadb")
        url = server.url(server.new_database())
    dialects.make(url)
    now = datetime.now(UTC).replace(tzinfo=None)
    for number, at in enumerate([now - 2 * HOUR, now - timedelta(seconds=5), now + 72 * HOUR]):
        dialects.insert(url, number, number, at.isoformat(" ", "seconds"))
    dialects.run(url, "INSERT INTO rows_t VALUES (9, 'x', NULL)")
    report = dialects.take(dialects.table(url, cursor="at", commit_lag_s=600), lake)
    assert (report.landed, report.null_cursor, report.later, report.ahead) == (1, 1, 2, 1)
    assert "1 rows have a cursor after the present" in report.warnings[0]
    window = Window(start=NOW - 3 * HOUR, end=NOW + HOUR)
    reading = dialects.table(url, cursor="at", commit_lag_s=600, window=window)
    batches = list(reading.read(None, None))
    assert "not finished" in batches[-1].warnings[0]
    assert batches[-1].shown is False
    assert "done" not in batches[-1].position
    over = Window(start=NOW - 3 * HOUR, end=NOW - HOUR)
    done = list(dialects.table(url, cursor="at", window=over).read(None, None))[-1]
    # SQLite does not say which transactions run.
    alone = ["bounded by the commit lag alone"] if kind == "sqlite" else []
    assert (done.position.get("done"), [one.partition(",")[0] for one in done.warnings]) == (True, alone)


@pytest.mark.parametrize("cursor", ["at", "n"])
@pytest.mark.parametrize("kind", ["sqlite", "mariadb", "postgres"])
def test_a_table_that_lies_before_where_it_was_read_up_to_is_said(
    kind: str, cursor: str, tmp_path: Any, lake: Lake, request: pytest.FixtureRequest
) -> None:
    """Emptied and filled again with cursors that begin anew, in three runs; an empty table and new rows say nothing."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    if kind == "mariadb":
        server: MariaDb = request.getfixturevalue("mariadb")
        url = server.url(server.new_database())
    if kind == "postgres":
        url = request.getfixturevalue("database").url.get_secret_value()
    by_driver = url.replace("postgresql:", "postgresql+psycopg:")
    moment = {"postgres": "timestamp", "mariadb": "datetime(6)"}.get(kind, "datetime")
    dialects.run(by_driver, f"CREATE TABLE rows_t (id integer PRIMARY KEY, n integer, at {moment})")

    def put(*numbers: int) -> None:
        values = (f"({n}, {n}, '2026-01-{n + 10} 08:00:00')" for n in numbers)
        dialects.run(by_driver, f"INSERT INTO rows_t VALUES {', '.join(values)}")

    def taken() -> tuple[int, list[str]]:
        table = Table(name="rows_t", cursor=cursor, cursor_zone="UTC")
        report = land(Landing(lake, NAME, NAME, "run"), reader_of(dialects.settings(url), table))
        return report.landed, [one for one in report.warnings if "before" in one]

    put(5, 12)
    assert taken() == (2, [])
    assert taken() == (0, []), "nothing new, and the last row is there"
    dialects.run(by_driver, "DELETE FROM rows_t")
    assert taken() == (0, []), "a table may be emptied when it was read"
    put(3, 9)
    for _ in range(3):
        landed, (warning,) = taken()
        assert landed == 0
        latest, before = ("9", "12") if cursor == "n" else ("2026-01-19", "2026-01-22")
        assert f"the latest cursor of the source is {latest}" in warning
        assert f"it was read up to {before}" in warning
        assert "a full read takes them" in warning
    put(13)
    assert taken() == (1, [])


def test_keys_that_a_policy_hides_delete_nothing(place: Place) -> None:
    """Over three comparisons, with and without a live stream; once the policy is gone, what is gone is deleted."""
    reading, hidden = source(place.database, cursor="at"), source(place.reader, cursor="at")
    whole = source(place.reader)

    def silver() -> set[int]:
        columns = {"id": pl.Int32(), "at": pl.Datetime("us", "UTC")}
        dataset = replace(
            mirror(NAME, ("id",), pl.Schema(columns), "at"), anomalies=AnomalyLimits(enabled=False)
        )
        outcome = refine(Refinement(place.lake, "run"), dataset)
        assert outcome.gate is None or outcome.gate.open, outcome.gate
        rows = place.lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted")).collect()
        return set(rows.get_column("id"))

    take(place.lake, reading)
    assert silver() == {*range(1, 11)}
    place.connection.execute(
        "ALTER TABLE rows ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON rows USING (id <= 3)"
    )
    for keys, live in ((hidden, hidden), (whole, None), (hidden, hidden)):
        report = compare_keys(Landing(place.lake, NAME, NAME, "keys"), keys, live, 1.0)[0]
        assert (report.shown, report.keys_noted) == (False, 3)
        assert any("row-level security" in warning for warning in report.warnings)
        assert silver() == {*range(1, 11)}
    place.connection.execute("ALTER TABLE rows DISABLE ROW LEVEL SECURITY; DELETE FROM rows WHERE id > 8")
    report = compare_keys(Landing(place.lake, NAME, NAME, "keys"), hidden, hidden, 1.0)[0]
    assert (report.shown, report.keys_noted) == (None, 8)
    assert silver() == {*range(1, 9)}
