"""Which audits are kept for the next run: one that let a candidate through, and none that did not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_HOME, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from headworks.lake.gold import Staged
from headworks.lake.store import Lake
from headworks.observe.report import GateReport
from headworks.settings import LakeSettings
from shop.gold import DAILY
from tasks import gold
from tasks.extract import Run

pytestmark = pytest.mark.server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[None]:
    """A Prefect server of the test's own, with an empty cache."""
    with (
        temporary_settings({PREFECT_HOME: tmp_path / "prefect", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        prefect_test_harness(),
    ):
        yield


@pytest.mark.usefixtures("server")
def test_a_closed_gate_is_asked_again_by_the_next_run_and_an_open_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a scan that broke once would keep the gate closed for an hour."""
    root = str(tmp_path / "lake")
    table = Lake(LakeSettings(root=root)).ensure("gold", DAILY.name, pl.Schema({"day": pl.Date()}))
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", root)
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
