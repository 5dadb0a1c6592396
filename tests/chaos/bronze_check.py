"""Bronze alongside the sources: each record of each reading exactly once, though the shop lived on between the kills.

A Postgres table is compared row by row: all that a finished pass could read has to be there, and nothing more often
than the shop ever showed it. So is an API that is read by cursor. Where pages are counted by number, each reading may
scan them twice, since the number that is announced may change between two pages, and one that continues after a kill
remembers nothing of what came before: there a record may be landed once by each reading, and one that cannot be
recognised, since it has no readable key or its key is listed twice, by each scan.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from headworks.bronze.generations import ended_id
from headworks.names import generation_stream
from headworks.storage.delta import Table
from shop import datasets
from tests.chaos.comparing import Compared, Witness, compared, summed
from tests.chaos.living import State, rate_of

_SCANS = 2
_NOTHING: Counter[Any] = Counter()


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
    for name, compare in ((datasets.PRODUCTS.name, _compare_products), (datasets.RATES.name, _compare_rates)):
        table, rows = _bronze(witness, name)
        parts = [
            compare(witness, name, stream, part, whole=whole)
            for stream, part, whole in _streams(name, table, rows)
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


def _compare_products(
    witness: Witness, name: str, stream: str, part: pl.DataFrame, *, whole: bool
) -> Compared:
    """Compare a stream of the catalogue: each record that a whole reading saw, and no more often than it was read."""
    found = Counter(part.get_column("record").to_list())
    least, shown = _shown(witness, name, stream, part, whole=whole)
    readings, alike = _readings(part), _recognisable(witness)
    most = Counter(
        {record: readings * (1 if record in alike else _SCANS * times) for record, times in shown.items()}
    )
    return compared(name, found, least, most)


def _compare_rates(witness: Witness, name: str, stream: str, part: pl.DataFrame, *, whole: bool) -> Compared:
    """Compare a stream of the rates, of which each reading continues exactly where the last one stood."""
    found = Counter(map(rate_of, part.get_column("record").to_list()))
    least, shown = _shown(witness, name, stream, part, whole=whole)
    return compared(name, found, least, Counter(dict.fromkeys(shown, 1)))


def _shown(
    witness: Witness, name: str, stream: str, part: pl.DataFrame, *, whole: bool
) -> tuple[Counter[Any], Counter[Any]]:
    """Return what must be in a stream of an API, each once at least, and all that the shop ever showed there."""
    ever: Counter[Any] = Counter()
    for state in witness.shop.states:
        ever |= Counter(_listed(name, state))
    if stream == name:
        return Counter(dict.fromkeys(witness.must.get(name, _NOTHING), 1)), ever
    if part.is_empty() or not whole:
        return Counter(), ever
    # A full read is never resumed, so it saw a single state of the shop.
    state = witness.shop.state_at(part.get_column("_ingested_at")[0])
    return Counter(dict.fromkeys(_listed(name, state), 1)), Counter(_listed(name, state))


def _listed(name: str, state: State) -> Sequence[Any]:
    return state.products if name == datasets.PRODUCTS.name else state.rates


def _readings(part: pl.DataFrame) -> int:
    """Count the readings of a stream that landed anything: the pages of each are numbered from 1."""
    pages: list[int] = (
        part.select("_sequence", "_page").unique(maintain_order=True).get_column("_page").to_list()
    )
    return 1 + sum(after <= before for before, after in pairwise(pages))


def _recognisable(witness: Witness) -> set[bytes]:
    """Return the records that are recognised when a reading gets them again: the only ones of their key, and with one.

    Of a key that the catalogue lists in two versions, the one that comes is never the one that came last.
    """
    alike: set[bytes] = set()
    torn: set[bytes] = set()
    for state in witness.shop.states:
        by_key: dict[Any, set[bytes]] = {}
        for record in state.products:
            by_key.setdefault(_key(record), set()).add(record)
        for key, records in by_key.items():
            (torn if key is None or len(records) > 1 else alike).update(records)
    return alike - torn


def _key(record: bytes) -> Any:
    """Return a record's key, or None where it has none that can be read."""
    try:
        return json.loads(record)["product_id"]
    except (ValueError, KeyError, TypeError):
        return None


def _with_addresses(witness: Witness, table: Table, rows: pl.DataFrame, parts: list[Compared]) -> Compared:
    """Add what the rows' own numbers report: none twice, none left out, and nothing gone that was said to be landed."""
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
    # The same row can show in both ways of counting; it is reported once.
    missing, duplicated = max(total.missing, gaps) + lost, max(total.duplicated, repeated)
    return Compared(table.name, rows.height, missing, duplicated)
