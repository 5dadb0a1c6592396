"""The flow that takes files in, as a person runs it: a folder named in a block, an account, and a second run."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from headworks.lake.refusals import refused_rows
from headworks.lake.store import Lake
from headworks.settings import LakeSettings
from tests.deployments.conftest import Demo, demo, run_in  # noqa: F401
from tests.support.stores import Folder

pytestmark = pytest.mark.server


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with two good files and a malformed line."""
    folder = Folder(tmp_path / "drop")
    folder.put("a.csv", b"id;price\n1;2.50\n2;oops\n")
    folder.put("b/c.csv", b"id;price\n3;4.00\n")
    return folder


def test_a_folder_is_taken_in_once_and_the_account_says_so(
    tmp_path: Path,
    folder: Folder,
    demo: Demo,  # noqa: F811
) -> None:
    environment = {
        "HEADWORKS_DROP_FILES_ROOT": str(folder.root),
        "HEADWORKS_LAKE_ROOT": str(tmp_path / "lake"),
        "PREFECT_API_URL": demo.stack.api_url,
    }
    options = [
        *("--param", "location=drop-files", "--param", "dataset=t.drop", "--param", "format=csv"),
        *("--param", 'csv={"delimiter": ";", "columns": {"id": "int64", "price": "decimal(9,2)"}}'),
    ]
    first = run_in(tmp_path, "flows.ingest_files", *options, **environment)
    assert first.code == 0, first.err
    assert "ingest_files · incremental · landed" in first.out
    lake = Lake(LakeSettings(root=str(tmp_path / "lake")))
    rows = lake.must_open("bronze", "t.drop").scan().collect()
    assert (
        rows.filter(pl.col("_refused").is_null()).get_column("price").sum()
        == pl.Series(["6.50"]).cast(pl.Decimal(9, 2)).sum()
    )
    refused = refused_rows(lake, "t.drop")
    assert refused is not None
    assert refused.select("_file", "_line", "reason", "raw").collect().rows() == [
        ("a.csv", 3, "price|unreadable", b"2;oops")
    ]
    again = run_in(tmp_path, "flows.ingest_files", *options, **environment)
    assert (again.code, "ingest_files · incremental · unchanged" in again.out) == (0, True)
    assert lake.must_open("bronze", "t.drop").row_count() == 3
