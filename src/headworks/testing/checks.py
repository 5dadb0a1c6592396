"""What every source must do, as functions that raise `AssertionError` with what was wrong.

``suite`` makes a pytest suite of them.
"""

from __future__ import annotations

import copy
import json
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from headworks.bronze.landing import Landing, land
from headworks.bronze.stamping import METADATA
from headworks.errors import HeadworksError
from headworks.reports import LandingReport
from headworks.sources.base import Batch, Position, Rows, Source
from headworks.storage.store import Lake

LEAST_BATCHES = 3
"""With fewer batches there is nothing to resume between."""
DATASET = "t.conformance"

Making = Callable[[], Source]
Held = Counter[str]


@dataclass(frozen=True)
class SourceBehaviour:
    """What a source declares about itself.

    ``overlap``: a resumed reading may give records of the last batch again, since pages may have shifted.
    ``incremental``: a reading from the last position gives nothing that was given before; else it restarts.
    ``resumes``: a reading continues from any position; else each restarts, and so in a stream of its own.
    ``volatile``: columns that differ from reading to reading, such as a page's number.
    """

    overlap: bool = False
    incremental: bool = True
    resumes: bool = True
    volatile: tuple[str, ...] = ()


class Killed(BaseException):
    """Represents the end of the process: nothing catches it."""


def read_all(source: Source, position: Position | None = None) -> list[Batch]:
    """Read everything after a position, and close."""
    batches = source.read(position, None)
    try:
        return list(batches)
    finally:
        _close(batches)


def as_frame(rows: Rows) -> pl.DataFrame:
    """Return a batch's rows as a frame, whichever of the two kinds they are."""
    if isinstance(rows, pl.DataFrame):
        return rows
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame


def check_batches(make: Making) -> None:
    """Each batch has the source's columns and counts what it gives; there are enough of them to resume between."""
    source = make()
    batches = read_all(source)
    held = [batch for batch in batches if batch.height]
    assert len(held) >= LEAST_BATCHES, (
        f"the source gave {len(held)} batches with records; make them smaller, or its data larger, so that there are "
        f"{LEAST_BATCHES}"
    )
    for number, batch in enumerate(batches, start=1):
        schema = as_frame(batch.frame).schema
        assert schema == source.schema, f"batch {number} has {schema}, not {source.schema}"
        assert batch.read == batch.height + batch.repeated, (
            f"batch {number} says it read {batch.read} records, {batch.repeated} of them again, and gives "
            f"{batch.height}"
        )


def check_positions(make: Making) -> None:
    """Positions are JSON, and come back from it as they were."""
    for number, batch in enumerate(read_all(make()), start=1):
        text = json.dumps(batch.position, allow_nan=False)
        assert json.loads(text) == batch.position, (
            f"position {number} is not the same after a trip through JSON: {text}"
        )


def check_schema(make: Making) -> None:
    """The columns are the same before a reading, after it, and in another object of the same source."""
    source = make()
    before = source.schema
    read_all(source)
    assert source.schema == before, "reading changed the schema"
    assert make().schema == before, "another object of the same source has another schema"


def check_repeatable(make: Making, behaviour: SourceBehaviour) -> None:
    """The same position gives the same records in the same order, and is not changed by reading from it."""
    for position in (None, *(batch.position for batch in read_all(make())[:-1])):
        kept = copy.deepcopy(position)
        first = _listed(read_all(make(), position), behaviour)
        assert position == kept, f"reading from {kept} changed it to {position}"
        assert first == _listed(read_all(make(), position), behaviour), f"two readings from {position} differ"


def check_resume(make: Making, behaviour: SourceBehaviour) -> None:
    """From every position the rest comes, all of it and nothing else but what an overlap allows.

    Or everything, for a source that declares that it does not resume.
    """
    batches = read_all(make())
    for number in range(1, len(batches)):
        position = json.loads(json.dumps(batches[number - 1].position))
        rest = _counted(batches[number if behaviour.resumes else 0 :], behaviour)
        resumed = _counted(read_all(make(), position), behaviour)
        lost, extra = rest - resumed, resumed - rest
        assert not lost, f"after batch {number} {lost.total()} records are lost, such as {_first(lost)}"
        allowed = _counted(batches[number - 1 : number], behaviour) if behaviour.overlap else Counter()
        extra -= allowed
        assert not extra, f"after batch {number} {extra.total()} records come again, such as {_first(extra)}"


def check_end(make: Making, behaviour: SourceBehaviour) -> None:
    """After the last position there is nothing, or for a source that is not incremental everything once more."""
    batches = read_all(make())
    again = _counted(read_all(make(), batches[-1].position), behaviour)
    expected = Counter() if behaviour.incremental else _counted(batches, behaviour)
    extra = again - expected
    assert not extra, f"{extra.total()} records come again after the end, such as {_first(extra)}"
    assert not expected - again, f"{(expected - again).total()} records are lost in the second reading"


def check_kills(make: Making, lake_of: Callable[[str], Lake], behaviour: SourceBehaviour) -> None:
    """Killed after any batch, before its commit or just after, a landing and the next one give exactly the records."""
    batches = read_all(make())
    truth = _counted(batches, behaviour)
    for number in range(len(batches)):
        for committed in (False, True):
            lake = lake_of(f"kill-{number}-{'after' if committed else 'before'}")
            landing = Landing(lake, DATASET, DATASET, "run")
            _land_until(landing, make, number, committed=committed)
            done = committed and number == len(batches) - 1
            if behaviour.incremental or not done:
                # After its last commit a source that is not incremental would rightly restart.
                landing = landing if behaviour.resumes else replace(landing, stream=f"{DATASET}.again")
                land(landing, make())
            landed = _landed(landing, behaviour)
            lost, extra = truth - landed, landed - truth
            where = f"killed {'after' if committed else 'before'} commit {number + 1}"
            assert not lost, f"{where}: {lost.total()} records are lost, such as {_first(lost)}"
            allowed = _counted(batches[max(0, number - 1) : number + 1], behaviour)
            extra -= allowed if behaviour.overlap else Counter()
            assert not extra, f"{where}: {extra.total()} records are duplicates, such as {_first(extra)}"


def check_closes(make: Making, connections: Callable[[], int]) -> None:
    """Closing the iterator in the middle of a reading closes what it held; ``connections`` waits until all is quiet."""
    before = connections()
    batches = make().read(None, None)
    next(batches)
    _close(batches)
    after = connections()
    assert after <= before, f"{after - before} connections are still open after the iterator was closed"


def check_secrets(source: Source, secrets: Sequence[str]) -> None:
    """A source that fails says so with an error of headworks, and no text of it holds a secret."""
    problem: HeadworksError | None = None
    try:
        read_all(source)
    except HeadworksError as caught:
        problem = caught
    assert problem is not None, "the source was made to fail, and did not"
    texts = [str(problem), repr(problem), *traceback.format_exception(problem), repr(source)]
    for text in texts:
        found = [secret for secret in secrets if secret in text]
        assert not found, f"a secret is in: {_without(text, secrets)}"


def _land_until(landing: Landing, make: Making, number: int, *, committed: bool) -> None:
    """Land, and be killed at one commit."""
    done = 0

    def on_batch(report: LandingReport) -> None:
        nonlocal done
        done += 1
        if committed and done > number:
            raise Killed

    try:
        land(landing, make() if committed else _Stopping(make(), number), on_batch=on_batch)
    except Killed:
        return
    raise AssertionError(f"the reading ended before batch {number + 1}, which it had before")


@dataclass(frozen=True)
class _Stopping:
    """A source whose reader is killed when it asks for the batch after ``number`` of them."""

    source: Source
    number: int

    @property
    def schema(self) -> pl.Schema:
        return self.source.schema

    def read(self, position: Position | None, until: Any) -> Iterator[Batch]:
        batches = self.source.read(position, until)
        try:
            for count, batch in enumerate(batches):
                if count == self.number:
                    raise Killed
                yield batch
        finally:
            _close(batches)


def _landed(landing: Landing, behaviour: SourceBehaviour) -> Held:
    table = landing.lake.must_open("bronze", DATASET)
    rows = table.scan().filter(pl.col("_stream") == landing.stream).collect()
    return Counter(_texts(rows.drop(list(METADATA)), behaviour))


def _listed(batches: Sequence[Batch], behaviour: SourceBehaviour) -> list[str]:
    return [text for batch in batches for text in _texts(as_frame(batch.frame), behaviour)]


def _counted(batches: Sequence[Batch], behaviour: SourceBehaviour) -> Held:
    return Counter(_listed(batches, behaviour))


def _texts(frame: pl.DataFrame, behaviour: SourceBehaviour) -> list[str]:
    kept = sorted(name for name in frame.columns if name not in behaviour.volatile)
    return [repr(row) for row in frame.select(kept).rows()]


def _first(rows: Held) -> str:
    return next(iter(rows))[:200]


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "<the secret>")
    return text[:1000]


def _close(batches: Iterator[Batch]) -> None:
    close = getattr(batches, "close", None)
    if close is not None:
        close()
