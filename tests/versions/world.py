"""A source that changes, machines whose clocks are askew, and the engine that reads it: one random step after another.

Each step is done by the engine and noted for the oracle; after each refinement both have to agree.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import dataframely as dy
import polars as pl

from headworks.bronze.generations import begin_generation, complete_generation, newest_complete
from headworks.bronze.key_sets import compare_keys
from headworks.bronze.landing import Landing, land, read_head
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.quality.limits import AnomalyLimits
from headworks.reports import LandingReport
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.dataset import Dataset, Keeping, Reference
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import Selection, open_rejects
from headworks.silver.replay import discard, replay
from headworks.sources.base import Batch, Position
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from tests.versions.oracle import Oracle, Told

NAME, PARENTS = "t.things", "t.parents"
BEGINNING = datetime(2026, 1, 5, 8, tzinfo=UTC)
KEYS, PARENT_IDS = range(1, 6), range(1, 4)
QUIET = AnomalyLimits(enabled=False, future_hours=10_000)
ANY = RejectLimits(share=1.0)


class Differs(AssertionError):
    """The engine and the oracle do not agree."""


class Crash(BaseException):
    """Represents the end of the process: nothing catches it."""


@dataclass(frozen=True)
class CursorKind:
    """A type of cursor, and its values in the order of whole numbers."""

    name: str
    dtype: pl.DataType
    column: Callable[[], dy.Column]
    value: Callable[[int], Any]


CURSORS = (
    CursorKind("int", pl.Int64(), lambda: dy.Int64(nullable=True), lambda n: n),
    CursorKind("float", pl.Float64(), lambda: dy.Float64(nullable=True), lambda n: n / 8 - 1.5),
    CursorKind(
        "moment",
        pl.Datetime("us", "UTC"),
        lambda: dy.Datetime(nullable=True, time_unit="us", time_zone="UTC"),
        lambda n: BEGINNING + timedelta(seconds=7 * n - 40),
    ),
    CursorKind(
        "day", pl.Date(), lambda: dy.Date(nullable=True), lambda n: date(2026, 1, 1) + timedelta(days=n)
    ),
    CursorKind("text", pl.String(), lambda: dy.String(nullable=True), lambda n: f"v{n:04}"),
    CursorKind(
        "decimal", pl.Decimal(30, 4), lambda: dy.Decimal(30, 4, nullable=True), lambda n: Decimal(n) / 16
    ),
)
PLACES: dict[str, dict[Any, int]] = {kind.name: {kind.value(n): n for n in range(400)} for kind in CURSORS}


@dataclass
class Listed:
    """A source of the rows in a list: the position is how many were read."""

    rows: list[Told]
    kind: CursorKind
    size: int = 2
    before_batch: Callable[[int], None] | None = None
    keys: tuple[int, ...] = ()
    key: tuple[str, ...] = ("id",)

    @property
    def schema(self) -> pl.Schema:
        """The columns of a thing as the source has them."""
        return pl.Schema(
            {
                "id": pl.String(), "v": pl.Int64(), "at": self.kind.dtype, "parent": pl.Int64(), "gone": pl.Boolean(),
            }
        )  # fmt: skip

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield what comes after the position."""
        at = position["n"] if position else 0
        number = 0
        while part := self.rows[at : at + self.size]:
            if self.before_batch is not None:
                self.before_batch(number)
            at, number = at + len(part), number + 1
            made = [(row.key, row.value, self._cursor(row), row.parent, row.gone) for row in part]
            yield Batch(pl.DataFrame(made, schema=self.schema, orient="row"), {"n": at}, read=len(part))

    def read_keys(self) -> Iterator[Batch]:
        """Yield the keys of all rows."""
        frame = pl.DataFrame({"id": [str(key) for key in self.keys]}, schema={"id": pl.String()})
        yield Batch(frame, {}, read=frame.height)

    def _cursor(self, row: Told) -> Any:
        return None if row.cursor is None else self.kind.value(row.cursor)


def things(keeps: Keeping, kind: CursorKind | None, *, loose: bool, referring: bool) -> Dataset:
    """Declare the dataset, with its rule or without it."""
    shown = kind or CURSORS[0]
    columns: dict[str, dy.Column] = {
        "id": dy.Int64(nullable=True),
        "v": dy.Int64(nullable=False) if loose else dy.Int64(nullable=False, min=0),
        "at": shown.column(),
        "parent": dy.Int64(nullable=True),
    }
    return Dataset(
        name=NAME,
        key=("id",),
        schema=type("Thing", (dy.Schema,), columns),
        columns={
            "id": pl.col("id").cast(pl.Int64, strict=False),
            **{name: pl.col(name) for name in ("v", "at", "parent")},
        },
        cursor="at" if kind else None,
        keeps=keeps,
        deleted_when=pl.col("gone"),
        references=(Reference(("parent",), PARENTS, ("id",), "no_parent"),) if referring else (),
        limits=ANY,
        anomalies=QUIET,
    )


PARENT = Dataset(
    name=PARENTS,
    key=("id",),
    schema=type("Parent", (dy.Schema,), {"id": dy.Int64(nullable=False)}),
    columns={"id": pl.col("id").cast(pl.Int64)},
    deleted_when=pl.col("gone"),
    limits=ANY,
    anomalies=QUIET,
)

COMMITS = ("append", "append_part", "merge", "overwrite", "delete", "rewrite")


@contextmanager
def killed(at: int, *, after: bool) -> Iterator[None]:
    """End the process just before or just after its commit number ``at``."""
    count = 0

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == at and not after:
                raise Crash
            result = real(*arguments, **named)
            if count == at:
                raise Crash
            return result

        return call

    real = {name: vars(Table)[name] for name in COMMITS if name in vars(Table)}
    for name, method in real.items():
        setattr(Table, name, around(method))
    try:
        yield
    finally:
        for name, method in real.items():
            setattr(Table, name, method)


@dataclass
class Full:
    """A full read, or one of keys alone, that was begun: what had arrived by then, and what it shows."""

    number: int
    begun: int
    stream: str
    keys: frozenset[int] = frozenset()
    of_keys: bool = False


@dataclass
class World:
    """The source, the lake, and what the oracle was reported."""

    folder: str
    seed: int
    rng: random.Random = field(init=False)
    source: dict[int, Told] = field(default_factory=dict)
    streams: dict[str, list[Told]] = field(default_factory=lambda: {NAME: []})
    noted: dict[str, int] = field(default_factory=dict)
    log: list[Told] = field(default_factory=list)
    refined: int = 0
    rows_shown: list[Told] = field(default_factory=list)
    fulls: dict[int, Full] = field(default_factory=dict)
    consumed: int = 0
    parents: dict[int, bool] = field(default_factory=dict)
    parent_rows: list[tuple[str, bool]] = field(default_factory=list)
    counter: int = 0
    cursor: int = 10
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw what kind of a dataset it is."""
        self.rng = rng = random.Random(self.seed)
        self.lake = Lake(LakeSettings(root=f"{self.folder}/lake"))
        self.keeps: Keeping = rng.choice(["newest", "newest", "first", "history"])
        self.kind = rng.choice([*CURSORS, *([] if self.keeps == "history" else [None, None])])
        self.shown = self.kind or CURSORS[0]
        self.referring = rng.random() < 0.4
        self.tombstones = rng.choice(["none", "keys", "cursor", "mixed"])
        self.askew = rng.random() < 0.6
        self.dataset = things(self.keeps, self.kind, loose=False, referring=self.referring)
        self.loose = things(self.keeps, self.kind, loose=True, referring=self.referring)
        self.oracle = Oracle(self.keeps, self.kind is not None, set() if self.referring else None)
        if self.referring:
            self.step_parents()
        land(self.landing(), self.live())

    # Machines

    def clock(self, days: int = 0) -> Callable[[], datetime]:
        """Return the clock of some machine."""
        self.counter += 60
        off = (
            timedelta(seconds=self.rng.choice([-90_000, -3_600, 0, 5, 3_600, 90_000]))
            if self.askew
            else timedelta(0)
        )
        moment = BEGINNING + timedelta(seconds=self.counter, days=days) + off
        return lambda: moment

    def landing(self, stream: str = NAME) -> Landing:
        """Return a landing by some machine."""
        return Landing(self.lake, NAME, stream, f"run-{self.counter}", clock=self.clock())

    def work(self, part_rows: int = 1_000) -> Refinement:
        """Return a refinement by some machine."""
        return Refinement(self.lake, f"run-{self.counter}", clock=self.clock(), part_rows=part_rows)

    def live(self) -> Listed:
        """Return the live source."""
        return Listed(self.streams[NAME], self.shown, self.rng.randint(1, 3))

    def land(self, stream: str, source: Listed) -> None:
        """Land a stream, killed now and then, until all is landed."""
        with self.kills(0.15, 2):
            land(self.landing(stream), source, on_batch=self.note)
        self.catch_up(stream)
        land(self.landing(stream), replace(source, before_batch=None), on_batch=self.note)

    def note(self, report: LandingReport) -> None:
        """Note a batch that was landed."""
        if report.position is not None:
            self.note_up_to(report.stream, report.position["n"])

    def note_up_to(self, stream: str, count: int) -> None:
        """Note the rows of a stream that are in bronze by now."""
        for row in self.streams[stream][self.noted.get(stream, 0) : count]:
            self.log.append(replace(row, arrival=len(self.log), stream=stream))
        self.noted[stream] = max(self.noted.get(stream, 0), count)

    def catch_up(self, stream: str) -> None:
        """Note what a killed run has landed."""
        table = self.lake.must_open("bronze", NAME)
        position = read_head(self.lake, table, NAME, stream).position
        if position:
            self.note_up_to(stream, position["n"])

    @contextmanager
    def kills(self, share: float, most: int) -> Iterator[None]:
        """Kill what is done within, now and then."""
        if self.rng.random() >= share:
            yield
            return
        with suppress(Crash), killed(self.rng.randint(1, most), after=self.rng.random() < 0.5):
            yield

    # Steps

    def step_change(self) -> None:
        """Let rows of the source appear, change and go."""
        for _ in range(self.rng.randint(1, 3)):
            key = self.rng.choice(KEYS)
            if key in self.source and self.rng.random() < 0.3:
                del self.source[key]
                self._tombstone(key)
                continue
            self.cursor += self.rng.choice([0, 1, 1, 2])
            value = -1 if self.rng.random() < 0.15 else self.rng.randint(0, 4)
            parent = self.rng.choice([None, *PARENT_IDS]) if self.referring else None
            cursor = None if self.kind and self.rng.random() < 0.05 else self.cursor
            row = Told(str(key), value, cursor, parent)
            self.source[key] = row
            damaged = self.rng.random()
            name = f"x{key}" if damaged < 0.04 else (None if damaged < 0.07 else row.key)
            self.streams[NAME].append(replace(row, key=name))
            self.rows_shown.append(row)

    def _tombstone(self, key: int) -> None:
        form = self.rng.choice(["keys", "cursor"]) if self.tombstones == "mixed" else self.tombstones
        if form == "none":
            return
        self.cursor += 1
        cursor = self.cursor if form == "cursor" else None
        self.streams[NAME].append(Told(str(key), None, cursor, gone=True))

    def step_incremental(self) -> None:
        """Read what is new."""
        self.land(NAME, self.live())

    def step_full(self) -> None:
        """Read all: sometimes some keys are wrongly left out, a record is damaged, or it is cut short."""
        begun = len(self.log)
        generation = begin_generation(self.landing(), self.live().schema)
        rows = list(self.source.values())
        if self.rng.random() < 0.25 and rows:
            rows.remove(self.rng.choice(rows))
        if self.rng.random() < 0.15 and rows:
            place = self.rng.randrange(len(rows))
            rows[place] = replace(rows[place], key=self.rng.choice([f"x{rows[place].key}", None]))
        self.streams[generation.stream] = rows

        def between(number: int) -> None:
            if number == 1 and self.rng.random() < 0.5:
                self.land(NAME, self.live())

        self.land(generation.stream, Listed(rows, self.shown, self.rng.randint(1, 3), between))
        self.land(NAME, self.live())
        self.fulls[generation.number] = Full(generation.number, begun, generation.stream)
        if self.rng.random() < 0.8:
            with self.kills(0.2, 1):
                complete_generation(self.landing(), generation)

    def step_compare_keys(self) -> None:
        """Compare the keys: sometimes one is wrongly left out."""
        begun = len(self.log)
        keys = [key for key in self.source if self.rng.random() < 0.85]
        source = replace(self.live(), keys=tuple(keys))
        reports = compare_keys(self.landing(), source, source, 1.0, self.note)
        number = reports[0].generation
        assert number is not None
        self.fulls[number] = Full(number, begun, reports[0].stream, frozenset(keys), of_keys=True)

    def step_window(self) -> None:
        """Read some of what the source has now in a stream of its own."""
        self._alongside([row for row in self.source.values() if self.rng.random() < 0.6], "w")

    def step_backfill(self) -> None:
        """Land versions of long ago in a stream of their own."""
        if self.rows_shown:
            self._alongside([self.rng.choice(self.rows_shown) for _ in range(self.rng.randint(1, 3))], "b")

    def _alongside(self, rows: list[Told], kind: str) -> None:
        stream = f"{NAME}@{kind}{len(self.streams)}"
        self.streams[stream] = rows
        self.land(stream, Listed(rows, self.shown, self.rng.randint(1, 3)))

    def step_parents(self) -> None:
        """Let parents appear and go."""
        for _ in range(self.rng.randint(1, 2)):
            parent = self.rng.choice(PARENT_IDS)
            self.parents[parent] = self.rng.random() < 0.8
            self.parent_rows.append((str(parent), not self.parents[parent]))
        made = self.parent_rows[:]
        landing = Landing(self.lake, PARENTS, PARENTS, "parents", clock=self.clock())
        land(landing, _Parents(made))
        refine(self.work(), PARENT)
        self.oracle.parents = {number for number, there in self.parents.items() if there}

    def step_refine(self) -> None:
        """Refine, in parts or at once, killed now and then, and compare with the oracle."""
        part_rows = self.rng.choice([1_000, 1_000, 2])
        if self.rng.random() < 0.1:
            refine(self.work(part_rows), self.dataset, dry_run=True)
        with self.kills(0.3, 4):
            refine(self.work(part_rows), self.dataset)
        outcome = refine(self.work(part_rows), self.dataset)
        if outcome.gate is not None and not outcome.gate.open:
            raise Differs(f"the gate is closed: {outcome.gate.reasons}")
        bronze = self.lake.must_open("bronze", NAME)
        complete = newest_complete(self.lake, bronze, NAME)
        self.oracle.refine(self.log[self.refined :])
        self.refined = len(self.log)
        if complete is not None and complete.number > self.consumed:
            self.consumed = complete.number
            full = self.fulls[complete.number]
            shown = {row.number for row in self.log if row.arrival >= full.begun and row.readable}
            unread = [row for row in self.log if row.stream == full.stream and row.key and not row.readable]
            self.oracle.full_read(full.begun - 1, shown | full.keys, [] if full.of_keys else unread)
        self.compare()

    def step_replay(self) -> None:
        """Judge what was rejected again, by looser rules now and then."""
        self.step_refine()
        loose = self.rng.random() < 0.6
        dataset = self.loose if loose else self.dataset
        with self.kills(0.3, 3):
            replay(self.work(), dataset, Selection(), by="me", note="again")
        replay(self.work(), dataset, Selection(), by="me", note="again")
        self.oracle.replay(loose=loose)
        self.compare()

    def step_discard(self) -> None:
        """Discard the rejected rows of a key."""
        self.step_refine()
        kept = open_rejects(self.lake, NAME, self.lake.open("silver", NAME)).select("key").collect()
        keys = sorted({key for key in kept.to_series() if key is not None})
        if keys:
            key = self.rng.choice(keys)
            discard(self.work(), NAME, Selection(row_keys=(key,)), by="me", note="not needed")
            self.oracle.discard(lambda row: row.readable and row.key == key)

    def step_maintain(self) -> None:
        """Let what is old in bronze go."""
        settings = MaintenanceSettings(keep_days={"bronze": 1}, compact_from_files=2)
        maintain(self.lake, settings, clock=self.clock(days=30))

    # The comparison

    def compare(self) -> None:
        """Compare silver with what the oracle says."""
        rows = self.lake.must_open("silver", NAME).scan().collect()
        if self.keeps == "history":
            self._compare_history(rows)
            rows = rows.filter("current")
        alive = rows.filter(~pl.col("_deleted"))
        found = {row["id"]: (row["v"], self._place(row["at"])) for row in alive.iter_rows(named=True)}
        if len(found) != alive.height:
            raise Differs(f"keys are in silver twice: {alive}")
        wanted = self.oracle.rows()
        if found != wanted:
            raise Differs(f"silver has {found} and should have {wanted}")

    def _compare_history(self, rows: pl.DataFrame) -> None:
        alive = rows.filter(~pl.col("_deleted"))
        found = {(row["id"], self._place(row["valid_from"])): row["v"] for row in alive.iter_rows(named=True)}
        if found != self.oracle.all_versions():
            raise Differs(f"the history has {found} and should have {self.oracle.all_versions()}")
        ordered = rows.sort("id", "valid_from").with_columns(next=pl.col("valid_from").shift(-1).over("id"))
        if ordered.filter(pl.col("valid_to").ne_missing(pl.col("next"))).height:
            raise Differs(f"the history has a gap or an overlap: {ordered}")
        if ordered.filter(pl.col("valid_to") <= pl.col("valid_from")).height:
            raise Differs(f"the history has an empty interval: {ordered}")

    def _place(self, value: Any) -> int | None:
        return None if value is None else PLACES[self.shown.name][value]


@dataclass
class _Parents:
    rows: list[tuple[str, bool]]
    schema: pl.Schema = field(default_factory=lambda: pl.Schema({"id": pl.String(), "gone": pl.Boolean()}))

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        at = position["n"] if position else 0
        if self.rows[at:]:
            frame = pl.DataFrame(self.rows[at:], schema=self.schema, orient="row")
            yield Batch(frame, {"n": len(self.rows)}, read=frame.height)


WEIGHTS = {
    "change": 10, "incremental": 4, "full": 4, "compare_keys": 2, "window": 2, "backfill": 2, "parents": 1,
    "refine": 6, "replay": 2, "discard": 1, "maintain": 1,
}  # fmt: skip


def play(folder: str, seed: int, length: int = 14) -> str | None:
    """Play one sequence; returns where the engine and the oracle differ, None where they agree to the end."""
    world = World(folder, seed)
    try:
        for _ in range(length):
            step = world.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            if step == "parents" and not world.referring:
                continue
            world.steps.append(step)
            getattr(world, f"step_{step}")()
        world.steps.append("refine")
        world.step_refine()
    except Differs as found:
        kind = world.kind.name if world.kind else "none"
        return (
            f"seed {seed}: keeps {world.keeps}, cursor {kind}, tombstones {world.tombstones}, "
            f"referring {world.referring}; after {', '.join(world.steps)}: {found}"
        )
    return None
