"""The dataset ``t.things``: records of a served API, taken from its bytes to silver."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from headworks.bronze.landing import Landing, land
from headworks.reports import LandingReport
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.expressions import decimal, whole_number
from headworks.silver.refinement import Refinement, refine
from headworks.sources.api.client import ApiClient
from headworks.sources.api.paginate import Cursor, PageNumbers
from headworks.sources.api.resource import Completeness, Incremental, Resource
from headworks.sources.api.source import ApiSource
from headworks.storage.store import Lake

NAME = "t.things"


class ThingSchema(dy.Schema):
    """A thing in silver."""

    id = dy.Int64(nullable=False)
    name = dy.String(nullable=True)
    price = dy.Decimal(20, 2, nullable=True)


THINGS = Dataset(
    name=NAME,
    key=("id",),
    schema=ThingSchema,
    fields=("id", "name", "price"),
    columns={"id": whole_number("id"), "name": pl.col("name"), "price": decimal("price", 20, 2)},
    limits=RejectLimits(share=1.0),
)

BY_PAGE = Resource(
    path="/v1/things",
    records="data.items",
    pagination=PageNumbers(pages_field="meta.pages", size=10),
    completeness=Completeness(total_field="meta.total"),
    key=("id",),
)
BY_CURSOR = Resource(
    path="/v1/things",
    records="rows",
    pagination=Cursor(size=10),
    incremental=Incremental(parameter="since", field="day", format="date"),
    key=("id",),
)


def thing(number: int) -> bytes:
    """Make a thing's record."""
    return b'{"id": %d, "name": "thing %d", "price": %d.10}' % (number, number, number)


def dated(number: int) -> tuple[str, bytes]:
    """Make a thing's record with a day; two things share each day."""
    day = f"2026-01-{number // 2 + 1:02d}"
    return day, b'{"id": %d, "day": "%s"}' % (number, day.encode())


def land_things(lake: Lake, client: ApiClient, resource: Resource, *, batch_pages: int = 1) -> LandingReport:
    """Land a resource in the live stream of ``t.things``, a commit every ``batch_pages`` pages."""
    return land(Landing(lake, NAME, NAME, "run"), ApiSource(client, resource, unlanded_pages=2 * batch_pages))


def landed_records(lake: Lake) -> list[bytes]:
    """Return the records that bronze holds, in the order in which they came."""
    rows = lake.must_open("bronze", NAME).scan().sort("_sequence", "_row").collect()
    return rows.get_column("record").to_list()


def things_in_silver(lake: Lake) -> list[int]:
    """Refine what is landed, and return the ids that silver then holds, duplicate ones included."""
    outcome = refine(Refinement(lake, "run"), THINGS)
    assert outcome.gate is None or outcome.gate.open, outcome.gate
    rows = lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted")).collect()
    return sorted(rows.get_column("id").to_list())
