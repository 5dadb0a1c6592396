"""Contracts on Postgres itself: what does not hold there, or cannot be looked at, is never seen by a reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import psycopg
import pytest

from headworks.gold.holding import made_holds
from headworks.gold.table import Staged, write_staged
from headworks.publish.postgres import publish_postgres, refuse_unpublishable
from headworks.quality import postgres_contracts
from headworks.quality.contracts import verify
from headworks.reports import PublishReport
from headworks.settings import DatabaseSettings
from headworks.storage.store import Lake
from tests.support.golden import PUBLISHED, named
from tests.support.sources import items

SCHEMA = "analytics"
HEAD = f"dataset: postgres/{SCHEMA}/each\ncolumns:\n- name: id\n  checks:\n  - missing:\n"
HOLDS = (
    HEAD
    + "checks:\n- schema:\n    allow_extra_columns: true\n- row_count:\n    threshold:\n      must_be: 3\n"
)


def published(
    lake: Lake, database: DatabaseSettings, folder: Path, text: str, last: int = 3
) -> PublishReport:
    contract = folder / "each.yml"
    contract.write_text(dedent(text))
    version = named(lake, folder / "contracts", items(1, last), f"run {last}")
    tables = tuple(
        replace(table, contract=contract) if table.name == "each" else table for table in PUBLISHED
    )
    return publish_postgres(lake, database, SCHEMA, version, tables)


def shown(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Return what readers see; nothing where there is not even a table."""
    row = connection.execute("SELECT to_regclass('analytics.each')").fetchone()
    if row is None or row[0] is None:
        return []
    return connection.execute("SELECT id FROM analytics.each ORDER BY id").fetchall()


def test_a_contract_that_holds_is_looked_at_in_postgres_and_lets_the_publication_through(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, tmp_path: Path
) -> None:
    report = published(lake, database, tmp_path, HOLDS)
    (gate,) = report.gates
    assert (gate.open, gate.scope, report.changed) == (True, "postgres.analytics.each", True)
    assert {check.outcome for check in gate.checks} == {"passed"}
    assert len(gate.checks) == 3
    assert shown(connection) == [(1,), (2,), (3,)]


def test_a_contract_that_fails_leaves_the_last_publication_and_the_mended_one_publishes(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, tmp_path: Path
) -> None:
    published(lake, database, tmp_path, HOLDS)
    report = published(lake, database, tmp_path, HOLDS, last=5)
    assert (report.gates[0].open, report.changed, report.tables) == (False, False, ())
    assert "Row count" in report.gates[0].reasons[0]
    assert shown(connection) == [(1,), (2,), (3,)]
    assert published(lake, database, tmp_path, HOLDS.replace("must_be: 3", "must_be: 5"), last=5).changed
    assert len(shown(connection)) == 5


CANNOT_BE_EVALUATED = {
    "SQL that is wrong": (HEAD + "checks:\n- failed_rows:\n    expression: nope > 1\n", "nope"),
    "SQL that fails on a row": (
        HEAD + "checks:\n- failed_rows:\n    expression: 1 / (id - id) > 1\n",
        "zero",
    ),
    "a column that is not there": (HEAD.replace("name: id", "name: nope"), "nope"),
    "no check at all": (f"dataset: postgres/{SCHEMA}/each\ncolumns:\n- name: id\n", "no check"),
    "a key that Soda does not know": (
        HEAD + "checks:\n- row_count:\n    treshold:\n      must_be: 3\n",
        "treshold",
    ),
    "another table": (HEAD.replace("/each", "/sums"), "published is analytics.each"),
    "another schema": (HEAD.replace(f"/{SCHEMA}/", "/public/"), "published is analytics.each"),
    "a contract for the lake": (HEAD.replace("postgres/", "lake/"), "postgres/<schema>/<table>"),
    "a filter that leaves no row": (
        HEAD.replace("columns:", "filter: id > 100\ncolumns:"),
        "dataset_rows_tested=0",
    ),
    "a figure of nothing": (
        HEAD + "checks:\n- metric:\n    expression: max(CASE WHEN id < 0 THEN id END)\n"
        "    threshold:\n      must_be: 1\n",
        "not evaluated",
    ),
    "an empty file": ("", "not of type 'object'"),
}


@pytest.mark.parametrize("case", CANNOT_BE_EVALUATED)
def test_a_contract_that_cannot_be_evaluated_publishes_nothing(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, tmp_path: Path, case: str
) -> None:
    text, output = CANNOT_BE_EVALUATED[case]
    report = published(lake, database, tmp_path, text)
    assert not report.gates[0].open
    assert output in " ".join(report.gates[0].reasons)
    assert shown(connection) == []
    assert connection.execute("SELECT to_regclass('analytics._headworks_products')").fetchone() == (None,)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("case", ["holds", "fails", *CANNOT_BE_EVALUATED])
@pytest.mark.parametrize("shown_before", [False, True], ids=["first", "again"])
def test_what_is_asked_before_the_lake_moves_is_what_the_publication_says(
    lake: Lake,
    database: DatabaseSettings,
    connection: psycopg.Connection,
    tmp_path: Path,
    case: str,
    shown_before: bool,
) -> None:
    """One decision for both, over contracts that hold, fail and cannot be asked; asking leaves nothing behind."""
    if shown_before:
        published(lake, database, tmp_path, HOLDS)
    last = 4 if case == "fails" else 3
    text = dedent(CANNOT_BE_EVALUATED[case][0] if case in CANNOT_BE_EVALUATED else HOLDS)
    (tmp_path / "each.yml").write_text(text)
    before = shown(connection)
    tables = tuple(
        replace(one, contract=tmp_path / "each.yml" if one.name == "each" else None) for one in PUBLISHED
    )
    version = named(lake, tmp_path / "contracts", items(1, last), "run asked")
    staged = []
    for table in PUBLISHED:
        frame = lake.must_open("gold", table.dataset).scan().collect()
        write_staged(lake, table.dataset, "asked", frame)
        staged.append(
            Staged(
                dataset=table.dataset, staging_id="asked", base_version=0, inputs={}, code=1, rows=frame.height,
                fresh=True, changed=True,
            )
        )  # fmt: skip
    asked = refuse_unpublishable(lake, database, SCHEMA, version.product, tables, staged, dry_run=True)
    assert made_holds(lake) == ()
    assert shown(connection) == before
    assert [gate.scope for gate in asked] == [f"postgres.{SCHEMA}.each"]
    assert asked[0].open == (case == "holds")
    report = publish_postgres(lake, database, SCHEMA, version, tables)
    if report.gates:
        assert [(gate.open, gate.reasons) for gate in asked] == [
            (gate.open, gate.reasons) for gate in report.gates
        ]


def test_a_contract_file_that_is_gone_publishes_nothing(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, tmp_path: Path
) -> None:
    version = named(lake, tmp_path / "contracts", items(1, 3))
    gone = tmp_path / "gone.yml"
    gone.write_text("")
    tables = tuple(replace(table, contract=gone) for table in PUBLISHED)
    gone.unlink()
    report = publish_postgres(lake, database, SCHEMA, version, tables)
    assert [gate.open for gate in report.gates] == [False, False]
    assert shown(connection) == []


def test_soda_cannot_end_the_transaction_that_it_looks_into(
    lake: Lake,
    database: DatabaseSettings,
    connection: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a scan does to its connection, nothing is committed by it, and a closed gate still shows nothing."""
    scan = verify

    def meddling(contract: Path, source: Any) -> Any:
        result = scan(contract, source)
        lent = source.data_source_connection.connection
        lent.commit()
        lent.rollback()
        lent.close()
        return result

    monkeypatch.setattr(postgres_contracts, "verify", meddling)
    assert not published(lake, database, tmp_path, HOLDS.replace("must_be: 3", "must_be: 4")).gates[0].open
    assert shown(connection) == []
    assert published(lake, database, tmp_path, HOLDS).changed
    assert len(shown(connection)) == 3


def test_a_failed_query_that_soda_keeps_to_itself_publishes_nothing(
    lake: Lake,
    database: DatabaseSettings,
    connection: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commit of a transaction in which a query failed is a rollback that raises nothing: it is asked before."""
    scan = verify

    def keeping_quiet(contract: Path, source: Any) -> Any:
        result = scan(contract, source)
        with source.data_source_connection.connection.cursor() as cursor, pytest.raises(psycopg.Error):
            cursor.execute("SELECT nope")
        return result

    monkeypatch.setattr(postgres_contracts, "verify", keeping_quiet)
    report = published(lake, database, tmp_path, HOLDS)
    assert not report.gates[0].open
    assert "a query of the scan failed" in report.gates[0].reasons[0]
    assert shown(connection) == []
