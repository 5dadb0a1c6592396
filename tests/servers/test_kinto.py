"""Kinto, which we did not write, is read exactly: pages by a header, changes since a moment, tombstones as deletes."""

from __future__ import annotations

import itertools
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from pydantic import SecretStr

from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.expressions import whole_number
from headworks.silver.refinement import Refinement, refine
from headworks.sources.api.auth import BasicAuth
from headworks.sources.api.paginate import NextHeader
from headworks.sources.api.resource import Completeness, Incremental, Resource, Tombstone
from headworks.storage.store import Lake
from tests.servers import flights
from tests.servers.exact import NAME, same, sums, take
from tests.servers.kinto import PASSWORD, USER, Collection

READER = BasicAuth(username=USER, password=SecretStr(PASSWORD))
NUMBERS = itertools.count(1)


class AirportSchema(dy.Schema):
    """An airport in silver."""

    id = dy.String(nullable=False)
    alt = dy.Int64(nullable=True)
    last_modified = dy.Int64(nullable=False)


AIRPORTS = Dataset(
    name=NAME,
    key=("id",),
    schema=AirportSchema,
    fields=("id", "alt", "last_modified"),
    columns={"id": pl.col("id"), "alt": whole_number("alt"), "last_modified": whole_number("last_modified")},
    cursor="last_modified",
    limits=RejectLimits(share=1.0),
)


def airports(count: int = 400) -> list[dict[str, Any]]:
    """Return airports as Kinto keeps them, each under its code."""
    return [{"id": row["faa"], **row} for row in flights.airports().head(count).to_dicts()]


def resource(collection: Collection, *, sort: str = "last_modified", size: int = 70) -> Resource:
    """Describe a collection, read by the header Next-Page and since the last change that was seen."""
    return Resource(
        path=collection.path,
        parameters={"_sort": sort, "_limit": size},
        records="data",
        pagination=NextHeader(header="Next-Page"),
        incremental=Incremental(
            parameter="_since", field="last_modified", format="number", inclusive=False, send_in="query"
        ),
        tombstone=Tombstone(field="deleted"),
        key=("id",),
        completeness=Completeness(),
    )


def silver(lake: Lake) -> dict[str, int]:
    """Refine what is landed, and return the altitudes of the airports that are there then."""
    outcome = refine(Refinement(lake, "run"), AIRPORTS)
    assert outcome.gate is None or outcome.gate.open, outcome.gate
    rows = lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted")).collect()
    held = dict(zip(rows.get_column("id").to_list(), rows.get_column("alt").to_list(), strict=True))
    assert len(held) == rows.height
    return held


@pytest.fixture
def collection(kinto_url: str) -> Collection:
    """A collection of its own with the first 400 airports."""
    made = Collection(kinto_url, f"airports-{next(NUMBERS)}")
    made.make()
    made.put(airports())
    return made


@pytest.mark.parametrize("sort", ["last_modified", "-last_modified"])
def test_a_first_reading_is_exact_in_either_order(lake: Lake, collection: Collection, sort: str) -> None:
    report = take(lake, collection.url, resource(collection, sort=sort), auth=READER, batch_pages=2)
    truth = flights.airports().head(400).with_columns(id=pl.col("faa"))
    same(lake, truth, ("id",), "alt")
    assert (report.pages, report.shown) == (6, True)


def test_changes_and_deletes_between_readings_arrive_and_nothing_else(
    lake: Lake, collection: Collection
) -> None:
    described = resource(collection)
    take(lake, collection.url, described, auth=READER)
    truth = {row["id"]: row["alt"] for row in airports()}
    assert silver(lake) == truth

    changed = [{**row, "alt": row["alt"] + 1} for row in airports(150)[::2]]
    added = [{"id": f"new-{number}", "alt": number} for number in range(90)]
    deleted = [row["id"] for row in airports(300)[1::3]]
    collection.put([*changed, *added])
    collection.delete(deleted)
    report = take(lake, collection.url, described, auth=READER)
    truth |= {row["id"]: row["alt"] for row in (*changed, *added)}
    for key in deleted:
        del truth[key]

    changes = len({*(row["id"] for row in changed), *deleted}) + len(added)
    assert report.landed == changes, "only what changed was landed"
    held = silver(lake)
    assert held == truth
    rows = [{"id": key, "alt": alt} for key, alt in held.items()]
    assert sums(rows, ("id",), "alt") == sums([{"id": k, "alt": a} for k, a in truth.items()], ("id",), "alt")


def test_a_reading_without_changes_lands_nothing(lake: Lake, collection: Collection) -> None:
    described = resource(collection)
    take(lake, collection.url, described, auth=READER)
    assert take(lake, collection.url, described, auth=READER).landed == 0


def test_what_was_deleted_and_written_again_is_there(lake: Lake, collection: Collection) -> None:
    described, first = resource(collection), airports(1)[0]
    take(lake, collection.url, described, auth=READER)
    collection.delete([first["id"]])
    take(lake, collection.url, described, auth=READER)
    assert first["id"] not in silver(lake)
    collection.put([{**first, "alt": 7}])
    take(lake, collection.url, described, auth=READER)
    assert silver(lake)[first["id"]] == 7
