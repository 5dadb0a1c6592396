"""Rounds of work in a lake whose store fails: each step meets one fault, is repeated as its error says, and ends.

A step is repeated as a task is: for a `RetryError`, three times. What else it raises has to be an error of headworks',
and then the fault is taken away, as a person would, and the step is run again. After each round every table is compared
with what the source has.
"""

from __future__ import annotations

import contextlib
import io
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.cli import main as cli
from headworks.cli import shared
from headworks.errors import HeadworksError, RetryError
from headworks.gold.curation import audit, curate, stage
from headworks.gold.products import publish_product, read_product
from headworks.gold.table import pin
from headworks.names import Window
from headworks.ops.ledger import record_run
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.ops.recorder import Recorder
from headworks.panics import is_panic
from headworks.publish.postgres import publish_postgres
from headworks.settings import DatabaseSettings
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import Selection
from headworks.silver.replay import replay
from headworks.sources.base import Source
from headworks.storage.store import Lake
from tests.storage.faulty import CALLS, HEALING, LASTING, Fault, FaultyStore
from tests.support.golden import PRODUCT, PUBLISHED, rows, tables
from tests.support.items import ITEM, NAME, rejected, silver
from tests.support.sources import Numbered, Record, bad_items, items

RETRIES = 3
COMMANDS = (
    ("quarantine", "list"),
    ("quarantine", "show", NAME),
    ("stream", "show"),
    ("stream", "show", NAME),
    ("account", "items"),
)


class Wrong(AssertionError):
    """The engine did not do with an error of the store what it promises."""


def _tried(step: Callable[[], Any]) -> BaseException | None:
    """Do a step as a task does it, and return what it ended with if it failed."""
    said: BaseException | None = None
    for _ in range(RETRIES + 1):
        try:
            step()
        except RetryError as problem:
            said = problem
        except Exception as problem:  # noqa: BLE001 - what is raised is what is looked at
            return problem
        except BaseException as problem:
            if not is_panic(problem):
                raise
            return problem
        else:
            return None
    return said


def _wrong(fault: Fault, said: BaseException | None) -> str:
    """Return what is wrong with the end of a step; empty where nothing is."""
    if said is None:
        return ""
    if not isinstance(said, HeadworksError):
        return "no error of ours"
    if fault.way in HEALING:
        return "it heals, and ended the step"
    if not (said.what and said.where and said.do):
        return "it does not say what, where and what to do"
    return ""


@dataclass(frozen=True)
class _Ingest:
    records: list[Record]

    def live(self) -> Source | None:
        return Numbered(self.records, 3)

    def whole(self) -> Source:
        return Numbered(self.records, 20)

    def within(self, window: Window) -> Source:
        raise NotImplementedError


@dataclass
class Rounds:
    """One lake, what its source has, and which faults were met."""

    lake: Lake
    store: FaultyStore
    database: DatabaseSettings
    folder: Path
    rng: random.Random
    source: list[Record] = field(default_factory=list)
    wanted: dict[int, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    number: int = 0
    usual: dict[str, Counter[str]] = field(default_factory=dict)
    met: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def play(self, *, faults: bool = True) -> None:
        """Do all steps once, each with a fault of its own, and compare."""
        self.number += 1
        self._change()
        steps: dict[str, Callable[[], Any]] = {
            "land": self._land,
            "refine": lambda: refine(Refinement(self.lake, self._run, counts_on=True), ITEM),
            "replay": lambda: replay(
                Refinement(self.lake, self._run), ITEM, Selection(), by="me", note="again"
            ),
            "gold": self._gold,
            "publish": self._publish,
            "record": self._record,
            "maintain": self._maintain,
            **{" ".join(words): self._command(*words) for words in COMMANDS},
        }
        for name, step in steps.items():
            if name == "maintain" and self.number % 3 != 1:
                continue  # it asks for each table of ``ops``, and takes as long as all other steps
            self._step(name, step, self._drawn(name) if faults else None)
        self.compare()

    @property
    def _run(self) -> str:
        return f"run-{self.number}"

    def _change(self) -> None:
        new = self.number * 10
        self.source += [*items(new, new + 2, cursor=self.number), *bad_items(new + 3, new + 3)]
        self.wanted |= {key: key * 10 for key in range(new, new + 3)}
        self.bad.append(str(new + 3))
        changed = self.rng.choice(sorted(self.wanted))
        self.source.append((str(changed), str(self.number), self.number))
        self.wanted[changed] = self.number

    def _drawn(self, name: str) -> Fault | None:
        """Draw a fault among the calls that the step makes, as far as they are known from an earlier round."""
        usual = self.usual.get(name, Counter())
        calls = [call for call in CALLS if usual[call]]
        if not calls:
            return None
        call = self.rng.choice(calls)
        first = self.rng.randint(1, usual[call])
        if self.rng.random() < 0.3:
            return Fault(call, first, self.rng.choice(LASTING), times=10**6)
        ways = [way for way in HEALING if way != "hang" or self.rng.random() < 0.3]
        return Fault(call, first, self.rng.choice(ways))

    def _step(self, name: str, step: Callable[[], Any], fault: Fault | None) -> None:
        """Do a step with a fault, and note what is wrong; where the fault ended it, do it again without."""
        self.store.begin(fault)
        said = _tried(step)
        usual, made = self.store.end()
        if fault is None:
            self.usual[name] = usual
            if said is not None:
                raise said
            return
        if made:
            self.met[f"{name} {fault.call} {fault.way}"] += 1
            self.ends[f"{fault.way}: {type(said).__name__ if said else 'passed'}"] += 1
            if why := _wrong(fault, said):
                self.wrong.append(f"{name}, {fault}: {why}: {said!r}")
        if said is not None:
            step()

    def _land(self) -> None:
        mode: Any = "full" if self.number % 4 == 0 else "incremental"
        ingest(IngestRequest(self.lake, NAME, self._run, mode=mode), _Ingest(self.source))

    def _gold(self) -> None:
        pins = pin(self.lake, [NAME])
        made = []
        for gold in tables(self.folder):
            candidate = stage(self.lake, gold, pins)
            made.append(curate(self.lake, candidate, audit(self.lake, gold, candidate, self._run)).table)
        publish_product(self.lake, PRODUCT, made, self._run)

    def _publish(self) -> None:
        version = read_product(self.lake, PRODUCT)
        assert version is not None
        publish_postgres(self.lake, self.database, "analytics", version, PUBLISHED)

    def _record(self) -> None:
        record_run(self.lake, Recorder(self._run, "items", "incremental", "lake").report("landed"))

    def _maintain(self) -> None:
        """Care for all tables; what goes wrong with one is in its care, as it is in the log of a run."""
        settings = MaintenanceSettings(compact_from_files=3, longest_run_h=1, vacuum_after_h=1)
        moment = datetime.now(UTC) + timedelta(hours=2)
        maintain(self.lake, settings, clock=lambda: moment)

    def _command(self, *words: str) -> Callable[[], None]:
        def run() -> None:
            output = io.StringIO()
            with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
                patch.setattr(shared, "_located", lambda options, **_: (self.lake, "the lake of the test"))
                options = cli.the_parser().parse_args(list(words))
                options.command(options)

        return run

    def compare(self) -> None:
        """Compare bronze, silver, quarantine, gold and the ledger with what the source has."""
        landed = self.lake.must_open("bronze", NAME).scan().filter(pl.col("_stream") == NAME).collect()
        if sorted(landed.select("id", "v", "at").rows()) != sorted(self.source):
            raise Wrong(
                f"round {self.number}: bronze has {landed.height} rows, the source {len(self.source)}"
            )
        found = {key: value for key, (value, _) in silver(self.lake).items()}
        if found != self.wanted:
            raise Wrong(f"round {self.number}: silver has {found} and should have {self.wanted}")
        if sorted(set(rejected(self.lake))) != sorted(self.bad):
            raise Wrong(f"round {self.number}: the quarantine has {rejected(self.lake)}, not {self.bad}")
        if rows(self.lake) != sorted(self.wanted):
            raise Wrong(f"round {self.number}: gold has other rows than silver")
