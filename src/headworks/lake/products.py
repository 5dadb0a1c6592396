"""Products: several gold tables that belong together, named by one row with their versions.

Readers open a product, never the newest version of a table, so nobody sees half a publication. The row is replaced
by compare-and-swap on the product's own sequence.

What belongs here: that row. What does not: the tables' content.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from headworks.errors import ConcurrentRun
from headworks.lake.delta import refused_when_stale
from headworks.lake.store import Lake
from headworks.names import check_dataset
from headworks.observe.report import Report, TableRef
from headworks.ports import Clock, system_clock

SCHEMA = pl.Schema(
    {
        "product": pl.String(),
        "sequence": pl.Int64(),
        "run_id": pl.String(),
        "published_at": pl.Datetime("us", "UTC"),
        "tables": pl.String(),
    }
)


class ProductVersion(Report):
    """A product as it was published: its sequence and the version of each of its tables."""

    product: str
    sequence: int
    run_id: str
    published_at: datetime
    tables: tuple[TableRef, ...]
    lake_id: str = ""
    """Which lake's sequence it is: the id of the lake's table of products."""
    changed: bool = False

    def table(self, dataset: str) -> TableRef:
        """Return the version of one gold table."""
        return next(table for table in self.tables if table.table == f"gold.{dataset}")


def read_product(lake: Lake, product: str) -> ProductVersion | None:
    """Return the newest publication of a product; None where there is none yet."""
    table = lake.open_products()
    if table is None:
        return None
    rows = table.scan().filter(pl.col("product") == check_dataset(product)).collect()
    return _version(rows.row(0, named=True), table.id) if rows.height else None


def open_product(lake: Lake, product: str) -> dict[str, pl.LazyFrame]:
    """Return the tables of a product as they were published together; empty where nothing was published yet."""
    version = read_product(lake, product)
    if version is None:
        return {}
    names = [reference.table.removeprefix("gold.") for reference in version.tables]
    return {name: lake.must_open("gold", name, version.table(name).version).scan() for name in names}


def publish_product(
    lake: Lake,
    product: str,
    tables: Sequence[TableRef],
    run_id: str,
    clock: Clock = system_clock,
) -> ProductVersion:
    """Name the versions of a product's tables in one row, unless the named ones hold the same rows already.

    Raises `CandidateStale` where another run published in between, and `ConcurrentRun` where a later version of a
    table is named already: a run that slept must not show again what was replaced meanwhile.
    """
    table = lake.ensure_products(SCHEMA)
    rows = table.scan().filter(pl.col("product") == check_dataset(product)).collect()
    current = _version(rows.row(0, named=True), table.id) if rows.height else None
    if current is not None and _same(current.tables, tables):
        return current
    if current is not None:
        _refuse_older(lake, current, tables)
    sequence = table.transaction(_sequence_id(product)) + 1
    version = ProductVersion(
        product=product,
        sequence=sequence,
        run_id=run_id,
        published_at=clock(),
        tables=tuple(tables),
        lake_id=table.id,
        changed=True,
    )
    row = version.model_dump(exclude={"tables", "lake_id", "changed"})
    row["tables"] = json.dumps([reference.model_dump() for reference in tables])
    with refused_when_stale(table.name):
        table.overwrite(
            pl.DataFrame([row], schema=SCHEMA),
            {_sequence_id(product): sequence},
            predicate=f"product = '{product}'",
        )
    return version


def _sequence_id(product: str) -> str:
    return f"{product}#product"


def _refuse_older(lake: Lake, current: ProductVersion, tables: Sequence[TableRef]) -> None:
    named = {reference.table: reference.version for reference in current.tables}
    for reference in tables:
        if reference.version >= named.get(reference.table, 0):
            continue
        newest = lake.open("gold", reference.table.removeprefix("gold."))
        # A table that does not have the named version was made anew, so its versions say nothing about the old ones.
        if newest is not None and newest.version >= named[reference.table]:
            raise ConcurrentRun(
                f"Publication {current.sequence} names version {named[reference.table]} of {reference.table}, "
                f"which is later than {reference.version}.",
                where=f"product {current.product}",
                do="nothing: the later one stays.",
            )


def _same(left: Sequence[TableRef], right: Sequence[TableRef]) -> bool:
    return {(ref.table, ref.change) for ref in left} == {(ref.table, ref.change) for ref in right}


def _version(row: dict[str, object], lake_id: str) -> ProductVersion:
    tables = tuple(TableRef(**table) for table in json.loads(str(row["tables"])))
    return ProductVersion.model_validate({**row, "tables": tables, "lake_id": lake_id})
