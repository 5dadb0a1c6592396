"""What is pending, divided into deliveries: what each run landed, in the order in which it arrived in bronze.

Each delivery is judged alone, so that a bad one is not thinned by the good ones that come later. What one run landed in
several streams is one (a full read, its live catch-up and its end mark), and so are the windows of one backfill. What
a run left unfinished when it was killed is joined to what continues it: half a day is no day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce

import polars as pl

from headworks.bronze.consumed import consumed_id, remembered, rows_id
from headworks.bronze.generations import mark_run
from headworks.bronze.landing import Landed, landed_by
from headworks.names import once_of
from headworks.quality.deliveries import Delivery, Span, delivery_id, rows_in
from headworks.silver.dataset import Dataset
from headworks.silver.table import Pending, StreamRange
from headworks.storage.delta import Table
from headworks.storage.store import Lake


@dataclass(frozen=True)
class Arrival:
    """One delivery as it lies in bronze: its ranges, who landed it, how many rows, and when."""

    id: str
    todo: Pending
    runs: tuple[str, ...] = ()
    rows: int = 0
    landed_at: datetime | None = None

    @property
    def spans(self) -> tuple[Span, ...]:
        """Its sequences, a range for each stream."""
        return tuple(Span(stream=one.stream, after=one.after, upto=one.upto) for one in self.todo.ranges)


def divided(
    lake: Lake, dataset: Dataset, bronze: Table, silver: Table, todo: Pending, counts: pl.DataFrame
) -> tuple[Arrival, ...]:
    """Divide what is pending into deliveries, the oldest first; nothing where nothing is.

    Where the first version of a key counts, runs that landed at the same time are one delivery: else the one that ended
    first would be first, whatever the other had landed before it.
    """
    if todo.is_empty():
        return ()
    pieces = [
        _Piece(one.stream, each)
        for one in todo.ranges
        for each in landed_by(lake, bronze, dataset.name, one.stream, one.after)
    ]
    units = _units(pieces, counts)
    if dataset.keeps == "first":
        units = _without_overlaps(units, counts)
    if len(units) <= 1:
        unit = units[0] if units else _Unit()
        return (_arrival(bronze, unit, todo, counts),)
    of_mark = _with_mark(units, mark_run(lake, bronze, dataset.name) if todo.generation else None)
    arrivals: list[Arrival] = []
    rows = {one.stream: silver.transaction(rows_id(one.stream)) for one in todo.ranges}
    for number, unit in enumerate(units):
        ranges = tuple(
            StreamRange(stream, one.first - 1, one.last) for stream, one in sorted(unit.pieces.items())
        )
        kept = _remembered(bronze, unit, ranges, rows, todo, counts)
        generation = todo.generation if number == of_mark else 0
        arrivals.append(_arrival(bronze, unit, Pending(ranges, generation, kept), counts))
    return tuple(arrivals)


@dataclass(frozen=True)
class _Piece:
    stream: str
    landed: Landed

    @property
    def whose(self) -> str:
        """Whose the piece is: a run's, or a backfill's; what nobody is known to have landed is by itself."""
        of = once_of(self.stream)
        if of is not None:
            return f"backfill {of}"
        return f"run {self.landed.run_id}" if self.landed.run_id else f"{self.stream} {self.landed.last}"


@dataclass
class _Unit:
    """Pieces that are judged as one, at most one a stream."""

    pieces: dict[str, Landed] = field(default_factory=dict)
    whose: str = ""
    runs: tuple[str, ...] = ()
    rows: int = 0
    arrived: tuple[int, datetime | None] = (0, None)

    def joined(self, other: _Unit) -> _Unit:
        """Return both as one; of a stream that both have, the sequences lie next to each other."""
        pieces = dict(self.pieces)
        for stream, one in other.pieces.items():
            pieces[stream] = _together(pieces[stream], one) if stream in pieces else one
        runs = tuple(dict.fromkeys((*self.runs, *other.runs)))
        return replace(other, pieces=pieces, runs=runs, rows=self.rows + other.rows)


def _together(one: Landed, other: Landed) -> Landed:
    early, late = sorted((one, other), key=lambda each: each.first)
    return replace(late, first=early.first)


def _units(pieces: Sequence[_Piece], counts: pl.DataFrame) -> list[_Unit]:
    """Return the pieces of each run together, in the order in which they arrived."""
    if len({each.whose for each in pieces}) <= 1:
        runs = {each.landed.run_id for each in pieces} - {""}
        return [_Unit(_one_a_stream(pieces), pieces[0].whose, tuple(sorted(runs)))] if pieces else []
    waiting = _by_stream(pieces)
    arrived = {
        (stream, each.last): _arrived(stream, each, counts)
        for stream, some in waiting.items()
        for each in some
    }
    units: list[_Unit] = []
    while any(waiting.values()):
        unit = _next(waiting, arrived)
        for stream in unit.pieces:
            waiting[stream].pop(0)
        units.append(unit)
    return _with_unfinished(units)


def _by_stream(pieces: Sequence[_Piece]) -> dict[str, list[Landed]]:
    """Return each stream's pieces in order; those of one run that lie next to each other as one."""
    found: dict[str, list[Landed]] = {}
    whose: dict[str, str] = {}
    for each in pieces:
        some = found.setdefault(each.stream, [])
        if some and whose[each.stream] == each.whose:
            some[-1] = replace(each.landed, first=some[-1].first)
        else:
            some.append(each.landed)
        whose[each.stream] = each.whose
    return found


def _one_a_stream(pieces: Sequence[_Piece]) -> dict[str, Landed]:
    return {stream: some[0] for stream, some in _by_stream(pieces).items()}


def _next(
    waiting: Mapping[str, Sequence[Landed]],
    arrived: Mapping[tuple[str, int], tuple[int, datetime | None, int]],
) -> _Unit:
    """Return what arrived first of what is next in its stream, with all that its run landed next in other streams.

    By the last of its pieces, since a full read of hours is older than what came in between only in its beginning. A
    piece whose run landed something earlier in another stream, behind other pieces, does not wait for that.
    """
    heads = {stream: some[0] for stream, some in waiting.items() if some}
    units: dict[str, _Unit] = {}
    for stream, one in heads.items():
        piece = _Piece(stream, one)
        landed, at, rows = arrived[stream, one.last]
        unit = units.setdefault(piece.whose, _Unit(whose=piece.whose))
        unit.pieces[stream] = one
        unit.rows += rows
        unit.arrived = max(unit.arrived, (landed, at), key=lambda each: each[0])
        unit.runs = tuple(dict.fromkeys((*unit.runs, *([one.run_id] if one.run_id else []))))
    later = {
        _Piece(stream, one).whose for stream, some in waiting.items() for one in some[1:]
    }  # whose other pieces are not next yet
    ready = [unit for unit in units.values() if unit.whose not in later] or list(units.values())
    return min(ready, key=lambda unit: (unit.arrived[0], str(unit.arrived[1]), sorted(unit.pieces)))


def _arrived(stream: str, one: Landed, counts: pl.DataFrame) -> tuple[int, datetime | None, int]:
    rows = counts.filter(Span(stream=stream, after=one.first - 1, upto=one.last).holds())
    if rows.is_empty():
        return 0, None, 0
    landed, at = rows.select(pl.col("landed").max(), pl.col("at").max()).row(0)
    return landed or 0, at, int(rows.get_column("len").sum())


def _with_unfinished(units: Sequence[_Unit]) -> list[_Unit]:
    """Join what a run left unfinished to what continues it: the next that has the same stream, or just the next."""
    found = list(units)
    number = 0
    while number < len(found) - 1:
        unit = found[number]
        open_ones = [stream for stream, one in unit.pieces.items() if not one.ended]
        if not open_ones:
            number += 1
            continue
        later = range(number + 1, len(found))
        chosen = next((each for each in later if set(open_ones) & set(found[each].pieces)), number + 1)
        # What lies between has none of these streams, but may have another one of this unit.
        between = [each for each in found[number + 1 : chosen] if set(each.pieces) & set(unit.pieces)]
        apart = [each for each in found[number + 1 : chosen] if not set(each.pieces) & set(unit.pieces)]
        joined = reduce(lambda left, right: left.joined(right), [unit, *between, found[chosen]])
        found = [*found[:number], *apart, joined, *found[chosen + 1 :]]
    return found


def _without_overlaps(units: Sequence[_Unit], counts: pl.DataFrame) -> list[_Unit]:
    """Join each unit to the one before it where it began to arrive before that one had ended."""
    found: list[_Unit] = []
    latest = 0
    for unit in units:
        spans = [
            Span(stream=stream, after=one.first - 1, upto=one.last) for stream, one in unit.pieces.items()
        ]
        began, ended = (
            counts.filter(rows_in(spans))
            .select(began=pl.col("landed").min(), ended=pl.col("landed").max())
            .row(0)
        )
        if found and began is not None and began < latest:
            found[-1] = found[-1].joined(unit)
        else:
            found.append(unit)
        latest = max(latest, ended or 0)
    return found


def _with_mark(units: Sequence[_Unit], run: str | None) -> int:
    """Return which unit has the end mark of a full read: that of the run that wrote it, or the last one."""
    mine = [number for number, unit in enumerate(units) if run is not None and run in unit.runs]
    return mine[-1] if mine else len(units) - 1


def _remembered(
    bronze: Table,
    unit: _Unit,
    ranges: Iterable[StreamRange],
    rows: dict[str, int],
    todo: Pending,
    counts: pl.DataFrame,
) -> dict[str, int]:
    """Return what silver keeps of the bronze that it consumed until the end of a unit; ``rows`` is counted on."""
    kept = remembered(bronze, ())
    known = {one.stream: one.rows is not None for one in todo.ranges}
    for one in ranges:
        if one.upto == bronze.transaction(one.stream):
            kept |= remembered(bronze, [one.stream])
            continue
        kept[consumed_id(one.stream)] = unit.pieces[one.stream].token
        if known[one.stream]:
            landed = counts.filter(Span(stream=one.stream, after=one.after, upto=one.upto).holds())
            rows[one.stream] = (rows[one.stream] or 1) + int(landed.get_column("len").sum())
            kept[rows_id(one.stream)] = rows[one.stream]
    return kept


def _arrival(bronze: Table, unit: _Unit, todo: Pending, counts: pl.DataFrame) -> Arrival:
    spans = [Span(stream=one.stream, after=one.after, upto=one.upto) for one in todo.ranges]
    mine = counts.filter(rows_in(spans))
    at = mine.get_column("at").max()
    return Arrival(
        delivery_id(bronze, spans, todo.generation),
        todo,
        unit.runs,
        int(mine.get_column("len").sum()),
        at if isinstance(at, datetime) else None,
    )


def arrival_of(delivery: Delivery) -> Arrival:
    """Return a delivery below silver's watermark as it lies in bronze."""
    ranges = tuple(StreamRange(one.stream, one.after, one.upto) for one in delivery.spans)
    return Arrival(
        delivery.id,
        Pending(ranges, delivery.generation, late=True),
        delivery.runs,
        delivery.rows,
        delivery.landed_at,
    )


class Without(Table):
    """A bronze table without the rows of some deliveries: they are not in silver, and nothing is made of them."""

    def __init__(self, bronze: Table, spans: Iterable[Span]) -> None:
        super().__init__(bronze._delta, bronze.name)
        self._without = rows_in(spans)

    def scan(self) -> pl.LazyFrame:
        """Return the rows of all other deliveries."""
        return super().scan().filter(~self._without)
