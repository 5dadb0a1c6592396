"""What headworks add writes is a declaration that loads, holds for the rows that were seen, and says what was seen."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import yaml

from headworks.adding import (
    OWN,
    SEEN,
    YOURS,
    Proposal,
    as_yaml,
    columns_of,
    cursor_of,
    deployment_of,
    evidence_of_key,
    key_of,
    write,
)
from headworks.declared import declared, read_dataset
from headworks.errors import SettingsError
from headworks.scaffold import init

# Texts of a column, and the type that is proposed: none that would refuse one of them, none that would lose a digit.
TEXTS: dict[str, tuple[list[str | None], str]] = {
    "whole numbers": (["1", "-20", "0"], "Int64"),
    "a leading zero": (["01", "2"], "String"),
    "nineteen digits": (["9223372036854775808"], "Decimal(21,0)"),
    "thirty digits": (["1" * 30], "String"),
    "more digits than 64 bits hold": (["1.12345678901234567890", "1"], "String"),
    "decimals": (["1.5", "2", "-0.25"], "Decimal(18,2)"),
    "many places": (["0.12345678"], "Decimal(20,8)"),
    "exponents": (["1e3", "2.5"], "Float64"),
    "a plus": (["+1"], "String"),
    "true and false": (["true", "FALSE"], "Boolean"),
    "days": (["2024-02-29", None], "Date"),
    "moments": (["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.123Z"], "Datetime"),
    "moments without a zone": (["2024-01-01 00:00:00"], "String"),
    "words": (["a", "1"], "String"),
    "nothing": ([None, None], "String"),
    "empty texts": (["", "1"], "String"),
}
FRAMES: dict[str, tuple[pl.Series, str]] = {
    "int32": (pl.Series([1], dtype=pl.Int32), "Int64"),
    "float": (pl.Series([1.5]), "Float64"),
    "decimal": (pl.Series([Decimal("1.25")], dtype=pl.Decimal(12, 2)), "Decimal(12,2)"),
    "moment": (pl.Series([datetime(2024, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC")), "Datetime"),
    "day": (pl.Series([date(2024, 1, 1)]), "Date"),
    "truth": (pl.Series([True]), "Boolean"),
    "text": (pl.Series(["a"]), "String"),
}
RECORDS = [
    {
        "id": i,
        "mail": f"a{i}@b",
        "amount": 1.5 * i,
        "tags": ["x"],
        "on": bool(i % 2),
        "updatedAt": f"2024-01-{i:02d}T00:00:00Z",
    }
    for i in range(1, 29)
]


@pytest.mark.parametrize("case", TEXTS)
def test_a_type_is_proposed_that_every_text_that_was_seen_fits(case: str) -> None:
    texts, kind = TEXTS[case]
    (column,) = columns_of(pl.DataFrame({"a": pl.Series(texts, dtype=pl.String)}))
    assert (column.type, column.nulls) == (kind, texts.count(None))


@pytest.mark.parametrize("case", FRAMES)
def test_a_typed_column_keeps_its_type(case: str) -> None:
    values, kind = FRAMES[case]
    (column,) = columns_of(pl.DataFrame({"a": values}))
    assert column.type == kind


def proposal(rows: pl.DataFrame, **changed: object) -> Proposal:
    columns = columns_of(rows)
    fields = {
        "name": "crm.deals",
        "block": "crm-api",
        "kind": "api",
        "source": {"path": "/deals", "records": "data", "pagination": {"kind": "single"}},
        "rows": rows.height,
        "columns": columns,
        "key": key_of(columns, rows.height),
        "cursor": cursor_of(columns),
    }
    return Proposal(**{**fields, **changed})  # type: ignore[arg-type]


def test_records_become_a_dataset_that_accepts_each_of_them(tmp_path: Path) -> None:
    found = proposal(pl.DataFrame({"record": [json.dumps(each).encode() for each in RECORDS]}))
    assert (found.key, found.cursor) == (("id",), "updated_at")
    kinds = {each.name: each.type for each in found.columns}
    assert kinds == {
        "id": "Int64",
        "mail": "String",
        "amount": "Decimal(18,2)",
        "tags": "Json",
        "on": "Boolean",
        "updated_at": "Datetime",
    }
    file = tmp_path / "deals.yml"
    (tmp_path / "contracts").mkdir()
    file.write_text(as_yaml(found).replace("../contracts", "contracts"))
    (tmp_path / "contracts/silver_crm_deals.yml").write_text(
        "dataset: lake/silver/crm_deals\ncolumns:\n  - name: id\n"
    )
    dataset = read_dataset(file)
    assert dataset.fields == ("id", "mail", "amount", "tags", "on", "updatedAt")
    assert "from 1 to 28" in file.read_text()


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ({"id": ["1", "2"], "x": ["1", "2"]}, ("id",)),
        ({"x": ["1", "2"], "order_id": ["7", "8"]}, ("order_id",)),
        ({"id": ["1", "1"], "x": ["a", "b"]}, ("x",)),
        ({"id": ["1", None], "x": ["a", "a"]}, ()),
        ({"id": ["1"]}, ()),
    ],
)
def test_a_key_is_what_tells_the_rows_apart_and_none_is_made_up(
    columns: dict[str, list[str | None]], key: tuple[str, ...]
) -> None:
    rows = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String()))
    assert key_of(columns_of(rows), rows.height) == key


KEYS: dict[str, list[tuple[str | None, str | None]]] = {
    "holds": [("1", "a"), ("2", "a"), ("3", "b")],
    "null": [("1", "a"), (None, "a"), ("3", "b")],
    "twice": [("1", "a"), ("1", "b"), ("1", "b")],
    "both": [("1", "a"), ("1", "a"), (None, None)],
    "all null": [(None, "a"), (None, None)],
}


@pytest.mark.parametrize("chosen", [YOURS, OWN, SEEN])
@pytest.mark.parametrize("as_records", [False, True])
@pytest.mark.parametrize("key", [("first",), ("first", "second")])
@pytest.mark.parametrize("case", KEYS)
def test_what_is_written_of_a_key_is_what_the_rows_show(
    case: str, key: tuple[str, ...], as_records: bool, chosen: str
) -> None:
    """Counted here by hand; whoever chose the key, it is never praised above evidence of the opposite."""
    values = KEYS[case]
    rows = pl.DataFrame(values, schema={"first": pl.String(), "second": pl.String()}, orient="row")
    if as_records:
        rows = pl.DataFrame({"record": [json.dumps(row).encode() for row in rows.iter_rows(named=True)]})
    parts = [row[: len(key)] for row in values]
    whole = [row for row in parts if None not in row]
    lacking, again = len(parts) - len(whole), len(whole) - len({*whole})
    text = evidence_of_key(rows, columns_of(rows), key, chosen)
    assert text.startswith(chosen)
    assert ("never null and never twice" in text) == (not lacking and not again)
    assert ("does not identify a row" in text) == bool(lacking or again)
    assert (f"null in {lacking} of {len(parts)} rows" in text) == bool(lacking)
    assert (f"{again} rows have the key of another" in text) == bool(again)


def test_values_of_secrets_are_not_written_down(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [str(i) for i in range(100)], "api_key": ["sesame"] * 100})
    found = proposal(rows)
    assert "sesame" not in as_yaml(found) + deployment_of(found)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    init("lemon", tmp_path / "lemon")
    found = proposal(pl.DataFrame({"record": [json.dumps(each).encode() for each in RECORDS]}))
    write(found, tmp_path / "lemon", "lemon")
    before = {path: path.read_bytes() for path in (tmp_path / "lemon").rglob("*") if path.is_file()}
    with pytest.raises(SettingsError, match="declared already"):
        write(found, tmp_path / "lemon", "lemon")
    assert {path: path.read_bytes() for path in (tmp_path / "lemon").rglob("*") if path.is_file()} == before


def headworks(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headworks.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def made_of(folder: Path, word: str) -> str:
    """Return the declaration of a dataset as it was written."""
    return (folder / f"src/lemon/datasets/{word}.yml").read_text()


def test_files_and_a_table_are_added_to_a_new_project_which_still_fits_together(tmp_path: Path) -> None:
    folder = tmp_path / "lemon"
    init("lemon", folder)
    (tmp_path / "in").mkdir()
    lines = [f"{i};{i % 3};0{1000 + i};2024-05-01T10:00:00Z" for i in range(200)]
    (tmp_path / "in/returns-1.csv").write_text("\n".join(["Return No;amount;zip;changedAt", *lines]) + "\n")
    with sqlite3.connect(tmp_path / "sales.db") as database:
        database.execute(
            "CREATE TABLE invoices (id INTEGER PRIMARY KEY, total NUMERIC(10,2), updated_at TIMESTAMP)"
        )
        database.executemany(
            "INSERT INTO invoices VALUES (?, ?, ?)", [(i, i / 4, "2024-05-01 10:00:00") for i in range(50)]
        )
    database.close()
    done = [
        headworks(
            folder, "add", "files", str(tmp_path / "in"), "--pattern", "returns-*.csv", "--delimiter", ";"
        ),
        headworks(folder, "add", "table", f"sqlite:///{tmp_path}/sales.db", "invoices"),
        headworks(folder, "check"),
    ]
    assert [each.returncode for each in done] == [0, 0, 0], [each.stdout + each.stderr for each in done]
    made = {each.name: each for each in declared(folder / "src/lemon").datasets}
    assert made["in.returns"].key == ("return_no",)
    types = {name: type(column).__name__ for name, column in made["in.returns"].schema.columns().items()}
    assert types == {"return_no": "Int64", "amount": "Int64", "zip": "String", "changed_at": "Datetime"}
    assert made["sales.invoices"].key == ("id",)
    assert "# the source's own: never null and never twice in 50 rows" in made_of(folder, "sales_invoices")
    assert "# a guess: never null and never twice in 200 rows" in made_of(folder, "in_returns")
    wrong = ("--pattern", "returns-*.csv", "--delimiter", ";", "--key", "amount", "--name", "in.amounts")
    chosen = headworks(folder, "add", "files", str(tmp_path / "in"), *wrong)
    said = "your choice, and it does not identify a row here: 197 rows have the key of another"
    assert said in made_of(folder, "in_amounts")
    assert said in chosen.stdout
    assert made["sales.invoices"].cursor == "updated_at"
    assert "ingest-sales-invoices" in (folder / "prefect.yaml").read_text()
    assert "HEADWORKS_SALES_DATABASE_URL=sqlite" in (folder / ".env.example").read_text()


def test_a_text_of_a_typed_source_is_more_than_a_text_only_where_it_is_a_day_or_a_moment(
    tmp_path: Path,
) -> None:
    """A database that has numbers as text means text; what is read of text is said to be."""
    folder = tmp_path / "lemon"
    init("lemon", folder)
    with sqlite3.connect(tmp_path / "sales.db") as database:
        database.execute("CREATE TABLE visits (id INTEGER PRIMARY KEY, code TEXT, day TEXT, photo BLOB)")
        database.executemany(
            "INSERT INTO visits VALUES (?, ?, ?, ?)",
            [(i, str(100 + i), f"2024-05-{1 + i % 28:02}", b"x") for i in range(40)],
        )
    database.close()
    rows = pl.DataFrame({"id": range(40), "code": [str(i) for i in range(40)], "tags": [["a"]] * 40})
    (tmp_path / "in").mkdir()
    rows.with_columns(day=pl.lit("2024-05-01")).write_parquet(tmp_path / "in/scans-1.parquet")
    done = [
        headworks(folder, "add", "table", f"sqlite:///{tmp_path}/sales.db", "visits"),
        headworks(
            folder, "add", "files", str(tmp_path / "in"), "--pattern", "scans-*.parquet", "--key", "id"
        ),
    ]
    assert [each.returncode for each in done] == [0, 0], [each.stdout + each.stderr for each in done]
    for name, left_out in (("sales_visits", "photo"), ("in_scans", "tags")):
        text = (folder / f"src/lemon/datasets/{name}.yml").read_text()
        columns = yaml.safe_load(text)["columns"]
        assert columns["code"]["type"] == "String"
        assert (columns["day"]["type"], columns["day"]["text"]) == ("Date", True)
        assert left_out not in columns
        assert f"# {left_out}, a " in text


def test_outside_of_a_project_the_declaration_is_shown_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n2\n")
    refused = headworks(tmp_path, "add", "files", str(tmp_path), "--pattern", "*.csv")
    assert (refused.returncode, "No project is here" in refused.stderr) == (1, True)
    shown = headworks(
        tmp_path, "add", "files", str(tmp_path), "--pattern", "*.csv", "--show", "--name", "t.a"
    )
    assert (shown.returncode, "dataset: t.a" in shown.stdout) == (0, True), shown.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
