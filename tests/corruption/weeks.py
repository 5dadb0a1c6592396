"""Weeks of play: a corrupted delivery, then seven clean ones in which nobody acts, or somebody does.

Without a person's word, consumers see at every moment what they would see had the corrupted delivery never come. After
it was discarded, taken back or corrected, silver and gold are those of a twin that never had it, and after it was
released those of a twin whose gate let everything through.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module, util
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from headworks.errors import HeadworksError
from headworks.gold.products import read_product, scan_product
from headworks.quality.limits import AnomalyLimits
from headworks.settings import RejectLimits
from headworks.silver.dataset import CURRENT, DELETED, VALID_FROM, VALID_TO, Dataset
from headworks.silver.quarantine import rejected_rows
from headworks.silver.work import Refinement
from headworks.storage.store import Lake
from tests.corruption.company import Company, Day, Frames
from tests.corruption.faults import STRENGTHS, Fault, faults_of
from tests.corruption.playing import Played, copied, open_lake, play

WAYS = ("nobody acts", "run again", "released", "discarded", "corrected", "taken back")
AFTER = 7
"""Clean deliveries after the corrupted one."""

_DECIDED_AFTER, _CORRECTED_AT, _RUNS = 4, 3, 3
"""With fewer deliveries than usual, decisions and corrections come that much earlier."""
_CORRECTED_LATER = timedelta(hours=6)
"""Rules may say how far a row's moments are from when it was written."""

BAD = "bad"
_PRIOR = 3


@dataclass(frozen=True)
class Week:
    """What one play came to; ``wrong`` are the deliveries after which consumers saw what nobody had let through."""

    company: str
    fault: Fault
    strength: str
    way: str
    first: str
    wrong: tuple[int, ...] = ()
    equal: bool | None = None
    balanced: bool = True
    words: int = 0
    note: str = ""

    @property
    def fine(self) -> bool:
        """Whether the play went as it must."""
        return not self.wrong and self.equal is not False and self.balanced


@dataclass
class Stage:
    """A company's lake before the corrupted delivery, the deliveries that follow, and its twins as they are needed."""

    company: Company
    lake: Lake
    folder: Path
    days: tuple[Day, ...]
    past: tuple[Frames, ...]
    twins: dict[str, list[dict[str, pl.DataFrame]]] = field(default_factory=dict)
    lakes: dict[str, Lake] = field(default_factory=dict)

    def twin(self, name: str, first: Frames) -> list[dict[str, pl.DataFrame]]:
        """Return what consumers see after each delivery, where the first is another one and no gate ever closes."""
        if name not in self.twins:
            lake = copied(self.lake, self.folder / f"twin-{len(self.twins)}")
            lenient, shown = _lenient(self.company), [_shown(self.lake, self.company)]
            for number, day in enumerate(self.days):
                frames = first if number == 0 else day.frames
                play(lenient, lake, frames, day.ends, f"twin-{number}")
                shown.append(_shown(lake, self.company))
            self.twins[name], self.lakes[name] = shown, lake
        return self.twins[name]


def stage(
    company: Company,
    folder: Path,
    seed: int,
    warm_up: int | None = None,
    kept: Path | None = None,
    after: int = AFTER,
) -> Stage:
    """Play the clean deliveries before the corrupted one, or take the lake of an earlier time from ``kept``."""
    many = company.warm_up if warm_up is None else warm_up
    days = list(company.days(seed, many + 1 + after))
    before = days[:many]
    there = kept or folder / "before"
    lake = open_lake(there)
    if not (there / "silver").exists():
        lenient = _lenient(company, rules_only=True)
        for day in before:
            play(lenient, lake, day.frames, day.ends, f"clean-{day.number}")
            print(f"{company.name}: before, {day.number}", file=sys.stderr, flush=True)
    past = tuple(day.frames for day in before[-14:] if any(frame.height for frame in day.frames.values()))
    return Stage(company, lake, folder, tuple(days[many:]), past)


def _lenient(company: Company, *, rules_only: bool = False) -> Company:
    """Return a company whose gate lets everything through, but for what rules reject row by row.

    With ``rules_only`` what is unusual is still measured and kept, but nothing is stopped for it.
    """
    limits = AnomalyLimits(when_idle="fine") if rules_only else AnomalyLimits(enabled=False)
    every = RejectLimits(share=1.0)
    loose = [
        tuple(replace(one, anomalies=_never(limits, rules_only), limits=every) for one in rank)
        for rank in company.ranks
    ]
    tables = tuple(replace(one, anomalies=_never(limits, rules_only)) for one in company.tables)
    return replace(company, ranks=tuple(loose), tables=tables)


def _never(limits: AnomalyLimits, rules_only: bool) -> AnomalyLimits:
    return limits if not rules_only else limits.model_copy(update={"good_runs": 10_000})


def chosen(stage: Stage, seed: int, many: int, only: str = "") -> list[tuple[Fault, str]]:
    """Return a seeded choice of critical faults at middle and strong strength, that change something on that day."""
    faults = [one for one in faults_of(stage.company, list(stage.past)) if one.severity == "critical"]
    every = [(one, strength) for one in faults for strength in ("middle", "strong") if only in one.name]
    Random(seed).shuffle(every)
    day = stage.days[0]
    found: list[tuple[Fault, str]] = []
    for fault, strength in every:
        if strength in fault.form.strengths and day.frames[fault.dataset].height and len(found) < many:
            frames, _ = _corrupted(stage, fault, strength, seed)
            if not frames[fault.dataset].equals(day.frames[fault.dataset]):
                found.append((fault, strength))
    return found


def weeks(
    stage: Stage, faults: Sequence[tuple[Fault, str]], seed: int, ways: Sequence[str] = WAYS
) -> Iterator[Week]:
    """Play each fault in each way."""
    for number, (fault, strength) in enumerate(faults):
        frames, touched = _corrupted(stage, fault, strength, seed)
        started = copied(stage.lake, stage.folder / f"{number}-first")
        played = play(stage.company, started, frames, stage.days[0].ends, BAD)
        first = _end(started, played, fault, touched)
        for way in ways:
            if (first == "stopped") == (way == "taken back") or (
                first == "held back" and way == "taken back"
            ):
                continue
            lake = copied(started, stage.folder / f"{number}-{way.replace(' ', '-')}")
            try:
                yield _week(stage, lake, fault, strength, way, first, frames, played)
            except HeadworksError as error:
                yield Week(
                    stage.company.name,
                    fault,
                    strength,
                    way,
                    first,
                    equal=False,
                    note=f"{type(error).__name__}: {error}",
                )
            finally:
                shutil.rmtree(lake.settings.root)
        shutil.rmtree(started.settings.root)


def _corrupted(stage: Stage, fault: Fault, strength: str, seed: int) -> tuple[Frames, frozenset[int]]:
    earlier = [one for one in reversed(stage.past) if one[fault.dataset].height][:_PRIOR]
    return fault.corrupted(stage.days[0].frames, earlier, STRENGTHS[strength], seed)


def _end(lake: Lake, played: Played, fault: Fault, touched: frozenset[int]) -> str:
    if played.stopped:
        return "stopped"
    rejected = rejected_rows(lake, fault.dataset, lake.open("silver", fault.dataset))
    if touched and rejected is not None:
        rows = rejected.filter(pl.col("run_id") == BAD).select("_row").collect().to_series()
        if touched <= set(rows):
            return "held back"
    return "noticed" if played.alarms else "missed"


def _week(
    stage: Stage,
    lake: Lake,
    fault: Fault,
    strength: str,
    way: str,
    first: str,
    frames: Frames,
    played: Played,
) -> Week:
    company, name = stage.company, fault.dataset
    without = {**stage.days[0].frames, name: stage.days[0].frames[name].clear()}
    never = stage.twin(f"without {name}", without)
    balanced, wrong, words, decided = _balances(played), list[int](), 0, False
    corrected_at = min(_CORRECTED_AT, len(stage.days) - 2)
    decided_after = min(_DECIDED_AFTER, len(stage.days) - 2)
    for number, day in enumerate(stage.days):
        coming = day.frames
        if number == corrected_at and way == "corrected":
            coming = {**coming, name: pl.concat([coming[name], _right(fault, stage.days[0])])}
        if number:
            runs = _RUNS if way == "run again" else 1
            for again in range(runs):
                given = coming if again == 0 else {one: frame.clear() for one, frame in coming.items()}
                moment = day.ends + timedelta(minutes=again)
                balanced &= _balances(play(company, lake, given, moment, f"after-{number}-{again}"))
        if first == "stopped" and not decided and (way != "corrected" or number < corrected_at):
            seen = _shown(lake, company)
            if not any(_same(seen, one) for one in never[: number + 2]):
                wrong.append(number)
        if number == decided_after and way in {"released", "discarded", "taken back"}:
            words, decided = words + _decide(stage, lake, fault, way, day.ends + timedelta(minutes=10)), True
    last = stage.days[-1].ends + timedelta(hours=1)
    note = None
    if way in {"released", "discarded", "taken back", "corrected"}:
        words += _decide(
            stage, lake, fault, "discarded" if way == "corrected" else way, last, bad=not decided
        )
        nothing = {one: frame.clear() for one, frame in frames.items()}
        play(company, lake, nothing, last, "last")
        note = _unlike_twin(stage, lake, fault, way, frames)
    equal = None if note is None else not note
    return Week(company.name, fault, strength, way, first, tuple(wrong), equal, balanced, words, note or "")


def _right(fault: Fault, day: Day) -> pl.DataFrame:
    """Return a delivery's rows as they should have been, as a source gives them that corrects itself: newer ones."""
    rows, cursor = day.frames[fault.dataset], fault.shape.cursor
    if cursor is None or cursor not in rows.columns:
        return rows
    return rows.with_columns((pl.col(cursor) + _CORRECTED_LATER).cast(rows.schema[cursor]).alias(cursor))


def _unlike_twin(stage: Stage, lake: Lake, fault: Fault, way: str, frames: Frames) -> str:
    """Return which tables are not those of the twin; empty where all are."""
    without = {**stage.days[0].frames, fault.dataset: stage.days[0].frames[fault.dataset].clear()}
    names = {"released": f"with {fault.name} {hash_of(frames[fault.dataset])}", "corrected": "clean"}
    first = {"released": frames, "corrected": stage.days[0].frames}
    name = names.get(way, f"without {fault.dataset}")
    seen, here = stage.twin(name, first.get(way, without))[-1], _shown(lake, stage.company)
    twin = stage.lakes[name]
    apart = [
        f"gold.{one} {_apart(rows, here.get(one))}"
        for one, rows in seen.items()
        if not rows.equals(here.get(one, rows.clear()))
    ]
    for one in stage.company.datasets:
        moments = way != "corrected" or one.name != fault.dataset
        mine, theirs = _rows(lake, one, moments=moments), _rows(twin, one, moments=moments)
        if not mine.equals(theirs):
            apart.append(f"silver.{one.name} {_apart(theirs, mine)}")
    return "; ".join(apart)


def _apart(twin: pl.DataFrame, here: pl.DataFrame | None) -> str:
    """Say how two tables differ, in few words."""
    if here is None:
        return "is not there"
    if here.columns != twin.columns:
        return "has other columns"
    lacks = twin.join(here, on=twin.columns, how="anti", nulls_equal=True).height
    more = here.join(twin, on=twin.columns, how="anti", nulls_equal=True).height
    return f"lacks {lacks} and has {more} more"


def hash_of(frame: pl.DataFrame) -> int:
    """Return a number that is the same for the same rows."""
    return int(frame.hash_rows(seed=1).sum()) if frame.height else 0


def _rows(lake: Lake, dataset: Dataset, *, moments: bool) -> pl.DataFrame:
    """Return silver's living rows as people see them; without the cursor where a correction has another one."""
    table = lake.open("silver", dataset.name)
    if table is None:
        return pl.DataFrame()
    names = [one for one in dataset.columns if moments or one != dataset.cursor]
    ends = [one for one in (VALID_FROM, VALID_TO, CURRENT) if one in table.schema and moments]
    rows = table.scan().filter(~pl.col(DELETED)).select([*names, *ends]).collect()
    return rows.sort([*dataset.key, *ends[:1]])


def _shown(lake: Lake, company: Company) -> dict[str, pl.DataFrame]:
    """Return what consumers see: each table of the newest publication, sorted."""
    product = read_product(lake, company.product)
    if product is None:
        return {}
    keys = {table.name: table.key for table in company.tables}
    return {name: rows.collect().sort(keys[name]) for name, rows in scan_product(lake, product).items()}


def _same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> bool:
    return one.keys() == other.keys() and all(rows.equals(other[name]) for name, rows in one.items())


def _balances(played: Played) -> bool:
    """Return whether the account of each dataset balances, as the run's own reports have it."""
    checks = [one for gate in played.report.gates for one in gate.checks if one.kind == "account"]
    return all(one.outcome in {"passed", "warned"} for one in checks)


@cache
def can_decide() -> bool:
    """Return whether deliveries can be decided about."""
    return util.find_spec("headworks.silver.decisions") is not None


def _decide(stage: Stage, lake: Lake, fault: Fault, way: str, moment: datetime, *, bad: bool = True) -> int:
    """Say what becomes of the corrupted delivery, and let go whatever clean one is held; return how often it took.

    Without ``bad`` the corrupted one has been decided about.
    """
    if not can_decide():
        return 0
    words = 0
    for dataset in stage.company.datasets:
        for one in _deliveries(lake, dataset, fault, way):
            action = _action(one, dataset, fault, way)
            if action and (bad or BAD not in one.runs):
                _say(lake, dataset, one.id, action, moment)
                words += 1
    return words


def _deliveries(lake: Lake, dataset: Dataset, fault: Fault, way: str) -> list[Any]:
    module = import_module("headworks.quality.deliveries")
    if way == "taken back" and dataset.name == fault.dataset:
        return [
            one for one in module.deliveries(lake, dataset.name) if BAD in one.runs or one.state == "held"
        ]
    return [one for one in module.deliveries(lake, dataset.name) if one.state == "held"]


def _action(one: Any, dataset: Dataset, fault: Fault, way: str) -> str:
    if dataset.name == fault.dataset and BAD in one.runs:
        return "release" if way == "released" else "discard"
    return "release" if one.state == "held" else ""


def _say(lake: Lake, dataset: Dataset, number: str, action: str, moment: datetime) -> None:
    decisions = import_module("headworks.silver.decisions")
    work = Refinement(lake, f"decide-{number}", clock=lambda: moment)
    named: dict[str, Any] = {"by": "campaign", "note": "known from the campaign"}
    if action == "release":
        named["despite_contract"] = True
    getattr(decisions, action)(work, dataset, number, **named)


def weeks_table(played: Sequence[Week]) -> list[str]:
    """Return how the plays went, by company and way."""
    titles = ("plays", "bad published", "not as the twin", "account off", "decisions")
    lines = [f"{'weeks of play':<26}{'way':<14}{''.join(f'{one:>17}' for one in titles)}   aims 0, 0, 0"]
    for company in dict.fromkeys(one.company for one in played):
        for way in WAYS:
            these = [one for one in played if one.company == company and one.way == way]
            if these:
                wrong, apart = sum(bool(one.wrong) for one in these), sum(one.equal is False for one in these)
                off, words = sum(not one.balanced for one in these), sum(one.words for one in these)
                counts = (len(these), wrong, apart, off, words)
                lines.append(f"{company:<26}{way:<14}{''.join(f'{one:>17}' for one in counts)}")
    firsts = {(one.company, one.fault.name, one.strength): one.first for one in played}
    held = sum(one in {"stopped", "held back"} for one in firsts.values())
    lines.append(f"critical faults through the whole engine: {held} of {len(firsts)} held on their day")
    return lines


def week_details(played: Sequence[Week]) -> list[str]:
    """Return each play that did not go as it must."""
    return [
        f"  {one.company}: {one.fault.name} {one.strength}, {one.way}: "
        f"first {one.first}, wrong after {list(one.wrong)}, "
        f"as the twin {one.equal}, account {one.balanced} {one.note}"
        for one in played
        if not one.fine
    ]
