"""The ways that are measured, each in its own process: ``python -m benchmarks.quality.ways WAY DATA OUT REPORT``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import dataframely as dy
import duckdb
import polars as pl
import pyarrow.parquet as pq

from benchmarks.quality.rules import MONEY, RULES
from headworks.bronze.landing import Landing, land
from headworks.quality.contracts import run_contract
from headworks.quality.rules import Verdict, judge
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.merging import commit_merge
from headworks.silver.mirror import mirror
from headworks.silver.quarantine import next_try
from headworks.silver.refinement import Refinement, refine
from headworks.silver.table import CHANGE, Pending, commit_silver, pending
from headworks.silver.versions import compare_with
from headworks.sources.base import Batch, Position
from headworks.storage.store import Lake

_READ_ROWS = 200_000
_WRITERS = 2
_UNREADABLE = pl.lit([], dtype=pl.List(pl.String)).alias("_unreadable")
_CONTRACT = Path(__file__).with_name("orders.yml")
_TYPES: dict[pl.DataType, type[dy.Column]] = {
    pl.Int64(): dy.Int64,
    pl.Int32(): dy.Int32,
    pl.String(): dy.String,
    pl.Date(): dy.Date,
}


@dataclass(frozen=True)
class Place:
    """Where the data is, and where to write."""

    data: Path
    out: Path

    @property
    def lineitem(self) -> pl.LazyFrame:
        """The rows that rules are about."""
        return pl.scan_parquet(self.data / "lineitem.parquet")

    @property
    def orders(self) -> pl.LazyFrame:
        """The rows that are merged, and that the contract is about."""
        return pl.scan_parquet(self.data / "orders.parquet")

    def lake(self) -> Lake:
        """Open the lake of this way."""
        return Lake(LakeSettings(root=str(self.out / "lake")))


@dataclass
class Reading:
    """A source that gives the rows of a frame in batches, once."""

    rows: pl.LazyFrame

    @property
    def schema(self) -> pl.Schema:
        """The frame's columns."""
        return self.rows.collect_schema()

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield batches."""
        parts = self.rows.collect_batches(chunk_size=100_000)
        for number, frame in enumerate(parts, start=1):
            yield Batch(frame, {"n": number}, read=frame.height)


class Timed:
    """The seconds of what was measured, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measure what is done inside."""
        began = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began


def lines_schema(extra: dict[str, object] | None = None) -> type[dy.Schema]:
    """Return the schema of lineitem with the ten rules."""
    schema = pl.Schema({**_LINEITEM})
    columns: dict[str, object] = {
        name: dy.Decimal(15, 2, nullable=False) if dtype == MONEY else _TYPES[dtype](nullable=False)
        for name, dtype in schema.items()
    }
    rules = {name: dy.rule()(_holding(holds)) for name, holds in RULES.items()}
    return type("Lines", (dy.Schema,), {**columns, **rules, **(extra or {})})


def _holding(holds: pl.Expr) -> Callable[[Any], pl.Expr]:
    return lambda cls: holds


_LINEITEM: dict[str, pl.DataType] = {
    **dict.fromkeys(("l_orderkey", "l_partkey", "l_suppkey"), pl.Int64()),
    "l_linenumber": pl.Int32(),
    **dict.fromkeys(("l_quantity", "l_extendedprice", "l_discount", "l_tax"), MONEY),
    **dict.fromkeys(("l_returnflag", "l_linestatus"), pl.String()),
    **dict.fromkeys(("l_shipdate", "l_commitdate", "l_receiptdate"), pl.Date()),
    **dict.fromkeys(("l_shipinstruct", "l_shipmode", "l_comment"), pl.String()),
}


def hand(place: Place, timed: Timed) -> None:
    """Filter once, by hand, in Polars' streaming engine: good rows to one file, the others with reasons to another."""
    with timed("rows"):
        holds = pl.all_horizontal(RULES.values())
        reasons = pl.concat_list(pl.when(~rule).then(pl.lit(name)) for name, rule in RULES.items())
        good = place.lineitem.filter(holds)
        bad = place.lineitem.filter(~holds).with_columns(reasons.list.drop_nulls().alias("reasons"))
        pl.collect_all(
            [
                good.sink_parquet(place.out / "good.parquet", compression="snappy", lazy=True),
                bad.sink_parquet(place.out / "bad.parquet", compression="snappy", lazy=True),
            ],
            engine="streaming",
        )


def rows(place: Place, timed: Timed) -> None:
    """Judge by the rules of a dataframely schema, nulls and types included, and write both sides."""
    _judged(place, timed, lines_schema(), _READ_ROWS)


def unique(place: Place, timed: Timed) -> None:
    """Judge with a primary key and a rule about groups, too: all rows at once."""
    key = {"l_orderkey": dy.Int64(primary_key=True), "l_linenumber": dy.Int32(primary_key=True)}
    group = dy.rule()(lambda cls: pl.len().over("l_orderkey") <= 7)
    _judged(place, timed, lines_schema({**key, "too_many_lines": group}), 10**9)


def _judged(place: Place, timed: Timed, schema: type[dy.Schema], size: int) -> None:
    """Judge piece by piece, while two threads write, each its own files: one alone writes longer than all else."""
    with timed("rows"), ExitStack() as stack:
        hands = [_Hand(place.out, number) for number in range(_WRITERS)]
        for hand in hands:
            stack.callback(hand.close)
        pieces = place.lineitem.collect_batches(chunk_size=size, maintain_order=False)
        for hand, piece in zip(cycle(hands), pieces, strict=False):
            hand.write(judge(piece.with_columns(_UNREADABLE), schema, "_unreadable"))


class _Hand:
    """A thread that writes what was judged, one piece at a time."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number
        self._thread = ThreadPoolExecutor(1)
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._written: Future[None] | None = None

    def write(self, verdict: Verdict) -> None:
        """Write a piece's both sides as soon as the one before is written."""
        if self._written is not None:
            self._written.result()
        self._written = self._thread.submit(self._write, verdict)

    def close(self) -> None:
        """Wait for the last piece, and end the files."""
        if self._written is not None:
            self._written.result()
        self._thread.shutdown()
        for writer in self._writers.values():
            writer.close()

    def _write(self, verdict: Verdict) -> None:
        for name, frame in (("good", verdict.good), ("bad", verdict.rejected)):
            table = frame.drop("_unreadable").to_arrow()
            if name not in self._writers:
                path = self._folder / f"{name}-{self._number}.parquet"
                self._writers[name] = pq.ParquetWriter(path, table.schema)
            self._writers[name].write_table(table)


def refined(place: Place, timed: Timed) -> None:
    """Take all rows from bronze through the whole refinement into a new silver table and the quarantine."""
    lake = place.lake()
    dataset = Dataset(
        name="tpch.lineitem",
        key=("l_orderkey", "l_linenumber"),
        schema=lines_schema(),
        columns={name: pl.col(name) for name in _LINEITEM},
        limits=RejectLimits(share=1.0, rows=10**9),
    )
    if not (place.out / "lake").exists():
        land(Landing(lake, dataset.name, dataset.name, "bench"), Reading(place.lineitem))
        return
    with timed("rows"):
        report = refine(Refinement(lake, "bench"), dataset).report
    assert report.committed
    assert report.rejected
    print(report.model_dump_json(exclude={"table"}))


def soda(place: Place, timed: Timed) -> None:
    """Verify a contract of ten checks on a staged file; the second time, when Soda is imported."""
    staged = place.data / "orders.parquet"
    for name in ("first", "contract"):
        with timed(name):
            checks = run_contract(_CONTRACT, staged, "gold.bench")
    assert [check.outcome for check in checks] == ["passed"] * 10, checks


def query(place: Place, timed: Timed) -> None:
    """Ask the same ten things in one query by hand, in a DuckDB of its own."""
    with timed("contract"), duckdb.connect() as connection:
        row = connection.execute(_BY_HAND.format(file=place.data / "orders.parquet")).fetchone()
    assert row == (True,) * 10, row


_BY_HAND = """
SELECT count(*) > 0, count(*) - count(o_orderkey) = 0, count(o_orderkey) - count(DISTINCT o_orderkey) = 0,
       count(*) - count(o_custkey) = 0, count(*) FILTER (o_orderstatus NOT IN ('F', 'O', 'P')) = 0,
       count(*) - count(o_totalprice) = 0, count(*) FILTER (o_totalprice < 0) = 0,
       avg(o_totalprice) BETWEEN 1000 AND 1000000, count(*) FILTER (NOT regexp_matches(o_orderpriority, '^[1-5]-')) = 0,
       count(*) FILTER (o_orderdate > DATE '1999-01-01') = 0
FROM '{file}'
"""


def upsert(place: Place, timed: Timed) -> None:
    """Merge 100,000 recent rows, changed, into the 1.5 million of silver; alongside it a commit that changes nothing.

    Orders are numbered as they come, as a shop's are; TPC-H's own keys have nothing to do with their days.
    """
    lake, name = place.lake(), "tpch.orders"
    numbered = place.orders.sort("o_orderdate", "o_orderkey").with_columns(
        o_orderkey=pl.int_range(1, pl.len() + 1, dtype=pl.Int64)
    )
    columns = numbered.collect_schema()
    dataset = replace(mirror(name, ("o_orderkey",), columns, None), limits=RejectLimits(share=1.0))
    land(Landing(lake, name, name, "bench"), Reading(numbered))
    work = Refinement(lake, "bench")
    assert refine(work, dataset).report.inserted
    found: dict[str, list[float]] = {"fixed": [], "compare": [], "merge": []}
    for round_ in range(5):
        silver = lake.must_open("silver", name)
        recent = silver.scan().filter(pl.col("o_orderkey") > 1_400_000).collect()
        changed = recent.with_columns(
            pl.lit(f"round {round_}").alias("o_clerk"),
            (pl.col("_sequence") + 1_000_000).alias("_sequence"),
        )
        began = time.monotonic()
        comparison = compare_with(silver, changed, dataset)
        compared = time.monotonic()
        commit_merge(work, dataset, silver, comparison, Pending((), 0), next_try(silver, round_ + 1))
        merged = time.monotonic()
        silver = lake.must_open("silver", name)
        nothing = changed.clear()
        again = time.monotonic()
        commit_silver(silver, name, ("o_orderkey",), nothing, Pending((), 0), next_try(silver, round_ + 50))
        found["fixed"].append(time.monotonic() - again)
        found["compare"].append(compared - began)
        found["merge"].append(merged - compared)
        assert comparison.updates.height == 100_000
    timed.seconds.update({name: median(values) for name, values in found.items()})
    assert lake.must_open("silver", name).transaction(CHANGE) == 6
    assert pending(name, lake.must_open("bronze", name), lake.must_open("silver", name)).is_empty()


WAYS: dict[str, Callable[[Place, Timed], None]] = {
    "hand": hand,
    "headworks": rows,
    "headworks-groups": unique,
    "headworks-refine": refined,
    "query": query,
    "soda": soda,
    "upsert": upsert,
}


def main(way: str, data: str, out: str, report: str) -> None:
    """Take one way, and write how long what it did took."""
    timed = Timed()
    WAYS[way](Place(Path(data), Path(out)), timed)
    Path(report).write_text(json.dumps(timed.seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
