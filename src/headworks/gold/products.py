"""Products: several gold tables that belong together, named by one row with their versions.

Readers open a product, never the newest version of a table, so nobody sees half a publication. The row is replaced
by compare-and-swap on the product's own sequence. A product can be rolled back to an earlier publication, and is then
held: nothing newer is published until a person releases it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from headworks.errors import (
    ConcurrentRun,
    GateClosed,
    LakeRefused,
    LakeUnusable,
    SettingsError,
    did_you_mean,
)
from headworks.names import check_dataset
from headworks.ports import Clock, system_clock
from headworks.reports import Report, TableRef
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import reading, refused_when_stale

SCHEMA = pl.Schema(
    {
        "product": pl.String(),
        "sequence": pl.Int64(),
        "run_id": pl.String(),
        "published_at": pl.Datetime("us", "UTC"),
        "tables": pl.String(),
        "held": pl.String(),
    }
)

REPLACED = pl.Schema({**SCHEMA, "lake_id": pl.String()})
"""Publications that were replaced, in ``ops.publications``: those that can be rolled back to."""

_KEPT_SINCE = "#kept-since"
"""The version of the table, plus one, since which replaced publications are kept; before, its history has them."""


class ProductVersion(Report):
    """A product as it was published: its sequence and the version of each of its tables."""

    product: str
    sequence: int
    run_id: str
    published_at: datetime
    tables: tuple[TableRef, ...]
    held: str | None = None
    """Why nothing newer is published; None where nothing holds the product."""
    lake_id: str = ""
    """Which lake's sequence it is: the id of the lake's table of products."""
    changed: bool = False

    def table(self, dataset: str) -> TableRef:
        """Return the version of one gold table."""
        return next(table for table in self.tables if table.table == f"gold.{dataset}")


def read_product(lake: Lake, product: str) -> ProductVersion | None:
    """Return the newest publication of a product; None where there is none yet."""
    table = lake.open_products()
    return _current(table, check_dataset(product)) if table else None


def open_product(lake: Lake, product: str) -> dict[str, pl.LazyFrame]:
    """Return the tables of a product as they were published together; empty where nothing was published yet.

    Args:
        lake: see `open_lake`.
        product: its name.

    Raises `LakeUnavailable` where the lake's storage does not answer.

    Example:
        >>> from headworks.settings import LakeSettings
        >>> open_product(Lake(LakeSettings(root="a/new/lake")), "sales")
        {}
    """
    version = read_product(lake, product)
    return {} if version is None else scan_product(lake, version)


def scan_product(lake: Lake, version: ProductVersion) -> dict[str, pl.LazyFrame]:
    """Return the tables of one publication, by dataset, at the versions that it names."""
    names = [reference.table.removeprefix("gold.") for reference in version.tables]
    return {name: _named(lake, version, version.table(name)).scan() for name in names}


def _named(lake: Lake, product: ProductVersion, reference: TableRef) -> Table:
    """Open the very version that a product names; a table made again since has other rows under its number."""
    table = lake.open("gold", reference.table.removeprefix("gold."), reference.version)
    if table is None or (reference.id and reference.id != table.id):
        raise LakeUnusable(
            f"Version {reference.version} of {reference.table} is gone: "
            + ("there is no such table." if table is None else "the table was made again since."),
            where=f"product {product.product}, publication {product.sequence}",
            do="run the flow that makes the product; it publishes the table as it is now.",
        )
    return table


def publications(lake: Lake) -> Iterator[ProductVersion]:
    """Return the publications of all products, the newest first, as far back as they are known."""
    table = lake.open_products()
    if table is None:
        return
    with reading(table.name):
        rows = list(table.scan().collect().iter_rows(named=True))
        replaced = lake.open("ops", "publications")
        if replaced is not None:
            kept = replaced.scan().filter(pl.col("lake_id") == table.id).drop("lake_id").collect()
            rows += kept.iter_rows(named=True)
        rows += _of_first_form(lake, table)
    seen: set[tuple[str, int]] = set()
    for row in sorted(rows, key=lambda one: (one["published_at"], one["sequence"]), reverse=True):
        known = (str(row["product"]), int(row["sequence"]))
        if known not in seen:
            seen.add(known)
            yield _version(row, table.id)


def _of_first_form(lake: Lake, table: Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table's versions before replaced publications were kept, as far as its history goes."""
    since = table.transaction(_KEPT_SINCE)
    for version in range(since - 1 if since else table.version, 0, -1):
        try:
            older = lake.open_products(version)
        except LakeRefused:
            raise
        except LakeUnusable:
            # Its history was let go.
            return
        if older is not None:
            yield from older.scan().collect().iter_rows(named=True)


def publish_product(
    lake: Lake,
    product: str,
    tables: Sequence[TableRef],
    run_id: str,
    clock: Clock = system_clock,
    rolled_back: int | None = None,
) -> ProductVersion:
    """Name the versions of a product's tables in one row, unless the named ones hold the same rows already.

    ``rolled_back`` is how often the product had been rolled back when the run began (`rollbacks`). Raises
    `CandidateStale` where another run published in between, `ConcurrentRun` where newer versions are published already
    or the product was rolled back since the run began, also where it was released again, and `GateClosed` where it is
    held at an earlier publication.
    """
    table = lake.ensure_products(SCHEMA)
    current = _current(table, check_dataset(product))
    if current is not None:
        if current.held is not None:
            raise GateClosed(
                f"The product is held at publication {current.sequence}: {current.held}.",
                where=f"product {product}",
                do=f"when what led to it is fixed: headworks product release {product}",
            )
        if _same(current.tables, tables):
            return current
        if rolled_back is not None:
            _refuse_rolled_back(current, table.transaction(_rollbacks_id(product)) - rolled_back)
        _refuse_older(lake, current, tables)
    version = ProductVersion(
        product=product,
        sequence=table.transaction(_sequence_id(product)) + 1,
        run_id=run_id,
        published_at=clock(),
        tables=tuple(tables),
        lake_id=table.id,
        changed=True,
    )
    _put(lake, table, version)
    return version


def roll_back(
    lake: Lake, product: str, run_id: str, reason: str, clock: Clock = system_clock
) -> ProductVersion:
    """Publish again what a run published, as a new publication that holds the product until it is released.

    The sequence continues, so whoever follows it sees a newer publication; the tables themselves stay as they are.
    Of a product with models `headworks.models.current.roll_back` looks at the files of its champions too. Raises
    `SettingsError` where no publication of that product, or of that run, is known, with those that are.
    """
    known = _published(lake, product)
    target = next((each for each in known if each.run_id == run_id), None)
    if target is None:
        # What was rolled back to is published again under the name of its run.
        runs = {each.run_id: each for each in reversed(known)}
        newest = sorted(runs.values(), key=lambda each: each.sequence, reverse=True)[:10]
        listing = ", ".join(f"{each.run_id} ({each.published_at:%Y-%m-%d %H:%M})" for each in newest)
        raise SettingsError(
            f"Run {run_id!r} published nothing of {product} that is still known.",
            where=f"product {product}",
            do=f"choose one of these runs: {listing}.",
        )
    for reference in target.tables:
        with reading(reference.table):
            _named(lake, target, reference).scan().collect(engine="streaming")
    table = lake.ensure_products(SCHEMA)
    count = table.transaction(_rollbacks_id(product)) + 1
    return _put_again(lake, table, target, reason, clock, {_rollbacks_id(product): count})


def release(lake: Lake, product: str, clock: Clock = system_clock) -> ProductVersion:
    """Let a held product continue: the next run publishes what is newest.

    Raises `SettingsError` where nothing holds it, or it was never published.
    """
    _published(lake, product)
    table = lake.ensure_products(SCHEMA)
    current = _current(table, product)
    if current is None or current.held is None:
        raise SettingsError("Nothing holds this product.", where=f"product {product}", do="nothing.")
    return _put_again(lake, table, current, None, clock)


def _published(lake: Lake, product: str) -> list[ProductVersion]:
    """Return the publications of a product; raises `SettingsError` where there is none, with the products that are."""
    every = list(publications(lake))
    known = [each for each in every if each.product == check_dataset(product)]
    if not known:
        there = sorted({each.product for each in every})
        raise SettingsError(
            f"No publication of {product} is known.{did_you_mean(product, there)}",
            where=f"product {product}, lake {lake.settings.root}",
            do=f"use one of the products that were published there, {', '.join(there)}."
            if there
            else "publish it first, or correct the lake's root: nothing was published there.",
        )
    return known


def _put_again(
    lake: Lake,
    table: Table,
    version: ProductVersion,
    held: str | None,
    clock: Clock,
    counted: dict[str, int] | None = None,
) -> ProductVersion:
    """Publish a known version as the next publication of its product, held or not."""
    following = table.transaction(_sequence_id(version.product)) + 1
    again = version.model_copy(
        update={"sequence": following, "published_at": clock(), "held": held, "changed": True}
    )
    _put(lake, table, again, counted)
    return again


def rollbacks(lake: Lake) -> dict[str, int]:
    """Return how often each product was rolled back: a run that finds more at its end was made from what is gone."""
    table = lake.open_products()
    if table is None:
        return {}
    with reading(table.name):
        names = table.scan().select("product").collect().get_column("product").to_list()
    return {name: table.transaction(_rollbacks_id(name)) for name in names}


def _refuse_rolled_back(current: ProductVersion, times: int) -> None:
    """Refuse what was made from a publication that a person took back while it was made: it would bring that back."""
    if times > 0:
        raise ConcurrentRun(
            "The product was rolled back while this run was under way, so what it made from the publication of before "
            "is not published.",
            where=f"product {current.product}, publication {current.sequence}",
            do="run again: it begins with what is published now.",
        )


def _refuse_older(lake: Lake, current: ProductVersion, tables: Sequence[TableRef]) -> None:
    """Refuse what a run made that slept while another one published newer versions.

    A table that does not have the published version was made again, and its versions begin again.
    """
    named = {reference.table: reference for reference in current.tables}
    older = [
        ref.table
        for ref in tables
        if ref.table in named
        and ref.version < named[ref.table].version
        and (not named[ref.table].id or ref.id == named[ref.table].id)
    ]
    if any(_newest(lake, table) >= named[table].version for table in older):
        raise ConcurrentRun(
            f"Newer versions of {', '.join(sorted(older))} are published already, by run {current.run_id}.",
            where=f"product {current.product}, publication {current.sequence}",
            do="nothing: the newer publication stays.",
        )


def _newest(lake: Lake, name: str) -> int:
    table = lake.open("gold", name.removeprefix("gold."))
    return table.version if table else -1


def _put(lake: Lake, table: Table, version: ProductVersion, counted: dict[str, int] | None = None) -> None:
    replaced = _current(table, version.product)
    with reading(table.name), refused_when_stale(table.name):
        if replaced is not None:
            # Before it is gone; kept twice, since a run came to nothing after this, it is shown once.
            row = pl.DataFrame([{**_row(replaced), "lake_id": table.id}], schema=REPLACED)
            lake.ensure("ops", "publications", REPLACED).append(row, {})
        table.overwrite(
            pl.DataFrame([_row(version)], schema=SCHEMA),
            {
                _sequence_id(version.product): version.sequence,
                _KEPT_SINCE: table.transaction(_KEPT_SINCE) or table.version + 1,
                **(counted or {}),
            },
            predicate=f"product = '{version.product}'",
        )


def _row(version: ProductVersion) -> dict[str, Any]:
    row = version.model_dump(exclude={"tables", "lake_id", "changed"})
    return {**row, "tables": json.dumps([reference.model_dump() for reference in version.tables])}


def _current(table: Table, product: str) -> ProductVersion | None:
    with reading(table.name):
        rows = table.scan().filter(pl.col("product") == product).collect()
    return _version(rows.row(0, named=True), table.id) if rows.height else None


def _sequence_id(product: str) -> str:
    return f"{product}#product"


def _rollbacks_id(product: str) -> str:
    return f"{product}#rollbacks"


def _same(left: Sequence[TableRef], right: Sequence[TableRef]) -> bool:
    known = {ref.table: ref for ref in left}
    return set(known) == {ref.table for ref in right} and all(
        known[ref.table].change == ref.change and known[ref.table].id in {"", ref.id} for ref in right
    )


def _version(row: dict[str, object], lake_id: str) -> ProductVersion:
    tables = tuple(TableRef(**table) for table in json.loads(str(row["tables"])))
    return ProductVersion.model_validate({**row, "tables": tables, "lake_id": lake_id})
