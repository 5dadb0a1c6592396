"""Which rejected rows wait for a row of another dataset, by an index of what they wait for.

A refinement judges waiting rows again. What it found of a row holds until a parent that the row refers to comes or
changes, or silver or the quarantine get another row of the same key. So after a refinement the rows that still wait are
kept alongside the tables, with their keys and what they refer to: they sleep, and the next refinement looks for the
parents of these alone, in those parents' tables that changed. What it finds is judged as ever.

The index says which silver, quarantine, notes and declaration it was made from. Where any of them is another one, or
the index is lost, all waiting rows are looked at, as they are once a day. It is written once everything is noted, so a
run that was killed leaves an index of an earlier commit, which counts no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from io import BytesIO

import polars as pl
from pydantic import Field, ValidationError

from headworks.bronze.resolutions import resolution_number, resolutions
from headworks.errors import ObjectLost
from headworks.names import dataset_folder
from headworks.quality.rules import all_among
from headworks.reports import Report
from headworks.silver.dataset import ORIGIN, Dataset
from headworks.silver.holding import declaration
from headworks.silver.noted import EXACT, Changed
from headworks.silver.parse import key_text
from headworks.silver.quarantine import SCHEMA, TRY, WAITS, WRITER
from headworks.silver.references import of_live_parents
from headworks.silver.rejects import open_rejects
from headworks.silver.table import CHANGE, CHANGED_BY
from headworks.silver.work import Refinement
from headworks.storage.delta import Table
from headworks.storage.store import Lake

NOTED = (*ORIGIN, "key", "reasons")
"""What is noted of a row that waits no longer."""

_KNOWN = "_known"
"""The key of a row that sleeps, and what it refers to; null of one that is to be judged again."""
_ALL_AFTER_S = 86_400


class _Mark(Report):
    """What an index was made from."""

    silver: str
    writer: int
    token: int
    quarantine: str
    declared: str
    resolutions: int
    parents: dict[str, tuple[str, int, int]] = Field(description="By parent: its id and its last change.")
    all_seen: float = Field(description="When all waiting rows were looked at last, in seconds.")
    digest: str = Field(
        default="", description="Of the rows as they are kept: damaged ones can read as other rows."
    )


@dataclass(frozen=True)
class Waiting:
    """The open rejected rows that wait: those to be judged again, and those that sleep.

    ``mark`` says what this holds for, None where no index can be kept; ``kept`` that it is written already.
    """

    rows: pl.DataFrame
    asleep: pl.DataFrame
    mark: _Mark | None = None
    kept: bool = False

    def known(self) -> pl.DataFrame:
        """Return the keys of the rows that sleep, with what they refer to; there have to be some."""
        return self.asleep.get_column(_KNOWN).struct.unnest()

    def with_siblings(self, judged: pl.DataFrame, dataset: Dataset) -> Waiting:
        """Wake the rows that have a key of those that are judged: the newest of a key counts."""
        if self.asleep.is_empty() or judged.is_empty():
            return self
        mine = self.known().with_row_index("\0place")
        found = mine.join(judged.select(dataset.key).unique(), on=list(dataset.key), how="semi")
        return self._woken(pl.int_range(self.asleep.height, eager=True).is_in(found["\0place"].implode()))

    def _woken(self, these: pl.Series) -> Waiting:
        if not these.any():
            return self
        woken = self.asleep.filter(these)
        rows = pl.concat([self.rows, woken.select(NOTED)])
        return replace(self, rows=rows, asleep=self.asleep.filter(~these), kept=False)

    def after(self, settled: pl.DataFrame, still: pl.DataFrame, dataset: Dataset) -> Waiting:
        """Return what waits once rows were judged again: ``still`` are those that wait on, by their typed rows."""
        if self.mark is None or self.rows.is_empty():
            return self
        open_ones = self.rows.join(settled.select(ORIGIN), on=list(ORIGIN), how="anti")
        names = dict.fromkeys([*dataset.key, *(name for one in dataset.references for name in one.columns)])
        text = key_text(still, dataset.key).alias("_text")
        texts = still.select(*ORIGIN, text, pl.struct(*names).alias(_KNOWN))
        # Of several rows of a key the newest counts: they are looked at together, each time.
        of_key = open_ones.group_by("key").len("_rows")
        sleeps = (
            open_ones.join(of_key, on="key", how="left")
            .join(texts, on=list(ORIGIN), how="inner")
            .filter((pl.col("_rows") == 1) & (pl.col("key") == pl.col("_text")))
            .select(*NOTED, _KNOWN)
        )
        asleep = pl.concat([self.asleep, sleeps]) if self.asleep.height else sleeps
        rows = open_ones.join(sleeps.select(ORIGIN), on=list(ORIGIN), how="anti")
        return replace(self, rows=rows, asleep=asleep, kept=False)


def waiting_rows(work: Refinement, dataset: Dataset, silver: Table) -> Waiting:
    """Return the open rejected rows that wait for another row; as few of them to be judged again as is known."""
    lake = work.lake
    if lake.rehearsal is not None or not _can_be_kept(dataset, silver):
        return _all(lake, dataset, silver, None)
    # Before anything of the parents is read: what changes meanwhile is looked for the next time.
    now = _mark(work, dataset, silver)
    found = _kept(lake, dataset)
    if found is None or not _holds(found[0], now):
        return _all(lake, dataset, silver, now)
    before, index = found
    mark = now.model_copy(update={"all_seen": before.all_seen})
    rows, asleep = index.filter(pl.col(_KNOWN).is_null()), index.filter(pl.col(_KNOWN).is_not_null())
    known = Waiting(rows.select(NOTED), asleep, mark, kept=before.parents == now.parents)
    changed = {name for name, change in now.parents.items() if before.parents.get(name) != change}
    for reference in dataset.references:
        if reference.parent in changed and known.asleep.height:
            known = known._woken(of_live_parents(lake, dataset, reference, known.known()))
    return known


def _all(lake: Lake, dataset: Dataset, silver: Table, mark: _Mark | None) -> Waiting:
    is_waiting = all_among("reasons", dataset.waiting_reasons)
    rows = open_rejects(lake, dataset.name, silver).filter(is_waiting).select(NOTED).collect()
    return Waiting(rows, pl.DataFrame(schema={name: SCHEMA[name] for name in NOTED}), mark)


def put_waiting(
    work: Refinement,
    dataset: Dataset,
    found: Waiting | None,
    changed: Changed | None,
    rejected: Callable[[], pl.DataFrame | pl.LazyFrame] | None,
) -> None:
    """Keep which rows wait, once everything of a refinement is noted.

    ``changed`` is what its commit changed, and ``rejected`` are the rows that it rejected; neither where it committed
    nothing. Where they are not known although it did, what was kept before counts no more; nor does this, where another
    run committed silver since.
    """
    mark = None if found is None else found.mark
    if found is None or mark is None or (found.kept and changed is None):
        return
    before = (mark.writer, mark.token)
    after = before if changed is None else (changed.attempt.writer, changed.attempt.token)
    if changed is not None and (changed.attempt.writer - 1, changed.attempt.last_token) != before:
        return
    lake, name = work.lake, dataset.name
    if changed is not None and found.asleep.height:
        texts = key_text(changed.keys, dataset.key).unique().implode()
        found = found._woken(found.asleep.get_column("key").is_in(texts))
    rows = found.rows
    if rejected is not None:
        waits = rejected().lazy().filter(pl.col(WAITS)).select(NOTED).collect()
        rows = pl.concat([rows, waits.cast(dict(rows.schema))])  # type: ignore[arg-type]
    index = pl.concat([rows, found.asleep], how="diagonal") if found.asleep.height else rows
    # The number before the notes: of those that come in between there are then more than it says.
    number = resolution_number(lake, name)
    if number != mark.resolutions and index.height:
        index = index.join(resolutions(lake, name).select(ORIGIN).collect(), on=list(ORIGIN), how="anti")
    quarantine = None if mark.quarantine else lake.open("quarantine", name)
    said: dict[str, object] = {"writer": after[0], "token": after[1], "resolutions": number}
    if quarantine is not None:
        said["quarantine"] = quarantine.id
    _put(lake, dataset, mark.model_copy(update=said), index)


def _can_be_kept(dataset: Dataset, silver: Table) -> bool:
    """Return whether what is known of a row depends on its key and its parents alone, and keys have one text."""
    plain = dataset.keeps != "history" and dataset.nested is None
    return plain and all(silver.schema[name] in EXACT for name in dataset.key)


def _mark(work: Refinement, dataset: Dataset, silver: Table) -> _Mark:
    quarantine = work.lake.open("quarantine", dataset.name)
    parents: dict[str, tuple[str, int, int]] = {}
    for name in dict.fromkeys(one.parent for one in dataset.references):
        table = work.lake.open("silver", name)
        if table is not None:
            parents[name] = (table.id, table.transaction(CHANGE), table.transaction(CHANGED_BY))
    return _Mark(
        silver=silver.id,
        writer=silver.transaction(WRITER),
        token=silver.transaction(TRY),
        quarantine="" if quarantine is None else quarantine.id,
        declared=f"{declaration(dataset)} {dataset.key} {dataset.keeps} {dataset.cursor} {dict(silver.schema)} "
        f"{pl.__version__}",
        resolutions=resolution_number(work.lake, dataset.name),
        parents=parents,
        all_seen=work.clock().timestamp(),
    )


def _holds(before: _Mark, now: _Mark) -> bool:
    """Return whether an index holds for what there is now, but for its parents."""
    same: Mapping[str, object] = {"parents": {}, "all_seen": 0.0, "digest": ""}
    if not 0 <= now.all_seen - before.all_seen < _ALL_AFTER_S:
        return False
    return before.model_copy(update=same) == now.model_copy(update=same)


def _path(dataset: Dataset) -> str:
    return f"_headworks/waiting/{dataset_folder(dataset.name)}.arrow"


def _put(lake: Lake, dataset: Dataset, mark: _Mark, index: pl.DataFrame) -> None:
    rows = BytesIO()
    index.write_ipc(rows)
    data = rows.getvalue()
    said = mark.model_copy(update={"digest": _digest(data)}).model_dump_json()
    lake.put_bytes(_path(dataset), said.encode() + b"\n" + data)


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def _kept(lake: Lake, dataset: Dataset) -> tuple[_Mark, pl.DataFrame] | None:
    try:
        said, _, data = lake.get_bytes(_path(dataset)).partition(b"\n")
        mark = _Mark.model_validate_json(said)
        if mark.digest != _digest(data):
            return None
        index = pl.read_ipc(BytesIO(data))
    except (ObjectLost, ValidationError, pl.exceptions.PolarsError, OSError):
        return None
    return mark, index if _KNOWN in index.columns else index.with_columns(pl.lit(None).alias(_KNOWN))
