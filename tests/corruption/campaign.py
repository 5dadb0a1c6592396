"""The corruption campaign as a program: clean runs, then every kind at every strength, and what was caught.

``python -m tests.corruption.campaign --clean 200 --seed 1`` plays days of the shop through the engine: a history of
clean days first, then clean days that are judged for false alarms, and among them corrupted days, each on a copy of the
lake as it is on that day.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import polars as pl

from headworks.gold.products import read_product
from headworks.quality.judgements import judgement, record_judgement
from headworks.silver.quarantine import rejected_rows
from headworks.storage.store import Lake
from tests.corruption.company import Company, Day
from tests.corruption.days import SHOP
from tests.corruption.flights import NEW_YORK
from tests.corruption.kinds import FLIGHT_KINDS, KINDS, Kind
from tests.corruption.playing import Played, copied, open_lake, play

WARM_UP = 30
"""Clean days before anything is judged."""


COMPANIES = {"shop": (SHOP, KINDS), "flights": (NEW_YORK, FLIGHT_KINDS)}


@dataclass(frozen=True)
class Verdict:
    """What became of one corrupted day."""

    kind: Kind
    strength: float
    end: str
    gold_kept: bool
    output: str

    @property
    def caught(self) -> bool:
        """It was stopped, held back row by row, or at least reported."""
        return self.end != "missed"

    @property
    def safe(self) -> bool:
        """A critical one was stopped or held back; any that was stopped left gold as it was."""
        return self.gold_kept and (self.kind.severity == "warning" or self.end in {"stopped", "held back"})


@dataclass
class Results:
    """All that a campaign found."""

    company: Company = SHOP
    verdicts: list[Verdict] = field(default_factory=list)
    clean: int = 0
    false_alarms: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """The share of corrupted days that were caught."""
        return sum(one.caught for one in self.verdicts) / max(len(self.verdicts), 1)

    @property
    def alarm_rate(self) -> float:
        """The share of clean days with an alarm."""
        return len(self.false_alarms) / max(self.clean, 1)

    def succeeded(self) -> bool:
        """Return whether the campaign's aims were reached."""
        quiet = self.company.real or self.alarm_rate <= 0.02
        return self.recall >= 0.95 and quiet and all(one.safe for one in self.verdicts)


@dataclass(frozen=True)
class History:
    """A lake after its clean days, the last of these, and the days that come."""

    company: Company
    lake: Lake
    last: Day
    coming: tuple[Day, ...]


def history(folder: Path, seed: int, clean: int, warm_up: int = WARM_UP, company: Company = SHOP) -> History:
    """Play the clean days before anything is judged."""
    lake, lived = open_lake(folder / "lake"), list(company.days(seed, warm_up + max(clean, 1)))
    for day in lived[:warm_up]:
        _played(company, lake, day)
    return History(company, lake, lived[warm_up - 1], tuple(lived[warm_up:]))


def run(
    folder: Path, past: History, seed: int, clean: int, kinds: Sequence[Kind] = KINDS, strengths: int = 3
) -> Results:
    """Play ``clean`` clean days after a history, with the corrupted days spread among them."""
    company, lake, before = past.company, past.lake, past.last
    results = Results(company)
    todo = [(kind, one) for kind in kinds for one in kind.strengths[-strengths:]]
    for number, day in enumerate(past.coming[: max(clean, 1)]):
        share = todo[number :: max(clean, 1)]
        for place, (kind, strength) in enumerate(share):
            there = copied(lake, folder / f"{number}-{place}")
            results.verdicts.append(_judge(company, there, day, before, kind, strength, seed + number))
            shutil.rmtree(there.settings.root)
        if clean:
            _clean(company, lake, day, results)
        before = day
        print(
            f"{company.name}, day {number + 1}: {len(results.verdicts)} of {len(todo)} corrupted",
            file=sys.stderr,
        )
    return results


def _played(company: Company, lake: Lake, day: Day) -> Played:
    """Play a clean day; a false alarm that stops it is accepted, as a person would, so that the next is a new day."""
    played, moment = play(company, lake, day.frames, day.ends, f"clean-{day.number}"), day.ends
    last = played
    for number in range(5):
        if last.stopped is None:
            break
        _accept(lake, last.stopped.scope, day)
        moment += timedelta(minutes=1)
        nothing = {name: frame.head(0) for name, frame in day.frames.items()}
        last = play(company, lake, nothing, moment, f"clean-{day.number}-{number}")
    return played


def _accept(lake: Lake, scope: str, day: Day) -> None:
    start, end = day.ends - timedelta(hours=24), day.ends + timedelta(hours=1)
    said = judgement(
        verdict="accept",
        scope=scope,
        start=start,
        end=end,
        reason="a clean day",
        by="campaign",
        decided_at=end,
    )
    record_judgement(lake, said)


def _clean(company: Company, lake: Lake, day: Day, results: Results) -> None:
    played = _played(company, lake, day)
    results.clean += 1
    if played.alarms or played.stopped:
        output = "; ".join(f"{one.scope} {one.name} {one.outcome}: {one.detail}" for one in played.alarms)
        results.false_alarms.append(f"{day.ends.date()}: {output or played.report.message}")


def _judge(
    company: Company, there: Lake, day: Day, before: Day, kind: Kind, strength: float, seed: int
) -> Verdict:
    product = read_product(there, company.product)
    frames, touched = kind.corrupted(day.frames, before.frames, strength, seed)
    played = play(company, there, frames, day.ends, f"corrupt-{day.number}")
    kept = not played.stopped or read_product(there, company.product) == product
    return Verdict(kind, strength, _end(there, played, kind, touched), kept, _shown(played))


def _end(lake: Lake, played: Played, kind: Kind, touched: frozenset[int]) -> str:
    if played.stopped:
        return "stopped"
    rejected = rejected_rows(lake, kind.dataset, lake.open("silver", kind.dataset))
    if touched and rejected is not None:
        rows = rejected.filter(pl.col("run_id") == played.report.run_id).select("_row").collect().to_series()
        if touched <= set(rows):
            return "held back"
    return "reported" if played.alarms else "missed"


def _shown(played: Played) -> str:
    if played.stopped:
        return f"{played.stopped.scope}: {played.stopped.reasons[0]}"
    return f"{played.alarms[0].scope}: {played.alarms[0].name}" if played.alarms else ""


def output(results: Results) -> str:
    """Render what a campaign found."""
    ends = Counter((one.kind.name, one.end) for one in results.verdicts)
    lines = [f"{'kind':<34}{'dataset':<20}{'severity':<10}stopped  held back  reported  missed"]
    for kind in dict.fromkeys(one.kind for one in results.verdicts):
        counts = [ends[(kind.name, end)] for end in ("stopped", "held back", "reported", "missed")]
        lines.append(
            f"{kind.name:<34}{kind.dataset:<20}{kind.severity:<10}{counts[0]:>7}{counts[1]:>11}{counts[2]:>6}{counts[3]:>8}"
        )
    unsafe = [one for one in results.verdicts if not one.safe]
    critical = [one for one in results.verdicts if one.kind.severity == "critical"]
    lines += [
        "",
        f"{len(dict.fromkeys(one.kind for one in results.verdicts))} kinds, {len(results.verdicts)} corrupted days: "
        f"{results.recall:.1%} caught",
        f"critical: {sum(one.safe for one in critical)} of {len(critical)} stopped or held back before gold",
        f"gold unchanged in every stopped run: {'yes' if all(one.gold_kept for one in results.verdicts) else 'NO'}",
        f"{results.clean} {'days as they were' if results.company.real else 'clean days'}: "
        f"{len(results.false_alarms)} with an alarm ({results.alarm_rate:.1%})",
        *[f"  not safe: {one.kind.name} at {one.strength}: {one.end} {one.output}" for one in unsafe],
        *[f"  missed: {one.kind.name} at {one.strength}" for one in results.verdicts if not one.caught],
        *[f"  {'alarm' if results.company.real else 'false alarm'} on {one}" for one in results.false_alarms],
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign, print its table, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.corruption.campaign", description="Corrupt and catch."
    )
    parser.add_argument("--clean", type=int, default=200, help="clean days that are judged for false alarms")
    parser.add_argument(
        "--seed", type=int, default=1, help="decides the shop's life and which rows are corrupted"
    )
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="clean days before anything is judged")
    parser.add_argument("--strengths", type=int, default=3, help="how many strengths of each kind")
    parser.add_argument("--company", choices=["shop", "flights"], help="one of them alone")
    options = parser.parse_args(arguments)
    reached = True
    for name, (company, kinds) in COMPANIES.items():
        if options.company in {None, name}:
            began = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="corruption-") as folder:
                past = history(Path(folder), options.seed, options.clean, options.warm_up, company)
                results = run(Path(folder), past, options.seed, options.clean, kinds, options.strengths)
            took = time.monotonic() - began
            print(f"{company.name}\n\n{output(results)}\n\nseed {options.seed}, {took:.0f} s\n", flush=True)
            reached = reached and results.succeeded()
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
