"""The run report, its record, its equations and its text: every number shown is one that a step reported."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headworks.errors import AccountMismatch
from headworks.names import Window
from headworks.ops.account import account_markdown, account_text, steps_text
from headworks.ops.ledger import last_run, record_run
from headworks.ops.recorder import Recorder
from headworks.reconcile import differences, reconcile
from headworks.reports import (
    CheckReport,
    CurateReport,
    GateReport,
    LandingReport,
    PublishedRows,
    PublishReport,
    RefineReport,
    RunReport,
    StepCost,
    TableRef,
)
from headworks.settings import LakeSettings
from headworks.storage.store import Lake

BEGINNING = datetime(2026, 1, 5, 8, tzinfo=UTC)


def ref(name: str) -> TableRef:
    return TableRef(table=name, version=1)


def landing(**counts: Any) -> LandingReport:
    return LandingReport(dataset="t.x", stream="t.x", table=ref("bronze.t.x"), **counts)


def refined(**counts: Any) -> RefineReport:
    return RefineReport(dataset="t.x", table=ref("silver.t.x"), **counts)


def gold(rows: int, *, changed: bool = True, dataset: str = "t.x") -> CurateReport:
    return CurateReport(table=ref(f"gold.{dataset}"), rows=rows, changed=changed)


def published(*rows: int, changed: bool = True) -> PublishReport:
    tables = tuple(
        PublishedRows(table=f"analytics.t{n}", dataset=f"t.{'xyz'[n]}", rows=count)
        for n, count in enumerate(rows)
    )
    return PublishReport(target="postgresql://h/d", product="t", sequence=7, tables=tables, changed=changed)


def closed() -> GateReport:
    failed = CheckReport(
        scope="silver.t.x", name="row|count", kind="contract", outcome="failed", detail="n=1"
    )
    passed = CheckReport(scope="silver.t.x", name="no nulls", kind="contract", outcome="passed")
    return GateReport(
        scope="silver.t.x", open=False, checks=(failed, passed), reasons=("row|count: failed (n=1)",)
    )


def recorder(**more: Any) -> Recorder:
    moments = iter(BEGINNING + timedelta(seconds=n * 90) for n in range(100))
    return Recorder("run-1", "sales", "incremental", "/lake", clock=lambda: next(moments), **more)


def full() -> RunReport:
    record = recorder(window=Window(start=BEGINNING, end=BEGINNING + timedelta(days=1)))
    record.landings += [landing(read=1234, landed=1200, repeated=34), landing(read=6, landed=6)]
    record.refinements.append(
        refined(
            landed=1206, released=4, inserted=900, updated=100, rejected=10, reasons={"v|min": 9, "orphan": 2},
            superseded=150, unchanged=50, deleted=3, waiting=8,
        )
    )  # fmt: skip
    record.gate(closed())
    record.gold += [gold(40), gold(2, dataset="t.y")]
    record.publications.append(published(40, 2))
    record.links["the run"] = "http://ui/runs/1"
    return record.report("published")


def test_a_balanced_run_has_no_difference() -> None:
    assert differences(full()) == []
    reconcile(full())


counts = st.integers(0, 50)


@given(counts, counts, counts, st.integers(-2, 2))
def test_a_landing_balances_exactly_if_what_was_read_landed_or_was_known(
    landed: int, repeated: int, would: int, off: int
) -> None:
    record = recorder()
    record.landings.append(
        landing(read=landed + repeated + would + off, landed=landed, repeated=repeated, would_land=would)
    )
    assert bool(differences(record.report("published"))) is (off != 0)


@given(st.lists(counts, min_size=6, max_size=6), st.integers(-2, 2))
def test_a_range_balances_exactly_if_each_row_became_one_thing(parts: list[int], off: int) -> None:
    inserted, updated, rejected, superseded, unchanged, released = parts
    record = recorder()
    record.refinements.append(
        refined(
            landed=inserted + updated + rejected + superseded + unchanged - released + off,
            inserted=inserted, updated=updated, rejected=rejected, superseded=superseded, unchanged=unchanged,
            released=released,
        )
    )  # fmt: skip
    assert bool(differences(record.report("published"))) is (off != 0)


@given(counts, counts, counts, st.booleans(), st.integers(-2, 2))
def test_what_was_pending_balances_exactly_with_what_was_taken_held_and_left(
    landed: int, held: int, behind: int, committed: bool, off: int
) -> None:
    record = recorder()
    taken = landed if committed else 0
    record.refinements.append(
        refined(
            landed=landed, inserted=landed, committed=committed, pending=taken + held + behind + off, newly_held=held,
            behind=behind,
        )
    )  # fmt: skip
    assert bool(differences(record.report("published"))) is (off != 0)


def test_one_row_less_published_than_in_gold_fails_the_run() -> None:
    record = recorder()
    record.gold.append(gold(40))
    record.publications.append(published(39))
    with pytest.raises(
        AccountMismatch, match=r"gold\.t\.x has 40 rows, published in analytics\.t0 are 39"
    ) as caught:
        reconcile(record.report("published"))
    assert caught.value.where == "run run-1"


def test_a_publication_of_some_of_the_tables_is_held_against_just_these() -> None:
    record = recorder()
    record.gold.append(gold(40))
    record.gold.append(gold(7, dataset="t.other"))
    record.publications.append(published(40))
    reconcile(record.report("published"))


def test_the_recorder_keeps_what_was_told_even_if_the_run_ends_badly() -> None:
    record = recorder()
    record.landings.append(landing(read=1, landed=1))
    report = record.report("failed", "it broke")
    assert (report.status, report.message, len(report.landings)) == ("failed", "it broke", 1)
    assert report.seconds == 90


def test_a_gate_is_kept_once_however_often_it_is_told() -> None:
    record = recorder()
    for output in (None, closed(), closed()):
        record.gate(output)
    assert len(record.gates) == 1


@pytest.mark.parametrize(
    ("in_gold", "in_database", "changed"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_a_run_changed_something_if_gold_or_a_publication_did(
    in_gold: bool, in_database: bool, changed: bool
) -> None:
    record = recorder()
    record.gold.append(gold(1, changed=in_gold))
    record.publications.append(published(1, changed=in_database))
    assert record.changed() is changed


def test_a_dry_run_on_a_new_lake_has_no_silver_to_curate() -> None:
    record = recorder()
    record.refinements.append(refined())
    assert not record.has_silver()


def test_the_account_shows_every_number_of_the_report() -> None:
    text = account_text(full())
    for part in (
        "sales · incremental · published · 90.0 s",
        "window 2026-01-05T08:00:00Z to 2026-01-06T08:00:00Z",
        "1,240", "1,206", "34",
        "1,000", "150", "v|min", "orphan",
        "CLOSED", "row|count: failed (n=1)",
        "analytics.t0", "t 7",
        "The lake is at /lake", "t is published in postgresql://h/d", "the run: http://ui/runs/1",
    ):  # fmt: skip
        assert part in text, part


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_right() -> None:
    lines = account_text(full()).splitlines()
    at = lines.index("Bronze: read and landed")
    header, rule, *rows = lines[at + 1 : at + 5]
    assert [len(part) for part in rule.split()] == [7, 5, 6, 7, 10]
    assert header.rstrip().endswith("read again")
    assert all(row.endswith("34") for row in rows)


def test_the_same_account_as_markdown_keeps_bars_inside_their_cells() -> None:
    markdown = account_markdown(full())
    assert markdown.startswith("# sales: published")
    assert "row\\|count: failed (n=1)" in markdown
    for line in markdown.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
            assert line.replace("\\|", "").count("|") in {4, 5, 6, 10}


def test_an_account_of_nothing_is_a_headline() -> None:
    assert account_text(recorder().report("failed", "why")) == (
        "sales · incremental · failed · 90.0 s\nwhy\n\nThe lake is at /lake\n"
    )


def test_a_report_survives_json_and_takes_no_other_field() -> None:
    report = full()
    assert RunReport.model_validate_json(report.model_dump_json()) == report
    with pytest.raises(ValidationError):
        RunReport.model_validate({**report.model_dump(), "rows": 3})


def test_the_ledger_gives_back_the_newest_report_and_every_check(tmp_path: Path) -> None:
    lake = Lake(LakeSettings(root=str(tmp_path / "lake")))
    assert last_run(lake, "sales") is None
    older = full()
    newer = older.model_copy(update={"run_id": "run-2", "finished_at": older.finished_at + timedelta(days=1)})
    for report in (newer, older):
        record_run(lake, report)
    assert last_run(lake, "sales") == newer
    assert last_run(lake, "another") is None
    checks = lake.must_open("ops", "checks").scan().sort("run_id", "name").collect()
    assert checks.select("run_id", "scope", "name", "kind", "outcome", "detail").rows() == [
        (run, "silver.t.x", name, "contract", outcome, detail)
        for run in ("run-1", "run-2")
        for name, outcome, detail in (("no nulls", "passed", ""), ("row|count", "failed", "n=1"))
    ]
    assert lake.must_open("ops", "runs").scan().select(pl.len()).collect().item() == 2


def test_what_a_publication_warned_of_is_in_the_account() -> None:
    record = recorder()
    shown = published(3).model_copy(
        update={"warnings": ("analytics.t0: note is not of gold, and is left as it is",)}
    )
    record.publications.append(shown)
    for text in (account_text(record.report("published")), account_markdown(record.report("published"))):
        assert "Publications: what to know" in text
        assert "is left as it is" in text


def test_the_account_shows_the_slowest_steps_and_what_the_others_took_and_all_are_shown_where_asked_for() -> (
    None
):
    record = recorder()
    record.costs += [
        StepCost(step=f"refine t{n}", seconds=n / 10, rows=1000 * n, peak_mb=90) for n in range(7)
    ]
    record.costs.append(StepCost(step="pin silver", seconds=9.0, failed=True))
    report = record.report("published")
    text = account_text(report)
    assert "Steps: where time went" in text
    assert re.search(r"pin silver \(failed\) +9\.00 +not known\n", text), text
    assert re.search(r"refine t6 +0\.60 +6,000 +90\n", text), text
    assert "refine t2" not in text
    assert "3 other steps took 0.30 s (headworks account --steps)" in text
    assert "refine t6" in account_markdown(report)
    every = steps_text(report)
    assert all(f"refine t{n} " in every for n in range(7)), every


def test_what_steps_cost_is_not_known_of_a_run_before_it_was_kept() -> None:
    assert "not known" in steps_text(full())
    assert "Steps" not in account_text(full())
