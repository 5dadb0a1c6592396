"""Bronze beside the sources: each record of each reading exactly once, though the shop lived on between the kills.

A Postgres table is compared row by row: all that a finished pass could read has to be there, and nothing more often
than the shop ever showed it. An API's stream is walked page by page: each page must hold what a reader that never
forgets and never repeats would have got there, in the state that the shop was in. The one repetition that is right is
the page before the cut, where pages are counted by number.

What belongs here: those two. What does not: silver and everything behind it (``lake_check.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import polars as pl

from headworks.lake.delta import Table
from headworks.lake.generations import ended_id
from headworks.names import generation_stream
from shop import datasets
from tests.chaos.comparing import Compared, Witness, compared, summed
from tests.chaos.living import LivingShop, rate_of

_PAGE_ROWS = 100
_NOTHING: Counter[Any] = Counter()


@dataclass(frozen=True)
class _Page:
    """A page as it lies in bronze: its number in its reading, when it was landed, and its records."""

    number: int
    landed_at: datetime
    records: tuple[bytes, ...]


_Walk = Callable[[str, LivingShop, Sequence[_Page], bool], Compared]


def compare_bronze(witness: Witness) -> list[Compared]:
    """Compare each bronze table with what the sources showed."""
    found = []
    for dataset, _ in datasets.TABLES:
        table, rows = _bronze(witness, dataset.name)
        parts = [
            _compare_rows(witness, dataset.name, stream, part, whole=whole)
            for stream, part, whole in _streams(dataset.name, table, rows)
        ]
        found.append(_with_addresses(witness, table, rows, parts))
    walks: tuple[tuple[str, _Walk], ...] = (
        (datasets.PRODUCTS.name, _walk_products),
        (datasets.RATES.name, _walk_rates),
    )
    for name, walk in walks:
        table, rows = _bronze(witness, name)
        parts = [
            walk(name, witness.shop, list(_pages(part)), whole)
            for _, part, whole in _streams(name, table, rows)
        ]
        found.append(_with_addresses(witness, table, rows, parts))
    return found


def _bronze(witness: Witness, name: str) -> tuple[Table, pl.DataFrame]:
    table = witness.lake.must_open("bronze", name)
    return table, table.scan().collect().sort("_stream", "_sequence", "_row")


def _streams(name: str, table: Table, rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame, bool]]:
    """Yield each stream's rows, and whether they must be whole: the live one, and a full read with its end mark."""
    whole = {name, generation_stream(name, table.transaction(ended_id(name)))}
    for stream in sorted({name, *rows.get_column("_stream")}):
        yield stream, rows.filter(pl.col("_stream") == stream), stream in whole


def _compare_rows(witness: Witness, name: str, stream: str, part: pl.DataFrame, *, whole: bool) -> Compared:
    """Compare a stream of a Postgres table, row by row."""
    found = Counter(part.select(pl.exclude("^_.*$")).rows())
    if stream == name:
        return compared(name, found, witness.must.get(name, _NOTHING), witness.shop.most[name])
    if part.is_empty():
        return compared(name, found, _NOTHING, _NOTHING)
    # A full read is never resumed, so it saw a single state of the shop.
    shown = witness.shop.state_at(part.get_column("_ingested_at")[0]).tables[name]
    return compared(name, found, shown if whole else _NOTHING, shown)


def _pages(part: pl.DataFrame) -> Iterator[_Page]:
    """Yield a stream's pages in the order in which they were landed."""
    rows = part.select("_sequence", "_page", "_ingested_at", "record").rows()
    for (_, number), page in groupby(rows, key=lambda row: (row[0], row[1])):
        listed = list(page)
        yield _Page(number, listed[0][2], tuple(record for _, _, _, record in listed))


def _walk_products(name: str, shop: LivingShop, pages: Sequence[_Page], whole: bool) -> Compared:
    """Walk the pages by number: a cut reading goes on with the page before the cut, a finished one begins anew."""
    parts, following, ended = [], 1, False
    for page in pages:
        shown = shop.state_at(page.landed_at).products
        if page.number == 1:
            following = 1 if ended else max(1, following - 1)
        right = shown[(following - 1) * _PAGE_ROWS : following * _PAGE_ROWS]
        parts.append(_exactly(name, page.records, right))
        ended = following * _PAGE_ROWS >= len(shown)
        following += 1
    if whole and not ended:
        parts.append(_exactly(name, (), shop.now.products[(following - 1) * _PAGE_ROWS :]))
    return summed(name, parts)


def _walk_rates(name: str, shop: LivingShop, pages: Sequence[_Page], whole: bool) -> Compared:
    """Walk the pages by cursor: a cut reading goes on behind the cut, a finished one begins with the last day."""
    parts, ended = [], False
    since, newest, last = "", "", ("", "")
    for page in pages:
        if page.number == 1 and ended:
            since, last = newest, ("", "")
        shown = shop.state_at(page.landed_at).rates
        rest = [rate for rate in shown if rate[0] >= since and rate[:2] > last]
        right = rest[:_PAGE_ROWS]
        parts.append(_exactly(name, [rate_of(record) for record in page.records], right))
        ended = len(rest) <= _PAGE_ROWS
        if right:
            last, newest = right[-1][:2], max(newest, right[-1][0])
    if whole and not ended:
        parts.append(_exactly(name, (), [rate for rate in shop.now.rates if rate[:2] > last]))
    return summed(name, parts)


def _exactly(name: str, found: Sequence[Any], right: Sequence[Any]) -> Compared:
    expected = Counter(right)
    return compared(name, Counter(found), expected, expected)


def _with_addresses(witness: Witness, table: Table, rows: pl.DataFrame, parts: list[Compared]) -> Compared:
    """Add what the rows' own numbers tell: none twice, none left out, and nothing gone that was said to be landed."""
    total = summed(table.name, parts)
    batches = rows.group_by("_stream", "_sequence").agg(
        last=pl.col("_row").max(), distinct=pl.col("_row").n_unique(), rows=pl.len()
    )
    gaps = int(batches.select((pl.col("last") + 1 - pl.col("distinct")).sum()).item())
    repeated = int(batches.select((pl.col("rows") - pl.col("distinct")).sum()).item())
    lost = sum(
        max(0, sequence - table.transaction(stream))
        for stream, sequence in witness.acknowledged.items()
        if table.name == f"bronze.{stream.partition('@')[0]}"
    )
    # The same row can show in both ways of counting; it is told once.
    missing, doubled = max(total.missing, gaps) + lost, max(total.doubled, repeated)
    return Compared(table.name, rows.height, missing, doubled)
