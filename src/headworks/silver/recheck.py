"""Silver's rows judged by the rules of today: a rule that became stricter was asked of new rows alone.

Nothing is changed by it. A row of silver that breaks a rule stays until silver is made again from bronze, where it is
rejected by that rule.
"""

from __future__ import annotations

import polars as pl

from headworks.quality.contracts import run_contract
from headworks.quality.rules import REASONS, judge
from headworks.reports import CheckReport, Report
from headworks.silver.dataset import DELETED, Dataset
from headworks.silver.merging import live_rows
from headworks.silver.parse import UNREADABLE, key_text
from headworks.silver.references import split_orphans
from headworks.silver.versions import rows_of
from headworks.storage.store import Lake
from headworks.storage.translating import collected, reading

_SAMPLE = 5


class Broken(Report):
    """A rule that rows of silver break, how many do, and keys of some of them."""

    rule: str
    rows: int
    keys: tuple[str, ...] = ()


class RecheckReport(Report):
    """What silver's rows are by the rules and contracts of today."""

    dataset: str
    version: int
    rows: int
    broken: tuple[Broken, ...] = ()
    checks: tuple[CheckReport, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no row breaks a rule and no check of a contract objects."""
        return not self.broken and all(check.outcome in {"passed", "warned"} for check in self.checks)


def recheck(lake: Lake, dataset: Dataset) -> RecheckReport:
    """Judge the live rows of a dataset's silver by its declaration as it is now; nothing is written."""
    with reading(f"silver.{dataset.name}"):
        silver = lake.must_open("silver", dataset.name)
        rows = collected(rows_of(silver, dataset).filter(~pl.col(DELETED)), silver.name)
        typed = _as_declared(rows, dataset)
        verdict = judge(typed, dataset.schema, UNREADABLE, dataset.warnings)
        linked = split_orphans(lake, dataset, verdict.good)
        rejected = pl.concat([verdict.rejected, linked.rejected]).select(*dataset.key, REASONS)
        return RecheckReport(
            dataset=dataset.name,
            version=silver.version,
            rows=rows.height,
            broken=_broken(rejected, dataset),
            checks=tuple(_contracts(rows, dataset)),
        )


def _as_declared(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return rows in the declared types, with a reason where a type does not hold a value of silver's wider one."""
    declared = {name: column.dtype for name, column in dataset.schema.columns().items()}
    typed = rows.with_columns(pl.col(name).cast(dtype, strict=False) for name, dtype in declared.items())
    lost = [
        pl.when(pl.Series(rows.get_column(name).is_not_null() & typed.get_column(name).is_null())).then(
            pl.lit(f"{name}|unreadable")
        )
        for name in declared
    ]
    return typed.with_columns(pl.concat_list(lost).list.drop_nulls().alias(UNREADABLE))


def _broken(rejected: pl.DataFrame, dataset: Dataset) -> tuple[Broken, ...]:
    named = rejected.select(key_text(rejected, dataset.key), REASONS).explode(REASONS)
    counted = (
        named.group_by(REASONS)
        .agg(pl.len(), pl.col("key").sort().head(_SAMPLE))
        .sort(["len", REASONS], descending=[True, False])
    )
    return tuple(
        Broken(rule=rule, rows=count, keys=tuple(str(key) for key in keys))
        for rule, count, keys in counted.iter_rows()
    )


def _contracts(rows: pl.DataFrame, dataset: Dataset) -> list[CheckReport]:
    """Run the contracts over the whole table; that of a batch of a history says nothing about all its versions."""
    of_batch = dataset.contract if dataset.keeps != "history" else None
    found: list[CheckReport] = []
    for contract in dict.fromkeys([of_batch, dataset.table_contract if not dataset.contract_sees else None]):
        if contract is not None and rows.height:
            found += run_contract(contract, live_rows(rows), f"silver.{dataset.name}")
    return found
