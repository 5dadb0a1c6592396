"""The flow that takes files in, as a person runs it: a folder named in a block, an account, and a second run."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from flows.ingest_files import ingest_files
from headworks.bronze.refusals import refused_rows
from headworks.prefect.console import run_as_program
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support.stores import Folder

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

OPTIONS = [
    *("--param", "location=drop-files", "--param", "dataset=t.drop", "--param", "format=csv"),
    *("--param", "lake=drop-lake"),
    *("--param", 'csv={"delimiter": ";", "columns": {"id": "int64", "price": "decimal(9,2)"}}'),
]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """An empty lake, and a folder with two files and a malformed line, as blocks describe them."""
    folder = Folder(tmp_path / "drop")
    folder.put("a.csv", b"id;price\n1;2.50\n2;oops\n")
    folder.put("b/c.csv", b"id;price\n3;4.00\n")
    monkeypatch.setenv("HEADWORKS_DROP_FILES_ROOT", str(folder.root))
    monkeypatch.setenv("HEADWORKS_DROP_LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.chdir(tmp_path)
    return Lake(LakeSettings(root=str(tmp_path / "lake")))


def test_a_folder_is_taken_in_once_and_the_account_says_so(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_as_program(ingest_files, OPTIONS) == 0
    assert "ingest_files · incremental · landed" in capsys.readouterr().out
    rows = lake.must_open("bronze", "t.drop").scan().collect()
    good = rows.filter(pl.col("_refused").is_null())
    assert sorted(good.get_column("price")) == [Decimal("2.50"), Decimal("4.00")]
    refused = refused_rows(lake, "t.drop")
    assert refused is not None
    assert refused.select("_file", "_line", "reason", "raw").collect().rows() == [
        ("a.csv", 3, "price|unreadable", b"2;oops")
    ]
    assert run_as_program(ingest_files, OPTIONS) == 0
    assert "ingest_files · incremental · unchanged" in capsys.readouterr().out
    assert lake.must_open("bronze", "t.drop").row_count() == 3


def test_a_dry_run_lands_nothing(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_as_program(ingest_files, [*OPTIONS, "--dry-run"]) == 0
    assert "dry run" in capsys.readouterr().out
    assert lake.open("bronze", "t.drop") is None
