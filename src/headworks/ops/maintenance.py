"""Care of the lake's tables alongside running readers and writers: compaction, retention, vacuum, clean-up of logs.

Nothing that somebody may still open is taken away: files younger than the longest run stay, and so do the versions that
products name, with their log; the checkpoint that a table names is never collected; bronze rows go only when silver has
consumed them and no rejected row was born in their batch; files of models that can be champion again stay. A table that
is busy is left for the next time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import polars as pl
from pydantic import Field, model_validator

from headworks.bronze.consumed import checkpoint_id
from headworks.bronze.generations import ended_id, marks_folder
from headworks.errors import CandidateStale, HeadworksError
from headworks.gold.products import publications
from headworks.models.files import unneeded_files
from headworks.models.training import MODELS_FOLDER
from headworks.names import AGED, Layer, checkpoints_folder, is_word, table_path
from headworks.ops.ageing import AGEING, expired_rows
from headworks.ports import Clock, system_clock
from headworks.quality.deliveries import fold, holds_folder, names_holds
from headworks.reports import Report, TableRef
from headworks.settings import Settings
from headworks.silver.accounts import accounts_folder, is_named
from headworks.storage.delta import Table
from headworks.storage.statistics import as_property, bounded, from_property
from headworks.storage.store import Lake, StoredObject
from headworks.storage.translating import reading, refused_when_stale

LAYERS: tuple[Layer, ...] = ("bronze", "silver", "gold", "quarantine", "ops")
_UNFINISHED = re.compile(r"(?:[^/]+/)?tmp[a-z0-9_]+")
"""What a killed writer left of an object."""
Named = Mapping[str, Collection[TableRef]]
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
    files_silenced: int = Field(
        default=0, description="Files of which the log kept bounds of columns that it shall keep none of."
    )
    log_cleaned: bool = False
    objects_removed: int = Field(
        default=0, description="Checkpoints and staged candidates that nothing names."
    )
    left: tuple[str, ...] = Field(default=(), description="What was not done this time, and why.")
    failed: str = Field(default="", description="Why the table was not cared for; empty where it was.")


def maintain(
    lake: Lake,
    settings: MaintenanceSettings,
    *,
    dry_run: bool = False,
    clock: Clock = system_clock,
) -> tuple[TableCare, ...]:
    """Care for every table of the lake; a dry run counts what would be taken away.

    What goes wrong with one table is in its care, and the others are cared for all the same.
    """
    now = clock()
    try:
        named, unknown = _named_versions(lake, settings, now), ""
    except HeadworksError as problem:
        named, unknown = {}, str(problem)
    places = [_Place(layer, dataset) for layer in LAYERS for dataset in lake.datasets(layer)]
    if lake.open_products() is not None:
        places.append(_PRODUCTS)
    cared = tuple(
        _cared(lake, settings, place, named, dry_run, now, unknown if place.layer in {"gold", ""} else "")
        for place in places
    )
    return (*cared, *_models_cared(lake, settings, named, dry_run, now, unknown))


def _models_cared(
    lake: Lake, settings: MaintenanceSettings, named: Named, dry_run: bool, now: datetime, unknown: str
) -> Iterator[TableCare]:
    """Remove files of models that no champion is, and that are older than any run."""
    if not lake.list_objects(MODELS_FOLDER):
        return
    if unknown:
        yield TableCare(table="models", failed=f"which versions are published is not known: {unknown}")
        return
    young = now - timedelta(hours=settings.longest_run_h)
    removed: Counter[str] = Counter()
    try:
        for model, each in list(unneeded_files(lake, named)):
            removed[model] += 0
            # A run that trains from the same rows again makes the file young again: so it is looked at once more.
            if each.modified_at < young and _still_old(lake, each.path, young):
                removed[model] += 1
                if not dry_run:
                    lake.remove_object(each.path)
    except HeadworksError as problem:
        yield TableCare(table="models", failed=str(problem))
        return
    for model, count in sorted(removed.items()):
        yield TableCare(table=f"model.{model}", objects_removed=count)


def _still_old(lake: Lake, path: str, young: datetime) -> bool:
    folder = path.rpartition("/")[0]
    return any(each.path == path and each.modified_at < young for each in lake.list_objects(folder))


@dataclass(frozen=True)
class _Place:
    """A table: its layer and dataset, or neither for the table of products."""

    layer: Layer | Literal[""]
    dataset: str

    @property
    def table(self) -> str:
        return f"{self.layer}.{self.dataset}" if self.layer else self.dataset

    @property
    def folder(self) -> str:
        return table_path(self.layer, self.dataset) if self.layer else self.dataset


_PRODUCTS = _Place("", "products")


def _cared(
    lake: Lake,
    settings: MaintenanceSettings,
    place: _Place,
    named: Named,
    dry_run: bool,
    now: datetime,
    unknown: str,
) -> TableCare:
    if unknown:
        return TableCare(table=place.table, failed=f"which versions are published is not known: {unknown}")
    try:
        with reading(place.table):
            return _Care(lake, settings, place, dry_run, now).all_of_it(named.get(place.table, ()))
    except HeadworksError as problem:
        return TableCare(table=place.table, failed=str(problem))


class _Care:
    """The care of one table: each step leaves a note instead of waiting where the table is busy."""

    def __init__(
        self, lake: Lake, settings: MaintenanceSettings, place: _Place, dry_run: bool, now: datetime
    ) -> None:
        self._lake, self._settings, self._dry_run, self._now = lake, settings, dry_run, now
        self._place, self._layer, self._dataset = place, place.layer, place.dataset
        self._left: list[str] = []

    def all_of_it(self, published: Collection[TableRef]) -> TableCare:
        table = self._open()
        before = table.file_count()
        named = {
            each.version for each in published if each.version <= table.version and each.id in {"", table.id}
        }
        expired = self._expire()
        self._compact()
        silenced = self._forget_statistics()
        removed = self._remove_files(named)
        cleaned = self._clean_log(named)
        return TableCare(
            table=self._place.table,
            files_before=before,
            files_after=self._open().file_count(),
            rows_expired=expired,
            files_removed=removed,
            files_silenced=silenced,
            log_cleaned=cleaned,
            objects_removed=self._collect_objects(),
            left=tuple(self._left),
        )

    def _open(self) -> Table:
        if self._layer:
            return self._lake.must_open(self._layer, self._dataset)
        table = self._lake.open_products()
        assert table is not None
        return table

    def _expire(self) -> int:
        days = self._settings.keep_days.get(self._layer) if self._layer else None
        if days is None or not self._layer:
            return 0
        table = self._open()
        expired = expired_rows(
            self._lake, table, self._layer, self._dataset, self._now - timedelta(days=days)
        )
        if expired is None:
            return 0
        if expired.kept:
            self._left.append(f"old rows: {expired.kept} still wait for a row that they refer to")
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

    def _forget_statistics(self) -> int:
        """Take the bounds out of the log that a table shall not keep."""
        if self._dry_run:
            return 0
        table = self._open()
        try:
            with refused_when_stale(table.name):
                if self._layer != "silver" and from_property(table.properties) is None:
                    # Of silver the key is not known here: the next refinement says of what bounds are kept.
                    table.set_properties(as_property(bounded(table.schema)))
                    table = self._open()
                return table.forget_statistics()
        except CandidateStale:
            self._left.append("statistics: the table was busy")
            return 0

    def _remove_files(self, named: Collection[int]) -> int:
        """Remove data files that no version in use needs, replaced or never committed.

        The log forgets what was replaced after a while, so the files that are there are looked at. Kept are those of
        the newest version and of those that products name, those that were replaced too short a time ago for a run that
        may still read them, and those that are young enough to belong to a commit in the making.
        """
        table, settings = self._open(), self._settings
        ahead_h = (self._now - system_clock()).total_seconds() / 3600
        old_enough = table.replaced(max(0.0, settings.vacuum_after_h - max(0.0, ahead_h)))
        replaced, live = table.replaced(0), table.files_by_version(named)
        needed = live | (replaced - old_enough)
        young = self._now - timedelta(hours=settings.longest_run_h)
        files = list(self._data_files())
        # What the log says was replaced long enough ago may go, whenever the store says that it was written: in a lake
        # that was copied every file is young. Checkpoints forget what was replaced, the log's entries say it longer.
        unknown = {_name(each) for each in files if each.modified_at >= young} - live - replaced
        old_enough |= table.removed_before(self._now - timedelta(hours=settings.vacuum_after_h), unknown)
        found = [each for each in files if each.modified_at < young or _name(each) in old_enough]
        gone = [each for each in found if _name(each) not in needed]
        if not table.remembers_replaced(self._replaced_days()):
            # Until now the log forgot sooner than files may go: what it does not know may be young.
            gone = [each for each in gone if _name(each) in old_enough]
        if not self._dry_run:
            for each in gone:
                self._lake.remove_object(each.path)
        return len(gone)

    def _data_files(self) -> Iterator[StoredObject]:
        """Yield the data files below the table's folder, and what killed writers left in its log's."""
        folder = self._place.folder
        for each in self._lake.list_objects(folder):
            *folders, name = each.path.removeprefix(f"{folder}/").split("/")
            if folders == ["_delta_log"]:
                if name.endswith(".tmp"):
                    yield each
            elif name.endswith(".parquet") and not any(
                is_word(part) or part == "_delta_log" for part in folders
            ):
                yield each

    def _replaced_days(self) -> int:
        return -(-self._settings.vacuum_after_h // 24)

    def _clean_log(self, named: Collection[int]) -> bool:
        """Let the history go that is older than the retention, unless a version that somebody may open needs it."""
        table = self._open()
        oldest = min((moment for moment in map(table.committed_at, sorted(named)[:1])), default=None)
        if oldest is not None and oldest < self._now - timedelta(days=self._settings.log_retention_days):
            self._left.append(f"history: a product names a version of {oldest:%Y-%m-%d}")
            return False
        if self._dry_run:
            return False
        table.clean_log(self._settings.log_retention_days, self._replaced_days())
        return True

    def _collect_objects(self) -> int:
        """Remove checkpoints that the table does not name, and staged candidates, older than the longest run."""
        if self._layer == "bronze":
            table = self._open()
            folder = checkpoints_folder(self._dataset)
            try:
                silver = self._lake.open("silver", self._dataset)
            except HeadworksError as problem:
                # How far silver has read is not known, so which of its checkpoints are still read is not either.
                self._left.append(f"checkpoints: silver cannot be read: {problem}")
                return 0
            unnamed = [
                each
                for each in self._lake.list_objects(folder)
                if _is_unnamed(table, self._dataset, folder, each, silver)
            ]
        elif self._layer == "silver":
            folder, silver = accounts_folder(self._dataset), self._open()
            unnamed = [
                each
                for each in self._lake.list_objects(folder)
                if "/" not in (name := each.path.removeprefix(f"{folder}/")) and not is_named(silver, name)
            ]
            if not self._dry_run:
                fold(self._lake, self._dataset)
            lists = holds_folder(self._dataset)
            unnamed += [
                each
                for each in self._lake.list_objects(lists)
                if "/" not in (name := each.path.removeprefix(f"{lists}/")) and not names_holds(silver, name)
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


def _name(file: StoredObject) -> str:
    return file.path.rpartition("/")[2]


def _is_unnamed(
    table: Table, dataset: str, folder: str, each: StoredObject, silver: Table | None = None
) -> bool:
    """Return whether an object is a checkpoint or an end mark of this very dataset that the table does not name.

    Those of what silver has not consumed yet are kept: they say which run landed it.
    """
    name = each.path.removeprefix(f"{folder}/")
    found = _CHECKPOINT.fullmatch(name)
    if found is None:
        return _UNFINISHED.fullmatch(name) is not None
    stream = ended_id(dataset) if found["stream"] == marks_folder(dataset) else found["stream"]
    if found["kind"] == "parquet":
        # The keys of a full read have a token of their own; the end mark of the same number names them.
        return int(found["sequence"]) < table.transaction(stream)
    if silver is not None and int(found["sequence"]) > silver.transaction(stream):
        return False
    named = (table.transaction(stream), table.transaction(checkpoint_id(stream)))
    return (int(found["sequence"]), int(found["token"])) != named


def _named_versions(lake: Lake, settings: MaintenanceSettings, now: datetime) -> Named:
    """Return the versions that products name: the newest publication of each, and those that can be rolled back to."""
    since = now - timedelta(days=settings.keep_publications_days)
    known = list(publications(lake))
    # By their numbers: the clocks of two machines are never quite the same.
    newest: dict[str, int] = {}
    for each in known:
        newest[each.product] = max(each.sequence, newest.get(each.product, 0))
    named: dict[str, list[TableRef]] = {}
    for publication in known:
        if publication.published_at >= since or publication.sequence == newest[publication.product]:
            for table in publication.tables:
                named.setdefault(table.table, []).append(table)
    return named
