"""Each flow has a command, so that nobody needs ``python -m``; parameters are options, a slip names what is near."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.backfill import backfill
from flows.deliveries import deliveries
from flows.ingest_api import ingest_api
from flows.pipeline import pipeline
from headworks.cli.main import USAGE, main
from headworks.cli.running import OWN, modules
from headworks.prefect import console
from headworks.prefect.console import FAILED, OK, run_as_program
from tests.support.sales import Place


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder without a project of its own: the shop is named by the variable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWORKS_PROJECT", "shop.project:SHOP")
    return tmp_path


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run the command; its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(str(ended.code or 0))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_every_command_is_in_the_help_with_what_it_is_for(said: Said) -> None:
    code, shown, _ = said("--help")
    assert code == 0
    assert "\nmore:\n" not in shown, "a command is in no group"
    for name in ("run", "status", "alerts", "deploy", *OWN):
        assert f"\n  {name} " in shown
    assert "64 the command is not" in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_run_lists_the_products_and_every_flow_without_importing_one(said: Said) -> None:
    for arguments in (("run",), ("run", "--help")):
        code, shown, _ = said(*arguments)
        assert code == 0
        for name in modules():
            assert f"\n  {'flows.sales' if name == 'sales' else name} " in shown


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (("statsu",), USAGE, "Did you mean status?"),
        (("quarantine", "shwo"), USAGE, "Did you mean show?"),
        (("run", "sale"), FAILED, "Did you mean sales?"),
        (("run", "maintenence"), FAILED, "Did you mean maintenance?"),
        (("run", "sales", "--param", "modee=full"), FAILED, "Did you mean mode?"),
        (("run", "sales", "--param", "on-conflict=wait"), FAILED, "Did you mean on_conflict?"),
        (("run", "sales", "--modee", "full"), FAILED, "Did you mean --mode?"),
        (("run", "sales", "--modus=full"), FAILED, "There is no option --modus=full. Did you mean --mode?"),
        (("run", "sales", "--dry_run"), FAILED, "Did you mean --dry-run?"),
        (("run", "sales", "--dry-run", "true"), FAILED, "'true' belongs to no option"),
        (("run", "churn_of_all", "--dry-run"), FAILED, "There is no product and no flow 'churn_of_all'"),
        (("run", "pipeline", "--accept", "quality: good"), FAILED, "--accept '[\"quality: good\"]'"),
        (("run", "pipeline", "--param", "accept=quality: good"), FAILED, "accept takes a list in JSON"),
        (("run", "sales", "--mode", "ful"), FAILED, "invalid choice: 'ful'"),
        (("run", "sales", "--start", "2026-01-01"), FAILED, "both its ends"),
        (
            ("backfill", "--start", "2026-01-01", "--end", "2026-02-01"),
            FAILED,
            "The parameter name is missing",
        ),
        (("maintenance", "--setings", "{}"), FAILED, "Did you mean --settings?"),
        (("freshness", "--param", "promise=[]"), FAILED, "Did you mean promises?"),
        (("run", "deliveries"), FAILED, "give --delivery, --action, --by, --note"),
    ],
)
def test_a_slip_names_what_is_near(arguments: tuple[str, ...], code: int, wanted: str, said: Said) -> None:
    ended, _, problem = said(*arguments)
    assert (ended, wanted in problem) == (code, True), problem
    assert "Traceback" not in problem


@pytest.mark.parametrize("flow", [pipeline, backfill, deliveries, ingest_api])
def test_every_parameter_is_an_option_and_named_in_the_help(
    flow: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_as_program(flow, ["--help"], prog="headworks run it")
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert "usage: headworks run it" in shown
    for name in flow.__wrapped__.__annotations__ if hasattr(flow, "__wrapped__") else ():
        assert name == "return" or f"--{name.replace('_', '-')} " in shown


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        (["--text", "007"], "text", "007"),
        (["--text", '"x y"'], "text", "x y"),
        (["--text", "true"], "text", "true"),
        (["--param", "text=12345678"], "text", "12345678"),
        (["--number", "7"], "number", 7),
        (["--items", '["a"]'], "items", ["a"]),
        (["--param", 'items=["a"]'], "items", ["a"]),
        (["--on"], "on", True),
        (["--no-off"], "off", False),
    ],
)
def test_a_value_is_what_the_parameter_says(given: list[str], name: str, value: object) -> None:
    seen: dict[str, object] = {}

    def flow(
        text: str = "", number: int = 0, items: list[str] | None = None, on: bool = False, off: bool = True
    ) -> str:
        """Do nothing."""
        seen.update(text=text, number=number, items=items, on=on, off=off)
        return "done"

    assert run_as_program(flow, given) == OK
    assert seen[name] == value


def test_a_value_comes_from_a_file_as_well(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text('["a", "b"]')
    seen: list[list[str]] = []

    def flow(items: list[str]) -> str:
        """Do nothing."""
        seen.append(items)
        return "done"

    assert run_as_program(flow, ["--items", "@items.json"]) == OK
    assert seen == [["a", "b"]]


def test_that_the_last_log_lines_are_still_sent_is_no_news_and_that_they_are_not_taken_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr("headworks.prefect.console.time.monotonic", lambda: now)
    logger = logging.getLogger("APILogWorker")
    before = list(logger.filters)
    try:
        for _ in range(2):
            console._quiet_end()
        with caplog.at_level("WARNING"):
            for now in (400.0, 404.0, 429.0, 431.0, 435.0):
                logger.warning("Still processing items: %d items remaining...", now)
            logger.warning("Something else")
    finally:
        logger.filters[:] = before
    assert [record.getMessage().partition(": ")[2][:8] for record in caplog.records] == [
        "431 item",
        "435 item",
        "",
    ]


@pytest.mark.parametrize("chosen", [False, True])
def test_that_a_server_of_the_run_s_own_takes_no_events_is_no_news(
    chosen: bool, caplog: pytest.LogCaptureFixture
) -> None:
    said = {
        "prefect.events.utilities": "Error emitting event: prefect.task-run.Pending",
        "prefect._internal.concurrency": "Service 'EventsWorker' failed with 1 pending items.",
    }
    console._quiet_end()
    url = "http://127.0.0.1:9/api" if chosen else None
    with temporary_settings({PREFECT_API_URL: url}), caplog.at_level("ERROR"):
        for name, text in said.items():
            logging.getLogger(name).addHandler(caplog.handler)
            logging.getLogger(name).error(text)
            logging.getLogger(name).error("Something else")
            logging.getLogger(name).removeHandler(caplog.handler)
    assert "Something else" in caplog.text
    for text in said.values():
        assert (text in caplog.text) == chosen


@pytest.mark.server
def test_the_flows_that_care_for_a_lake_have_commands_of_their_own(
    published_place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in published_place.variables().items():
        monkeypatch.setenv(name, value)
    assert main(["maintenance", "--dry-run"]) == OK
    assert "silver.shop.orders" in capsys.readouterr().out
    assert main(["freshness"]) == OK
    promised = json.dumps([{"table": "silver.shop.orders", "committed_within_h": 0.000001}])
    assert main(["freshness", "--promises", promised]) == FAILED
    assert "silver.shop.orders" in capsys.readouterr().err
    window = ("--name", "january", "--start", "2026-01-01", "--end", "2026-01-03", "--dry-run")
    assert main(["backfill", *window]) == OK
    assert "2026-01-02" in capsys.readouterr().out
    assert main(["alerts", "list"]) in {0, 1}
    assert main(["alerts", "test"]) == 1
    assert "No channel is described" in capsys.readouterr().err
    assert main(["account"]) == 0
    assert main(["account", "sale"]) == 1
    assert "Did you mean" in capsys.readouterr().err
