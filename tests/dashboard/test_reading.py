"""The dashboard reads one publication, whatever else is committed to its tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from dashboard.reading import find_lake, read_news, read_sales
from headworks.errors import LakeUnusable, SettingsError
from headworks.gold.products import publish_product
from headworks.ops.ledger import RUNS
from headworks.reports import TableRef
from headworks.settings import LakeSettings
from headworks.storage.store import Lake

_SCHEMA = pl.Schema({"number": pl.Int64()})
_TABLES = ("sales.daily", "sales.customer_value")


def test_a_table_that_moved_on_without_a_publication_is_not_seen(tmp_path: Path) -> None:
    """So a run that was killed between its gold commits and the product's row shows nobody half of what it made."""
    lake = Lake(LakeSettings(root=str(tmp_path)))
    named = []
    for name in _TABLES:
        lake.ensure("gold", name, _SCHEMA).append(pl.DataFrame({"number": [1]}, schema=_SCHEMA), {})
        table = lake.must_open("gold", name)
        named.append(TableRef(table=table.name, version=table.version, change=1))
    publish_product(lake, "sales", named, "run")
    lake.must_open("gold", "sales.daily").append(pl.DataFrame({"number": [2]}, schema=_SCHEMA), {})
    news = read_news(lake)
    assert news.product is not None
    sales = read_sales(lake, news.product)
    assert sales.daily.get_column("number").to_list() == [1]
    assert sales.customers.get_column("number").to_list() == [1]


def test_an_empty_lake_and_one_that_is_not_there_have_no_news(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        news = read_news(Lake(LakeSettings(root=str(root))))
        assert (news.product, news.run) == (None, None)


def test_a_report_that_another_version_wrote_is_one_clear_error(tmp_path: Path) -> None:
    lake = Lake(LakeSettings(root=str(tmp_path)))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    row = {"run_id": "r9", "flow": "sales", "status": "published", "started_at": now, "finished_at": now}
    newer = pl.DataFrame([{**row, "report": '{"run_id": "r9", "unheard_of": 1}'}], schema=RUNS)
    lake.ensure("ops", "runs", RUNS).append(newer, {})
    with pytest.raises(LakeUnusable, match=r"another version of headworks wrote it.*run r9"):
        read_news(lake)


def test_a_server_that_does_not_answer_is_one_clear_error() -> None:
    nowhere = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"})
    with nowhere, pytest.raises(SettingsError, match="does not answer"):
        find_lake("lake")
