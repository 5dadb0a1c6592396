"""Every decision that a command makes leaves an account: in the ledger and in its file, with who and why."""

from __future__ import annotations

import ast
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headworks.cli.main import main
from headworks.gold.holding import gold_hold
from headworks.gold.products import publish_product
from headworks.gold.table import gold_reference
from headworks.ops.account import account_markdown, account_text
from headworks.ops.breakers import LakeBreakers
from headworks.ops.ledger import flows_of, last_run
from headworks.quality.judgements import all_judgements
from headworks.reconcile import reconcile
from headworks.reports import RunReport
from headworks.settings import LakeSettings
from headworks.sources.api.breaker import Breaker
from headworks.storage.store import Lake
from tests.integration.test_gold_hold import BAD, GOOD, Play
from tests.support.items import NAME
from tests.support.pools import CHECKOUT

BY = ("--by", "Ada", "--note", "a known sale")
BECAUSE = ("--by", "Ada", "--reason", "a known sale")
TIME = ("--from", "2026-01-01", "--to", "2026-02-01")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Play, Path]:
    """Two good days that are published, and a bad one for which gold closed; and a copy of it all."""
    folder = tmp_path_factory.mktemp("decisions")
    lake = Lake(LakeSettings(root=str(folder / "lake")))
    play = Play(lake, folder)
    for number, records in enumerate((GOOD[:4], GOOD[4:]), 1):
        play.play(records)
        table = lake.must_open("gold", "t.each")
        publish_product(lake, "each", [gold_reference(lake, table, "t.each")], f"day-{number}")
    play.play(BAD)
    shutil.copytree(folder / "lake", folder / "copy")
    return play, folder


@pytest.fixture
def day(made: tuple[Play, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """The lake as it was made; the commands find it."""
    play, folder = made
    shutil.rmtree(folder / "lake")
    shutil.copytree(folder / "copy", folder / "lake")
    for name in [name for name in os.environ if name.startswith("HEADWORKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", play.lake.settings.root)
    monkeypatch.setenv("PREFECT_API_URL", "")
    return play


def _hold(day: Play) -> str:
    return (gold_hold(day.lake, "t.each") or pytest.fail("not held")).id


def _released(day: Play) -> str:
    """Release it, by another decision than the one that is looked at."""
    assert main(["delivery", "release", _hold(day), *BY]) == 0
    return _hold(day)


def _judged(day: Play) -> str:
    assert main(["anomaly", "accept", "gold.t.each", "--check", "volume", *TIME, *BECAUSE]) == 0
    return str(all_judgements(day.lake)[-1].number)


def _rolled_back(day: Play) -> str:
    assert main(["rollback", "each", "--to", "day-1", "--reason", "wrong rates"]) == 0
    return "each"


def _broken(day: Play) -> str:
    state = Breaker(failures=9, closed_until=datetime(2099, 1, 1, tzinfo=UTC))
    LakeBreakers(day.lake).save("an-api", state.model_dump(mode="json"))
    return "an-api"


# What is typed, what the account is about, what was decided, and by whom and why.
WAYS: dict[str, tuple[Callable[[Play], list[str]], str, str, tuple[str, str]]] = {
    "a gold table is released": (
        lambda day: ["delivery", "release", _hold(day), *BY],
        "of gold.t.each",
        "released",
        ("Ada", "a known sale"),
    ),
    "as JSON": (
        lambda day: ["delivery", "release", _hold(day), *BY, "--json"],
        "of gold.t.each",
        "released",
        ("Ada", "a known sale"),
    ),
    "that is undone": (
        lambda day: ["delivery", "undo", _released(day), *BY],
        "of gold.t.each",
        "held",
        ("Ada", "a known sale"),
    ),
    "an anomaly is accepted": (
        lambda day: ["anomaly", "accept", "gold.t.each", "--check", "volume", *TIME, *BECAUSE],
        "gold.t.each",
        "judgement 1: accept volume",
        ("Ada", "a known sale"),
    ),
    "it is the new normal": (
        lambda day: ["anomaly", "accept", "gold.t.each", "--check", "volume", "--as-new-normal", *BECAUSE],
        "gold.t.each",
        "judgement 1: normal volume",
        ("Ada", "a known sale"),
    ),
    "an incident is labelled": (
        lambda day: ["anomaly", "label", "gold.t.each", *TIME, *BECAUSE],
        "gold.t.each",
        "judgement 1: incident *",
        ("Ada", "a known sale"),
    ),
    "a judgement is withdrawn": (
        lambda day: ["anomaly", "withdraw", _judged(day), *BECAUSE],
        "judgement 1",
        "withdrawn",
        ("Ada", "a known sale"),
    ),
    "a stream is reset": (
        lambda day: ["stream", "reset", NAME],
        f"stream {NAME}",
        "continues from the beginning",
        ("", ""),
    ),
    "a product is rolled back": (
        lambda day: ["rollback", "each", "--to", "day-1", "--reason", "wrong rates"],
        "product each",
        "rolled back to what run day-1 published",
        ("", "wrong rates"),
    ),
    "a product is released": (
        lambda day: ["product", "release", _rolled_back(day)],
        "product each",
        "released",
        ("", ""),
    ),
    "a circuit breaker is closed": (
        lambda day: ["breaker", "reset", _broken(day)],
        "the circuit breaker of an-api",
        "closed",
        ("", ""),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_decision_leaves_its_account_in_the_ledger_and_its_file(
    day: Play, way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, about, decision, (by, note) = WAYS[way]
    arguments = typed(day)
    capsys.readouterr()
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    report = last_run(day.lake)
    assert report is not None
    reconcile(report)
    (one,) = report.decisions
    assert about in one.about
    assert one.decision.startswith(decision)
    assert (one.by, one.note) == (by, note)
    kept = RunReport.model_validate_json((tmp_path / ".headworks/account.json").read_text())
    assert kept == report
    for page in (account_text(report), account_markdown(report)):
        assert "Decided by hand" in page
        assert one.by in page
    if "--json" in arguments:
        json.loads(shown)


@pytest.mark.parametrize("action", ["release", "undo"])
def test_a_dry_run_and_a_decision_that_was_made_before_leave_none(
    day: Play, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["delivery", action, _hold(day), *BY, "--dry-run"]) == 0
    assert flows_of(day.lake) == []
    held = _released(day)
    capsys.readouterr()
    assert main(["delivery", "release", held, "--by", "Bo", "--note", "again"]) == 0
    assert "was released already, by Ada; nothing was done" in capsys.readouterr().out
    report = last_run(day.lake)
    assert report is not None
    assert [one.by for one in report.decisions] == ["Ada"]
    (count,) = [len(flows_of(day.lake))]
    assert count == 1


def test_a_report_of_before_there_were_decisions_is_read(day: Play) -> None:
    _released(day)
    report = last_run(day.lake)
    assert report is not None
    older = report.model_dump(mode="json", exclude={"decisions"})
    assert RunReport.model_validate(older).decisions == ()


def test_a_rollback_that_cannot_be_published_has_an_account_all_the_same(
    day: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headworks.cli import product
    from headworks.errors import SourceUnavailable

    def down(*_: object) -> None:
        raise SourceUnavailable("The database cannot be reached.")

    monkeypatch.setattr(product, "_publish", down)
    assert main(["rollback", "each", "--to", "day-1", "--reason", "wrong rates"]) == 1
    report = last_run(day.lake)
    assert report is not None
    assert (report.status, len(report.decisions)) == ("failed", 1)


def test_every_command_that_works_on_a_lake_keeps_an_account() -> None:
    """By the code: a function of the command that opens the lake to change it makes a `ByHand`, or is called by one."""
    for file in sorted((CHECKOUT / "src/headworks/cli").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.FunctionDef) or file.stem == "shared":
                continue
            calls = {getattr(one.func, "id", "") for one in ast.walk(node) if isinstance(one, ast.Call)}
            arguments = {one.arg for one in node.args.args}
            hands_on = bool(calls & {"_record", "_decide_gold"})
            if "open_lake" in calls and (file.stem, node.name) != ("product", "_publish"):
                assert "ByHand" in calls or "by_hand" in arguments or hands_on, (file.stem, node.name)
