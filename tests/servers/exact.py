"""Landing a resource of a real server, and comparing the table with what the server was filled with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from headworks.bronze.landing import Landing, land
from headworks.reports import LandingReport
from headworks.sources.api.auth import Auth, NoAuth
from headworks.sources.api.client import ApiClient
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings, Limits
from headworks.sources.api.source import ApiSource
from headworks.storage.store import Lake
from headworks.testing.truth import Sums, sums_of

NAME = "t.served"

Record = dict[str, Any]


def take(
    lake: Lake,
    url: str,
    resource: Resource,
    *,
    auth: Auth | None = None,
    in_flight: int = 4,
    batch_pages: int = 5,
    stream: str = NAME,
) -> LandingReport:
    """Land what a resource has that is new, in real time and over real connections."""
    settings = ApiSettings(base_url=url, auth=auth or NoAuth(), limits=Limits(in_flight=in_flight))
    source = ApiSource(ApiClient(settings), resource, unlanded_pages=2 * batch_pages)
    return land(Landing(lake, NAME, stream, "run"), source)


def records(lake: Lake) -> list[Record]:
    """Return the records of bronze, in order of arrival."""
    rows = lake.must_open("bronze", NAME).scan().sort("_sequence", "_row").collect()
    return [json.loads(record) for record in rows.get_column("record").to_list()]


def sums(rows: Sequence[Record], key: Sequence[str], amount: str) -> Sums:
    """Sum up records: count, distinct keys, hash of the keys, and the sum of a column."""
    return sums_of(("/".join(str(row[name]) for name in key), int(row[amount] or 0)) for row in rows)


def same(lake: Lake, truth: pl.DataFrame, key: Sequence[str], amount: str) -> None:
    """Insist that bronze holds the rows of ``truth``, each once, in all their fields."""
    held, expected = records(lake), truth.to_dicts()
    assert sums(held, key, amount) == sums(expected, key, amount)

    def place(row: Record) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in key)

    kept = [{name: row[name] for name in truth.columns} for row in held]
    assert sorted(kept, key=place) == sorted(expected, key=place)
