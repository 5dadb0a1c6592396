"""A query that names a table or a column that there is not says which one is near, however the query names it."""

from __future__ import annotations

import pytest

from headworks.errors import SettingsError
from headworks.ops.query import query
from headworks.storage.store import Lake
from tests.support.items import NAME, land_items, refine_items
from tests.support.sources import items


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with the table silver.t.items."""
    from headworks.settings import LakeSettings

    lake = Lake(LakeSettings(root=str(tmp_path_factory.mktemp("lake"))))
    land_items(lake, items(1, 4))
    refine_items(lake)
    return lake


TABLES = (
    "t.item",
    "silver.t.itmes",
    "silver.t_item",
    "titems",
    "silver_t_items",
    "slver.t.items",
    '"t.itms"',
)
COLUMNS = (
    "SELECT idd FROM t.items",
    "SELECT i.idd FROM t.items i",
    "SELECT items.idd FROM t.items",
    "SELECT count(*) FROM t.items GROUP BY idd",
    "SELECT id FROM t.items ORDER BY idd",
    "SELECT * EXCLUDE (idd) FROM t.items",
    "SELECT * REPLACE (1 AS idd) FROM t.items",
    "SELECT * FROM t.items a JOIN silver.t.items b USING (idd)",
    "WITH w AS (SELECT idd FROM t.items) SELECT * FROM w",
    "SELECT (SELECT max(idd) FROM t.items)",
)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_near_is_named(filled: Lake, table: str) -> None:
    with pytest.raises(SettingsError, match=rf"Did you mean silver\.{NAME}\?"):
        query(filled, f"SELECT * FROM {table}")


@pytest.mark.parametrize("sql", COLUMNS)
def test_a_column_that_is_near_is_named_with_those_that_there_are(filled: Lake, sql: str) -> None:
    with pytest.raises(SettingsError, match=r"no column idd\. Did you mean id\?") as refused:
        query(filled, sql)
    assert "silver.t.items has id, v, at" in refused.value.do


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT summ(v) FROM t.items", "Did you mean sum?"),
        ("SELECT x.id FROM t.items y", "Did you mean y?"),
        ("SELECT CAST(id AS itneger) FROM t.items", "Did you mean integer?"),
        ("SELECT zebra FROM t.items", "there is no column zebra."),
        ("SELECT id FROM t.items a, t.items b", "Ambiguous reference"),
    ],
)
def test_what_is_no_column_says_what_duckdb_says(filled: Lake, sql: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        query(filled, sql)
    assert said in refused.value.what
    assert "zebra. Did you mean" not in refused.value.what


def test_a_name_that_is_near_nothing_lists_the_tables(filled: Lake) -> None:
    with pytest.raises(SettingsError, match="There is no table zzzzzz") as refused:
        query(filled, "SELECT * FROM zzzzzz")
    assert "Did you mean" not in refused.value.what
    assert f"silver.{NAME}" in refused.value.do
