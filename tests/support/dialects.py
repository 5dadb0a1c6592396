"""Small tables in any database, written as somebody else would, and landed."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr
from sqlalchemy import create_engine

from headworks.bronze.landing import Landing, land
from headworks.reports import LandingReport
from headworks.settings import DatabaseSettings
from headworks.sources.sql.dialect import DialectTable
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake
from tests.support.items import bronze

NAME = "t.rows"
SECRET = "maria-secret-never-shown"


def run(url: str, *statements: str) -> None:
    """Run statements as somebody else."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def settings(url: str, **changed: Any) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url), **changed)


def table(url: str, name: str = "rows_t", **changed: Any) -> DialectTable:
    options = {key: changed.pop(key) for key in ("window", "whole", "run_id") if key in changed}
    return DialectTable(settings(url), Table(name=name, **changed), **options)


def take(source: DialectTable, lake: Lake) -> LandingReport:
    return land(Landing(lake, NAME, NAME, "run"), source)


def ids(lake: Lake) -> list[int]:
    return sorted(bronze(lake, NAME).get_column("id").to_list())


def make(url: str) -> None:
    run(url, "CREATE TABLE rows_t (id INTEGER PRIMARY KEY, v VARCHAR(20), at DATETIME)")


def insert(url: str, first: int, last: int, at: str = "2026-01-05 08:00:00") -> None:
    values = ", ".join(f"({n}, 'v{n}', '{at}')" for n in range(first, last + 1))
    run(url, f"INSERT INTO rows_t VALUES {values}")
