"""The statistics of the gate alone: a company's clean life, and its faults at every strength, in memory.

Clean deliveries are judged after the warm-up; what is stopped in vain is ingested, as a person would. Each fault is
played on a copy of what there is at one of the clean deliveries, spread among them.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tests.corruption.company import Company, Day, Frames
from tests.corruption.fast import Delivered, Fast, remembering
from tests.corruption.faults import STRENGTHS, Fault, faults_of

PAST = 3
"""So many earlier deliveries a fault may take rows from."""


@dataclass(frozen=True)
class Verdict:
    """What became of a delivery with a fault."""

    fault: Fault
    strength: str
    delivery: int
    end: str
    why: str = ""

    @property
    def held(self) -> bool:
        """Whether it was stopped, or every row that was touched was held back."""
        return self.end in {"stopped", "held back"}

    @property
    def noticed(self) -> bool:
        """Whether anybody heard of it."""
        return self.end != "missed"


@dataclass
class Measured:
    """All that was measured of one company."""

    company: str
    seed: int = 0
    clean: int = 0
    stopped: list[str] = field(default_factory=list)
    alarmed: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


def measure(
    company: Company,
    seed: int,
    clean: int,
    faults: int | None = None,
    only: str = "",
    warm_up: int | None = None,
) -> Measured:
    """Measure ``clean`` clean deliveries of a company, and its faults: all, or a seeded choice of so many."""
    with remembering():
        return _measure(company, seed, clean, faults, only, warm_up or company.warm_up)


def _measure(
    company: Company, seed: int, clean: int, faults: int | None, only: str, warm_up: int
) -> Measured:
    found, fast = Measured(company.name, seed), Fast(company)
    past: deque[Frames] = deque(maxlen=14)
    todo: list[tuple[Fault, str]] = []
    for day in company.days(seed, warm_up + clean):
        if day.number == warm_up:
            todo = _chosen(faults_of(company, list(past)), seed, faults, only)
        number = day.number - warm_up
        for fault, strength in todo[number :: max(clean, 1)] if number >= 0 else ():
            found.verdicts += _judged(fast, fault, strength, day, list(past), seed)
        delivered = fast.deliver(day.frames, day.ends, accept=True)
        if number >= 0 and any(frame.height for frame in day.frames.values()):
            _count(found, day, delivered)
        if any(frame.height for frame in day.frames.values()):
            past.append(day.frames)
        if day.number % 50 == 0:
            print(f"{company.name}: delivery {day.number} of {warm_up + clean}", file=sys.stderr, flush=True)
    return found


def _chosen(faults: Sequence[Fault], seed: int, most: int | None, only: str) -> list[tuple[Fault, str]]:
    every = [(one, strength) for one in faults for strength in one.form.strengths if only in one.name]
    Random(seed).shuffle(every)
    return every if most is None else every[:most]


def _count(found: Measured, day: Day, delivered: Delivered) -> None:
    found.clean += 1
    if delivered.stopped:
        found.stopped.append(f"{day.number} ({day.ends:%Y-%m-%d %H:%M}): {'; '.join(delivered.stopped)}")
    if delivered.alarms or delivered.stopped:
        said = [f"{one.scope} {one.name} {one.outcome}: {one.detail}" for one in delivered.alarms]
        found.alarmed.append(
            f"{day.number} ({day.ends:%Y-%m-%d %H:%M}): {'; '.join(said or delivered.stopped)}"
        )


def _judged(
    fast: Fast, fault: Fault, strength: str, day: Day, past: Sequence[Frames], seed: int
) -> list[Verdict]:
    """Play a fault on a copy; nothing comes of one that changes nothing on that day."""
    if day.frames[fault.dataset].is_empty():
        return []
    earlier = [one for one in reversed(past) if one[fault.dataset].height][:PAST]
    frames, touched = fault.corrupted(day.frames, earlier, STRENGTHS[strength], seed + day.number)
    if frames[fault.dataset].equals(day.frames[fault.dataset]):
        return []
    there = fast.copied()
    before = [one.name for one in fast.company.datasets]
    parents = before[: before.index(fault.dataset)]
    if parents:
        there.deliver(day.frames, day.ends, datasets=parents, accept=True)
    delivered = there.deliver(frames, day.ends, datasets=[fault.dataset])
    return [Verdict(fault, strength, day.number, *_end(delivered, fault.dataset, touched))]


def _end(delivered: Delivered, dataset: str, touched: frozenset[int]) -> tuple[str, str]:
    if delivered.stopped:
        return "stopped", delivered.stopped[0]
    if touched and touched <= delivered.rejected.get(dataset, frozenset()):
        return "held back", "row by row"
    alarms = [f"{one.name}: {one.detail}" for one in delivered.alarms]
    return ("noticed", alarms[0]) if alarms else ("missed", "")
