"""A dataset in YAML is the one that Python declares: the same rows pass, and the same are rejected with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest
import yaml

from headworks.declared import declared, read_dataset
from headworks.errors import SettingsError
from headworks.project import Api, Database, FileStore
from headworks.silver.dataset import Dataset
from headworks.silver.expressions import decimal, iso_date, utc_moment, whole_number

SOURCES: dict[str, dict[str, object]] = {
    "api": {
        "block": "crm",
        "resource": {"path": "/deals", "records": "data", "pagination": {"kind": "single"}},
    },
    "database": {"block": "shop", "table": {"name": "deals"}},
    "files": {"block": "drop", "files": {"format": "csv", "pattern": "*.csv"}},
}
DEALS = {
    "dataset": "crm.deals",
    "key": ["id"],
    "cursor": "changed_at",
    "columns": {
        "id": {"type": "Int64", "required": True, "minimum": 1},
        "amount": {"type": "Decimal(12,2)", "minimum": 0, "maximum": 1000},
        "stage": {"type": "String", "values": ["new", "won"], "required": True},
        "mail": {"type": "String", "pattern": "[^@]+@[^@]+", "field": "e-mail"},
        "day": {"type": "Date", "minimum": "2020-01-01"},
        "changed_at": {"type": "Datetime", "required": True},
    },
}


class Deals(dy.Schema):
    """The same in Python."""

    id = dy.Int64(nullable=False)
    amount = dy.Decimal(12, 2, nullable=True)
    stage = dy.String(nullable=False)
    mail = dy.String(nullable=True)
    day = dy.Date(nullable=True)
    changed_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


IN_PYTHON = Dataset(
    name="crm.deals",
    key=("id",),
    schema=Deals,
    fields=("id", "amount", "stage", "e-mail", "day", "changed_at"),
    columns={
        "id": whole_number("id"),
        "amount": decimal("amount", 12, 2),
        "stage": pl.col("stage"),
        "mail": pl.col("e-mail"),
        "day": iso_date("day"),
        "changed_at": utc_moment("changed_at"),
    },
    cursor="changed_at",
)
GOOD = {
    "id": 1,
    "amount": "10.50",
    "stage": "new",
    "mail": "a@b",
    "day": "2024-02-01",
    "changed_at": "2024-02-01T00:00:00Z",
}


def written(folder: Path, content: Mapping[str, object], name: str = "deals.yml") -> Path:
    file = folder / "datasets" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    return file


def test_it_is_the_object_that_python_declares(tmp_path: Path) -> None:
    found = read_dataset(written(tmp_path, DEALS))
    assert found.silver_schema() == IN_PYTHON.silver_schema()
    assert (found.name, found.key, found.fields, found.cursor) == (
        IN_PYTHON.name,
        IN_PYTHON.key,
        IN_PYTHON.fields,
        IN_PYTHON.cursor,
    )
    assert {name: str(each) for name, each in found.columns.items()}.keys() == IN_PYTHON.columns.keys()


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({}, set()),
        ({"id": 0}, {"id_below_1"}),
        ({"amount": "-0.01"}, {"amount_below_0"}),
        ({"amount": "1000.01"}, {"amount_above_1000"}),
        ({"stage": "lost"}, {"unknown_stage"}),
        ({"mail": "nobody"}, {"malformed_mail"}),
        ({"mail": "a@b\nc"}, set()),
        ({"day": "2019-12-31"}, {"day_below_2020_01_01"}),
        ({"mail": None, "amount": None, "day": None}, set()),
    ],
)
def test_each_rule_holds_and_null_passes(
    tmp_path: Path, changed: dict[str, object], broken: set[str]
) -> None:
    found = read_dataset(written(tmp_path, DEALS))
    row = {**GOOD, **changed}
    raw = pl.DataFrame(
        {("e-mail" if name == "mail" else name): [None if v is None else str(v)] for name, v in row.items()},
        schema={("e-mail" if name == "mail" else name): pl.String() for name in row},
    )
    parsed = raw.select(expression.alias(name) for name, expression in found.columns.items())
    _, failed = found.schema.filter(parsed)
    assert {name for name, count in failed.counts().items() if count} == broken


@pytest.mark.parametrize(("kind", "made"), [("api", Api), ("database", Database), ("files", FileStore)])
def test_the_source_is_declared_with_it(tmp_path: Path, kind: str, made: type) -> None:
    written(tmp_path, {**DEALS, "source": {kind: SOURCES[kind]}, "freshness": {"committed_within_h": 26}})
    project = declared(tmp_path).project("acme")
    (source,) = project.sources
    assert isinstance(source, made)
    assert source.into == "crm.deals"
    assert [promise.table for promise in project.freshness] == ["silver.crm.deals"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colums": {}}, "colums: Extra inputs"),
        ({"columns": {"id": {"type": "Integer"}}}, "columns.id.type"),
        ({"columns": {"id": {"type": "Int64", "pattern": "1"}}}, "columns.id"),
        ({"columns": {"id": {"type": "String", "minimum": 1}}}, "columns.id"),
        ({"columns": {"id": {"type": "Int64", "unique": True}}}, "columns.id.unique"),
        ({"source": {"api": SOURCES["api"], "files": SOURCES["files"]}}, "name one of"),
        ({"key": ["nobody"]}, "nobody"),
        ({"freshness": {"committed_within_h": 0}}, "freshness.committed_within_h"),
    ],
)
def test_a_slip_is_an_error_that_names_the_field(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    written(tmp_path, {**DEALS, **change})
    with pytest.raises(SettingsError, match=said):
        declared(tmp_path)
