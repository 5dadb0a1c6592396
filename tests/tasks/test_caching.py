"""What is taken from the cache and what never is, as Prefect does it: seen by what ran and by the states' names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from prefect import flow

from headworks.gold import curation
from headworks.gold.curation import GoldTable, stage
from headworks.prefect.steps import gold as gold_tasks
from headworks.prefect.steps.extract import Run
from headworks.quality import contracts
from headworks.reports import LandingReport
from headworks.storage.store import Lake
from tasks.extract import extract_table
from tasks.gold import audit_gold, commit_gold, pin_silver, stage_gold
from tests.conftest import PostgresServer
from tests.support.golden import fill, tables
from tests.support.items import NAME
from tests.support.sources import items
from tests.support.task_runs import ended_task_runs

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def each(lake: Lake, tmp_path: Path) -> GoldTable:
    """A gold table that exists, with newer silver to make it of."""
    each = tables(tmp_path / "contracts")[0]
    fill(lake, items(1, 3))
    lake.ensure("gold", each.name, pl.Schema({"id": pl.Int64(), "v": pl.Int64(), "money": pl.Decimal(38, 2)}))
    return each


def states_of(task_name: str, story: Callable[[], Any], runs: int) -> list[str]:
    """Run something as a flow, and return the names of the states that its runs of one task ended in."""
    from prefect.runtime import flow_run

    ids: list[str] = []

    @flow(name="caching")
    def notices() -> None:
        ids.append(str(flow_run.id))
        story()

    notices()
    return [str(run.state_name) for run in ended_task_runs(ids[0], runs, task_name)]


def test_a_candidate_of_pinned_silver_is_staged_once_and_then_taken_from_the_cache(
    run: Run, each: GoldTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: list[str] = []
    real = curation.stage

    def stage(*arguments: Any, **named: Any) -> Any:
        staged.append("made")
        return real(*arguments, **named)

    monkeypatch.setattr(gold_tasks, "stage", stage)

    def story() -> None:
        first = stage_gold(run, each, pin_silver(run, (NAME,)))
        second = stage_gold(run, each, pin_silver(run, (NAME,)))
        assert first == second

    assert sorted(states_of("stage", story, runs=2)) == ["Cached", "Completed"]
    assert staged == ["made"]


def test_a_run_that_wants_a_table_whole_does_not_take_what_was_kept_of_its_parts(
    run: Run, each: GoldTable
) -> None:
    pins, full = pin_silver.fn(run, (NAME,)), run.model_copy(update={"mode": "full"})

    def key(of: Run, table: GoldTable) -> str | None:
        return gold_tasks.staged_key(None, {"run": of, "gold": table, "pins": pins})  # type: ignore[arg-type]

    assert key(run, each) == key(full, each)
    by_parts = replace(each, by=("id",))
    assert key(run, by_parts) != key(full, by_parts)


def test_other_silver_other_code_or_another_lake_is_another_candidate(
    run: Run, each: GoldTable, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [gold_tasks.staged_key(None, {"run": run, "gold": each, "pins": pin_silver.fn(run, (NAME,))})]  # type: ignore[arg-type]
    fill(lake, items(1, 4))
    pins = pin_silver.fn(run, (NAME,))
    keys.append(gold_tasks.staged_key(None, {"run": run, "gold": each, "pins": pins}))  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(GoldTable, "code", lambda self: 1)
        keys.append(gold_tasks.staged_key(None, {"run": run, "gold": each, "pins": pins}))  # type: ignore[arg-type]
    other = replace(each, name="t.other")
    keys.append(gold_tasks.staged_key(None, {"run": run, "gold": other, "pins": pins}))  # type: ignore[arg-type]
    assert keys[-1] is None, "there is no table yet that could be named"
    assert len(set(keys)) == 4


def test_in_a_restored_lake_the_same_number_of_changes_is_another_candidate(
    run: Run, each: GoldTable, lake: Lake, tmp_path: Path
) -> None:
    """What was kept for rows that were lost with the lake must open no gate for others."""
    root = Path(lake.settings.root)
    shutil.copytree(root, tmp_path / "backup")
    seen = []
    for count in (4, 5):
        fill(lake, items(1, count))
        pins = pin_silver.fn(run, (NAME,))
        key = gold_tasks.staged_key(None, {"run": run, "gold": each, "pins": pins})  # type: ignore[arg-type]
        seen.append((pins.tables[0].change, key))
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "backup", root)
    (first, second) = seen
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_an_open_gate_is_remembered_and_a_closed_one_is_not(
    run: Run, each: GoldTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan that failed for want of memory must be made again by the next run."""
    scans: list[str] = []
    real = contracts._verify

    def scan(*arguments: Any) -> Any:
        scans.append("scan")
        if len(scans) == 1:
            raise MemoryError("no memory is left")
        return real(*arguments)

    monkeypatch.setattr(contracts, "_verify", scan)
    opened: list[bool] = []

    def story() -> None:
        staged = stage_gold(run, each, pin_silver(run, (NAME,)))
        for _ in range(3):
            gate = audit_gold(run, each, staged).gate
            assert gate is not None
            opened.append(gate.open)

    assert sorted(states_of("audit", story, runs=3)) == ["Cached", "Completed", "Completed"]
    assert opened == [False, True, True]
    assert len(scans) == 2


def test_another_text_of_the_contract_is_another_audit(run: Run, lake: Lake, each: GoldTable) -> None:
    staged = stage(lake, each, pin_silver.fn(run, (NAME,)))

    def key() -> str | None:
        return gold_tasks.audit_key(None, {"run": run, "gold": each, "staged": staged})  # type: ignore[arg-type]

    first = key()
    assert first is not None
    assert key() == first
    each.contract.write_text(each.contract.read_text() + "# stricter\n")
    assert key() != first
    each.contract.unlink()
    assert key() is None


def test_a_landing_is_never_taken_from_the_cache(
    run: Run, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same task with the same arguments, three times: what is new in between is landed."""
    dsn = postgres.new_database()
    monkeypatch.setenv("HEADWORKS_SOME_DATABASE_URL", dsn)
    reports: list[LandingReport] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE things (id bigint, at bigint)")
        connection.execute("INSERT INTO things VALUES (1, 1)")

        def story() -> None:
            for number in (2, 3, 4):
                reports.extend(extract_table(run, "some-database", "public", "things", "at", "t.things"))
                connection.execute("INSERT INTO things VALUES (%s, %s)", (number, number))

        assert states_of("extract", story, runs=3) == ["Completed"] * 3
    # The account of one run continues from try to try.
    assert [report.landed for report in reports] == [1, 2, 3]


def test_a_commit_is_never_taken_from_the_cache(run: Run, each: GoldTable) -> None:
    def story() -> None:
        staged = stage_gold(run, each, pin_silver(run, (NAME,)))
        audited = audit_gold(run, each, staged)
        commit_gold(run, staged, audited)

    assert states_of("commit", story, runs=1) == ["Completed"]
    assert states_of("commit", story, runs=1) == ["Completed"]
