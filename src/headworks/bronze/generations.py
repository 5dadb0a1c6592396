"""Streams alongside the live one: generations (full reads) and windows, and the marks that make a full read complete.

A full read lands in a stream of its own, numbered again after each restart. It counts as complete only when its end
mark is committed, which names the last sequence of each stream at that moment. Only a complete generation may lead to
deletes, and only of keys last seen before it began. What came before is known from the sequences that each stream had
then, and not by clocks: those of two machines are never quite the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from headworks.bronze.consumed import check_not_set_back, checkpoint_id
from headworks.bronze.landing import Landing, landed_before, open_bronze, read_head
from headworks.errors import (
    CheckpointLost,
    ConcurrentRun,
    LakeUnusable,
    ObjectLost,
    ReadIncomplete,
    SettingsError,
)
from headworks.names import Window, checkpoints_folder, generation_stream, window_stream
from headworks.reports import LandingReport
from headworks.storage.delta import Table
from headworks.storage.store import Json, Lake

GENERATIONS = "generations"
"""The folder of end marks, alongside the folders of streams."""

_LARGEST_PROBE = 10_000
_MOST_TRIES = 10
"""More often no step is tried again."""


@dataclass(frozen=True)
class Generation:
    """A full read: its number, its stream, the moment before its first record was read, and what was landed by then.

    ``before`` holds the last sequence of each stream when it began; None for one that was completed by a version of
    headworks that did not note them, and that deletes nothing. ``landed`` is the version of bronze that it began from:
    rows with a larger one were landed since. ``keys`` is the object that holds all keys, where keys
    alone were read. ``largest_share`` is the largest share of the known keys that may vanish by it, None for any.
    """

    dataset: str
    number: int
    stream: str
    started_at: datetime
    before: Mapping[str, int] | None = None
    keys: str | None = None
    largest_share: float | None = None
    landed: int | None = None


def begin_generation(landing: Landing, schema: pl.Schema) -> Generation:
    """Take the next number for a full read; of two runs that do so at once, one gets `ConcurrentRun`."""
    table = open_bronze(landing.lake, landing.dataset, schema)
    check_not_set_back(landing.lake, landing.dataset, table)
    number = table.transaction(_begun(landing.dataset)) + 1
    # Of the version that the mark is set on: what is landed alongside it counts as seen since, which deletes less.
    before = {stream: table.transaction(stream) for stream in table.streams()}
    landed, started_at = table.version, landing.clock()
    try:
        _mark(table, {_begun(landing.dataset): number})
    except Exception as problem:
        fresh = landing.lake.must_open("bronze", landing.dataset)
        if fresh.transaction(_begun(landing.dataset)) >= number:
            raise ConcurrentRun(
                "Another run began a full read of the same dataset at the same moment.",
                where=f"bronze.{landing.dataset}",
                do="let the other run finish; nothing was read by this one.",
            ) from problem
        raise
    stream = generation_stream(landing.dataset, number)
    return Generation(landing.dataset, number, stream, started_at, before, landed=landed)


def complete_generation(landing: Landing, generation: Generation) -> None:
    """Commit the end mark of a full read, after its last record and the catching-up of the live stream.

    Raises `ReadIncomplete` where a later full read was begun meanwhile: this one must then not delete anything.
    """
    table = landing.lake.must_open("bronze", landing.dataset)
    if table.transaction(_begun(generation.dataset)) != generation.number:
        raise ReadIncomplete(
            "A later full read was begun while this one was reading, so this one is not marked as complete.",
            where=f"bronze.{landing.dataset}, generation {generation.number}",
            do="let the later one finish.",
        )
    token = landing.token()
    landing.lake.put_object(
        _mark_path(generation.dataset, generation.number, token),
        {
            "generation": generation.number,
            "started_at": generation.started_at.isoformat(),
            "before": generation.before,
            "streams": {stream: table.transaction(stream) for stream in table.streams()},
            "run_id": landing.run_id,
            "keys": generation.keys,
            "largest_share": generation.largest_share,
            "landed": generation.landed,
        },
    )
    _mark(
        table,
        {
            _ended(generation.dataset): generation.number,
            checkpoint_id(_ended(generation.dataset)): token,
        },
    )


def left_by_run(landing: Landing) -> tuple[LandingReport, ...]:
    """Return what earlier tries of the same run landed in full reads that they did not complete, or not as the last."""
    table = landing.lake.open("bronze", landing.dataset)
    newest = table.transaction(_begun(landing.dataset)) if table else 0
    reports = []
    for number in range(newest, max(0, newest - _MOST_TRIES), -1):
        alongside = replace(landing, stream=generation_stream(landing.dataset, number))
        assert table is not None
        head = read_head(landing.lake, table, landing.dataset, alongside.stream)
        report = landed_before(alongside, head)
        if report is not None:
            reports.append(report.model_copy(update={"generation": number}))
        elif head.sequence:
            break
    return tuple(reversed(reports))


def newest_complete(lake: Lake, table: Table, dataset: str) -> Generation | None:
    """Return the newest complete full read of a bronze table version, or None where there is none.

    Raises `ReadIncomplete` where the end mark names sequences that the table does not have.
    """
    number = table.transaction(_ended(dataset))
    if number == 0:
        return None
    token = table.transaction(checkpoint_id(_ended(dataset)))
    mark = _read_mark(lake, dataset, number, token)
    for stream, sequence in mark["streams"].items():
        if table.transaction(stream) < sequence:
            raise ReadIncomplete(
                f"The end mark of full read {number} names sequence {sequence} of {stream}, which is not there.",
                where=f"bronze.{dataset}",
                do="run a full read again.",
            )
    return _generation(dataset, number, mark)


def complete_before(lake: Lake, table: Table, dataset: str, out: Collection[int]) -> Generation | None:
    """Return the newest complete full read that is not one of ``out``; None where there was none.

    Raises `SettingsError` where there was one and its end mark is gone: what it deleted is not known any more.
    """
    folder = f"{checkpoints_folder(dataset)}/{marks_folder(dataset)}"
    names = [each.path.rpartition("/")[2] for each in lake.list_objects(folder)]
    marks = {int(name.partition("-")[0]): name for name in names if name.endswith(".json")}
    for number in range(table.transaction(_ended(dataset)), 0, -1):
        if number in out:
            continue
        if number in marks:
            return _generation(dataset, number, lake.get_object(f"{folder}/{marks[number]}"))
        if table.rows_of(generation_stream(dataset, number)):
            raise SettingsError(
                f"The end mark of full read {number} is gone, so what it deleted is not known.",
                where=f"bronze.{dataset}",
                do="read the source in full: the new full read replaces what the one that is taken back deleted.",
            )
    return None


def _generation(dataset: str, number: int, mark: Json) -> Generation:
    return Generation(
        dataset,
        number,
        generation_stream(dataset, number),
        datetime.fromisoformat(mark["started_at"]),
        before=mark.get("before"),
        keys=mark.get("keys"),
        largest_share=mark.get("largest_share"),
        landed=mark.get("landed"),
    )


def mark_run(lake: Lake, table: Table, dataset: str) -> str | None:
    """Return the run that completed the newest complete full read; None where there is none."""
    number = table.transaction(_ended(dataset))
    if number == 0:
        return None
    mark = _read_mark(lake, dataset, number, table.transaction(checkpoint_id(_ended(dataset))))
    run_id = mark.get("run_id")
    return str(run_id) if run_id else None


def _read_mark(lake: Lake, dataset: str, number: int, token: int) -> Json:
    try:
        return lake.get_object(_mark_path(dataset, number, token))
    except ObjectLost as problem:
        raise LakeUnusable(
            f"The end mark of full read {number} is lost, so nothing can be deleted by it: {problem.what}",
            where=f"bronze.{dataset}",
            do="restore _headworks/checkpoints, or run a full read again.",
        ) from problem


def marks_folder(dataset: str) -> str:
    """Name the folder of end marks, which the stream of a dataset named like it has already."""
    return f"#{GENERATIONS}" if dataset == GENERATIONS else GENERATIONS


def window_reading(lake: Lake, dataset: str, window: Window) -> str:
    """Return the stream in which to read a window: the last one if it was cut short, else a new one.

    A window that is read once has one stream, whether that is finished or not.
    """
    table = lake.open("bronze", dataset)
    if table is None or window.once:
        return window_stream(dataset, window, 1)
    for attempt in range(1, _LARGEST_PROBE):
        stream = window_stream(dataset, window, attempt)
        try:
            head = read_head(lake, table, dataset, stream)
        except CheckpointLost:
            # Whether it was read to its end is not known: it is read again, in a stream of its own.
            continue
        if head.position is None or not head.position.get("done"):
            return stream
    raise ReadIncomplete(
        f"The window was read {_LARGEST_PROBE} times already.",
        where=f"bronze.{dataset}",
        do="choose another window; what was read is in bronze.",
    )


def keys_path(generation: Generation, token: int) -> str:
    """Return where the keys of a full read of keys alone are kept, alongside its end mark."""
    return _mark_path(generation.dataset, generation.number, token).removesuffix(".json") + ".parquet"


def ended_id(dataset: str) -> str:
    """Name the transaction that carries the number of the newest complete full read."""
    return _ended(dataset)


def _begun(dataset: str) -> str:
    return f"{dataset}#generation"


def _ended(dataset: str) -> str:
    return f"{dataset}#complete"


def _mark_path(dataset: str, number: int, token: int) -> str:
    return f"{checkpoints_folder(dataset)}/{marks_folder(dataset)}/{number}-{token}.json"


def _mark(table: Table, transactions: dict[str, int]) -> None:
    table.append(pl.DataFrame(schema=table.schema), transactions)
