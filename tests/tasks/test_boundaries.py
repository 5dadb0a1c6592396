"""Each task: a name per run, a log line with counts, and a small result that is a reference."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import psycopg
import pytest
from prefect import flow
from pydantic import SecretStr

from headworks.prefect.steps.extract import Run
from headworks.publish.tables import PublishedTable
from headworks.sources.api.resource import Resource
from headworks.storage.store import Lake
from tasks.extract import extract_resource, extract_table
from tasks.gold import audit_gold, commit_gold, pin_silver, stage_gold
from tasks.publish import name_product, publish_tables
from tasks.refine import refine_dataset
from tests.conftest import PostgresServer
from tests.support.golden import tables
from tests.support.items import ITEM, NAME
from tests.support.served import numbered, served
from tests.support.task_runs import ended_task_runs
from tests.support.things import BY_PAGE, THINGS, thing

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

SECRET = "task-secret-never-shown"


def test_each_run_has_a_name_a_log_line_with_counts_and_a_small_result(
    run: Run,
    lake: Lake,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dsn = postgres.new_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id text, v text, at bigint)")
        connection.execute("INSERT INTO items SELECT n, n * 10, 1 FROM generate_series(1, 9) AS n")
        connection.execute("INSERT INTO items VALUES ('10', '-1', 1)")
    monkeypatch.setenv("HEADWORKS_SOME_DATABASE_URL", dsn)
    monkeypatch.setenv("HEADWORKS_SOME_API_TOKEN", SECRET)
    each = tables(tmp_path / "contracts")[0]
    resource: Resource = BY_PAGE
    ids: list[str] = []

    @flow(name="boundaries")
    def story() -> None:
        from prefect.runtime import flow_run

        ids.append(str(flow_run.id))
        extract_table(run, "some-database", "public", "items", "at", NAME)
        extract_resource(run, "some-api", resource, THINGS.name)
        refine_dataset(run, ITEM)
        staged = stage_gold(run, each, pin_silver(run, (NAME,)))
        committed = commit_gold(run, staged, audit_gold(run, each, staged))
        product = name_product(run, "t", (committed.table,))
        shown = (PublishedTable(each.name, "each", ("id",)),)
        publish_tables(run, "some-database", "analytics", product, shown)

    with served(numbered([thing(number) for number in range(1, 4)])) as api, caplog.at_level(logging.INFO):
        monkeypatch.setenv("HEADWORKS_SOME_API_BASE_URL", api.url)
        story()
    assert sorted(run.name for run in ended_task_runs(ids[0], count=9)) == [
        "audit t.each",
        "commit t.each",
        "extract t.items",
        "extract t.things",
        "name product t",
        "pin silver",
        "publish to some-database",
        "refine t.items",
        "stage t.each",
    ]
    for line in (
        "t.items: 10 read, 10 landed in 1 batches, 0 refused, 0 read again, 0 would land",
        "t.things: 3 read, 3 landed in 1 batches, 0 refused, 0 read again, 0 would land",
        "t.items: 10 in range, 9 accepted, 1 rejected, 0 superseded, 0 unchanged, 0 deleted, 0 waiting",
        "t.each: 9 rows, changed",
        "t.each: 5 checks passed",
        "t.each: 9 rows at version 1, changed",
        "t: publication 1, new",
        "publication 1, 9 rows written, 0 removed",
    ):
        assert line in caplog.text, line
    assert SECRET not in caplog.text
    _assert_small_results(tmp_path / "results")


def _assert_small_results(folder: Path) -> None:
    """Look at what Prefect kept: JSON of a few kilobytes, with no row and no secret in it."""
    kept = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert kept
    for text in kept:
        assert len(text) < 20_000
        assert json.loads(text)
        assert SECRET not in text
        assert "thing 2" not in text, "a record is in a result"


def test_a_run_opens_the_lake_that_its_block_describes(run: Run, lake: Lake) -> None:
    assert run.open_lake().settings.root == lake.settings.root
    assert SecretStr(SECRET) not in run.model_dump().values()
