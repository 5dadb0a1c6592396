"""A flow as a program: how it ends is its exit code, and what went wrong is one message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.sales import sales
from headworks.errors import AccountMismatch, ConcurrentRun, GateClosed, HeadworksError, SourceUnavailable
from headworks.names import Window
from headworks.ops.backfills import PlannedWindow
from headworks.ops.freshness import FreshnessReport
from headworks.ops.maintenance import TableCare
from headworks.prefect.console import FAILED, GATE_CLOSED, OK, REFUSED, run_as_program
from headworks.reports import RunReport, RunStatus
from headworks.settings import RejectLimits
from tests.flows.conftest import WORLD
from tests.flows.test_gate import change_orders
from tests.support.sales import Place

NOW = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder where no stack has left its address."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ending(status: RunStatus) -> Callable[[], RunReport]:
    def flow() -> RunReport:
        """Do nothing."""
        return RunReport(
            run_id="r", flow="f", mode="incremental", status=status, started_at=NOW, finished_at=NOW
        )

    return flow


@pytest.mark.parametrize(
    ("status", "code"),
    [("published", OK), ("unchanged", OK), ("dry run", OK), ("refused", REFUSED)],
)
def test_the_exit_code_tells_how_a_run_ended(
    status: RunStatus, code: int, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_as_program(ending(status), ["--account", "reported/account.json"]) == code
    assert status in capsys.readouterr().out
    assert json.loads((elsewhere / "reported" / "account.json").read_text())["status"] == status


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (GateClosed("The gate is closed.", where="gold.x", do="look."), GATE_CLOSED),
        (ConcurrentRun("Another run.", where="x", do="wait."), REFUSED),
        (SourceUnavailable("It does not answer.", where="x", do="try."), FAILED),
        (AccountMismatch("A row is missing.", where="x", do="report."), FAILED),
    ],
)
def test_an_error_of_ours_is_one_message_with_its_class_and_what_to_do(
    problem: HeadworksError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def flow() -> RunReport:
        """Do nothing."""
        raise problem

    assert run_as_program(flow, []) == code
    output = capsys.readouterr().err
    assert output == f"\n{type(problem).__name__}: {problem}\n"
    assert "What to do:" in output


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ((), "nothing"),
        ("reported", "reported"),
        (
            (PlannedWindow(window=Window(start=NOW, end=NOW + timedelta(days=1)), state="done"),),
            "  start             end               state",
        ),
        ((TableCare(table="silver.x", files_before=1200, left=("busy",)),), "silver.x         1,200  busy"),
        (FreshnessReport(measured_at=NOW, tables=()), "nothing"),
    ],
)
def test_what_is_no_account_is_a_table_for_people_and_json_for_programs(
    result: Any, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def flow() -> Any:
        """Do nothing."""
        return result

    assert run_as_program(flow, []) == OK
    assert shown in capsys.readouterr().out
    assert run_as_program(flow, ["--json"]) == OK
    json.loads(capsys.readouterr().out)


@pytest.mark.server
def test_a_closed_gate_is_told_once_with_the_account_and_its_file_is_of_this_run(
    place: Place, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Twice while the shop lives on; a run that fails before it has an account leaves none of another's."""
    for name, value in place.variables().items():
        monkeypatch.setenv(name, value)
    seen = set()
    change_orders(monkeypatch, limits=RejectLimits(rows=0))
    for _ in range(2):
        capfd.readouterr()
        assert run_as_program(sales, []) == GATE_CLOSED
        printed = capfd.readouterr()
        assert printed.err.count("consumers keep the last good version") == 1
        assert "sales · incremental · gate closed" in printed.out
        account = json.loads((elsewhere / ".headworks" / "account.json").read_text())
        assert account["status"] == "gate closed"
        seen.add(account["run_id"])
        place.live(WORLD)
    assert len(seen) == 2
    assert run_as_program(sales, ["--param", "lake=absent"]) == FAILED
    assert not (elsewhere / ".headworks" / "account.json").exists(), "the account of another run was left"


def test_what_nobody_foresaw_is_not_hidden() -> None:
    def flow() -> RunReport:
        """Do nothing."""
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_as_program(flow, [])


def test_parameters_come_from_options(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def flow(
        mode: str = "", window: Any = None, dry_run: bool = False, lake: str = "", n: int = 0
    ) -> RunReport:
        """Do nothing."""
        seen.update(mode=mode, window=window, dry_run=dry_run, lake=lake, n=n)
        return ending("unchanged")()

    options = ["--mode", "full", "--start", "2025-01-01", "--end", "2025-01-02", "--dry-run"]
    assert run_as_program(flow, [*options, "--param", "lake=other", "--param", "n=7"]) == OK
    assert seen == {
        "mode": "full",
        "window": {"start": "2025-01-01", "end": "2025-01-02"},
        "dry_run": True,
        "lake": "other",
        "n": 7,
    }


@pytest.mark.server
def test_without_any_server_configured_the_flow_runs_with_one_of_its_own(
    new_place: Place, tmp_path: Path
) -> None:
    """Plain Python on a laptop: nothing but variables, no server, no stack, no file in the folder."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "HEADWORKS"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "flows.sales"],
        cwd=tmp_path,
        env={**clean, **new_place.variables(), "PREFECT_HOME": str(tmp_path / "own-home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "sales · incremental · published" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    account = json.loads((tmp_path / ".headworks" / "account.json").read_text())
    assert account["status"] == "published"
    assert not account["links"], "its server is gone, and so is its page"
    new_place.assert_true()
