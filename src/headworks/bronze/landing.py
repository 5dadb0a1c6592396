"""The landing loop: any source into one stream of bronze, exactly once.

A batch has happened when, and only when, one Delta commit carries its rows together with two transactions: the
stream's sequence and a random token. The position is in a checkpoint object whose name holds both, written before
the commit and meaningless until then. After any failure of a commit the transactions are read again, and they alone
say what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from headworks.bronze.consumed import check_not_set_back, checkpoint_id, rows_id
from headworks.bronze.stamping import METADATA, Metadata, conforming, stamped
from headworks.errors import CheckpointLost, CommitUnclear, ConcurrentRun, LakeUnusable, ObjectLost
from headworks.names import check_dataset, check_stream, checkpoints_folder
from headworks.panics import panics_as_errors
from headworks.ports import Clock, TokenMaker, random_token, system_clock
from headworks.reports import LandingReport, TableRef
from headworks.sources.base import REFUSAL, Batch, Position, Rows, Source, knowing
from headworks.storage.delta import Table
from headworks.storage.drift import Drift, Policy, check, drift_of, storable, wider
from headworks.storage.encoding import Encoding
from headworks.storage.store import Lake

COMMIT_ATTEMPTS = 3
_WIDENED = "#widened"
_COUNTED = (
    "first_sequence", "read", "landed", "refused", "repeated", "batches", "null_cursor", "later",
    "ahead", "pages", "requests", "retries",
)  # fmt: skip
"""What a report counts from batch to batch."""

_ASLEEP = timedelta(minutes=10)
"""A commit takes no longer, unless the machine slept."""

MOST_WARNINGS = 50
"""As many as a person would read."""


OnBatch = Callable[[LandingReport], None]


@dataclass(frozen=True)
class Head:
    """The position of a stream: its last committed sequence, that commit's token, and the position after it.

    ``run_id`` is the run that committed it, and ``counted`` what that run had read and landed in the stream by then.
    ``form_known`` is false where the position was lost and none came since: the form of the source's is not known.
    ``ended`` is false where the run that committed it did not come to the end of what the source had then.
    """

    sequence: int
    token: int
    position: Position | None
    run_id: str = field(default="", compare=False)
    counted: Mapping[str, int] = field(default_factory=dict, compare=False)
    form_known: bool = field(default=True, compare=False)
    ended: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Landing:
    """What to land and where: the parts that stay the same from batch to batch.

    ``counts_on`` is for steps that are tried again under the same run: what earlier tries of the run landed in the
    stream is in the report too.
    """

    lake: Lake
    dataset: str
    stream: str
    run_id: str
    clock: Clock = system_clock
    token: TokenMaker = random_token
    drift: Policy = "evolve"
    counts_on: bool = False


def landed_rows(table: Table, stream: str) -> int:
    """Return how many rows a stream has landed in all; in a table of 0.1.0, which did not count, those it has."""
    counted = table.transaction(rows_id(stream))
    return counted - 1 if counted else table.rows_of(stream)


def read_head(lake: Lake, table: Table, dataset: str, stream: str) -> Head:
    """Read the position of a stream, from the table's own transactions and the checkpoint that they name.

    Raises `CheckpointLost` where that is gone.
    """
    sequence = table.transaction(stream)
    token = table.transaction(checkpoint_id(stream))
    if sequence == 0:
        return Head(0, 0, None)
    path = _checkpoint_path(dataset, stream, sequence, token)
    try:
        content = lake.get_object(path)
    except ObjectLost as problem:
        raise CheckpointLost(
            f"The position of stream {stream} after sequence {sequence} is lost, its rows are there: {problem.what}",
            where=path,
            do=f"restore _headworks/checkpoints, or set the stream to a position: headworks stream reset {stream} "
            "reads from the beginning, which makes no duplicates in silver, or with --position from a known place.",
        ) from problem
    known = content.get("form_known", True)
    return Head(
        sequence,
        token,
        content["position"],
        content.get("run_id", ""),
        content.get("counted", {}),
        known,
        content.get("ended", True),
    )


def landed_before(landing: Landing, head: Head) -> LandingReport | None:
    """Return what earlier tries of the same run landed in the stream, None where the last commit is another run's."""
    if not head.counted or head.run_id != landing.run_id:
        return None
    report = LandingReport(
        dataset=landing.dataset, stream=landing.stream, table=_no_table(landing), position=head.position
    )
    return report.model_copy(update={**head.counted, "last_sequence": head.sequence})


def open_bronze(lake: Lake, dataset: str, schema: pl.Schema) -> Table:
    """Open a bronze table, making it first where there is none: the source's columns and the metadata's."""
    clash = set(schema) & set(METADATA)
    if clash:
        raise LakeUnusable(
            f"The source has columns that bronze keeps for itself: {', '.join(sorted(clash))}.",
            where=f"bronze.{dataset}",
            do="rename them where they are selected.",
        )
    table = lake.open("bronze", dataset)
    if table is not None:
        return table
    columns = storable(schema, f"bronze.{dataset}")
    return lake.ensure("bronze", dataset, pl.Schema({**columns, **METADATA}), partition_by="_stream")


def prepare_bronze(landing: Landing, schema: pl.Schema) -> Table:
    """Open a bronze table as its source's columns need it: made where there is none, widened where types grew.

    Raises `SchemaChanged` for a change that the drift policy refuses.
    """
    table = open_bronze(landing.lake, landing.dataset, schema)
    drift = _drift(schema, table)
    check(drift, landing.drift, table.name)
    return _widened(landing, table, drift, schema)


def _drift(schema: pl.Schema, table: Table) -> Drift:
    """Compare a source's columns with bronze's, but for those of refused records: any batch may bring them."""
    both = (
        pl.Schema({name: dtype for name, dtype in columns.items() if name not in REFUSAL})
        for columns in (schema, received(table))
    )
    return drift_of(*both)


def _widened(landing: Landing, table: Table, drift: Drift, schema: pl.Schema) -> Table:
    """Give the columns that grew their wider types, and return the table as it is then."""
    if not drift.widened:
        return table
    try:
        table.widen({name: after for name, (_, after) in drift.widened.items()}, {_WIDENED: landing.token()})
    except Exception as problem:
        fresh = landing.lake.must_open("bronze", landing.dataset)
        if _drift(schema, fresh).widened:
            raise CommitUnclear(
                f"The columns {', '.join(drift.widened)} could not be given their wider types: {problem}",
                where=table.name,
                do="nothing: the step is repeated. If that does not help, check the lake's storage.",
            ) from problem
    return landing.lake.must_open("bronze", landing.dataset)


def _holding(landing: Landing, table: Table, head: Head, batch: Batch) -> Table:
    """Return the table with columns that hold every value of a batch, widened where they do not yet.

    Sources such as files learn their columns while they are read, after the table was prepared. Raises `SchemaChanged`
    for a type that no wider one joins with the table's: a batch is never cast to fit.
    """
    given = pl.Schema(batch.frame.schema)
    drift = _drift(given, table)
    if not drift.widened and not drift.changed:
        return table
    check(Drift(changed=drift.changed), landing.drift, table.name)
    fresh = _widened(landing, table, drift, given)
    now = fresh.transaction(landing.stream), fresh.transaction(checkpoint_id(landing.stream))
    if now != (head.sequence, head.token):
        raise _moved(landing, replace(head, sequence=now[0]))
    return fresh


def land(
    landing: Landing,
    source: Source,
    *,
    until: datetime | None = None,
    on_batch: OnBatch | None = None,
) -> LandingReport:
    """Land everything that ``source`` has after the stream's position, and return what was landed.

    Raises `ConcurrentRun` where another run moved the stream, `CommitUnclear` where a commit failed three times
    without having happened, and whatever the source raises. In each case all batches reported to ``on_batch`` are
    in the table, none of them twice, and the next landing continues after them.
    """
    check_dataset(landing.dataset)
    check_stream(landing.stream)
    report = LandingReport(dataset=landing.dataset, stream=landing.stream, table=_no_table(landing))
    failures = 0
    while True:
        table = prepare_bronze(landing, source.schema)
        check_not_set_back(landing.lake, landing.dataset, table)
        head = read_head(landing.lake, table, landing.dataset, landing.stream)
        if report.last_sequence and head.sequence != report.last_sequence:
            raise _moved(landing, head)
        if not report.first_sequence:
            begun = landed_before(landing, head) if landing.counts_on else None
            first = {"first_sequence": head.sequence + 1, "position": head.position}
            report = begun or report.model_copy(
                update={**first, "warnings": _new_columns(landing, source, table)}
            )
        report = report.model_copy(
            update={"table": _reference(landing, table), "last_sequence": head.sequence}
        )
        committed = report
        try:
            for landed in _land_batches(landing, table, head, source, until, report):
                if landed.batches > report.batches:
                    committed, failures = landed, 0
                report = landed
                if on_batch is not None:
                    on_batch(report)
            return report
        except _CommitFailed as failed:
            report, failures = _resolve(landing, failed, (committed, report), failures + 1, on_batch)


def _new_columns(landing: Landing, source: Source, table: Table) -> tuple[str, ...]:
    """Say which columns bronze gets, and which the source has no longer: one may be the other, renamed."""
    drift = _drift(source.schema, table)
    if landing.drift != "evolve" or not drift.new:
        return ()
    texts = [f"{name} ({dtype}) is new" for name, dtype in drift.new.items()]
    gone = [f"{name} ({dtype}) is gone" for name, dtype in drift.dropped.items()]
    return ("the source's columns changed: " + ", ".join([*texts, *gone]),)


class _CommitFailed(Exception):
    """A commit raised; whether it happened is not known yet."""

    def __init__(self, batch: Batch, before: Head, token: int) -> None:
        self.batch, self.before, self.token = batch, before, token
        super().__init__()


def _land_batches(
    landing: Landing,
    table: Table,
    head: Head,
    source: Source,
    until: datetime | None,
    report: LandingReport,
) -> Iterator[LandingReport]:
    """Commit batch after batch through one table object, and yield the report after each."""
    batches = knowing(source, received(table), wider).read(head.position, until)
    encoding = Encoding()
    try:
        for batch in batches:
            if batch.height == 0 and batch.position == (head.position or {}):
                report = _counted(report, batch, head.sequence, committed=False)
                yield report
                continue
            table = _holding(landing, table, head, batch)
            # Before anything of the batch is written: what is refused here is the source's, and no failed commit.
            conformed = conforming(batch.frame, table.schema, landing.drift, table.name)
            token = landing.token()
            after = _counted(report, batch, head.sequence + 1, committed=True)
            put_checkpoint(landing, head.sequence + 1, token, batch.position, after)
            written = landing.clock()
            try:
                _commit(landing, table, conformed, head.sequence + 1, token, encoding)
            except Exception as problem:
                raise _CommitFailed(batch, head, token) from problem
            if landing.clock() - written > _ASLEEP:
                # It may have been collected meanwhile, as one that no table names.
                put_checkpoint(landing, head.sequence + 1, token, batch.position, after)
            head = Head(head.sequence + 1, token, batch.position, landing.run_id, _counts(after), ended=False)
            report = after.model_copy(update={"table": _reference(landing, table)})
            yield report
        if not head.ended:
            # Silver divides what is pending by runs, and joins what a killed one left to what continues it.
            _put_checkpoint(landing, replace(head, ended=True))
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()


def _commit(
    landing: Landing,
    table: Table,
    conformed: Rows,
    sequence: int,
    token: int,
    encoding: Encoding,
) -> None:
    """Append a batch with its sequence and token: this is the moment in which it happens."""
    meta = Metadata(sequence, landing.clock(), table.newest_version() + 1)
    with panics_as_errors():
        rows = stamped(conformed, meta)
        transactions = {
            landing.stream: sequence,
            checkpoint_id(landing.stream): token,
            rows_id(landing.stream): landed_rows(table, landing.stream) + rows.num_rows + 1,
        }
        table.append_part(rows, {"_stream": landing.stream}, transactions, encoding.of(rows))


def received(table: Table) -> pl.Schema:
    """Return the columns of a bronze table that its source gave."""
    return pl.Schema({name: dtype for name, dtype in table.schema.items() if name not in METADATA})


def _resolve(
    landing: Landing,
    failed: _CommitFailed,
    reports: tuple[LandingReport, LandingReport],
    failures: int,
    on_batch: OnBatch | None,
) -> tuple[LandingReport, int]:
    """Find out from a fresh snapshot what a failed commit did, and say how to continue.

    ``reports`` are that of the last commit before it and that of all that was read since: where the commit did not
    happen, what was read without one is read and counted again.
    """
    committed, report = reports
    table = landing.lake.must_open("bronze", landing.dataset)
    sequence, token = (
        table.transaction(landing.stream),
        table.transaction(checkpoint_id(landing.stream)),
    )
    if token == failed.token:
        report = _counted(report, failed.batch, sequence, committed=True)
        report = report.model_copy(update={"table": _reference(landing, table)})
        if on_batch is not None:
            on_batch(report)
        return report, 0
    if sequence != failed.before.sequence or token != failed.before.token:
        raise _moved(landing, replace(failed.before, sequence=sequence)) from failed.__cause__
    if failures >= COMMIT_ATTEMPTS:
        raise CommitUnclear(
            f"A commit failed {failures} times without having happened: {failed.__cause__}",
            where=f"{table.name}, stream {landing.stream}, sequence {sequence + 1}",
            do="check the lake's storage; nothing was lost, the next run continues from here.",
        ) from failed.__cause__
    return committed, failures


def _counted(report: LandingReport, batch: Batch, sequence: int, *, committed: bool) -> LandingReport:
    update: dict[str, Any] = {
        "read": report.read + batch.read,
        "repeated": report.repeated + batch.repeated,
        **batch_counts(report, batch),
        # Counted of the whole source in one moment: not added up, or a step that is repeated would count twice.
        "null_cursor": batch.null_cursor or report.null_cursor,
        "later": batch.later or report.later,
        "ahead": batch.ahead or report.ahead,
    }
    if committed:
        update["landed"] = report.landed + batch.landed
        update["refused"] = report.refused + batch.refused
        update["batches"] = report.batches + 1
        update["last_sequence"] = sequence
        update["position"] = batch.position
    return report.model_copy(update=update)


def batch_counts(report: LandingReport, batch: Batch) -> dict[str, Any]:
    """Return what a batch shows about its source and what it took, added to what a report has already."""
    return {
        "pages": report.pages + batch.effort.pages,
        "requests": report.requests + batch.effort.requests,
        "retries": report.retries + batch.effort.retries,
        "expected": batch.expected if batch.expected is not None else report.expected,
        "shown": batch.shown if batch.shown is not None else report.shown,
        "warnings": tuple(dict.fromkeys((*report.warnings, *batch.warnings)))[:MOST_WARNINGS],
        "left_out": {**report.left_out, **batch.left_out},
    }


def put_checkpoint(
    landing: Landing,
    sequence: int,
    token: int,
    position: Position | None,
    after: LandingReport | None = None,
    *,
    form_known: bool = True,
) -> None:
    """Write the position after a batch under the name that only its commit will give a meaning.

    With it goes what the run has landed in the stream so far (``after``), so that a step that is tried again counts on.
    """
    counted = _counts(after) if after else {}
    _put_checkpoint(
        landing, Head(sequence, token, position, landing.run_id, counted, form_known, ended=after is None)
    )


def _put_checkpoint(landing: Landing, head: Head) -> None:
    content = {
        "stream": landing.stream,
        "sequence": head.sequence,
        "position": head.position,
        "run_id": head.run_id,
        "counted": dict(head.counted),
        "written_at": landing.clock().isoformat(),
        "ended": head.ended,
        **({} if head.form_known else {"form_known": False}),
    }
    path = _checkpoint_path(landing.dataset, landing.stream, head.sequence, head.token)
    landing.lake.put_object(path, content)


def _counts(report: LandingReport) -> dict[str, Any]:
    """Return what a checkpoint keeps of what its run has counted so far."""
    return {name: getattr(report, name) for name in _COUNTED}


@dataclass(frozen=True)
class Landed:
    """Sequences of a stream that one run landed, the last of them with its token; the first is 0 where not known."""

    first: int
    last: int
    run_id: str
    token: int
    ended: bool


def landed_by(lake: Lake, table: Table, dataset: str, stream: str, after: int) -> tuple[Landed, ...]:
    """Return by which runs the sequences of a stream after ``after`` were landed, the oldest first.

    Where a checkpoint is gone, what was landed until it counts as one: by whom is not known.
    """
    found: list[Landed] = []
    last, token = table.transaction(stream), table.transaction(checkpoint_id(stream))
    folder = f"{checkpoints_folder(dataset)}/{stream}"
    names: list[str] | None = None
    while last > after:
        try:
            content = lake.get_object(_checkpoint_path(dataset, stream, last, token)) if token else {}
        except ObjectLost:
            content = {}
        first = int(content.get("counted", {}).get("first_sequence", 0))
        # A stream that was set back says no first sequence: it is one by itself.
        first = max(after + 1, first or (last if content else after + 1))
        found.append(Landed(first, last, content.get("run_id", ""), token, content.get("ended", True)))
        last = first - 1
        if last > after:
            if names is None:
                names = [each.path.rpartition("/")[2] for each in lake.list_objects(folder)]
            # Of several tries to land a sequence one was committed. Which, bronze does not say any more.
            tokens = [
                int(name.removesuffix(".json").partition("-")[2])
                for name in names
                if name.startswith(f"{last}-") and name.endswith(".json")
            ]
            token = max(tokens, key=lambda one: _written(lake, dataset, stream, last, one), default=0)
    return tuple(reversed(found))


def _written(lake: Lake, dataset: str, stream: str, sequence: int, token: int) -> str:
    try:
        return str(lake.get_object(_checkpoint_path(dataset, stream, sequence, token)).get("written_at", ""))
    except ObjectLost:
        return ""


def _checkpoint_path(dataset: str, stream: str, sequence: int, token: int) -> str:
    # The token is in the name: two runs write different positions for the same sequence, and only one of them counts.
    return f"{checkpoints_folder(dataset)}/{stream}/{sequence}-{token}.json"


def _moved(landing: Landing, head: Head) -> ConcurrentRun:
    return ConcurrentRun(
        f"Another run moved the stream to sequence {head.sequence} while this one was landing in it.",
        where=f"bronze.{landing.dataset}, stream {landing.stream}",
        do="nothing is lost or duplicated; let the other run finish, or start this one again.",
    )


def _no_table(landing: Landing) -> TableRef:
    return TableRef(
        table=f"bronze.{landing.dataset}",
        version=0,
        uri=landing.lake.uri("bronze", landing.dataset),
    )


def _reference(landing: Landing, table: Table) -> TableRef:
    return TableRef(
        table=table.name,
        version=table.version,
        uri=landing.lake.uri("bronze", landing.dataset),
    )
