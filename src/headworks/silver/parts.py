"""A range that is too large for memory, taken in parts: judged and compared part by part, gated and committed as one.

What a part comes to is spilled to a folder on the local disk, in columns. Of a key that came in several parts the
newest version is kept, after the merge if the range were one; DuckDB looks for such keys, since it can spill, too. A
sample of all parts represents the candidate where it is profiled.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import polars as pl

from headworks.quality.profiles import SAMPLE
from headworks.quality.rules import REASONS, all_among, judged_row_by_row
from headworks.reports import RefineReport
from headworks.silver.compare import CLOSING, INSERT, OLDER, RAISED, SAME, STATE, UPDATE, Comparison, fresh_of
from headworks.silver.dataset import ARRIVAL, CURSOR, DELETED, PROVENANCE, VOID, Dataset
from headworks.silver.parse import key_as_text, same_key
from headworks.silver.replaced import REPLACED, with_fate, without

_PLACE = ("_stream", "_sequence", "_row")
_ORIGINS = pl.Schema({"_stream": pl.String(), "_sequence": pl.Int64(), "_row": pl.Int64()})
_DUCKDB = {"memory_limit": "300MB", "preserve_insertion_order": "false", "threads": "2"}


def can_be_taken_in_parts(dataset: Dataset) -> bool:
    """Return whether parts of a range come to the same as the range at once.

    Rules about several rows, histories, contracts about the table after the merge, and elements of arrays that keep
    their first version need all rows.
    """
    whole = dataset.keeps == "history" or dataset.table_contract is not None or dataset.keeps_first_elements
    return not whole and judged_row_by_row(dataset.schema)


@dataclass
class Parts:
    """What the parts of a range came to, so far: rows in files of ``folder``, and sums."""

    folder: Path
    dataset: Dataset
    rows: int
    again: bool = False
    landed: int = 0
    released: int = 0
    rejected: int = 0
    superseded: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    warned: Counter[str] = field(default_factory=Counter)
    states: Counter[int] = field(default_factory=Counter)
    waiting: list[pl.DataFrame] = field(default_factory=list)
    settled: list[pl.DataFrame] = field(default_factory=list)
    elsewhere: int = 0
    found_arrays: list[pl.DataFrame] = field(default_factory=list)
    sample: list[pl.DataFrame] = field(default_factory=list)
    received: list[pl.DataFrame] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    rejects: list[Path] = field(default_factory=list)
    places: list[Path] = field(default_factory=list)
    versions: list[Path] = field(default_factory=list)

    def count(self, landed: int, released: int, superseded: int, warned: Mapping[str, int]) -> None:
        """Count what a part's rows were before they were compared with silver."""
        self.landed += landed
        self.released += released
        self.superseded += superseded
        self.warned.update(warned)

    def add(self, comparison: Comparison, received: pl.DataFrame, versions: pl.DataFrame) -> None:
        """Spill a part's candidates with what they mean for silver, and keep its share of the samples.

        ``versions`` are the rows of keys of which the candidate does not say all: they are spilled as they came.
        """
        marked = comparison.marked
        self._spill(marked)
        if not versions.is_empty():
            path = self.folder / f"versions-{len(self.versions):05}.parquet"
            versions.write_parquet(path, compression="lz4", statistics=False)
            self.versions.append(path)
        share = SAMPLE / max(self.rows, 1)
        profiled = fresh_of(comparison) if self.again else marked.drop(STATE)
        self.sample.append(_share_of(profiled, share, "_cursor"))
        self.received.append(_share_of(received, share, "_ingested_at"))

    def add_arrays(self, arrays: pl.DataFrame) -> None:
        """Keep which rows a part has of whole arrays."""
        if not arrays.is_empty():
            self.found_arrays.append(arrays)

    def arrays(self) -> pl.DataFrame:
        """Return the rows of whole arrays of all parts."""
        return pl.concat(self.found_arrays) if self.found_arrays else pl.DataFrame()

    def _spill(self, marked: pl.DataFrame) -> None:
        path = self.folder / f"candidates-{len(self.files):05}.parquet"
        marked.write_parquet(path, compression="lz4", statistics=False)
        self.files.append(path)
        self.states.update(_counted(marked))

    def count_replaced(self, replaced: int) -> None:
        """Count a part's rejected rows that newer accepted versions replace."""
        self.superseded += replaced

    def add_rejected(self, kept: pl.DataFrame, rejected: pl.DataFrame, places: pl.DataFrame) -> None:
        """Spill a part's rejected rows as quarantine keeps them and what orders them, and count their reasons."""
        self.rejected += rejected.height
        self.reasons.update(_reasons(rejected))
        if kept.is_empty():
            return
        number = len(self.rejects)
        for of_part, name, files in ((kept, "rejected", self.rejects), (places, "places", self.places)):
            path = self.folder / f"{name}-{number:05}.parquet"
            of_part.write_parquet(path, compression="lz4")
            files.append(path)

    def take_out_replaced(self) -> pl.DataFrame:
        """Take out the rejected rows that accepted versions of other parts replace, and return what ordered them."""
        taken: list[pl.DataFrame] = []
        accepted = pl.scan_parquet(self.files).select(*self.dataset.key, CURSOR, ARRIVAL, VOID)
        for kept, place in zip(self.rejects, self.places, strict=True):
            rejected = pl.read_parquet(place)
            keys = rejected.lazy().select(self.dataset.key).drop_nulls().unique()
            near = accepted.join(keys, on=list(self.dataset.key), how="semi")
            replaced = with_fate(rejected, near, self.dataset).filter(REPLACED)
            if replaced.is_empty():
                continue
            for path in (kept, place):
                without(pl.read_parquet(path), replaced).write_parquet(path, compression="lz4")
            taken.append(replaced)
        if not taken:
            return pl.DataFrame(schema={"_stream": pl.String, REASONS: pl.List(pl.String)})
        out = pl.concat(taken)
        self.rejected -= out.height
        self.superseded += out.height
        self.reasons = +(self.reasons - Counter(_reasons(out)))
        self._wait_no_longer(out)
        return out

    def _wait_no_longer(self, out: pl.DataFrame) -> None:
        """Take the keys of replaced rows out of those that wait, unless another row of the key waits."""
        key = list(self.dataset.key)
        still = pl.concat([pl.read_parquet(path) for path in self.places])
        waits = all_among(REASONS, self.dataset.waiting_reasons)
        gone = out.filter(waits).join(still.filter(waits), on=key, how="anti").select(key).unique()
        self.waiting = [each.join(gone, on=key, how="anti") for each in self.waiting]

    def settle(self, compare_again: Callable[[pl.DataFrame], Comparison]) -> None:
        """Keep of each key that came in several parts the version that counts; the others are superseded.

        Where a deletion is among them, what each means depends on the others: all versions of these few keys are
        compared with silver by ``compare_again``.
        """
        losers, ended = _older_versions(self.files, self.dataset, self.folder)
        taken = []
        for path in self.files if losers.height or ended.height else ():
            rows = pl.read_parquet(path)
            out = rows.join(losers, on=list(_PLACE), how="semi")
            apart = rows.join(ended, on=list(self.dataset.key), how="semi")
            if out.is_empty() and apart.is_empty():
                continue
            self.states.subtract(_counted(out))
            self.states.subtract(_counted(apart))
            self.superseded += out.height
            taken.append(apart.drop(STATE))
            kept = rows.join(losers, on=list(_PLACE), how="anti", maintain_order="left")
            kept = kept.join(ended, on=list(self.dataset.key), how="anti", maintain_order="left")
            kept.write_parquet(path, compression="lz4", statistics=False)
        if taken and (again := pl.concat(taken)).height:
            comparison = compare_again(self._with_versions(again))
            self.superseded += again.height - comparison.marked.height
            self._spill(comparison.marked)

    def _with_versions(self, candidates: pl.DataFrame) -> pl.DataFrame:
        """Return all versions of the candidates' keys as they came; of a key that came once in a part its candidate."""
        key = list(self.dataset.key)
        there = [pl.read_parquet(path).join(candidates, on=key, how="semi") for path in self.versions]
        came = pl.concat(there) if there else candidates.clear()
        alone = candidates.join(came, on=list(_PLACE), how="anti")
        return pl.concat([alone, came], how="diagonal")

    @property
    def only_inserts(self) -> bool:
        """Return whether silver has none of the keys."""
        return not (self.states[UPDATE] or self.states[CLOSING] or self.states[RAISED])

    def changes(self, touched: pl.Series | None) -> pl.LazyFrame:
        """Return the rows that a merge has to carry; of those read again later only those of ``touched`` keys.

        Of all keys where that is None.
        """
        rows = pl.scan_parquet(self.files)
        if touched is None:
            return rows.filter(pl.col(STATE).is_in([INSERT, UPDATE, CLOSING, RAISED])).drop(STATE)
        carried = pl.col(STATE).is_in([INSERT, UPDATE])
        if self.states[CLOSING] + self.states[RAISED] and not touched.is_empty():
            mine = same_key(key_as_text(self.dataset.key, rows.collect_schema()))
            again = mine.is_in(touched.drop_nulls().unique().implode())
            carried |= pl.col(STATE).is_in([CLOSING, RAISED]) & again
        return rows.filter(carried).drop(STATE)

    def live_rows(self) -> tuple[str, ...]:
        """Return the files of all candidates, for a contract."""
        return tuple(str(path) for path in self.files)

    def rejected_keys(self) -> pl.Series:
        """Return the keys of all rejected rows, as texts."""
        if not self.rejects:
            return pl.Series("key", dtype=pl.String)
        return pl.scan_parquet(self.rejects).select("key").collect().to_series()

    def rejected_origins(self) -> pl.DataFrame:
        """Return where in bronze all rejected rows are."""
        rejects = pl.scan_parquet(self.rejects) if self.rejects else pl.LazyFrame(schema=_ORIGINS)
        return rejects.select(_PLACE).collect()

    def quarantined(self, schema: pl.Schema) -> pl.LazyFrame:
        """Return all rejected rows as quarantine keeps them."""
        return pl.scan_parquet(self.rejects) if self.rejects else pl.LazyFrame(schema=schema)

    def account(self, report: RefineReport) -> RefineReport:
        """Return a report with the sums over all parts."""
        return report.model_copy(
            update={
                "landed": self.landed,
                "released": self.released,
                "rejected": self.rejected,
                "reasons": dict(sorted(self.reasons.items())),
                "warned": dict(sorted(self.warned.items())),
                "superseded": self.superseded + self.states[OLDER] + self.states[RAISED],
                "unchanged": self.states[SAME] + self.states[CLOSING],
                "inserted": self.states[INSERT],
                "updated": self.states[UPDATE],
                "waiting": pl.concat(self.waiting).n_unique() if self.waiting else 0,
                "elsewhere": self.elsewhere,
            }
        )

    @property
    def candidates(self) -> int:
        """How many candidates there are: one for each key."""
        return sum(self.states.values())

    @property
    def sampled(self) -> int:
        """How many candidates the sample represents: of what is read again, only those that are news."""
        return self.states[INSERT] + self.states[UPDATE] if self.again else self.candidates


@contextmanager
def spilled(dataset: Dataset, rows: int, *, again: bool = False) -> Iterator[Parts]:
    """Make a place for the parts of a range of ``rows`` rows, read ``again`` or not, and take it away."""
    with tempfile.TemporaryDirectory(prefix="headworks-parts-") as folder:
        yield Parts(Path(folder), dataset, rows, again)


def _reasons(rows: pl.DataFrame) -> list[str]:
    return [reason for row in rows.get_column(REASONS).to_list() for reason in row]


def _counted(rows: pl.DataFrame) -> dict[int, int]:
    return dict(rows.get_column(STATE).value_counts().iter_rows())


def _share_of(rows: pl.DataFrame, share: float, order: str) -> pl.DataFrame:
    """Return a share of rows, always the same ones, and with them the first and the last by ``order``."""
    if share >= 1 or rows.is_empty():
        return rows
    chosen = rows.sample(fraction=share, seed=0)
    return pl.concat([chosen, rows.top_k(1, by=order), rows.bottom_k(1, by=order)])


def _older_versions(
    files: Sequence[Path], dataset: Dataset, folder: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the places of all versions but the one that counts, of keys that came in several files.

    Alongside them are the keys of those that a deletion is among: these are to be compared again.
    """
    import duckdb

    names = ", ".join(f'"{name}"' for name in dataset.key)
    if dataset.keeps == "first":
        order = ", ".join(f"{name} ASC" for name in PROVENANCE if name != CURSOR)
    else:
        order = ", ".join(f"{name} DESC NULLS LAST" for name in PROVENANCE)
    with duckdb.connect(config={**_DUCKDB, "temp_directory": str(folder)}) as connection:
        connection.from_parquet([str(path) for path in files]).create_view("rows")
        gone = f"max({VOID}) IS NOT NULL OR bool_or({DELETED}) AS gone"
        several = f"SELECT {names}, {gone} FROM rows GROUP BY {names} HAVING count(*) > 1"
        found = connection.execute(
            f"WITH several AS ({several})"
            f" SELECT {', '.join(_PLACE)} FROM rows JOIN several USING ({names}) WHERE NOT gone"
            f" QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY {order}) > 1"
        ).fetchall()
        ended = connection.sql(f"SELECT {names} FROM ({several}) WHERE gone").to_arrow_table()
    types = {name: dtype for name, dtype in dataset.silver_schema().items() if name in dataset.key}
    keys = (
        cast(pl.DataFrame, pl.from_arrow(ended))
        .select(pl.col(name).cast(dtype) for name, dtype in types.items())
        .select(dataset.key)
    )
    return pl.DataFrame(found, schema=_ORIGINS, orient="row"), keys
