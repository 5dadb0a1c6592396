"""One version of one Delta table as it is read: its rows, files, transactions, and what its log says of the past."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Self

import polars as pl
import pyarrow as pa
import pyarrow.fs as pa_fs
from deltalake import (
    DeltaTable,
)
from deltalake.exceptions import (
    DeltaError,
)

from headworks.storage.object_store import options_of_polars
from headworks.storage.objects import Objects
from headworks.storage.translating import collected, heals, is_refusal, storage_error, translated

_FIRST_FORM = {f"#{name}": name for name in ("writer", "try", "change", "changed-by", "code")}
"""Transactions of headworks' own as 0.1.0 named them: a dataset can bear the name of one."""

_OVERWRITTEN = {"writer", "try", "change"}
"""Streams whose sequence 0.1.0 overwrote in silver, by its own transaction of the same name."""

_CARE = {"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "CREATE TABLE"}

REPLACED_RETENTION = "delta.deletedFileRetentionDuration"

WEEK = 7
"""So many days checkpoints remember which files were replaced, unless a table says otherwise."""

_REPLAYED = 1_000
"""Entries of the log that are read one by one to get from one version to the next; over more the next is opened."""

_MAPPED = 2
"""Readers of this version find columns under other names in the files."""


class Placed(DeltaTable):
    """A Delta table that knows by which address it was opened.

    delta-rs writes a folder's address as a URI, and readers take the escapes in it (``%20``) for the folder's name.
    """

    def __init__(self, uri: str, options: dict[str, str] | None = None, version: int | None = None) -> None:
        super().__init__(uri, version=version, storage_options=options)
        self.uri, self.options, self.name = uri, options, uri
        self._known: dict[tuple[int, str], int | None] = {}

    def file_uris(self, *arguments: Any, **named: Any) -> list[str]:
        """Return where the data files lie, below the address by which the table was opened."""
        with translated(self.name):
            found: list[str] = super().file_uris(*arguments, **named)
        root = self.table_uri.removeprefix("file://").rstrip("/")
        return [
            f"{self.uri.rstrip('/')}{file.removeprefix(root)}" if file.startswith(root) else file
            for file in found
        ]

    # What these ask is read from the log when it is asked for, and may not be read then.

    def transaction_version(self, app_id: str) -> int | None:
        """Return the version of a transaction; each is read once of a version of the table, which never changes."""
        asked = (self.version(), app_id)
        if asked not in self._known:
            with translated(self.name):
                self._known[asked] = super().transaction_version(app_id)
        return self._known[asked]

    def get_add_actions(self, flatten: bool = False) -> Any:
        """Return the data files with their statistics."""
        with translated(self.name):
            return super().get_add_actions(flatten)

    def history(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return what the commits say of themselves, the newest first."""
        with translated(self.name):
            return super().history(limit)


class Snapshot:
    """A Delta table at the version that was read. Nothing here writes."""

    def __init__(self, delta: Placed, name: str) -> None:
        self._delta = delta
        delta.name = name
        self._seen: dict[str, pl.Expr] | None = None
        self.name = name

    @property
    def version(self) -> int:
        """The Delta version that this object is at."""
        return int(self._delta.version())

    @property
    def id(self) -> str:
        """The table's own id, given when it was made."""
        return str(self._delta.metadata().id)

    @property
    def columns(self) -> list[str]:
        """The names of the table's columns."""
        return list(self.schema) if self._seen is not None else [f.name for f in self._delta.schema().fields]

    @property
    def schema(self) -> pl.Schema:
        """The table's columns and their types."""
        if self._seen is not None:
            return self.scan().collect_schema()
        # Straight from Rust to Rust: by way of pyarrow it costs half a second of imports.
        return pl.Schema(self._delta.schema().to_arrow())

    def transaction(self, app_id: str) -> int:
        """Return the version committed under ``app_id``, or 0 where there is none.

        Those of headworks' own begin with ``#``, which no name of a dataset does. In tables of 0.1.0 they do not, and a
        sequence that was overwritten by one of them counts as not known, that is as 0: rows are read again.
        """
        found = int(self._delta.transaction_version(app_id) or 0)
        if app_id in _FIRST_FORM:
            first = _FIRST_FORM[app_id]
            bears_it = self.name == f"silver.{first}" and not self._is_of_first_form()
            return found or (0 if bears_it else int(self._delta.transaction_version(first) or 0))
        overwritten = app_id in _OVERWRITTEN and self.name == f"silver.{app_id}"
        return 0 if overwritten and self._is_of_first_form() else found

    def _is_of_first_form(self) -> bool:
        """Return whether no commit to this silver table was made since 0.1.0."""
        return not self._delta.transaction_version("#writer")

    def scan(self) -> pl.LazyFrame:
        """Return the rows of this version, lazily."""
        with translated(self.name):
            rows = pl.scan_delta(self._delta, storage_options=options_of_polars(self._delta.options))
        return rows if self._seen is None else rows.select(**self._seen)

    def seen_as(self, columns: Mapping[str, pl.Expr]) -> Self:
        """Return the same version with other columns, as `rewrite` would make them: to read, never to commit."""
        seen = type(self)(self._delta, self.name)
        seen._seen = dict(columns)
        return seen

    @property
    def is_seen_otherwise(self) -> bool:
        """Whether this object shows other columns than the table's files have."""
        return self._seen is not None

    def row_count(self) -> int:
        """Return the number of rows of this version."""
        return int(collected(self.scan().select(pl.len()), self.name).item())

    def largest(self, column: str) -> int | None:
        """Return the largest value of a column of whole numbers by the files' statistics, without reading any file.

        None where they do not say it for certain: a file has none, or the column has nulls.
        """
        if self.is_seen_otherwise:
            return None
        files = pl.DataFrame(self._delta.get_add_actions(flatten=True))
        most, nulls = f"max.{column}", f"null_count.{column}"
        if files.is_empty() or not {most, nulls} <= {*files.columns}:
            return None
        of_rows = files.filter(pl.col("num_records").fill_null(1) > 0)
        known = of_rows.get_column(most).null_count() == 0 and of_rows.get_column(nulls).eq_missing(0).all()
        return int(of_rows.get_column(most).max()) if known and of_rows.height else None  # type: ignore[arg-type]

    def files(self) -> tuple[str, ...]:
        """Return where the data files of this version lie."""
        return tuple(str(uri) for uri in self._delta.file_uris())

    def live_count(self) -> int:
        """Return the number of rows of this version that are no tombstones."""
        return int(collected(self.scan().filter(~pl.col("_deleted")).select(pl.len()), self.name).item())

    def open_files(self) -> Iterator[pa.NativeFile]:
        """Open the data files of this version one after the other, in the order in which they were written."""
        root = f"{self._delta.uri.rstrip('/')}/"
        objects = Objects(self._delta.uri, self._delta.options)
        for uri in sorted(self._delta.file_uris()):
            with translated(self.name), objects.open_input_file(uri.removeprefix(root)) as file:
                yield file

    @property
    def is_flat(self) -> bool:
        """Whether each data file has all columns of its rows: none is in the name of its folder."""
        return self._seen is None and not self._delta.metadata().partition_columns

    @property
    def has_plain_files(self) -> bool:
        """Whether the data files alone say which rows there are: no marks of deleted ones, no columns renamed."""
        protocol = self._delta.protocol()
        asked = {*(protocol.reader_features or ())} - {"timestampNtz"}
        return self.is_flat and not asked and protocol.min_reader_version != _MAPPED

    @property
    def options(self) -> dict[str, str] | None:
        """How the store that the table is in is spoken to."""
        return self._delta.options

    def newest_version(self) -> int:
        """Return the newest version that there is; this object keeps the one that was read, and commits from it."""
        # A look at single names of the log costs less than opening the table, and mostly there is none to be seen.
        with translated(self.name):
            objects = Objects(self._delta.uri, self._delta.options)

            def there(version: int) -> bool:
                (found,) = objects.get_file_info([f"_delta_log/{version:020}.json"])
                return bool(found.type != pa_fs.FileType.NotFound)

            known, step = self.version, 1
            while there(known + step):
                known, step = known + step, 2 * step
            while step > 1:
                step //= 2
                known += step if there(known + step) else 0
            return known

    def streams(self) -> list[str]:
        """Return the streams that have rows in a table partitioned by ``_stream``, sorted."""
        actions = pl.DataFrame(self._delta.get_add_actions(flatten=True))
        if "partition._stream" not in actions.columns:
            return []
        return sorted(actions.get_column("partition._stream").drop_nulls().unique().to_list())

    def rows_of(self, stream: str) -> int:
        """Return the number of rows of a stream in a table partitioned by ``_stream``."""
        actions = pl.DataFrame(self._delta.get_add_actions(flatten=True))
        if "partition._stream" not in actions.columns:
            return 0
        return int(actions.filter(pl.col("partition._stream") == stream).get_column("num_records").sum() or 0)

    def file_count(self) -> int:
        """Return the number of data files of this version."""
        return len(self._delta.file_uris())

    def most_files_in_a_partition(self) -> int:
        """Return the number of data files in the partition that has the most."""
        actions = pl.DataFrame(self._delta.get_add_actions(flatten=True))
        partitions = [name for name in actions.columns if name.startswith("partition.")]
        counts = actions.group_by(partitions).len() if partitions else actions.select(pl.len().alias("len"))
        return int(counts.get_column("len").max() or 0)  # type: ignore[arg-type]

    @property
    def properties(self) -> Mapping[str, str]:
        """The table's properties."""
        return dict(self._delta.metadata().configuration)

    def restored_since(self, version: int) -> int | None:
        """Return to which version somebody restored the table since ``version`` was committed; None for nobody."""
        later = self.version - version
        if version <= 0 or later <= 0:
            return None
        for number in range(self.version, version, -1):
            said = self._said_of(number)
            if said is None:
                # Its history was let go.
                return None
            if said.get("operation") == "RESTORE":
                return int(said.get("operationParameters", {}).get("version") or 0)
        return None

    def only_cared_for_since(self, version: int) -> bool:
        """Return whether all commits after ``version`` cared for files, which changes no row; False if not known."""
        said = [self._said_of(number) for number in range(version + 1, self.version + 1)]
        return all(one is not None and one.get("operation") in _CARE for one in said)

    def committed_at(self, version: int) -> datetime:
        """Return when a version was committed, by its entry in the log."""
        entry = self._said_of(version)
        if entry is None or "timestamp" not in entry:
            with translated(self.name):
                entry = Placed(self._delta.uri, self._delta.options, version).history(1)[0]
        return datetime.fromtimestamp(entry["timestamp"] / 1000, tz=UTC)

    def written_at(self) -> datetime | None:
        """Return when somebody last wrote to the table, care for its files left out; None where nobody did."""
        with translated(self.name):
            for entry in self._delta.history():
                if entry.get("operation") not in _CARE:
                    return datetime.fromtimestamp(entry["timestamp"] / 1000, tz=UTC)
        return None

    def _said_of(self, version: int) -> dict[str, Any] | None:
        """Return what a commit says of itself in the log; None where its entry is gone."""
        actions = self._entry(version)
        if actions is None:
            return None
        return next((dict(each["commitInfo"]) for each in actions if "commitInfo" in each), {})

    def _entry(self, version: int) -> list[dict[str, Any]] | None:
        """Return the actions of a commit by its entry in the log; None where the entry is gone."""
        with translated(self.name):
            try:
                entry = Objects(self._delta.uri, self._delta.options).read(f"_delta_log/{version:020}.json")
            except FileNotFoundError:
                return None
        return [json.loads(line) for line in entry.splitlines() if line.strip()]

    def replaced(self, older_than_h: float) -> set[str]:
        """Return the files, by name, that were replaced at least so long ago, as far as the log still knows of them."""
        with translated(self.name):
            found = self._delta.vacuum(
                int(older_than_h), dry_run=True, enforce_retention_duration=False, full=False
            )
        return {path.rpartition("/")[2] for path in found}

    def removed_before(self, moment: datetime, names: Collection[str]) -> set[str]:
        """Return those of the named files that the log's newest entries say were replaced before a moment."""
        missing, found = set(names), set[str]()
        latest = moment.timestamp() * 1000
        for version in range(self.version, max(-1, self.version - _REPLAYED), -1):
            actions = self._entry(version) if missing else None
            if actions is None:
                break
            gone = [each["remove"] for each in actions if "remove" in each]
            logged = {each["path"].rpartition("/")[2]: each.get("deletionTimestamp") for each in gone}
            found |= {
                name for name in missing & {*logged} if logged[name] is not None and logged[name] <= latest
            }
            missing -= {*logged}
        return found

    def files_by_version(self, versions: Iterable[int]) -> set[str]:
        """Return the files, by name, of this version and of others that are older, read off the log.

        Versions that cannot be opened any more are passed over: nobody can open them either.
        """
        needed = _names(self._delta.file_uris())
        wanted = sorted(each for each in set(versions) if 0 <= each < self.version)
        live: set[str] | None = None
        at = -1
        for version in wanted:
            if live is None or version - at > _REPLAYED:
                live = self._files_at(version)
            else:
                for number in range(at + 1, version + 1):
                    live = live and self._after_entry(live, number)
                if live is None:
                    live = self._files_at(version)
            at = version
            needed |= live or set()
        return needed

    def _files_at(self, version: int) -> set[str] | None:
        try:
            return _names(Placed(self._delta.uri, self._delta.options, version).file_uris())
        except (DeltaError, OSError) as problem:
            if heals(problem) or is_refusal(problem):
                raise storage_error(problem, self.name) from problem
            return None

    def _after_entry(self, live: set[str], version: int) -> set[str] | None:
        """Return the files after one more entry of the log; None where the entry is gone."""
        actions = self._entry(version)
        if actions is None:
            return None
        gone = {each["remove"]["path"].rpartition("/")[2] for each in actions if "remove" in each}
        came = {each["add"]["path"].rpartition("/")[2] for each in actions if "add" in each}
        return (live - gone) | came

    def remembers_replaced(self, days: int) -> bool:
        """Return whether the log remembers for so many days which files were replaced."""
        return days <= WEEK or self.properties.get(REPLACED_RETENTION) == f"interval {days} days"


def _names(uris: Iterable[str]) -> set[str]:
    return {uri.rpartition("/")[2] for uri in uris}
