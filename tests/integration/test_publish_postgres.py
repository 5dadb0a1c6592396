"""Publishing to Postgres: one transaction that readers see whole or not at all, and nothing of theirs is lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from headworks.errors import AccountMismatch, ConcurrentRun, PublicationRefused
from headworks.gold.products import ProductVersion
from headworks.publish import postgres as publishing
from headworks.publish.postgres import publish_postgres
from headworks.reports import PublishReport
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.storage.store import Lake
from tests.support.faults import Crash
from tests.support.golden import PRODUCT, PUBLISHED, named
from tests.support.published import ONE, SCHEMA, Rows, ask, single
from tests.support.sources import items
from tests.support.turns import Alongside


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    return tmp_path / "contracts"


def publish(lake: Lake, database: DatabaseSettings, version: ProductVersion) -> PublishReport:
    return publish_postgres(lake, database, SCHEMA, version, PUBLISHED)


def shown(connection: psycopg.Connection) -> tuple[Rows, Rows]:
    return (
        ask(connection, "SELECT id, v, money FROM analytics.each ORDER BY id"),
        ask(connection, "SELECT parity, v FROM analytics.sums ORDER BY parity"),
    )


def written(connection: psycopg.Connection) -> Rows:
    return ask(connection, "SELECT id, xmin::text, ctid::text FROM analytics.each ORDER BY id")


def expected(last: int) -> tuple[Rows, Rows]:
    numbers = range(1, last + 1)
    sums = [(parity, sum(10 * n for n in numbers if n % 2 == parity)) for parity in (0, 1)]
    return [(n, 10 * n, Decimal(10 * n) / 100) for n in numbers], sums


def recorded(connection: psycopg.Connection) -> Rows:
    return ask(connection, "SELECT product, sequence, run_id FROM analytics._headworks_products")


def test_all_tables_show_gold_and_the_sequence_is_recorded(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    report = publish(lake, database, named(lake, contracts, items(1, 4), "run-1"))
    assert shown(connection) == expected(4)
    assert recorded(connection) == [(PRODUCT, 1, "run-1")]
    assert [(t.table, t.rows, t.inserted, t.removed) for t in report.tables] == [
        ("analytics.each", 4, 4, 0),
        ("analytics.sums", 2, 2, 0),
    ]


def test_only_rows_that_differ_are_written(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    publish(lake, database, named(lake, contracts, items(1, 4)))
    before = written(connection)
    report = publish(lake, database, named(lake, contracts, items(1, 5)))
    assert written(connection)[:4] == before
    assert (report.tables[0].inserted, report.tables[0].removed) == (1, 0)
    assert shown(connection) == expected(5)


def test_a_repeated_publication_writes_nothing(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    version = named(lake, contracts, items(1, 4))
    publish(lake, database, version)
    before = written(connection)
    report = publish(lake, database, version)
    assert (report.changed, report.rows) == (False, 6)
    assert written(connection) == before


def test_an_older_publication_is_refused_and_changes_nothing(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    """A zombie that named its product, slept, and wakes after a later publication."""
    older = named(lake, contracts, items(1, 3), "zombie")
    publish(lake, database, named(lake, contracts, items(1, 6), "later"))
    with pytest.raises(ConcurrentRun, match="later"):
        publish(lake, database, older)
    assert shown(connection) == expected(6)
    assert recorded(connection) == [(PRODUCT, 2, "later")]


def test_without_the_recorded_sequence_an_older_publication_would_win(
    lake: Lake,
    database: DatabaseSettings,
    connection: psycopg.Connection,
    contracts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rule taken out: nothing is known of what is there."""
    older = named(lake, contracts, items(1, 3))
    publish(lake, database, named(lake, contracts, items(1, 6)))
    real = publishing._lock
    monkeypatch.setattr(publishing, "_lock", lambda *arguments: real(*arguments) * 0)
    publish(lake, database, older)
    assert shown(connection) == expected(3)


def test_a_publication_of_another_lake_is_refused(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path, tmp_path: Path
) -> None:
    publish(lake, database, named(lake, contracts, items(1, 4)))
    other = Lake(LakeSettings(root=str(tmp_path / "other")))
    foreign = named(other, contracts, items(1, 2))
    with pytest.raises(PublicationRefused, match="another lake") as caught:
        publish(other, database, foreign)
    assert "analytics._headworks_products" in caught.value.do
    assert shown(connection) == expected(4)
    connection.execute("DELETE FROM analytics._headworks_products")
    publish(other, database, foreign)
    assert shown(connection) == expected(2)


def test_grants_views_and_indexes_of_consumers_stay(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    publish(lake, database, named(lake, contracts, items(1, 4)))
    reader = f"reader_{connection.info.dbname}"
    connection.execute(f'CREATE ROLE "{reader}"'.encode())
    connection.execute(f'GRANT SELECT ON analytics.each TO "{reader}"'.encode())
    connection.execute("CREATE VIEW analytics.big AS SELECT id FROM analytics.each WHERE v > 30")
    connection.execute("CREATE INDEX by_value ON analytics.each (v)")
    connection.execute("COMMENT ON TABLE analytics.each IS 'asked for by the board'")
    publish(lake, database, named(lake, contracts, items(1, 8)))
    publish(lake, database, named(lake, contracts, [*items(1, 8), ("3", "777", 2)]))
    assert ask(connection, f"SELECT has_table_privilege('{reader}', 'analytics.each', 'SELECT')") == [(True,)]
    assert ask(connection, "SELECT count(*) FROM analytics.big") == [(6,)]
    assert ask(connection, "SELECT indexname FROM pg_indexes WHERE tablename = 'each' ORDER BY 1") == [
        ("by_value",),
        ("each_pkey",),
    ]
    assert ask(connection, "SELECT obj_description('analytics.each'::regclass)") == [
        ("asked for by the board",)
    ]


def test_readers_see_all_tables_change_at_once(
    lake: Lake,
    database: DatabaseSettings,
    connection: psycopg.Connection,
    contracts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looked at from another connection at every step of the transaction, with no reader blocked."""
    publish(lake, database, named(lake, contracts, items(1, 4)))
    seen: list[tuple[Rows, Rows]] = []
    for name in ("_replace", "apply_change", "note_shown", "_record"):
        real = getattr(publishing, name)

        def looked(*arguments: Any, real: Any = real) -> Any:
            result = real(*arguments)
            seen.append(shown(connection))
            return result

        monkeypatch.setattr(publishing, name, looked)
    publish(lake, database, named(lake, contracts, items(1, 9)))
    assert len(seen) == 7
    assert all(each == expected(4) for each in seen), "a reader saw half a publication"
    assert shown(connection) == expected(9)


@pytest.mark.parametrize("step", ["_replace", "apply_change", "record_table", "note_shown", "_record"])
def test_a_crash_in_the_middle_leaves_the_last_publication(
    lake: Lake,
    database: DatabaseSettings,
    connection: psycopg.Connection,
    contracts: Path,
    step: str,
) -> None:
    publish(lake, database, named(lake, contracts, items(1, 4)))
    version = named(lake, contracts, items(1, 9))
    real = getattr(publishing, step)

    def crash(*arguments: Any) -> Any:
        real(*arguments)
        raise Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, step, crash)
        with pytest.raises(Crash):
            publish(lake, database, version)
    assert shown(connection) == expected(4)
    assert recorded(connection)[0][1] == 1
    publish(lake, database, version)
    assert shown(connection) == expected(9)


def test_a_trigger_that_swallows_a_row_is_noticed_before_anybody_sees_it(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    publish(lake, database, named(lake, contracts, items(1, 4)))
    connection.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.id = 6 THEN RETURN NULL; END IF; RETURN NEW; END'"
    )
    connection.execute(
        "CREATE TRIGGER swallow BEFORE INSERT ON analytics.each FOR EACH ROW EXECUTE FUNCTION swallow()"
    )
    version = named(lake, contracts, items(1, 7))
    with pytest.raises(AccountMismatch, match="6 rows would be visible and 1 of gold's 7"):
        publish(lake, database, version)
    assert shown(connection) == expected(4)
    connection.execute("DROP TRIGGER swallow ON analytics.each")
    publish(lake, database, version)
    assert shown(connection) == expected(7)


def test_a_trigger_that_changes_a_value_is_noticed_too(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    publish(lake, database, named(lake, contracts, items(1, 4)))
    connection.execute(
        "CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := 0; RETURN NEW; END'"
    )
    connection.execute(
        "CREATE TRIGGER bend BEFORE INSERT ON analytics.each FOR EACH ROW EXECUTE FUNCTION bend()"
    )
    with pytest.raises(AccountMismatch):
        publish(lake, database, named(lake, contracts, items(1, 7)))
    assert shown(connection) == expected(4)


def test_rows_that_somebody_else_put_in_are_taken_away(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    publish(lake, database, named(lake, contracts, items(1, 4)))
    connection.execute("INSERT INTO analytics.each VALUES (99, 1, 1)")
    connection.execute("UPDATE analytics.each SET v = 0 WHERE id = 2")
    publish(lake, database, named(lake, contracts, items(1, 5)))
    assert shown(connection) == expected(5)


def test_a_second_publication_waits_for_the_first_and_then_goes_on(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    """While the first is in its transaction the second is at the lock: seen in the database, not by the clock."""
    first = named(lake, contracts, items(1, 4))
    second = named(lake, contracts, items(1, 8))
    real = publishing._record
    alongside: list[Alongside] = []

    def record(*arguments: Any) -> None:
        if not alongside:
            alongside.append(Alongside(lambda: publish(lake, database, second)).start())
            waiting = (
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            while ask(connection, waiting) != [(1,)]:
                assert not alongside[0].ended.is_reached(), "it did not wait"
                alongside[0].ended.wait_a_little()
        real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "_record", record)
        publish(lake, database, first)
        alongside[0].join()
    assert alongside[0].error is None
    assert shown(connection) == expected(8)
    assert recorded(connection)[0][1] == 2


def test_of_many_publications_at_once_the_latest_stays(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    """On an empty schema, so that they also compete for making it."""
    versions = [named(lake, contracts, items(1, last)) for last in range(3, 9)]
    start = threading.Barrier(len(versions))

    def one(version: ProductVersion) -> bool:
        start.wait(timeout=30)
        try:
            publish(lake, database, version)
        except ConcurrentRun:
            return False
        return True

    with ThreadPoolExecutor(len(versions)) as pool:
        published = list(pool.map(one, versions))
    assert published[-1], "the latest was refused"
    assert shown(connection) == expected(8)
    assert recorded(connection)[0][1] == len(versions)


def test_two_products_in_one_schema_have_sequences_of_their_own(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    publish(lake, database, named(lake, contracts, items(1, 3)))
    publish(lake, database, named(lake, contracts, items(1, 4)))
    publish_postgres(lake, database, SCHEMA, single(lake, pl.DataFrame({"id": [1]})), ONE)
    assert sorted(recorded(connection))[0][:2] == ("p", 1)


def test_a_role_that_may_not_create_can_publish_where_everything_is_there(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, contracts: Path
) -> None:
    publish(lake, database, named(lake, contracts, items(1, 3)))
    name = f"writer_{connection.info.dbname}"
    for statement in (
        f'CREATE ROLE "{name}" LOGIN',
        f'GRANT USAGE ON SCHEMA analytics TO "{name}"',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA analytics TO "{name}"',
    ):
        connection.execute(statement.encode())
    parts = psycopg.conninfo.conninfo_to_dict(database.libpq_url())
    limited = DatabaseSettings.model_validate(
        {"url": f"postgresql://{name}@/{parts['dbname']}?host={parts['host']}"}
    )
    publish(lake, limited, named(lake, contracts, items(1, 5)))
    assert shown(connection) == expected(5)
