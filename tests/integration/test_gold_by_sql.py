"""A gold table of SQL: made from pinned silver, exact, noticed when it changes, refused where it moves by itself."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from headworks.errors import GateClosed, SettingsError, TransformFailed
from headworks.gold.curation import GoldTable, audit, curate, stage
from headworks.gold.sql import Sql
from headworks.storage.store import Lake
from tests.support.golden import CONTRACT, committed, fill
from tests.support.items import NAME
from tests.support.sources import items

SUMS = f"""
WITH own AS (SELECT id % 2 AS parity, v FROM silver.{NAME})
SELECT parity, sum(v) AS v, CAST(sum(v) AS DECIMAL(12, 2)) / 4 AS quarter, avg(v) AS mean
FROM own
GROUP BY parity
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sums.yml").write_text(
        CONTRACT.replace("gold/each", "gold/sums").replace("name: id", "name: parity")
    )
    (tmp_path / "sums.sql").write_text(SUMS)
    (tmp_path / "totals.sql").write_text(f"SELECT sum(v) AS v FROM {NAME}")
    return tmp_path


def declared(folder: Path, **more: object) -> GoldTable:
    return GoldTable.from_sql(
        "t.sums", folder / "sums.sql", ("parity",), folder / "sums.yml", folder / "totals.sql", **more
    )


def shown(lake: Lake) -> list[dict[str, object]]:
    return lake.must_open("gold", "t.sums").scan().collect().sort("parity").to_dicts()


def test_three_days_of_silver_become_what_the_query_says_and_the_same_silver_changes_nothing(
    lake: Lake, folder: Path
) -> None:
    gold = declared(folder)
    assert gold.inputs == (NAME,)
    for last in (3, 5, 8):
        pins = fill(lake, items(1, last))
        report = committed(lake, gold, pins)
        rows = lake.must_open("silver", NAME).scan().collect()
        for row in shown(lake):
            mine = rows.filter(pl.col("id") % 2 == row["parity"])["v"]
            assert (row["v"], row["mean"]) == (mine.sum(), mine.mean())
            assert row["quarter"] == pytest.approx(float(mine.sum()) / 4)
        assert report.totals == {"v": str(rows["v"].sum())} or report.changed
        assert not stage(lake, gold, pins).fresh


def test_a_changed_query_is_noticed_and_a_comment_in_another_file_is_not(lake: Lake, folder: Path) -> None:
    pins = fill(lake, items(1, 4))
    committed(lake, declared(folder), pins)
    assert not stage(lake, declared(folder), pins).fresh
    (folder / "sums.sql").write_text(SUMS.replace("id % 2", "id % 3"))
    assert stage(lake, declared(folder), pins).fresh


def test_totals_of_sql_hold_the_query_to_account(lake: Lake, folder: Path) -> None:
    (folder / "sums.sql").write_text(SUMS.replace("FROM own", "FROM own WHERE parity = 1"))
    pins, gold = fill(lake, items(1, 4)), declared(folder)
    candidate = stage(lake, gold, pins)
    gate = audit(lake, gold, candidate)
    with pytest.raises(GateClosed):
        curate(lake, candidate, gate)
    assert gate is not None
    assert any("v" in reason for reason in gate.reasons)


EXACT = {
    "a sum of whole numbers": ("sum(v)", pl.Int64()),
    "a count": ("count(*)", pl.Int64()),
    "a decimal": ("CAST('0.1' AS DECIMAL(4, 2)) * 3", None),
    "a moment": ("max(TIMESTAMPTZ '2026-01-01 00:00:00+02')", pl.Datetime("us", "UTC")),
    "a day": ("max(DATE '2026-01-01')", pl.Date()),
    "a text": ("max('é')", pl.String()),
}


@pytest.mark.parametrize("kind", EXACT)
def test_a_value_keeps_its_type_and_its_digits(lake: Lake, folder: Path, kind: str) -> None:
    fill(lake, items(1, 3))
    expression, dtype = EXACT[kind]
    frames = {NAME: lake.must_open("silver", NAME).scan()}
    rows = Sql(f"SELECT {expression} AS x FROM {NAME}")(frames).collect()
    if kind == "a decimal":
        assert {*rows["x"].to_list()} == {Decimal("0.30")}
    else:
        assert rows.schema == {"x": dtype}


WRONG = {
    "no SELECT": (f"DELETE FROM {NAME}", "Only a SELECT"),
    "no SQL": ("SELEC", "cannot be read"),
    "two of them": (f"SELECT 1 FROM {NAME}; SELECT 2", "Several statements"),
    "no dataset": ("SELECT 1 AS id", "reads no dataset"),
    "the clock": (f"SELECT now() FROM {NAME}", "uses now"),
    "today": (f"SELECT * FROM {NAME} WHERE v > epoch(current_date)", "uses current_date"),
    "chance": (f"SELECT * FROM {NAME} ORDER BY random() LIMIT 1", "uses random"),
    "the clock by another name": (
        f"SELECT current_localtimestamp() AS now FROM {NAME}",
        "uses current_localtimestamp",
    ),
    "a macro of the clock": (f"SELECT ago(INTERVAL 1 DAY) AS then FROM {NAME}", "uses ago"),
    "until today": (f"SELECT id, age(v::TIMESTAMP) AS age FROM {NAME}", "uses age of one moment"),
    "a number of the run": (f"SELECT txid_current() AS run FROM {NAME}", "uses txid_current"),
    "some rows": (f"SELECT id FROM {NAME} USING SAMPLE 2", "uses a sample"),
    "some rows of a table": (f"SELECT id FROM {NAME} TABLESAMPLE 10%", "uses a sample"),
    "in a part": (f"WITH a AS (SELECT uuid() AS id FROM {NAME}) SELECT * FROM a", "uses uuid"),
    "a file": (f"SELECT * FROM {NAME} JOIN read_csv('a.csv') ON true", r"reads read_csv\("),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_query_that_is_none_or_moves_by_itself_is_refused_when_it_is_declared(
    folder: Path, wrong: str
) -> None:
    text, said = WRONG[wrong]
    (folder / "sums.sql").write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        declared(folder)
    assert "sums.sql" in caught.value.where


@pytest.mark.parametrize("name", ["uuid", "now", "today", "age", "random"])
def test_a_column_may_have_the_name_of_a_function(folder: Path, name: str) -> None:
    (folder / "sums.sql").write_text(f"SELECT {name} FROM {NAME}")
    assert declared(folder).inputs == (NAME,)


def test_a_file_that_is_not_there_is_refused_when_it_is_declared(folder: Path) -> None:
    (folder / "sums.sql").unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        declared(folder)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (f"SELECT nothing AS parity FROM {NAME}", "nothing"),
        (f"SELECT id AS parity, CAST('x' AS INTEGER) AS v FROM {NAME}", "x"),
        (f"SELECT id AS parity, sum(v) * 9223372036854775807 AS v FROM {NAME} GROUP BY 1", "INT64"),
    ],
)
def test_what_fails_while_it_runs_names_the_table_and_the_file(
    lake: Lake, folder: Path, query: str, said: str
) -> None:
    """A sum beyond 64 bits is such a failure: it is not cut."""
    (folder / "sums.sql").write_text(query)
    pins = fill(lake, items(1, 3))
    with pytest.raises(TransformFailed, match=said) as caught:
        stage(lake, declared(folder), pins)
    assert (caught.value.where, "sums.sql" in caught.value.do) == ("gold.t.sums", True)
