"""Care of the lake's tables beside running readers and writers: compaction, retention, vacuum, clean-up of logs.

Nothing that somebody may still open is taken away: files younger than the longest run stay, and so do the versions that
products name, with their log; the checkpoint that a table names is never collected; bronze rows go only when silver has
consumed them and no rejected row was born in their batch. A table that is busy is left for the next time.

What belongs here: what is done to one table, in which order. What does not: which day it runs, and rolling back.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import polars as pl
from pydantic import Field, model_validator

from headworks.errors import CandidateStale
from headworks.lake.ageing import AGEING, expired_rows
from headworks.lake.consumed import checkpoint_id
from headworks.lake.delta import Table
from headworks.lake.generations import ended_id, marks_folder
from headworks.lake.products import publications
from headworks.lake.store import Lake, StoredObject
from headworks.lake.translating import refused_when_stale
from headworks.names import AGED, Layer, checkpoints_folder, table_path
from headworks.observe.report import Report
from headworks.ports import Clock, system_clock
from headworks.settings import Settings

LAYERS: tuple[Layer, ...] = ("bronze", "silver", "gold", "quarantine", "ops")
_CHECKPOINT = re.compile(r"(?P<stream>[^/]+)/(?P<sequence>\d+)-(?P<token>\d+)\.(?P<kind>[a-z]+)")


class MaintenanceSettings(Settings):
    """How long things are kept, and when small files are worth joining."""

    longest_run_h: int = Field(
        default=24,
        ge=1,
        description="No run takes longer than this, in hours; nothing younger is taken away.",
    )
    vacuum_after_h: int = Field(
        default=168, ge=1, description="Files that no version in use needs are kept so long, in hours."
    )
    keep_publications_days: int = Field(
        default=30, ge=0, description="Publications of the last so many days can be rolled back to."
    )
    log_retention_days: int = Field(
        default=30, ge=0, description="How long the tables' own history is kept, in days."
    )
    compact_from_files: int = Field(
        default=16, ge=2, description="Fewer data files than this in a partition are not joined."
    )
    target_size_mb: int = Field(default=128, ge=1, description="Size of a joined file, in megabytes.")
    keep_days: dict[Layer, int] = Field(
        default_factory=dict,
        description="Rows of a layer that are older than so many days are deleted; a layer that is not named keeps "
        "all. Bronze, quarantine and ops can be named: silver and gold say what is, and do not age.",
    )

    @model_validator(mode="after")
    def _safe(self) -> MaintenanceSettings:
        if self.vacuum_after_h < self.longest_run_h:
            raise ValueError(
                "vacuum_after_h must not be shorter than longest_run_h: a running flow needs its files"
            )
        unfit = set(self.keep_days) - AGEING
        if unfit:
            raise ValueError(f"rows of {', '.join(sorted(unfit))} do not age; name bronze, quarantine or ops")
        too_short = {layer for layer, days in self.keep_days.items() if days * 24 < self.longest_run_h}
        if too_short:
            raise ValueError(f"keep_days of {', '.join(sorted(too_short))} is shorter than longest_run_h")
        return self


class TableCare(Report):
    """What was done to one table."""

    table: str
    files_before: int = 0
    files_after: int = 0
    rows_expired: int = 0
    files_removed: int = 0
    log_cleaned: bool = False
    objects_removed: int = Field(
        default=0, description="Checkpoints and staged candidates that nothing names."
    )
    left: tuple[str, ...] = Field(default=(), description="What was not done this time, and why.")


def maintain(
    lake: Lake,
    settings: MaintenanceSettings,
    *,
    dry_run: bool = False,
    clock: Clock = system_clock,
) -> tuple[TableCare, ...]:
    """Care for every table of the lake; a dry run counts what would be taken away."""
    named = _named_versions(lake, settings, clock())
    return tuple(
        _Care(lake, settings, layer, dataset, dry_run, clock()).all_of_it(
            named.get(f"{layer}.{dataset}", set())
        )
        for layer in LAYERS
        for dataset in lake.datasets(layer)
    )


class _Care:
    """The care of one table: each step leaves a note instead of waiting where the table is busy."""

    def __init__(
        self,
        lake: Lake,
        settings: MaintenanceSettings,
        layer: Layer,
        dataset: str,
        dry_run: bool,
        now: datetime,
    ) -> None:
        self._lake, self._settings, self._dry_run, self._now = lake, settings, dry_run, now
        self._layer, self._dataset = layer, dataset
        self._left: list[str] = []

    def all_of_it(self, named: set[int]) -> TableCare:
        before = self._open().file_count()
        expired = self._expire()
        self._compact()
        removed = self._vacuum(named)
        cleaned = self._clean_log(named)
        return TableCare(
            table=f"{self._layer}.{self._dataset}",
            files_before=before,
            files_after=self._open().file_count(),
            rows_expired=expired,
            files_removed=removed,
            log_cleaned=cleaned,
            objects_removed=self._collect_objects(),
            left=tuple(self._left),
        )

    def _open(self) -> Table:
        return self._lake.must_open(self._layer, self._dataset)

    def _expire(self) -> int:
        days = self._settings.keep_days.get(self._layer)
        if days is None:
            return 0
        table = self._open()
        expired = expired_rows(
            self._lake, table, self._layer, self._dataset, self._now - timedelta(days=days)
        )
        if expired is None:
            return 0
        rows = int(table.scan().filter(expired.expression()).select(pl.len()).collect().item())
        if rows and not self._dry_run:
            try:
                with refused_when_stale(table.name):
                    counted = {AGED: table.transaction(AGED) + 1} if self._layer == "bronze" else {}
                    table.delete(expired.sql(), counted)
            except CandidateStale:
                self._left.append("old rows: the table was busy")
                return 0
        return rows

    def _compact(self) -> None:
        table = self._open()
        if self._dry_run or table.most_files_in_a_partition() < self._settings.compact_from_files:
            return
        try:
            with refused_when_stale(table.name):
                table.compact(self._settings.target_size_mb)
        except CandidateStale:
            self._left.append("small files: the table was busy")

    def _vacuum(self, named: set[int]) -> int:
        """Remove files that no version in use needs. It commits even where it removes nothing, so look first."""
        table = self._open()
        keep = sorted(named | {table.version})
        unneeded = table.unneeded(self._settings.vacuum_after_h, keep)
        objects = self._lake.list_objects(table_path(self._layer, self._dataset))
        there = sum(each.path.rpartition("/")[2] in unneeded for each in objects)
        if there and not self._dry_run:
            table.vacuum(self._settings.vacuum_after_h, keep)
        return there

    def _clean_log(self, named: set[int]) -> bool:
        """Let the history go that is older than the retention, unless a version that somebody may open needs it."""
        table = self._open()
        oldest = min((table.committed_at(version) for version in named), default=None)
        if oldest is not None and oldest < self._now - timedelta(days=self._settings.log_retention_days):
            self._left.append(f"history: a product names a version of {oldest:%Y-%m-%d}")
            return False
        if self._dry_run:
            return False
        table.clean_log(self._settings.log_retention_days)
        return True

    def _collect_objects(self) -> int:
        """Remove checkpoints that the table does not name, and staged candidates, older than the longest run."""
        if self._layer == "bronze":
            table = self._open()
            folder = checkpoints_folder(self._dataset)
            unnamed = [
                each
                for each in self._lake.list_objects(folder)
                if _is_unnamed(table, self._dataset, folder, each)
            ]
        elif self._layer == "gold":
            unnamed = self._lake.list_objects(f"_headworks/staging/{self._dataset}")
        else:
            return 0
        young = self._now - timedelta(hours=self._settings.longest_run_h)
        gone = [each for each in unnamed if each.modified_at < young]
        if not self._dry_run:
            for each in gone:
                self._lake.remove_object(each.path)
        return len(gone)


def _is_unnamed(table: Table, dataset: str, folder: str, each: StoredObject) -> bool:
    """Tell whether an object is a checkpoint or an end mark of this very dataset that the table does not name."""
    found = _CHECKPOINT.fullmatch(each.path.removeprefix(f"{folder}/"))
    if found is None:
        return False
    stream = ended_id(dataset) if found["stream"] == marks_folder(dataset) else found["stream"]
    if found["kind"] == "parquet":
        # The keys of a full read have a token of their own; the end mark of the same number names them.
        return int(found["sequence"]) < table.transaction(stream)
    named = (table.transaction(stream), table.transaction(checkpoint_id(stream)))
    return (int(found["sequence"]), int(found["token"])) != named


def _named_versions(lake: Lake, settings: MaintenanceSettings, now: datetime) -> dict[str, set[int]]:
    """Return the versions that products name: the newest publication of each, and those that can be rolled back to."""
    since = now - timedelta(days=settings.keep_publications_days)
    named: dict[str, set[int]] = {}
    newest: set[str] = set()
    for publication in publications(lake):
        if publication.published_at >= since or publication.product not in newest:
            for table in publication.tables:
                named.setdefault(table.table, set()).add(table.version)
        newest.add(publication.product)
    return named
