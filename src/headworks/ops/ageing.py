"""Which rows of a table are old enough to be deleted, and which must stay however old they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from headworks.bronze.generations import ended_id
from headworks.bronze.nested import taken_by_children
from headworks.bronze.resolutions import unresolved
from headworks.names import Layer
from headworks.quality.deliveries import held
from headworks.silver.quarantine import WAITS
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import collected

_TIMES: dict[Layer, str] = {"bronze": "_ingested_at", "quarantine": "rejected_at"}
_OPS_TIMES = ("finished_at", "checked_at", "at")

AGEING: frozenset[Layer] = frozenset({*_TIMES, "ops"})
"""The layers whose rows age; silver and gold say what is."""


@dataclass(frozen=True)
class Consumed:
    """Rows of one bronze stream that silver has taken, less the batches that a rejected row came from."""

    stream: str
    upto: int
    kept: tuple[int, ...]

    def sql(self) -> str:
        """Return the condition as delta-rs reads it."""
        text = f"_stream = '{self.stream}' AND _sequence <= {self.upto}"
        return (
            f"({text} AND _sequence NOT IN ({', '.join(map(str, self.kept))}))" if self.kept else f"({text})"
        )

    def expression(self) -> pl.Expr:
        """Return the condition as Polars reads it."""
        taken = (pl.col("_stream") == self.stream) & (pl.col("_sequence") <= self.upto)
        return taken & ~pl.col("_sequence").is_in(list(self.kept))


@dataclass(frozen=True)
class Expired:
    """Rows that are old enough to go, as delta-rs and as Polars read it.

    ``waiting`` are batches of quarantined rows that wait for a row of another dataset, by stream; ``kept`` is how many
    rows are old and stay because they wait.
    """

    column: str
    before: datetime
    consumed: tuple[Consumed, ...] | None = None
    waiting: Mapping[str, Collection[int]] = field(default_factory=dict)
    kept: int = 0

    def sql(self) -> str:
        """Return the condition as delta-rs reads it."""
        parts = [f"{self.column} < '{self.before.isoformat()}'"]
        if self.consumed is not None:
            parts.append(f"({' OR '.join(each.sql() for each in self.consumed)})")
        for stream, sequences in self.waiting.items():
            numbers = ", ".join(map(str, sorted(sequences)))
            parts.append(f"NOT (_stream = '{stream}' AND _sequence IN ({numbers}))")
        return " AND ".join(parts)

    def expression(self) -> pl.Expr:
        """Return the condition as Polars reads it."""
        found = pl.col(self.column) < self.before
        if self.consumed is not None:
            found &= pl.any_horizontal(each.expression() for each in self.consumed)
        for stream, sequences in self.waiting.items():
            found &= ~((pl.col("_stream") == stream) & pl.col("_sequence").is_in(sorted(sequences)))
        return found


def expired_rows(lake: Lake, table: Table, layer: Layer, dataset: str, before: datetime) -> Expired | None:
    """Return which rows are old enough to go; None where none may."""
    if layer == "ops":
        column = next((name for name in _OPS_TIMES if name in table.columns), None)
        return Expired(column, before) if column else None
    if layer == "quarantine":
        return _rejected(lake, table, dataset, before)
    consumed = _consumed(lake, table, dataset)
    return Expired(_TIMES[layer], before, consumed) if consumed else None


def _rejected(lake: Lake, quarantine: Table, dataset: str, before: datetime) -> Expired:
    """Return the rejected rows that may go: what waits for another row, and was not decided about, is not one of them.

    Of rows that were kept before this was noted it is not known, and they wait.
    """
    rows = quarantine.scan().filter(pl.col(_TIMES["quarantine"]) < before)
    if WAITS in quarantine.columns:
        rows = rows.filter(pl.col(WAITS).fill_null(value=True))
    batches = unresolved(lake, dataset, rows).group_by("_stream", "_sequence").len()
    waiting: dict[str, list[int]] = {}
    kept = 0
    for stream, sequence, count in collected(batches, quarantine.name).iter_rows():
        waiting.setdefault(stream, []).append(sequence)
        kept += count
    return Expired(_TIMES["quarantine"], before, waiting=waiting, kept=kept)


def _consumed(lake: Lake, bronze: Table, dataset: str) -> tuple[Consumed, ...]:
    silver = lake.open("silver", dataset)
    if silver is None or silver.transaction(ended_id(dataset)) < bronze.transaction(ended_id(dataset)):
        # A full read that silver has not taken yet looks for what it saw among all rows since it began.
        return ()
    kept: dict[str, list[int]] = {}
    quarantine = lake.open("quarantine", dataset)
    if quarantine is not None:
        origins = (
            quarantine.scan().select("_stream", "_sequence").unique().sort("_stream", "_sequence").collect()
        )
        for stream, sequence in origins.iter_rows():
            kept.setdefault(stream, []).append(sequence)
    for one in held(lake, dataset):
        # Below silver's watermark and not in silver: what waits for a decision does not age.
        for span in one.spans:
            kept.setdefault(span.stream, []).extend(range(span.after + 1, span.upto + 1))
    children = taken_by_children(lake, dataset)

    def upto(stream: str) -> int:
        return min([silver.transaction(stream), *(taken.get(stream, 0) for taken in children)])

    return tuple(Consumed(stream, upto(stream), tuple(kept.get(stream, ()))) for stream in bronze.streams())
