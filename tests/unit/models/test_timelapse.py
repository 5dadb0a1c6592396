"""The weeks of a model are made again in memory as runs had them, by the command too, and nothing is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crm.churn import MODEL
from headworks.cli.main import main
from headworks.models.timelapse import weeks_again
from headworks.project import FileStore, Project
from headworks.settings import LakeSettings
from headworks.sources.files.selection import Files
from headworks.storage.store import Lake
from tests.support.shipments import LATE, SHIPMENTS, receive, shipments
from tests.unit.models.weeks import WEEK_OF_CHAMPION, rows_of


def test_weeks_are_promoted_and_refused_as_runs_are() -> None:
    rows = rows_of(5, WEEK_OF_CHAMPION)
    cuts = rows.get_column("cut").unique().sort().to_list()
    weeks = list(weeks_again(MODEL, rows, last=3))
    assert [week.cut for week in weeks] == cuts[-3:]
    assert all(week.promoted and not week.reasons for week in weeks)
    assert [week.champion is None for week in weeks] == [True, False, False]
    strict = replace(MODEL, bounds=replace(MODEL.bounds, least=0.99))
    refused = list(weeks_again(strict, rows, last=2))
    assert all(week.reasons[0].startswith("quality: good enough") for week in refused)
    assert all(week.champion is None for week in refused)
    early = next(weeks_again(MODEL, rows))
    assert early.reasons
    assert early.challenger is None


def test_the_command_shows_the_weeks_of_a_product_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from crm.timelapse import learn_week

    root = tmp_path / "lake"
    lake = Lake(LakeSettings(root=str(root)))
    now = receive(lake, shipments(17), range(1, 18), "history")
    assert learn_week(lake, lambda: now, "first", of=LATE).product is not None
    other = replace(LATE.tables[0], name="late.other")
    put_down = FileStore("files", Files(pattern="*.csv", format="csv"), into=SHIPMENTS.name)
    project = Project(
        "late",
        sources=(put_down,),
        datasets=(SHIPMENTS,),
        products=(LATE, replace(LATE, name="none", tables=(other,), models=())),
    )
    monkeypatch.setattr("headworks.project.this_project", lambda: project)
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", str(root))
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*") if file.is_file()}
    assert main(["product", "weeks", "late", "--last", "2"]) == 0
    said = capsys.readouterr().out
    assert "challenger" in said
    assert "2 weeks: 2 promoted, 0 refused. Nothing was written." in said
    assert main(["product", "weeks", "none"]) == 1
    assert "has no model" in capsys.readouterr().err
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*") if file.is_file()} == before
