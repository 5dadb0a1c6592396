"""Finding deletions by comparing keys: all keys of a source, kept as an object alongside the end mark of a generation.

A key set is a full read that reads nothing but keys. It takes a number as every full read does, the live stream catches
up before its end mark, and silver deletes by it what it deletes by any complete generation: keys that were not shown
and were last seen before it began. Nothing is landed, so it is as cheap as the keys are small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import polars as pl
import pyarrow as pa

from headworks.bronze.generations import begin_generation, complete_generation, keys_path
from headworks.bronze.landing import Landing, OnBatch, land
from headworks.reports import LandingReport, TableRef
from headworks.sources.base import Batch, Source
from headworks.storage.delta import Table
from headworks.storage.exact import exactly
from headworks.storage.store import Lake
from headworks.storage.translating import reading

_NOT_WHOLE = (
    "The keys are not shown to be all that there are, so nothing is deleted by them: a key that was not shown may only "
    "be hidden."
)


class KeySource(Protocol):
    """A source that can be asked for its keys alone."""

    @property
    def schema(self) -> pl.Schema:
        """The columns of the source, its key among them."""
        ...

    @property
    def key(self) -> Sequence[str]:
        """The columns of the key."""
        ...

    def read_keys(self) -> Iterator[Batch]:
        """Yield the keys of all rows, as they are in one moment; ``shown`` is false where some may be hidden."""
        ...


def compare_keys(
    landing: Landing,
    source: KeySource,
    live: Source | None,
    largest_share: float,
    on_batch: OnBatch | None = None,
) -> tuple[LandingReport, ...]:
    """Note all keys of a source for silver to compare, and let the live stream catch up.

    The first report counts ``missing`` keys: those that the source has and bronze has never seen, since they were
    written with a cursor value that had been read past. Raises what landing and the source raise; without the end mark
    nothing is ever deleted.
    """
    schema = pl.Schema({name: source.schema[name] for name in source.key})
    generation = begin_generation(landing, source.schema)
    path = keys_path(generation, landing.token())
    arrow = pl.DataFrame(schema=schema).to_arrow().schema
    warnings: list[str] = []
    count = landing.lake.put_rows(path, arrow, _keys(source, arrow, warnings))
    caught_up = () if live is None else (land(landing, live, on_batch=on_batch),)
    bronze = landing.lake.must_open("bronze", landing.dataset)
    missing = _missing(landing.lake, bronze, path, schema)
    if not warnings:
        complete_generation(landing, replace(generation, keys=path, largest_share=largest_share))
    report = LandingReport(
        dataset=landing.dataset,
        stream=generation.stream,
        table=TableRef(
            table=bronze.name, version=bronze.version, uri=landing.lake.uri("bronze", landing.dataset)
        ),
        generation=generation.number,
        keys_noted=count,
        missing=missing,
        shown=False if warnings else None,
        warnings=(
            *warnings,
            *([_NOT_WHOLE] if warnings else []),
            *([_missing_warning(missing)] if missing else []),
        ),
    )
    return (report, *caught_up)


def _keys(source: KeySource, schema: pa.Schema, warnings: list[str]) -> Iterator[pa.Table]:
    """Yield the keys of a source, and note why they may not be all."""
    for batch in source.read_keys():
        if batch.shown is False:
            warnings += batch.warnings
        rows = batch.frame.to_arrow() if isinstance(batch.frame, pl.DataFrame) else batch.frame
        yield rows.select(schema.names).cast(schema)


def _missing(lake: Lake, bronze: Table, path: str, schema: pl.Schema) -> int:
    """Count the keys that neither bronze nor silver has seen."""
    names = list(schema)
    have = bronze.schema
    seen = bronze.scan().select(exactly(pl.col(name), have[name], dtype) for name, dtype in schema.items())
    unseen = lake.get_rows(path).join(seen, on=names, how="anti", nulls_equal=True)
    silver = lake.open("silver", bronze.name.removeprefix("bronze."))
    if silver is not None and set(names) <= set(silver.columns):
        # Rows that retention took out of bronze have been seen: silver has their keys, deleted ones among them.
        known = silver.scan().select(pl.col(name).cast(dtype, strict=False) for name, dtype in schema.items())
        unseen = unseen.join(known, on=names, how="anti", nulls_equal=True)
    with reading(bronze.name):
        return int(unseen.select(pl.len()).collect(engine="streaming").item())


def _missing_warning(missing: int) -> str:
    return (
        f"{missing} keys of the source are not in bronze: they have no cursor value, or were written with one that had "
        "been read past. A full read takes them"
    )
