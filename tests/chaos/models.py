"""Processes that learn a model are killed at seeded moments; readers see one champion with whole scores after each.

``python -m tests.chaos.models --kills 50 --seed 1`` takes minutes and ends with 1 where anybody could see a mixture.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import median

import polars as pl
import psycopg

from crm.timelapse import learn_week
from headworks.gold.products import open_product, read_product
from headworks.models.champions import read_champions
from headworks.models.training import load
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.chaos.killer import ROOT, PassFailed, kill_group, within_a_deadline
from tests.chaos.living import postgres_server
from tests.chaos.model_steps import CHAMPIONS, SCHEMA, STEPS, TABLE, begins, ends
from tests.support.shipments import LATE, MODEL, START, WEEK, receive, shipments

LONGEST_PASS_S = 600
FIRST, LATER = 18, 30
_FIRST_GUESS_S = 0.05
_COMMITS = 3
"""The commits of a promotion: scores, champions, and the product's row."""
_TRIES = 3


@dataclass(frozen=True)
class Publication:
    """What one publication is: its champions and its scores."""

    scores: pl.DataFrame
    champions: tuple[int, ...]


@dataclass
class Outcome:
    """What a campaign did and found."""

    kills: Counter[str] = field(default_factory=Counter)
    moved: int = 0
    """Kills after which the new publication was there already."""
    finished: int = 0
    problems: list[str] = field(default_factory=list)


def found(root: Path, frame: pl.DataFrame) -> None:
    """Make a lake that has received a history, with a first champion."""
    lake = Lake(LakeSettings(root=str(root)))
    now = receive(lake, frame, range(1, FIRST), "history")
    first = learn_week(lake, lambda: now, "first", of=LATE)
    assert first.product is not None, first.reasons


@dataclass
class Played:
    """A lake and a database that workers learn in, and every publication that was there."""

    root: Path
    dsn: str
    seed: str
    folder: Path
    break_: str | None = None
    week: int = FIRST
    known: dict[int, Publication] = field(default_factory=dict)
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    passes: int = 0

    def __post_init__(self) -> None:
        """Receive the history and learn the first model, unless the lake has both; then live on for a week."""
        self.frame = shipments(FIRST + LATER)
        if not self.root.exists():
            found(self.root, self.frame)
        self.live_on()
        assert self.look() == []

    @property
    def lake(self) -> Lake:
        """The lake, opened."""
        return Lake(LakeSettings(root=str(self.root)))

    def live_on(self) -> None:
        """Receive one more week."""
        if self.week < FIRST + LATER - 1:
            receive(self.lake, self.frame, [self.week], f"week-{self.week}")
            self.week += 1

    def run(
        self, aim: str | None = None, nth: int = 1, share: float = 0.0, kill_at: str | None = None
    ) -> bool:
        """Let a worker learn once, killed in the n-th step of a name or at a line; returns whether it was killed."""
        self.passes += 1
        log = self.folder / f"worker-{self.passes}.log"
        options = {"--lake": str(self.root), "--dsn": self.dsn, "--hold": kill_at, "--break": self.break_}
        command = [f"{name}={value}" for name, value in options.items() if value is not None]
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.model_worker", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
                text=True,
                start_new_session=True,
            )
        with within_a_deadline(process, LONGEST_PASS_S):
            asked = {
                "run_id": f"{self.seed}-{self.passes}",
                "seed": self.passes + 1,
                "now": (START + (self.week - 1) * WEEK + timedelta(days=1)).isoformat(),
            }
            assert process.stdin is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.close()
            self._follow(process, aim, nth, share, kill_at)
            code = process.wait()
        if code == 0:
            return False
        if code != -signal.SIGKILL or (aim is None and kill_at is None):
            raise PassFailed(f"A pass ended with {code}:\n{log.read_text()[-4000:]}")
        return True

    def _follow(
        self, process: subprocess.Popen[str], aim: str | None, nth: int, share: float, kill_at: str | None
    ) -> None:
        assert process.stdout is not None
        met, since = 0, time.monotonic()
        with process.stdout as lines:
            for line in lines:
                said = line.strip()
                if said == kill_at:
                    kill_group(process)
                if said.startswith(">"):
                    since = time.monotonic()
                for step in STEPS:
                    if said == ends(step):
                        self.seconds[step].append(time.monotonic() - since)
                if aim is not None and said == begins(aim):
                    met += 1
                    if met == nth:
                        # Not a wait for anything: the moment within the step is what the seed decides.
                        time.sleep(share * median(self.seconds[aim] or [_FIRST_GUESS_S]))
                        kill_group(process)

    def look(self) -> list[str]:
        """Return what readers of the lake and of Postgres could see that is no whole publication."""
        return [*self._in_the_lake(), *self._in_postgres()]

    def _in_the_lake(self) -> Iterator[str]:
        version = read_product(self.lake, LATE.name)
        champions = read_champions(self.lake, LATE.name, MODEL)
        if version is None or champions.newest is None:
            yield "the lake has no publication any more"
            return
        tables = open_product(self.lake, LATE.name)
        scores = tables[MODEL.scores].collect().sort(MODEL.key)
        numbers = tuple(one.sequence for one in champions.known)
        if len({*numbers}) != len(numbers):
            yield f"the product has a champion twice: {numbers}"
        if {*scores.get_column("champion")} != {champions.newest.sequence}:
            yield f"scores of {sorted({*scores.get_column('champion')})} and champion {champions.newest.sequence}"
        if {*scores.get_column("model")} != {champions.newest.trained.file}:
            yield "scores are of another file than the champion's"
        load(self.lake, MODEL, champions.newest.trained.file, "the champion")
        features = tables[MODEL.features.name].collect()
        newest = features.filter(pl.col("cut") == scores.get_column("cut")[0]).sort(MODEL.key)
        if not newest.select(MODEL.key).equals(scores.select(MODEL.key)):
            yield f"{scores.height} scores of {newest.height} rows of features"
        there = Publication(scores, numbers)
        known = self.known.setdefault(version.sequence, there)
        if not known.scores.equals(scores) or known.champions != numbers:
            yield f"publication {version.sequence} is another one than before"
        for name in (MODEL.scores, MODEL.champions):
            yield from self._newest_of(name)

    def _newest_of(self, name: str) -> Iterator[str]:
        """Look at the newest version of a table too, which no product may name yet."""
        rows = self.lake.must_open("gold", name).scan().collect()
        one = ["cut", "champion", "model"] if name == MODEL.scores else []
        for column in one:
            if rows.get_column(column).n_unique() != 1:
                yield f"gold.{name} has {column} {rows.get_column(column).unique().to_list()}"
        key = MODEL.key if name == MODEL.scores else ("sequence",)
        if rows.select(key).n_unique() != rows.height:
            yield f"gold.{name} has rows twice"

    def _in_postgres(self) -> Iterator[str]:
        with psycopg.connect(self.dsn) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            there = connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.{TABLE}",)).fetchone()
            if there == (None,):
                return
            recorded = connection.execute(
                f"SELECT sequence FROM {SCHEMA}._headworks_products WHERE product = %s".encode(), (LATE.name,)
            ).fetchone()
            shown = connection.execute(
                f"SELECT shipment_id, score, champion, model FROM {SCHEMA}.{TABLE} ORDER BY 1".encode()
            ).fetchall()
            numbers = connection.execute(
                f"SELECT sequence FROM {SCHEMA}.{CHAMPIONS} ORDER BY 1".encode()
            ).fetchall()
        if recorded is None:
            if shown or numbers:
                yield "Postgres shows rows of no publication"
            return
        known = self.known[recorded[0]]
        if shown != known.scores.select("shipment_id", "score", "champion", "model").rows():
            of = sorted({row[2] for row in shown})
            yield f"Postgres shows publication {recorded[0]}, and scores of champions {of} in {len(shown)} rows"
        if [number for (number,) in numbers] != sorted(known.champions):
            yield f"Postgres shows other champions than publication {recorded[0]} has"

    def behind(self) -> list[str]:
        """Return how Postgres is behind the lake, which it may be after a kill and not after a pass that finished."""
        version = read_product(self.lake, LATE.name)
        assert version is not None
        with psycopg.connect(self.dsn) as connection:
            recorded = connection.execute(
                f"SELECT sequence FROM {SCHEMA}._headworks_products WHERE product = %s".encode(), (LATE.name,)
            ).fetchone()
        return (
            [] if recorded == (version.sequence,) else [f"Postgres is at {recorded}, not {version.sequence}"]
        )


def play(played: Played, kills: int, outcome: Outcome, *, show: bool = False) -> None:
    """Kill so many workers, look at what readers see after each, and let a pass finish after every few."""
    chance = Random(played.seed)
    for number in range(kills):
        step = STEPS[number % len(STEPS)]
        nth = chance.randint(1, _COMMITS) if step == "promote" else 1
        before = _sequence(played)
        for _ in range(_TRIES):
            if chance.random() < 0.4:
                played.live_on()
            share = chance.random()
            if played.run(step, nth, share):
                break
        else:
            outcome.problems.append(f"no pass could be killed in {step}")
        outcome.kills[step] += 1
        outcome.moved += _sequence(played) > before
        seen = played.look()
        outcome.problems += [f"killed in {step}: {problem}" for problem in seen]
        if show:
            print(f"kill {number + 1} in {step} {nth}: {'; '.join(seen) or 'whole'}", flush=True)
        if chance.random() < 0.4 or number == kills - 1:
            finish(played, outcome)


def finish(played: Played, outcome: Outcome) -> None:
    """Let a pass come to its end: a new champion is there, whole, and Postgres shows it."""
    before = _sequence(played)
    played.run()
    outcome.finished += 1
    seen = [*played.look(), *played.behind()]
    if _sequence(played) <= before:
        seen.append("a pass that finished published nothing")
    outcome.problems += [f"finished: {problem}" for problem in seen]


def _sequence(played: Played) -> int:
    version = read_product(played.lake, LATE.name)
    return 0 if version is None else version.sequence


def main() -> int:
    """Run the campaign and print what came of it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.models", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    outcome = Outcome()
    with postgres_server() as databases, tempfile.TemporaryDirectory() as folder:
        played = Played(Path(folder) / "lake", databases.create("models"), options.seed, Path(folder))
        play(played, options.kills, outcome, show=True)
        lived = played.week - FIRST
    kills = ", ".join(f"{step} {outcome.kills[step]}" for step in STEPS)
    print(f"{sum(outcome.kills.values())} kills ({kills}), {lived} weeks, {len(played.known)} publications")
    print(f"after {outcome.moved} of them the new publication was there; {outcome.finished} passes finished")
    print(f"{len(outcome.problems)} problems: {outcome.problems}")
    return int(bool(outcome.problems))


if __name__ == "__main__":
    sys.exit(main())
