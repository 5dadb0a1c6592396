"""``headworks delivery``: what is held is listed and shown, decided about, and each decision says what it changed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from headworks.cli import delivery
from headworks.ops.ledger import flows_of, last_run
from headworks.quality.deliveries import held
from headworks.reconcile import reconcile
from headworks.reports import RunReport
from headworks.storage.store import Lake
from tests.integration.test_held_deliveries import BAD, GOOD, STRICT, Play
from tests.support.items import NAME, silver


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own, where the account is kept."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def headworks(lake: Lake, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command on a lake whose only dataset is declared here."""
    for name in ("look_at_lake", "open_lake"):
        monkeypatch.setattr(delivery, name, lambda options: lake)
    monkeypatch.setattr(delivery, "_dataset", lambda name: STRICT)
    monkeypatch.setattr(delivery, "_products", lambda dataset: ["things"])
    parser = argparse.ArgumentParser()
    delivery.add(parser.add_subparsers())
    options = parser.parse_args(["delivery", *arguments])
    code: int = options.command(options)
    return code


def test_a_held_delivery_is_listed_shown_released_and_undone(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(lake)
    play.play(GOOD)
    play.play(BAD)
    (one,) = held(lake, NAME)
    assert headworks(lake, monkeypatch, "list", "--state", "held", "--json") == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == [one.id]
    assert headworks(lake, monkeypatch, "list") == 0
    assert one.id in capsys.readouterr().out
    assert headworks(lake, monkeypatch, "show", one.id[:5]) == 0
    shown = capsys.readouterr().out
    assert "rejected rows within limits" in shown
    assert f"headworks delivery discard {one.id}" in shown
    assert "2 rows would be inserted" in shown
    assert headworks(lake, monkeypatch, "show", one.id, "--json") == 0
    assert set(json.loads(capsys.readouterr().out)["would"]) == {"release", "discard"}
    signed = ("--by", "ada", "--note", "it is right")
    assert headworks(lake, monkeypatch, "release", one.id, *signed, "--dry-run") == 0
    assert 5 not in silver(lake)
    assert headworks(lake, monkeypatch, "release", one.id, *signed) == 0
    assert "is released" in capsys.readouterr().out
    assert 5 in silver(lake)
    assert headworks(lake, monkeypatch, "release", one.id, *signed) == 0
    assert "nothing was done" in capsys.readouterr().out
    assert headworks(lake, monkeypatch, "undo", one.id, *signed) == 0
    assert 5 not in silver(lake)
    assert headworks(lake, monkeypatch, "discard", one.id, *signed, "--json") == 0
    assert held(lake, NAME) == ()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_command_without_a_flow_leaves_an_account_in_the_ledger_and_its_file(
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    elsewhere: Path,
    as_json: bool,
) -> None:
    play = Play(lake)
    play.play(GOOD)
    play.play(BAD)
    (one,) = held(lake, NAME)
    signed = ("--by", "ada", "--note", "it is right", *(("--json",) if as_json else ()))
    assert headworks(lake, monkeypatch, "release", one.id, *signed, "--dry-run") == 0
    assert flows_of(lake) == []
    assert not (elsewhere / ".headworks").exists()
    for number, action in enumerate(("release", "undo", "discard")):
        capsys.readouterr()
        assert headworks(lake, monkeypatch, action, one.id, *signed) == 0
        shown = capsys.readouterr().out
        report = last_run(lake)
        assert report is not None
        reconcile(report)
        assert (report.flow, len(flows_of(lake))) == (f"delivery_{action}", number + 1)
        assert [each.dataset for each in report.refinements] == [NAME]
        kept = RunReport.model_validate_json((elsewhere / ".headworks/account.json").read_text())
        assert kept == report
        if as_json:
            json.loads(shown)
        else:
            assert f"delivery_{action} · incremental ·" in shown
