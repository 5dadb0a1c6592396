"""Which audits are kept for the next run: one that let a candidate through, and none that did not."""

from __future__ import annotations

import polars as pl
import pytest
from prefect import flow

from headworks.lake.gold import Staged
from headworks.lake.store import Lake
from headworks.observe.report import GateReport
from shop.gold import DAILY
from tasks import gold
from tasks.extract import Run

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


def test_a_closed_gate_is_asked_again_by_the_next_run_and_an_open_one_is_not(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a scan that broke once would keep the gate closed for an hour."""
    table = lake.ensure("gold", DAILY.name, pl.Schema({"day": pl.Date()}))
    staged = Staged(
        dataset=DAILY.name, staging_id="a", base_version=table.version, inputs={}, code=1, rows=1, fresh=True
    )
    asked = []

    def audit(*_: object) -> GateReport:
        asked.append(len(asked))
        return GateReport(
            scope="gold.sales.daily", open=len(asked) > 1, reasons=("broken",) * (len(asked) < 2)
        )

    monkeypatch.setattr(gold, "audit", audit)

    @flow(persist_result=True)
    def ask(number: int) -> bool:
        run = Run(run_id=str(number), lake="lake", mode="incremental")
        gate = gold.audit_gold(run, DAILY, staged).gate
        assert gate is not None
        return gate.open

    assert [ask(number) for number in range(3)] == [False, True, True]
    assert asked == [0, 1], "a closed decision was kept, or an open one was made twice"
