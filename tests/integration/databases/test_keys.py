"""Deletions found by comparing keys: exactly those that are gone, and never more at once than is allowed."""

from __future__ import annotations

import psycopg
import pytest

from headworks.bronze.ingest import IngestRequest
from headworks.bronze.key_sets import compare_keys
from headworks.bronze.readers import TableIngest
from headworks.bronze.stamping import METADATA
from headworks.errors import ReadIncomplete, SettingsError, SourceMissing
from headworks.reports import LandingReport
from headworks.settings import DatabaseSettings
from headworks.silver.mirror import mirror
from headworks.silver.refinement import Refinement, RefineOutcome, refine
from headworks.sources.sql.postgres import PostgresTable
from headworks.storage.store import Lake
from tests.support.databases import NAME, landed, source, take


@pytest.fixture(autouse=True)
def filled(connection: psycopg.Connection) -> None:
    """A table of a hundred rows with a key of two columns, one of them text."""
    connection.execute(
        "CREATE TABLE rows (a int, b text, at timestamptz DEFAULT now() - interval '1 hour', v int, PRIMARY KEY (a, b))"
    )
    connection.execute("INSERT INTO rows (a, b, v) SELECT n, E'k\\t' || n, n FROM generate_series(1, 100) n")


def compare(lake: Lake, reading: PostgresTable, share: float = 0.2) -> tuple[LandingReport, ...]:
    """Compare keys."""
    landing = IngestRequest(lake, NAME, "run").landing()
    return compare_keys(landing, reading, TableIngest(reading).live(), share)


def keep(lake: Lake) -> RefineOutcome:
    """Bring silver up to bronze."""
    columns = {n: t for n, t in lake.must_open("bronze", NAME).schema.items() if n not in METADATA}
    return refine(Refinement(lake, "run"), mirror(NAME, ("a", "b"), columns, "at"))  # type: ignore[arg-type]


def alive(lake: Lake) -> list[int]:
    """Return the keys that silver shows."""
    rows = lake.must_open("silver", NAME).scan().collect()
    return sorted(rows.filter(~rows.get_column("_deleted")).get_column("a").to_list())


def test_keys_that_are_gone_are_deleted_and_nothing_is_landed_for_it(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    reading = source(database, cursor="at")
    take(lake, reading)
    keep(lake)
    connection.execute("DELETE FROM rows WHERE a <= 7")
    keys, caught_up = compare(lake, reading)
    assert (keys.keys_noted, keys.missing, keys.read, caught_up.landed) == (93, 0, 0, 0)
    assert keep(lake).report.deleted == 7
    assert alive(lake) == list(range(8, 101))
    assert len(landed(lake)) == 100
    assert not keep(lake).report.committed


def test_a_row_that_was_written_while_the_keys_were_read_is_not_deleted(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in silver and not among the keys; the live stream, which catches up before the end mark, shows it."""
    reading = source(database, cursor="at", commit_lag_s=0)
    take(lake, reading)
    keep(lake)
    real = lake.put_rows

    def meanwhile(*arguments: object) -> int:
        count = real(*arguments)  # type: ignore[arg-type]
        connection.execute("INSERT INTO rows VALUES (200, 'new', now(), 1)")
        return count

    monkeypatch.setattr(lake, "put_rows", meanwhile)
    compare(lake, reading)
    assert keep(lake).report.deleted == 0
    assert 200 in alive(lake)


def test_too_many_at_once_close_the_gate_until_somebody_allows_them(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    reading = source(database, cursor="at")
    take(lake, reading)
    keep(lake)
    connection.execute("DELETE FROM rows WHERE a > 70")
    compare(lake, reading)
    outcome = keep(lake)
    assert outcome.gate is not None
    assert not outcome.gate.open
    assert "30 of 100 keys vanished, allowed are 20%" in outcome.gate.reasons[0]
    assert alive(lake) == list(range(1, 101))
    compare(lake, reading, share=0.5)
    assert keep(lake).report.deleted == 30
    assert alive(lake) == list(range(1, 71))


def test_a_full_read_has_the_same_guard(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    reading = source(database)
    take(lake, reading, largest_vanishing_share=0.2)
    keep(lake)
    connection.execute("TRUNCATE rows")
    take(lake, reading, largest_vanishing_share=0.2)
    outcome = keep(lake)
    assert outcome.gate is not None
    assert not outcome.gate.open
    assert len(alive(lake)) == 100
    take(lake, reading)
    assert keep(lake).report.deleted == 100


def test_rows_that_were_passed_by_are_counted(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    reading = source(database, cursor="at")
    take(lake, reading)
    connection.execute(
        "INSERT INTO rows VALUES (101, 'x', now() - interval '1 year', 1), (102, 'y', NULL, 1)"
    )
    keys, *_ = compare(lake, reading)
    assert (keys.keys_noted, keys.missing) == (102, 2)
    assert "2 keys of the source are not in bronze" in keys.warnings[0]


def test_a_comparison_that_was_cut_short_deletes_nothing(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = source(database, cursor="at")
    take(lake, reading)
    keep(lake)
    connection.execute("DELETE FROM rows WHERE a = 1")
    with monkeypatch.context() as patch:
        patch.setattr(lake, "must_open", _raise)
        with pytest.raises(ReadIncomplete):
            compare(lake, reading)
    assert not keep(lake).report.committed
    compare(lake, reading)
    assert keep(lake).report.deleted == 1


def test_a_full_read_that_fails_leaves_everything_as_it_was(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    """The table loses a column's rights in the middle: what was landed of the new generation deletes nothing."""
    reading = source(database)
    take(lake, reading)
    keep(lake)
    connection.execute("DELETE FROM rows WHERE a > 50; ALTER TABLE rows RENAME TO other")
    with pytest.raises(SourceMissing):
        take(lake, source(database))
    assert not keep(lake).report.committed
    assert len(alive(lake)) == 100


def test_a_table_without_a_key_cannot_be_compared(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute("ALTER TABLE rows DROP CONSTRAINT rows_pkey")
    with pytest.raises(SettingsError, match="without a key"):
        compare(lake, source(database, cursor="at"))


def _raise(*_: object, **__: object) -> None:
    raise ReadIncomplete("The process ended here.")
