"""Datasette on an SQLite file of weather and planes: next URLs, tokens, Link headers, keys of one and five columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tests.servers import flights
from tests.servers.process import free_port, running


@contextmanager
def datasette(folder: Path) -> Iterator[str]:
    """Serve the tables ``weather``, ``planes`` and ``sightings`` (without a key) below the URL that is given."""
    file = folder / "nyc.db"
    with sqlite3.connect(file) as database:
        _fill(database, "weather", flights.weather(), flights.WEATHER_KEY)
        _fill(database, "planes", flights.planes(), ("tailnum",))
        _fill(database, "sightings", flights.planes().select("model", "seats"), ())
    database.close()
    port = free_port()
    options = ["-p", str(port), "--setting", "max_returned_rows", "1000"]
    url = f"http://127.0.0.1:{port}"
    with running(["-m", "datasette", "serve", str(file), *options], f"{url}/-/versions.json", folder / "log"):
        yield f"{url}/nyc"


def _fill(database: sqlite3.Connection, name: str, frame: pl.DataFrame, key: tuple[str, ...]) -> None:
    columns = [
        f"{column} {'INTEGER' if dtype == pl.Int64 else 'TEXT'}" for column, dtype in frame.schema.items()
    ]
    if key:
        columns.append(f"PRIMARY KEY ({', '.join(key)})")
    database.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    marks = ", ".join("?" for _ in frame.columns)
    database.executemany(f"INSERT INTO {name} VALUES ({marks})", frame.rows())
