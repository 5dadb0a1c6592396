"""A source that changes, machines whose clocks are askew, and the engine that reads it: one random step after another.

Each step is done by the engine and noted for the oracle; after each refinement both have to agree.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from headworks.bronze.generations import begin_generation, complete_generation, newest_complete
from headworks.bronze.key_sets import compare_keys
from headworks.bronze.landing import Landing, land, read_head
from headworks.errors import GateClosed
from headworks.gold.curation import GoldTable, audit, curate, stage
from headworks.gold.products import open_product, publish_product, read_product, release, roll_back
from headworks.gold.table import pin
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.reports import LandingReport
from headworks.settings import LakeSettings
from headworks.silver.dataset import Keeping
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import Selection, open_rejects
from headworks.silver.replay import discard, replay
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from tests.versions.oracle import Element, Lines, Oracle, Told
from tests.versions.things import (
    BEGINNING,
    CONTRACT,
    CURSORS,
    KEYS,
    LINES,
    NAME,
    NO_ARRAYS,
    PARENT,
    PARENT_IDS,
    PARENTS,
    PLACES,
    PRODUCT,
    QUIET,
    SHOWN,
    SKUS,
    Listed,
    ParentRows,
    Shape,
    lines,
    shown_in_gold,
    things,
)


class Differs(AssertionError):
    """The engine and the oracle do not agree."""


class Crash(BaseException):
    """Represents the end of the process: nothing catches it."""


_T = TypeVar("_T")
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
    by_run: dict[str, dict[int, Any]] = field(default_factory=dict)
    """What each run has published, as the oracle knows it."""
    reads: dict[int, Any] | None = None
    """What a reader of the product has to see now."""
    held: bool = False

    def __post_init__(self) -> None:
        """Draw what kind of a dataset it is."""
        self.rng = rng = random.Random(self.seed)
        self.lake = Lake(LakeSettings(root=f"{self.folder}/lake"))
        keeps: Keeping = rng.choice(["newest", "newest", "first", "history"])
        self.tombstones = rng.choice(["none", "keys", "cursor", "mixed"])
        self.askew = rng.random() < 0.6
        lines_keep: Keeping = rng.choice(["newest", "newest", "first", "history", "history"])
        self.shape = shape = Shape(
            keeps,
            kind=rng.choice([*CURSORS, *([] if keeps == "history" else [None, None])]),
            referring=rng.random() < 0.4,
            marked=self.tombstones != "none",
            carrier=rng.choice(["table", "table", "table", "lined table", "records", "records"]),
            lines_refer=rng.random() < 0.5,
            lines_order=lines_keep == "history" or rng.random() < 0.7,
            lines_keep=lines_keep,
            contract=self._contract("silver/t_things", "v", "invalid: {valid_min: 0}")
            if keeps != "history" and rng.random() < 0.15
            else None,
        )
        self.dataset = things(replace(shape, contract=None), loose=False)
        self.loose = things(shape, loose=True)
        self.oracle = Oracle(keeps, shape.kind is not None, set() if shape.referring else None)
        if shape.lined:
            self.lines_dataset, self.loose_lines = lines(shape, loose=False), lines(shape, loose=True)
            refers = shape.lines_refer
            self.lines = Lines(shape.lines_order, self.oracle, referring=refers, keeps=shape.lines_keep)
        self.published = rng.random() < 0.25
        self.gold = GoldTable(
            SHOWN,
            (NAME,),
            shown_in_gold,
            ("id",),
            self._contract("gold/shown", "id", "missing:"),
            anomalies=QUIET,
        )
        if shape.referring:
            self.step_parents()
        land(self.landing(), self.live())

    def _contract(self, table: str, column: str, check: str) -> Path:
        path = Path(self.folder) / f"{column}.yml"
        path.write_text(CONTRACT.format(table=table, column=column, check=check))
        return path

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
        return self.listed(self.streams[NAME])

    def listed(self, rows: list[Told], before_batch: Callable[[int], None] | None = None) -> Listed:
        """Return rows as a source gives them."""
        size = self.rng.randint(1, 3)
        return Listed(rows, self.shape.shown, size, before_batch, carrier=self.shape.carrier)

    def land(self, stream: str, source: Listed) -> None:
        """Land a stream, killed now and then, until all is landed."""
        sources = [replace(source, before_batch=None), source]

        def act() -> None:
            if len(sources) == 1:
                # Whatever is landed between two of its batches dies with it.
                for one in dict.fromkeys((NAME, stream)):
                    self.catch_up(one)
            land(self.landing(stream), sources.pop() if len(sources) > 1 else sources[0], on_batch=self.note)

        self.surely(act, 0.15, 2)

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

    def surely(self, act: Callable[[], _T], share: float, most: int) -> _T:
        """Do something, killed now and then and done again, and now and then twice though it was not killed."""
        if self.rng.random() < share:
            with suppress(Crash), killed(self.rng.randint(1, most), after=self.rng.random() < 0.5):
                act()
        elif self.rng.random() < 0.85:
            return act()
        else:
            act()
        return act()

    # Steps

    def has(self, step: str) -> bool:
        """Return whether a step is one of this sequence's kind."""
        needs = {
            "parents": self.shape.referring, "replay_lines": self.shape.lined, "compare_keys": not self.shape.records,
            "publish": self.published,
"rollback": self.published, "release": self.published,
        }  # fmt: skip
        return needs.get(step, True)

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
            parent = self.rng.choice([None, *PARENT_IDS]) if self.shape.referring else None
            cursor = None if self.shape.kind and self.rng.random() < 0.05 else self.cursor
            row = Told(str(key), value, cursor, parent)
            if self.shape.lined:
                row = self._with_lines(row)
            self.source[key] = row
            damaged = self.rng.random()
            name = f"x{key}" if damaged < 0.04 else (None if damaged < 0.07 else row.key)
            self.streams[NAME].append(replace(row, key=name))
            self.rows_shown.append(row)

    def _with_lines(self, row: Told) -> Told:
        """Give a record its lines: fewer or more than before, written as a text, or something that is no array."""
        form = self.rng.choices(["array", "text", "null", "", *NO_ARRAYS], [24, 4, 2, 2, 1, 1, 1, 1])[0]
        if form == "null" or (form == "" and not self.shape.records):
            # A table has no rows without the column.
            return replace(row, lines=(), form="null")
        if form not in {"array", "text"}:
            return replace(row, form=form)
        skus = self.rng.sample(SKUS, self.rng.choice([0, 0, 1, 2, 3]))
        made = [Element(str(sku), -1 if self.rng.random() < 0.15 else self.rng.randint(0, 3)) for sku in skus]
        if made and self.rng.random() < 0.08:
            place = self.rng.randrange(len(made))
            made[place] = replace(made[place], sku=self.rng.choice([f"x{made[place].sku}", None]))
        return replace(row, lines=tuple(made), form=form)

    def _tombstone(self, key: int) -> None:
        form = self.rng.choice(["keys", "cursor"]) if self.tombstones == "mixed" else self.tombstones
        if form == "none":
            return
        self.cursor += 1
        cursor = self.cursor if form == "cursor" else None
        gone = Told(str(key), None, cursor, gone=True)
        if self.shape.carrier == "lined table":
            gone = replace(gone, lines=(), form="null")
        self.streams[NAME].append(gone)

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

        self.land(generation.stream, self.listed(rows, between))
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
        self.land(stream, self.listed(rows))

    def step_parents(self) -> None:
        """Let parents appear and go."""
        for _ in range(self.rng.randint(1, 2)):
            parent = self.rng.choice(PARENT_IDS)
            self.parents[parent] = self.rng.random() < 0.8
            self.parent_rows.append((str(parent), not self.parents[parent]))
        made = self.parent_rows[:]
        landing = Landing(self.lake, PARENTS, PARENTS, "parents", clock=self.clock())
        land(landing, ParentRows(made))
        refine(self.work(), PARENT)
        self.oracle.parents = {number for number, there in self.parents.items() if there}

    def step_refine(self) -> None:
        """Refine, in parts or at once, killed now and then, and compare with the oracle."""
        part_rows = self.rng.choice([1_000, 1_000, 2])
        if self.rng.random() < 0.1:
            refine(self.work(part_rows), self.dataset, dry_run=True)
        outcome = self.surely(lambda: refine(self.work(part_rows), self.dataset), 0.3, 4)
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
        if self.shape.lined:
            self._refine_lines(part_rows)

    def _refine_lines(self, part_rows: int) -> None:
        if self.rng.random() < 0.1:
            refine(self.work(part_rows), self.lines_dataset, dry_run=True)
        outcome = self.surely(lambda: refine(self.work(part_rows), self.lines_dataset), 0.3, 4)
        if outcome.gate is not None and not outcome.gate.open:
            raise Differs(f"the gate of the lines is closed: {outcome.gate.reasons}")
        self.lines.take(self.log)
        self.compare_lines()

    def step_replay(self) -> None:
        """Judge what was rejected again, by looser rules now and then."""
        self.step_refine()
        loose = self.rng.random() < 0.6
        dataset = self.loose if loose else self.dataset
        key = str(self.rng.choice(KEYS)) if self.rng.random() < 0.3 else None
        chosen = Selection() if key is None else Selection(row_keys=(key,))
        self.surely(lambda: replay(self.work(), dataset, chosen, by="me", note="again"), 0.3, 3)
        self.oracle.replay(loose=loose, key=key, least=0 if loose and self.shape.contract else None)
        self.compare()
        if self.shape.lined:
            self._refine_lines(1_000)

    def step_replay_lines(self) -> None:
        """Judge the lines that were rejected again."""
        self.step_refine()
        loose = self.rng.random() < 0.7
        dataset = self.loose_lines if loose else self.lines_dataset
        self.surely(lambda: replay(self.work(), dataset, Selection(), by="me", note="again"), 0.3, 3)
        if loose:
            self.lines.raise_rejected()
        self.compare_lines()

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

    # The product

    def step_publish(self) -> None:
        """Publish what silver has, unless the product is held."""
        self.step_refine()
        if not self.oracle.rows():
            # Of no rows a contract says nothing, and the gate stays closed.
            return
        try:
            run = self.surely(self._publish, 0.3, 4)
        except GateClosed:
            if not self.held:
                raise
        else:
            if self.held:
                raise Differs("a held product was published over")
            self.reads = self.by_run[run] = {key: value for key, (value, _) in self.oracle.rows().items()}
        self.compare_product()

    def _publish(self) -> str:
        run, clock = f"run-{self.counter}", self.clock()
        staged = stage(self.lake, self.gold, pin(self.lake, [NAME]))
        gate = audit(self.lake, self.gold, staged, run, clock)
        if gate is not None and not gate.open:
            raise Differs(f"the gate of gold is closed: {gate.reasons}")
        report = curate(self.lake, staged, gate)
        return publish_product(self.lake, PRODUCT, [report.table], run, clock).run_id

    def step_rollback(self) -> None:
        """Show again what some run published."""
        if not self.by_run:
            return
        run = self.rng.choice(sorted(self.by_run))
        self.surely(lambda: roll_back(self.lake, PRODUCT, run, "looks wrong", self.clock()), 0.3, 2)
        self.reads, self.held = self.by_run[run], True
        self.compare_product()
        self.compare()

    def step_release(self) -> None:
        """Let a product that is held continue."""
        if not self.held:
            return
        with self.kills(0.3, 2):
            release(self.lake, PRODUCT, self.clock())
        there = read_product(self.lake, PRODUCT)
        if there is not None and there.held is not None:
            release(self.lake, PRODUCT, self.clock())
        self.held = False
        self.compare_product()

    def compare_product(self) -> None:
        """Compare what a reader of the product sees with what was published."""
        frame = open_product(self.lake, PRODUCT)[SHOWN].collect()
        found = dict(frame.select("id", "v").iter_rows())
        if found != self.reads:
            raise Differs(f"the product shows {found} and should show {self.reads}")
        if self.shape.records and frame.filter(pl.col("_id") != pl.format("#{}", "id")).height:
            raise Differs(f"gold has not the source's own columns: {frame}")

    # The comparison

    def compare(self) -> None:
        """Compare silver with what the oracle says."""
        rows = self.lake.must_open("silver", NAME).scan().collect()
        if self.shape.keeps == "history":
            self._compare_history(rows)
            rows = rows.filter("current")
        alive = rows.filter(~pl.col("_deleted"))
        found = {row["id"]: (row["v"], self._place(row["at"])) for row in alive.iter_rows(named=True)}
        if len(found) != alive.height:
            raise Differs(f"keys are in silver twice: {alive}")
        wanted = self.oracle.rows()
        if found != wanted:
            raise Differs(f"silver has {found} and should have {wanted}")

    def compare_lines(self) -> None:
        """Compare the lines, and those that came in the place of an array and are kept, with what the oracle says."""
        silver = self.lake.must_open("silver", LINES)
        rows = silver.scan().collect()
        if self.shape.lines_keep == "history":
            self._compare_lines_history(rows)
            rows = rows.filter("current")
        alive = rows.filter(~pl.col("_deleted"))
        found = {(row["id"], row["sku"]): row["w"] for row in alive.iter_rows(named=True)}
        if len(found) != alive.height:
            raise Differs(f"lines are in silver twice: {alive}")
        if found != self.lines.rows():
            raise Differs(f"the lines are {found} and should be {self.lines.rows()}")
        kept = rejected_rows(self.lake, LINES, silver, ever=True)
        refused = (
            0
            if kept is None
            else kept.filter(pl.col("reasons").list.contains("lines|no array")).collect().height
        )
        if refused != self.lines.refused:
            raise Differs(f"{refused} records without an array are kept and should be {self.lines.refused}")

    def _compare_history(self, rows: pl.DataFrame) -> None:
        alive = rows.filter(~pl.col("_deleted"))
        found = {(row["id"], self._place(row["valid_from"])): row["v"] for row in alive.iter_rows(named=True)}
        if found != self.oracle.all_versions():
            raise Differs(f"the history has {found} and should have {self.oracle.all_versions()}")
        _check_intervals(rows, "id")
        value = self.shape.shown.value
        for row in alive.iter_rows(named=True):
            following, floated = self.oracle.until(row["id"], self._place(row["valid_from"]) or 0)
            latest, until = None if following is None else value(following), row["valid_to"]
            before = until is not None and (latest is None or until < latest)
            if until != latest and not (floated and before):
                raise Differs(f"version {row} holds until {until} and should hold until {latest}")

    def _compare_lines_history(self, rows: pl.DataFrame) -> None:
        """Compare each version of the lines, from when it holds and until when."""
        _check_intervals(rows, "id", "sku")
        value = self.shape.shown.value
        alive = rows.filter(~pl.col("_deleted"))
        names = ("id", "sku", "valid_from", "valid_to", "w")
        found = {
            (number, sku, self._place(since)): (w, until)
            for number, sku, since, until, w in alive.select(names).iter_rows()
        }
        wanted = self.lines.all_versions()
        if {name: w for name, (w, _) in found.items()} != {name: one.w for name, one in wanted.items()}:
            raise Differs(f"the history of the lines has {found} and should have {wanted}")
        for name, one in wanted.items():
            until, latest = found[name][1], None if one.until is None else value(one.until)
            if one.ended:
                right = (
                    until is not None and until > value(one.cursor) and (latest is None or until <= latest)
                )
            else:
                right = until == latest
            if not right:
                raise Differs(f"line {name} holds until {until} and should be {one}: {rows.sort(names[:3])}")

    def _place(self, value: Any) -> int | None:
        return None if value is None else PLACES[self.shape.shown.name][value]


def _check_intervals(rows: pl.DataFrame, *key: str) -> None:
    """Raise `Differs` where the versions of a key do not follow each other."""
    following = pl.col("valid_from").shift(-1).over(key)
    ordered = rows.sort(*key, "valid_from").with_columns(next=following)
    if ordered.filter(pl.col("valid_to").ne_missing(pl.col("next"))).height:
        raise Differs(f"the history has a gap or an overlap: {ordered}")
    if ordered.filter(pl.col("valid_to") <= pl.col("valid_from")).height:
        raise Differs(f"the history has an empty interval: {ordered}")


WEIGHTS = {

    "change": 10, "incremental": 4, "full": 4, "compare_keys": 2, "window": 2, "backfill": 2, "parents": 1,
    "refine": 6, "replay": 2, "discard": 1, "maintain": 1, "replay_lines": 1, "publish": 3, "rollback": 2, "release": 2,
}  # fmt: skip


def play(folder: str, seed: int, length: int = 14) -> str | None:
    """Play one sequence; returns where the engine and the oracle differ, None where they agree to the end."""
    world = World(folder, seed)
    try:
        for _ in range(length):
            step = world.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            if not world.has(step):
                continue
            world.steps.append(step)
            getattr(world, f"step_{step}")()
        # All that the source has said by then is looked at.
        world.steps += ["incremental", "refine"]
        world.step_incremental()
        world.step_refine()
    except Differs as found:
        shape = world.shape
        lined = (
            f"{shape.carrier} (lines keep {shape.lines_keep}, refer {shape.lines_refer}, ordered {shape.lines_order})"
            if shape.lined
            else "no lines"
        )
        return (
            f"seed {seed}: keeps {shape.keeps}, cursor {shape.kind.name if shape.kind else 'none'}, tombstones "
            f"{world.tombstones}, referring {shape.referring}, {lined}; after {', '.join(world.steps)}: {found}"
        )
    return None
