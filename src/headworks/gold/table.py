"""Gold tables: a candidate is staged from pinned silver, audited there, and then replaces the table in one commit."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
from pydantic import Field

from headworks.bronze.consumed import id_number
from headworks.names import OWN_IN_SILVER, check_dataset
from headworks.reports import Parts, Report, TableRef
from headworks.silver.dataset import CURRENT, VALID_TO
from headworks.silver.quarantine import WRITER
from headworks.silver.table import CHANGE, CHANGED_BY
from headworks.storage.delta import AT, Table
from headworks.storage.groups import batches_of, schema_of
from headworks.storage.object_store import options_of_polars
from headworks.storage.objects import Objects
from headworks.storage.rehearsal import with_changes
from headworks.storage.store import Lake
from headworks.storage.translating import reading, refused_when_stale, translated

CODE = "#code"

WHOLE = "#whole"
"""When a table that is made by parts was made whole for the last time, in seconds."""


PLAN = "#plan"
"""What the transform of a table that is made by parts said when it was made: a number of its plan."""


class Pins(Report):
    """The silver versions that all tables of one product are made from."""

    tables: tuple[TableRef, ...]
    changed_by: dict[str, int] = Field(
        default_factory=dict,
        description="By table, the random number of the commit that changed its rows last.",
    )

    writers: dict[str, int] = Field(
        default_factory=dict, description="By dataset, the number of silver's commit."
    )

    def made_from(self, datasets: tuple[str, ...]) -> list[tuple[str, str, int, int]]:
        """Return what names the rows of datasets: each table's id, its number of changes, who made the last one."""
        pinned = [self.version_of(name) for name in sorted(datasets)]
        return [(one.table, one.id, one.change, self.changed_by.get(one.table, 0)) for one in pinned]

    def input_of(self, dataset: str) -> int:
        """Return a number of 62 bits that names the rows of a dataset, and fits a transaction."""
        return id_number(json.dumps(self.made_from((dataset,))))

    def version_of(self, dataset: str) -> TableRef:
        """Return the pinned version of a dataset."""
        return next(table for table in self.tables if table.table == f"silver.{dataset}")


class Staged(Report):
    """A gold candidate: where it lies, what it was made from, and the version that it would replace."""

    dataset: str
    staging_id: str = Field(
        description="Names the candidate by what it was made from: the same inputs, the same file."
    )
    base_version: int
    inputs: dict[str, int]
    code: int
    rows: int
    writers: dict[str, int] = Field(default_factory=dict)
    """The numbers of the silver commits that it was made from."""
    fresh: bool = False
    """Made again; otherwise the table is up to date and nothing was made."""
    changed: bool = False
    """Differs from what the table holds."""
    totals: dict[str, str] = Field(default_factory=dict)
    rounded: dict[str, float] = Field(
        default_factory=dict, description="Of totals of floats: how far rounding alone may take them."
    )
    versions: dict[str, int] = Field(
        default_factory=dict, description="By input, the version of silver that it was made from."
    )
    parts: Parts | None = None
    whole_at: int = Field(default=0, description="When it was made whole, in seconds; 0 where it was not.")
    plan: int = Field(
        default=0, description="A number for what its transform said; 0 where that does not count."
    )


def pin(lake: Lake, datasets: list[str]) -> Pins:
    """Pin the newest silver version of each dataset."""
    return _pinned(lake, [(name, lake.must_open("silver", name)) for name in datasets])


def pin_versions(lake: Lake, versions: Mapping[str, int]) -> Pins:
    """Pin given versions of silver."""
    return _pinned(
        lake, [(name, lake.must_open("silver", name, number)) for name, number in versions.items()]
    )


def _pinned(lake: Lake, tables: Sequence[tuple[str, Table]]) -> Pins:
    return Pins(
        tables=tuple(
            TableRef(
                table=table.name,
                version=table.version,
                change=table.transaction(CHANGE),
                uri=lake.uri("silver", name),
                id=table.id,
            )
            for name, table in tables
        ),
        changed_by={table.name: table.transaction(CHANGED_BY) for _, table in tables},
        writers={name: table.transaction(WRITER) for name, table in tables},
    )


RECEIPTS = ("_ingested_at", "_deleted")
"""The columns that a transform gets in addition where it wants to know what was received when."""


def pinned_inputs(
    lake: Lake, pins: Pins, datasets: tuple[str, ...], *, receipts: bool = False
) -> dict[str, pl.LazyFrame]:
    """Return the live rows of the pinned versions, without tombstones and provenance.

    With ``receipts`` tombstones are there too, and each row says when bronze got it. What a row says of its end is
    left out then: it was not known when the row came.
    """
    frames = {}
    for name in datasets:
        table = lake.must_open("silver", name, pins.version_of(name).version)
        frames[name] = as_inputs(with_changes(lake, name, table.scan()), receipts=receipts)
    return frames


def as_inputs(rows: pl.LazyFrame, *, receipts: bool) -> pl.LazyFrame:
    """Return rows of silver as a transform gets them."""
    columns = rows.collect_schema().names()
    if receipts:
        of_today = {*OWN_IN_SILVER, VALID_TO, CURRENT} - {*RECEIPTS}
        return rows.select([column for column in columns if column not in of_today])
    business = [column for column in columns if column not in OWN_IN_SILVER]
    return rows.filter(~pl.col("_deleted")).select(business)


def is_current(gold: Table | None, inputs: dict[str, int], code: int) -> bool:
    """Return whether a gold table was made from just these inputs by just this code, and holds what was made."""
    if gold is None or gold.restored_since(gold.transaction(AT)) is not None:
        return False
    return gold.transaction(CODE) == code and all(
        gold.transaction(input_id(name)) == change for name, change in inputs.items()
    )


def input_id(dataset: str) -> str:
    """Name the transaction that carries which rows of an input a gold table was made from."""
    return f"input:{dataset}"


def writer_id(dataset: str) -> str:
    """Name the transaction that carries the number of the silver commit that a gold table was made from."""
    return f"writer:{dataset}"


def version_id(dataset: str) -> str:
    """Name the transaction that carries the version of silver, plus one, that a gold table was made from."""
    return f"version:{dataset}"


def staging_id(pins: Pins, datasets: tuple[str, ...], code: int, base_version: int) -> str:
    """Name a candidate by what it is made from."""
    made_from = json.dumps([pins.made_from(datasets), code, base_version])
    return hashlib.blake2b(made_from.encode(), digest_size=10).hexdigest()


def write_staged(lake: Lake, dataset: str, candidate: str, frame: pl.DataFrame) -> None:
    """Write a candidate to the staging area, whole: a killed writer leaves no half of a file under its name."""
    uri = staged_uri(lake, dataset, candidate)
    with translated(uri):
        if lake.drafts.settings.is_local:
            Path(uri).parent.mkdir(parents=True, exist_ok=True)
            partial = f"{uri}.{uuid.uuid4().hex}"
            frame.write_parquet(partial)
            Path(partial).replace(uri)
        else:
            frame.write_parquet(uri, storage_options=options_of_polars(lake.settings.options()))


def read_staged(lake: Lake, dataset: str, candidate: str) -> pl.DataFrame:
    """Read a candidate from the staging area."""
    uri = staged_uri(lake, dataset, candidate)
    with reading(uri):
        return pl.read_parquet(uri, storage_options=options_of_polars(lake.drafts.settings.options()))


def staged_schema(lake: Lake, dataset: str, candidate: str) -> pl.Schema:
    """Return the columns of a candidate in the staging area."""
    with _staged(lake, dataset, candidate) as file:
        return schema_of(file)


def staged_batches(lake: Lake, dataset: str, candidate: str) -> Iterator[pl.DataFrame]:
    """Yield the rows of a candidate in the staging area, a few at a time."""
    with _staged(lake, dataset, candidate) as file:
        yield from batches_of(file)


@contextmanager
def _staged(lake: Lake, dataset: str, candidate: str) -> Iterator[pa.NativeFile]:
    uri = staged_uri(lake, dataset, candidate)
    folder, _, name = uri.rpartition("/")
    with reading(uri), Objects(folder, lake.drafts.settings.options()).open_input_file(name) as file:
        yield file


def staged_uri(lake: Lake, dataset: str, candidate: str) -> str:
    """Return where a candidate for a gold table lies."""
    return f"{lake.drafts.settings.root}/_headworks/staging/{check_dataset(dataset)}/{candidate}.parquet"


def commit_gold(lake: Lake, staged: Staged) -> TableRef:
    """Replace a gold table by its audited candidate, or note that it is up to date with its inputs, in one commit.

    Raises `CandidateStale` where anything was committed to the table since the candidate was staged, but for what
    maintenance commits, which changes no row.
    """
    table = _base(lake, staged)
    if not staged.fresh:
        return gold_reference(lake, table, staged.dataset)
    transactions = {input_id(name): change for name, change in staged.inputs.items()}
    transactions |= {writer_id(name): writer for name, writer in staged.writers.items()}
    transactions |= {version_id(name): version + 1 for name, version in staged.versions.items()}
    if staged.whole_at:
        transactions[WHOLE] = staged.whole_at
    if staged.parts is not None:
        transactions[PLAN] = staged.plan
    transactions[CODE] = staged.code
    transactions[WRITER] = table.transaction(WRITER) + 1
    transactions[CHANGE] = table.transaction(CHANGE) + (1 if staged.changed else 0)
    with reading(table.name), refused_when_stale(table.name):
        if staged.changed:
            table.overwrite(read_staged(lake, staged.dataset, staged.staging_id), transactions)
        else:
            table.append(pl.DataFrame(schema=table.schema), transactions, retries=0)
    return gold_reference(lake, table, staged.dataset)


def _base(lake: Lake, staged: Staged) -> Table:
    """Return the version that a candidate replaces: that it was staged for, or a later one with the same rows."""
    table = lake.must_open("gold", staged.dataset, staged.base_version)
    newest = lake.must_open("gold", staged.dataset)
    if not staged.fresh or newest.version <= table.version or newest.id != table.id:
        return table
    return newest if newest.only_cared_for_since(staged.base_version) else table


def gold_reference(lake: Lake, table: Table, dataset: str) -> TableRef:
    """Name a version of a gold table."""
    return TableRef(
        table=table.name,
        version=table.version,
        change=table.transaction(CHANGE),
        uri=lake.uri("gold", dataset),
        id=table.id,
    )
