"""Silver follows its declaration: new columns, wider types and columns taken out, in one commit that changes no value.

The commit is made like every other one of silver: it is a try with a number and a token, through the table object
that was looked at, never rebased. It consumes no range of bronze. A run that is killed before it leaves silver as it
was; after it the next run finds nothing left to do. A type that does not hold all that is there is refused before
anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from headworks.errors import AccountMismatch, SchemaChanged
from headworks.ports import TokenMaker
from headworks.silver.quarantine import QUARANTINED, SCHEMA, TRY, WRITER, next_try, put_rejected
from headworks.silver.table import CHANGE, CHANGED_BY
from headworks.storage.delta import Table
from headworks.storage.drift import Change, Drift, drift_of
from headworks.storage.exact import exactly
from headworks.storage.store import Lake
from headworks.storage.translating import refused_when_stale


@dataclass(frozen=True)
class Wanted:
    """The columns that a declaration asks of a silver table.

    ``dropped`` are columns that are taken out for good, and ``remade`` expressions over the table's columns for those
    whose meaning changed.
    """

    columns: pl.Schema
    dropped: Sequence[str] = ()
    remade: Mapping[str, pl.Expr] | None = None


def followed(lake: Lake, dataset: str, silver: Table, wanted: Wanted, token: TokenMaker) -> Table:
    """Return the silver table with the columns that are wanted, after a commit where it did not have them.

    Raises `SchemaChanged` with each column that cannot be changed without changing a value, and `CandidateStale` where
    another run committed in between.
    """
    columns = columns_after(silver, wanted)
    if columns is None:
        return silver
    attempt = next_try(silver, token())
    # Rejected rows of tries that silver never named go, as with every try: silver knows the newest token alone.
    attempt = put_rejected(lake, dataset, attempt, pl.DataFrame(schema=SCHEMA))
    transactions = {
        WRITER: attempt.writer,
        TRY: attempt.token,
        QUARANTINED: attempt.quarantined,
        CHANGE: silver.transaction(CHANGE) + 1,
        CHANGED_BY: attempt.token,
    }
    rows = silver.row_count()
    with refused_when_stale(silver.name):
        silver.rewrite(columns, transactions)
    fresh = lake.must_open("silver", dataset)
    if fresh.transaction(TRY) == attempt.token and fresh.row_count() != rows:
        raise AccountMismatch(
            f"Silver holds {fresh.row_count()} rows after its columns were changed and should hold {rows}.",
            where=f"silver.{dataset}, version {fresh.version}",
            do="keep the table as it is and report this with the run's id; bronze has every row.",
        )
    return fresh


def columns_after(silver: Table, wanted: Wanted) -> dict[str, pl.Expr] | None:
    """Return each column of a silver table as it has to become, None where the table is as it is wanted.

    Raises `SchemaChanged` for what would change a value; a table without a row has none.
    """
    have, remade = silver.schema, dict(wanted.remade or {})
    drift = drift_of(
        wanted.columns, pl.Schema({name: kind for name, kind in have.items() if name not in remade})
    )
    lost = [name for name in drift.dropped if name not in wanted.dropped]
    if (drift.changed or lost) and silver.row_count():
        raise _refused(silver.name, drift, lost)
    new = [name for name in drift.new if name not in remade]
    if not (new or drift.dropped or drift.widened or drift.changed or remade):
        return None
    after: dict[str, pl.Expr] = {}
    for name, dtype in wanted.columns.items():
        if name in remade:
            after[name] = remade[name]
        elif name in have and name not in drift.changed:
            after[name] = exactly(pl.col(name), have[name], drift.widened.get(name, (dtype, have[name]))[1])
        else:
            after[name] = pl.lit(None, dtype=dtype)
    return {name: value.alias(name) for name, value in after.items()}


def _refused(where: str, drift: Drift, lost: Sequence[str]) -> SchemaChanged:
    changes: list[Change] = [(name, *types) for name, types in drift.changed.items()]
    texts = [f"{name} is {before} in silver and is declared as {after}" for name, before, after in changes]
    texts += [f"{name} is {drift.dropped[name]} in silver and is not declared" for name in lost]
    texts += [
        f"{name} is not in silver and is declared as {dtype}" for name, dtype in drift.new.items() if lost
    ]
    return SchemaChanged(
        f"Silver's columns do not fit their declaration: {'; '.join(texts)}.",
        where=where,
        do="nothing was changed. Declare a type that holds both, or a new name for the column; name a column that is "
        "gone for good in the dataset's `dropped`. Or make silver again from bronze by the new declaration: "
        "headworks silver rebuild (docs/rules.md).",
    )
