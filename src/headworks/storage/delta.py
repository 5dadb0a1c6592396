"""One version of one Delta table, and the only ways in which headworks commits to it.

Each commit goes through the table object whose transactions were read before: delta-rs then refuses it if one of
its transaction ids was moved by somebody else since. A commit by path would start from a fresh snapshot, which accepts
a sequence that is there already and duplicates its rows. A call can fail after its commit happened, so each commit that
is never rebased carries a random number, and the version that it would be says whether it happened. Of a commit to a
stream its caller finds that out, by the stream's own transactions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import (
    CommitFailedError,
    DeltaError,
    SchemaMismatchError,
    TableNotFoundError,
)
from deltalake.transaction import AddAction

from headworks.errors import CommitUnclear, LakeUnusable
from headworks.ports import random_token
from headworks.storage.durable import outlast
from headworks.storage.encoding import Layout
from headworks.storage.exact import exactly, in_types, lazily_in_types
from headworks.storage.objects import Objects
from headworks.storage.parts import takes, widest, write_part
from headworks.storage.snapshot import REPLACED_RETENTION, WEEK, Placed, Snapshot
from headworks.storage.statistics import as_property, bounded, from_property, writing
from headworks.storage.translating import is_foreign, storage_error, translated

Transactions = Mapping[str, int]
"""Transaction ids and their versions, committed together with the rows."""

COMMIT = "#commit"
"""The random number of the last commit that was not rebased."""

AT = "#at"
"""The version that the last commit that was not rebased made."""

# 32 parallel writers exceed the default of 15; an append of another stream is always safe to rebase.
APPEND_RETRIES = 100

# Rows that are in memory at once while a table is rewritten.
_REWRITE_ROWS = 100_000

_NO_HOUSEKEEPING = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)

_LOG_RETENTION = "delta.logRetentionDuration"

_FILE_SIZE = "delta.targetFileSize"

MERGED_FILE_MB = 8
"""A merge rewrites each file that has one of its keys: in small files that is little."""

_WRITTEN_AS_IT_IS = "nothing was written. Give the column the table's type where the rows are made."

_MOST_NAMED, _MANY_ROWS = 5_000, 1_000_000
"""So many keys a merge gives by their values, where their files have so many rows: the log keeps the condition."""
_GOES = "_goes"
"""Marks the rows of a merge that say nothing but that their key has to go."""

_FORBIDDEN = "delta.setTransactionRetentionDuration"


class Table(Snapshot):
    """A Delta table at the version that was read, able to commit from exactly there."""

    def __init__(self, delta: Placed, name: str) -> None:
        super().__init__(delta, name)
        self._overtaken = False

    def append(
        self,
        frame: pl.DataFrame | pl.LazyFrame | pa.RecordBatchReader,
        transactions: Transactions,
        *,
        retries: int = APPEND_RETRIES,
    ) -> None:
        """Append ``frame`` with its transactions in one commit; an empty frame carries the transactions alone.

        A lazy frame is written as it is computed, a batch of rows at a time.
        """
        frame = self._in_own_types(frame)
        if isinstance(frame, pl.LazyFrame):
            frame = _as_stream(frame)
        names = frame.columns if isinstance(frame, pl.DataFrame) else frame.schema.names
        differ = set(names) ^ set(self.columns)
        rows = frame

        def act(properties: CommitProperties) -> None:
            write_deltalake(
                self._delta,
                rows,
                mode="append",
                schema_mode="merge" if differ else None,
                writer_properties=self._writer(names),
                commit_properties=properties,
                post_commithook_properties=_NO_HOUSEKEEPING,
            )

        if retries:
            self._rebased(transactions, retries, act)
        else:
            self._once(transactions, act)

    def append_part(
        self, rows: pa.Table, partition: Mapping[str, str], transactions: Transactions, layout: Layout
    ) -> None:
        """Append rows of one partition with their transactions in one commit; ``rows`` lack the partition's columns.

        Rows that do not have the table's columns and types, and tables that ask more of a writer than to add files,
        are left to delta-rs.
        """
        if self._overtaken:
            raise CommitFailedError("Somebody else moved the transactions after this object's last commit.")
        if not takes(self._delta, rows.schema, list(partition)):
            for name, value in partition.items():
                constant = pl.repeat(value, rows.num_rows, dtype=pl.String, eager=True)
                rows = rows.append_column(name, constant.to_arrow())
            self.append(widest(rows).to_reader(), transactions)
            return
        added: list[AddAction] = []
        if rows.num_rows:
            objects = Objects(self._delta.uri, self._delta.options)
            schema = pa.schema(self._delta.schema().to_arrow())
            added.append(write_part(objects, schema, rows, partition, layout))
        with translated(self.name):
            commit_parts(self._delta, added, _properties(transactions, APPEND_RETRIES))
        self._outlast()
        # Unlike after a write, what the object sees then may hold more than this commit.
        self._overtaken = any(self.transaction(name) != version for name, version in transactions.items())

    def overwrite(
        self,
        frame: pl.DataFrame | pl.LazyFrame,
        transactions: Transactions,
        *,
        predicate: str | None = None,
    ) -> None:
        """Replace all rows, or those that satisfy ``predicate``, in one commit that is never rebased.

        A lazy frame, which replaces all rows, is written as it is computed.
        """
        names = frame.collect_schema().names()
        extra = set(names) - set(self.columns)
        if predicate and isinstance(frame, pl.DataFrame):
            frame = in_types(frame, self.schema, self.name, _WRITTEN_AS_IT_IS)
        rows = _as_stream(frame) if isinstance(frame, pl.LazyFrame) else frame
        self._once(
            transactions,
            lambda properties: write_deltalake(
                self._delta,
                rows,
                mode="overwrite",
                predicate=predicate,
                schema_mode=("merge" if extra else None) if predicate else "overwrite",
                writer_properties=self._writer(names),
                commit_properties=properties,
                post_commithook_properties=_NO_HOUSEKEEPING,
            ),
        )

    def widen(self, types: Mapping[str, pl.DataType], transactions: Transactions) -> None:
        """Give columns wider types: every row is rewritten, a batch at a time, in one commit that is never rebased.

        Delta's own widening is a table feature that delta-rs does not write, and a mix of types in the files of one
        column is not read alike by all readers.
        """
        before = self.schema
        wider = {name: exactly(pl.col(name), before[name], dtype) for name, dtype in types.items()}
        self.rewrite({name: wider.get(name, pl.col(name)) for name in before}, transactions)

    def rewrite(self, columns: Mapping[str, pl.Expr], transactions: Transactions) -> None:
        """Rewrite every row with other columns, a batch at a time, in one commit that is never rebased.

        ``columns`` are expressions over the table's columns, by the names of the new ones.
        """
        rows = self.scan().select(value.alias(name) for name, value in columns.items())
        self._once(
            transactions,
            lambda properties: write_deltalake(
                self._delta,
                _as_stream(rows),
                mode="overwrite",
                schema_mode="overwrite",
                writer_properties=self._writer(list(columns)),
                commit_properties=properties,
                post_commithook_properties=_NO_HOUSEKEEPING,
            ),
        )

    def delete(self, predicate: str, transactions: Transactions) -> None:
        """Delete the rows that satisfy ``predicate`` in one commit that is never rebased."""
        self._once(
            transactions,
            lambda properties: self._delta.delete(
                predicate,
                writer_properties=self._writer(self.columns),
                commit_properties=properties,
                post_commithook_properties=_NO_HOUSEKEEPING,
            ),
        )

    def merge(
        self,
        frame: pl.DataFrame | pl.LazyFrame,
        key: tuple[str, ...],
        transactions: Transactions,
        removed: pl.DataFrame | None = None,
    ) -> None:
        """Update the rows with a key of ``frame`` and insert the others, in one commit that is never rebased.

        Rows with a key of ``removed`` are deleted by the same commit.
        """
        columns = list(frame.collect_schema())
        frame = self._in_own_types(frame)
        if isinstance(frame, pl.DataFrame) and {*columns} == {*self.columns}:
            named = _named(frame, key, removed)
            if named is not None and self._rows_near(key[0], named) >= _MANY_ROWS:
                # Two thirds of the processor time of a join with all these rows, and a third of its memory.
                self.overwrite(frame, transactions, predicate=_has_one(key[0], named))
                return
        if removed is not None and removed.height:
            kept = frame.lazy().collect().with_columns(pl.lit(value=False).alias(_GOES))
            goes = removed.with_columns(pl.lit(value=True).alias(_GOES))
            frame = pl.concat([kept, goes], how="diagonal")
        extra = set(columns) - set(self.columns)
        matched = " AND ".join(f'target."{column}" = source."{column}"' for column in key)

        def act(properties: CommitProperties) -> None:
            merger = self._delta.merge(
                _as_stream(frame) if isinstance(frame, pl.LazyFrame) else frame,
                matched,
                source_alias="source",
                target_alias="target",
                merge_schema=bool(extra),
                # Of rows that are there the keys' bounds are known, and files without such keys are left out.
                streamed_exec=isinstance(frame, pl.LazyFrame),
                writer_properties=self._writer(columns),
                commit_properties=properties,
                post_commithook_properties=_NO_HOUSEKEEPING,
            )
            if _GOES not in frame.collect_schema():
                merger.when_matched_update_all().when_not_matched_insert_all().execute()
                return
            values = {f'"{name}"': f'source."{name}"' for name in columns}
            merger.when_matched_delete(f'source."{_GOES}"').when_matched_update(
                values
            ).when_not_matched_insert(values).execute()

        self._once(transactions, act)

    def _rows_near(self, column: str, values: pl.Series) -> int:
        """Return how many rows the files have that can have one of some values, given in order."""
        files = pl.DataFrame(self._delta.get_add_actions(flatten=True))
        least, most = f"min.{column}", f"max.{column}"
        if not {least, most} <= {*files.columns}:
            return int(files.get_column("num_records").sum() or 0)
        before = values.search_sorted(files.get_column(least).fill_null(values[0]), side="left")
        upto = values.search_sorted(files.get_column(most).fill_null(values[-1]), side="right")
        return int(files.filter(upto > before).get_column("num_records").sum() or 0)

    def _writer(self, columns: Collection[str]) -> WriterProperties:
        """Return how files of the table are written: with bounds of the columns alone that it keeps bounds of."""
        said = from_property(self.properties)
        return writing(bounded(self.schema) if said is None else said, columns)

    def _once(self, transactions: Transactions, act: Callable[[CommitProperties], object]) -> None:
        """Commit from exactly this version, or not at all; where the call fails, find out whether it happened.

        Raises `CommitFailedError` where somebody else committed since this version, and `SchemaMismatchError`.
        """
        token, base = random_token(), self.version
        try:
            act(_properties({**transactions, COMMIT: token, AT: base + 1}, 0))
        except BaseException as problem:
            if not is_foreign(problem):
                raise
            happened = self._happened(base, token, problem)
            if happened is not None:
                self._delta = happened
            elif isinstance(problem, CommitFailedError | SchemaMismatchError):
                raise
            else:
                raise storage_error(problem, self.name) from problem
        self._outlast()

    def _outlast(self) -> None:
        """Have what was committed last on the disk before anything is built on it."""
        if "://" not in self._delta.uri:
            with translated(self.name):
                outlast(Path(self._delta.uri), self.version)

    def _happened(self, base: int, token: int, problem: BaseException) -> Placed | None:
        """Return the version after ``base`` if it is the commit with this number."""
        newest = self._newest(problem)
        if newest.version() > base + 1:
            with translated(self.name):
                newest = Placed(newest.uri, newest.options, base + 1)
        return newest if newest.version() > base and newest.transaction_version(COMMIT) == token else None

    def _newest(self, problem: BaseException) -> Placed:
        try:
            return Placed(self._delta.uri, self._delta.options)
        except (DeltaError, OSError):
            raise CommitUnclear(
                f"A commit failed, and whether it happened could not be found out: {problem}",
                where=self.name,
                do="nothing: the step is repeated. If that does not help, check the lake's storage.",
            ) from problem

    def _rebased(
        self, transactions: Transactions, retries: int, act: Callable[[CommitProperties], object]
    ) -> None:
        """Commit on top of whatever others commit meanwhile; a call that fails after its commit happened is none.

        Raises `CommitFailedError` where one of the transactions was moved by somebody else.
        """
        token, base = str(random_token()), self.version
        properties = _properties(transactions, retries)
        properties.custom_metadata = {COMMIT: token}
        try:
            act(properties)
        except BaseException as problem:
            if not is_foreign(problem):
                raise
            newest = self._newest(problem)
            since = newest.version() - base
            if since > 0 and any(entry.get(COMMIT) == token for entry in newest.history(since)):
                self._delta = newest
            elif isinstance(problem, SchemaMismatchError) or (
                transactions and isinstance(problem, CommitFailedError)
            ):
                raise
            else:
                raise storage_error(problem, self.name) from problem

    def _in_own_types(
        self, rows: pl.DataFrame | pl.LazyFrame | pa.RecordBatchReader
    ) -> pl.DataFrame | pl.LazyFrame | pa.RecordBatchReader:
        """Return rows in the table's types: delta-rs would cast them to these, and cut what does not fit.

        A stream of Arrow batches has the table's types already, or it is refused.
        """
        if isinstance(rows, pl.DataFrame):
            return in_types(rows, self.schema, self.name, _WRITTEN_AS_IT_IS)
        if isinstance(rows, pl.LazyFrame):
            return lazily_in_types(rows, self.schema, self.name)
        lazily_in_types(pl.LazyFrame(schema=pl.Schema(rows.schema)), self.schema, self.name)
        return rows

    def compact(self, target_size_mb: int) -> None:
        """Join small data files of each partition; the rows stay the same, and so do the transactions.

        A table that says how large its files are to be keeps to that.
        """
        own = self._delta.metadata().configuration.get(_FILE_SIZE)
        with translated(self.name):
            self._delta.optimize.compact(
                target_size=int(own) if own else target_size_mb * 1024 * 1024,
                writer_properties=self._writer(self.columns),
                commit_properties=CommitProperties(max_commit_retries=0),
                post_commithook_properties=_NO_HOUSEKEEPING,
            )

    def set_properties(self, properties: Mapping[str, str]) -> None:
        """Set the properties of the table that it has otherwise, in a commit of its own; none is made for none."""
        there = self.properties
        fresh = {name: value for name, value in properties.items() if there.get(name) != value}
        if fresh:
            with translated(self.name):
                self._delta.alter.set_table_properties(
                    fresh,
                    raise_if_not_exists=False,
                    commit_properties=CommitProperties(max_commit_retries=0),
                    post_commithook_properties=_NO_HOUSEKEEPING,
                )

    def forget_statistics(self) -> int:
        """Take bounds of columns that shall have none out of the log's newest state, and return of how many files.

        The entries before are history, and go with it.
        """
        kept = from_property(self.properties)
        if kept is None:
            return 0
        actions = pl.DataFrame(self._delta.get_add_actions(flatten=True))
        shown = {
            name
            for name in actions.columns
            for kind in ("min.", "max.")
            if name.startswith(kind) and name.removeprefix(kind) not in kept
        }
        speaking = (
            actions.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in shown)) if shown else None
        )
        if speaking is None or speaking.is_empty():
            return 0
        silent = [_without_bounds(row, kept) for row in speaking.iter_rows(named=True)]
        with translated(self.name):
            commit_parts(self._delta, silent, CommitProperties(max_commit_retries=0))
        return len(silent)

    def clean_log(self, retention_days: int, replaced_days: int) -> None:
        """Let the history go that is older than ``retention_days``; a checkpoint keeps what this version knows.

        What was replaced is remembered for ``replaced_days``, so that its files are not younger than they seem.
        """
        self.set_properties(
            {
                _LOG_RETENTION: f"interval {retention_days} days",
                **({REPLACED_RETENTION: f"interval {replaced_days} days"} if replaced_days > WEEK else {}),
            }
        )
        with translated(self.name):
            self._delta.create_checkpoint()
            self._delta.cleanup_metadata()


def _without_bounds(row: Mapping[str, Any], kept: Collection[str]) -> AddAction:
    """Return the entry of a file that is there, with bounds of the kept columns alone."""

    def of(kind: str) -> dict[str, Any]:
        found = {name: row.get(f"{kind}.{name}") for name in kept}
        return {name: _logged(value) for name, value in found.items() if value is not None}

    statistics = {
        "numRecords": row["num_records"],
        "minValues": of("min"),
        "maxValues": of("max"),
        "nullCount": of("null_count"),
    }
    partition = {
        name.removeprefix("partition."): value for name, value in row.items() if name.startswith("partition.")
    }
    # The log's path is escaped once more than the file's name, and delta-rs escapes it again.
    path, modified = unquote(str(row["path"])), int(row["modification_time"])
    return AddAction(path, int(row["size_bytes"]), partition, modified, False, json.dumps(statistics))


def _logged(value: Any) -> Any:
    return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z" if isinstance(value, datetime) else value


def _named(frame: pl.DataFrame, key: tuple[str, ...], removed: pl.DataFrame | None) -> pl.Series | None:
    """Return the keys of a merge in order, where they are few whole numbers; None for others.

    A key that comes twice is left to a merge, which refuses it.
    """
    if len(key) != 1 or not frame.schema[key[0]].is_integer() or '"' in key[0]:
        return None
    name, mine = key[0], frame.get_column(key[0])
    goes = (
        mine.clear() if removed is None or removed.is_empty() else removed.get_column(name).cast(mine.dtype)
    )
    keys = pl.concat([mine, goes])
    if not 0 < len(keys) <= _MOST_NAMED or keys.null_count() or keys.is_duplicated().any():
        return None
    return keys.sort()


def _has_one(name: str, keys: pl.Series) -> str:
    """Return the condition that a row has one of some keys, as delta-rs reads it."""
    listed = keys.cast(pl.String).to_list()
    return f'"{name}" >= {listed[0]} AND "{name}" <= {listed[-1]} AND "{name}" IN ({", ".join(listed)})'


def commit_parts(delta: DeltaTable, added: Sequence[AddAction], properties: CommitProperties) -> None:
    """Commit files that are written already, and let the table object see them."""
    delta.create_write_transaction(
        list(added),
        "append",
        delta.schema(),
        delta.metadata().partition_columns,
        commit_properties=properties,
        post_commithook_properties=_NO_HOUSEKEEPING,
    )
    delta.update_incremental()


def open_table(
    uri: str, name: str, options: dict[str, str] | None, version: int | None = None
) -> Table | None:
    """Open a table at its newest or a given version; None where there is no table.

    Raises `LakeUnusable` for a table that forgets transactions, since progress in it would be forgotten too.
    """
    with translated(name):
        try:
            delta = Placed(uri, options, version)
        except TableNotFoundError:
            return None
        if _FORBIDDEN in delta.metadata().configuration:
            raise LakeUnusable(
                f"The table forgets transactions after a while ({_FORBIDDEN} is set), and with them its progress.",
                where=name,
                do=f"unset {_FORBIDDEN} on the table.",
            )
        return Table(delta, name)


def create_table(
    uri: str,
    name: str,
    options: dict[str, str] | None,
    schema: pl.Schema,
    partition_by: str | None,
    *,
    file_size_mb: int | None = None,
    bounds: Collection[str] = (),
) -> Table:
    """Make the table unless it is there; of several makers at once one wins and the others open what it made.

    ``file_size_mb`` is how large its files are to be, in megabytes, and ``bounds`` are the columns that the log may
    keep bounds of, for whoever writes it.
    """
    arrow = pl.DataFrame(schema=schema).to_arrow().schema
    with translated(name):
        try:
            DeltaTable.create(
                uri,
                arrow,
                mode="ignore",
                partition_by=partition_by,
                storage_options=options,
                configuration={
                    **as_property(bounds),
                    **({_FILE_SIZE: str(file_size_mb * 1024 * 1024)} if file_size_mb else {}),
                },
                # Else the makers that come second make it again, as a version on top of what was written meanwhile.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except (CommitFailedError, DeltaError):
            # Most makers at once fail like this, and the table is there all the same.
            if open_table(uri, name, options) is None:
                raise
    table = open_table(uri, name, options)
    if table is None:
        raise LakeUnusable(
            "The table was made and is not there.",
            where=name,
            do="check the lake's location.",
        )
    return table


def _properties(transactions: Transactions, retries: int) -> CommitProperties:
    pairs = [Transaction(app_id, version) for app_id, version in transactions.items()]
    return CommitProperties(app_transactions=pairs, max_commit_retries=retries)


def _as_stream(frame: pl.LazyFrame) -> pa.RecordBatchReader:
    """Return rows that are computed as they are asked for."""
    schema = pl.DataFrame(schema=frame.collect_schema()).to_arrow().schema
    batches = (
        batch
        for part in frame.collect_batches(chunk_size=_REWRITE_ROWS, maintain_order=True)
        for batch in part.to_arrow().cast(schema).to_batches()
    )
    return pa.RecordBatchReader.from_batches(schema, batches)
