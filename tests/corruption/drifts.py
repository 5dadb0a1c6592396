"""Slow change, and other things that no single delivery shows: leaks, a garbage start, a dead stream, few rows all bad.

Nobody acts: what is stopped stays out, and what is not is ingested. A step is made with each delivery, whatever time it
covers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from tests.corruption.company import Company, Day, Frames
from tests.corruption.fast import Delivered, Fast, remembering
from tests.corruption.faults import Ground, faults_of
from tests.corruption.shapes import Shape, closed, opened

STEPS = 15
READS, ERODED = 10, 0.049
MOST_POINTS, MOST_SHARE = 0.10, 0.20
"""How much may have moved before anybody notices: of a share in points, of a number in parts of itself."""

Drift = Callable[[Ground, Shape, int], pl.DataFrame]


@dataclass(frozen=True)
class Leak:
    """A slow change: what is done in the delivery of a step, how much has moved by then, and how much may have."""

    name: str
    change: Drift
    moved: Callable[[int], float]
    most: float


@dataclass(frozen=True)
class Noticed:
    """After which step it was reported first, how much had moved, and in how many later steps it was reported."""

    company: str
    name: str
    dataset: str
    step: int | None
    moved: float
    most: float
    open_share: float
    why: str = ""

    @property
    def fine(self) -> bool:
        """Whether it was noticed in time, and stayed noticed."""
        return self.step is not None and self.moved <= self.most + 1e-9


def _with_share(ground: Ground, share: float) -> Ground:
    return Ground(ground.rows, ground.earlier, ground.shape, share, ground.seed)


def _nulls(points: float) -> Drift:
    def change(ground: Ground, shape: Shape, step: int) -> pl.DataFrame:
        names = [one for one in shape.values() if shape.may_be_null(one)] or list(shape.values())
        rows = _with_share(ground, min(0.95, points * step))
        return rows.set(names[0], pl.lit(None, dtype=ground.rows.schema[names[0]]))

    return change


def _prices(ground: Ground, shape: Shape, step: int) -> pl.DataFrame:
    rows = _with_share(ground, 1.0)
    for name in shape.amounts:
        grown = rows.set(name, pl.col(name).cast(pl.Float64) * 1.03**step)
        rows = Ground(grown, rows.earlier, shape, 1.0, rows.seed)
    return rows.rows


def _volume(ground: Ground, _: Shape, step: int) -> pl.DataFrame:
    return ground.rows.filter(~_with_share(ground, 1 - 0.97**step).chosen)


def _category(ground: Ground, shape: Shape, step: int) -> pl.DataFrame:
    name = shape.categories[0]
    counted = ground.rows.drop_nulls(name).group_by(name).len().sort(["len", name], descending=[True, False])
    value = counted.get_column(name)[1]
    return _with_share(ground, 0.02 * step).set(name, pl.lit(value))


LEAKS = (
    Leak("nulls + 1 point", _nulls(0.01), lambda step: 0.01 * step, MOST_POINTS),
    Leak("nulls + 3 points", _nulls(0.03), lambda step: 0.03 * step, MOST_POINTS),
    Leak("prices + 3 %", _prices, lambda step: 1.03**step - 1, MOST_SHARE),
    Leak("volume - 3 %", _volume, lambda step: 1 - 0.97**step, MOST_SHARE),
    Leak("a category + 2 points", _category, lambda step: 0.02 * step, MOST_POINTS),
)


def drifts(company: Company, seed: int, warm_up: int | None = None, steps: int = STEPS) -> list[Noticed]:
    """Play every leak, the garbage start, the dead stream and the bad few, each from the same clean history."""
    with remembering():
        many = company.warm_up if warm_up is None else warm_up
        days = list(company.days(seed, many + steps))
        clean, garbled = Fast(company), Fast(company)
        for day in days[:many]:
            clean.deliver(day.frames, day.ends, accept=True)
        past = [day.frames for day in days[:many] if any(frame.height for frame in day.frames.values())]
        shape = _largest(company, past[-14:])
        coming = days[many:]
        found = [_leak(clean, shape, leak, coming, past, seed) for leak in LEAKS if _fits(leak, shape)]
        found.append(_dead(clean, shape, coming))
        found += [
            _few(clean, shape, coming[0], many_bad, rows) for many_bad, rows in ((49, 49), (12, 12), (30, 40))
        ]
        found.append(_garbage(garbled, shape, days[:many], coming[0], seed))
        if not shape.dataset.fields:
            found.append(_eroded(Fast(company), shape, days, seed, min(steps, len(days) - READS)))
        return found


def _fits(leak: Leak, shape: Shape) -> bool:
    return bool(shape.categories) if leak.change is _category else bool(shape.amounts)


def _largest(company: Company, past: Sequence[Frames]) -> Shape:
    shapes = {one.dataset: one.shape for one in faults_of(company, past)}
    rows = {name: sum(frames[name].height for frames in past) for name in shapes}
    return shapes[max(rows, key=lambda name: (bool(shapes[name].amounts), rows[name]))]


def _leak(
    clean: Fast, shape: Shape, leak: Leak, coming: Sequence[Day], past: Sequence[Frames], seed: int
) -> Noticed:
    there, name = clean.copied(), shape.dataset.name
    said: list[tuple[int, str]] = []
    for step, day in enumerate(coming, start=1):
        rows = day.frames[name]
        ground = Ground(opened(shape.dataset, rows), (), shape, 1.0, seed + step)
        frames = {**day.frames, name: closed(shape.dataset, rows, leak.change(ground, shape, step))}
        output = _about(there.deliver(frames, day.ends), name)
        if output:
            said.append((step, output))
    return _noticed(clean, leak.name, name, said, leak.moved, leak.most, len(coming))


def _about(delivered: Delivered, name: str) -> str:
    """Return what was reported about one dataset; empty where nothing was."""
    gate = delivered.gates.get(name)
    if gate is None:
        return ""
    alarms = [
        f"{one.name}: {one.detail}"
        for one in gate.checks
        if one.kind == "anomaly" and one.outcome in {"warned", "failed"}
    ]
    return alarms[0] if alarms else "; ".join(gate.reasons)


def _noticed(
    clean: Fast,
    what: str,
    name: str,
    said: Sequence[tuple[int, str]],
    moved: Callable[[int], float],
    most: float,
    steps: int,
) -> Noticed:
    company = clean.company.name
    if not said:
        return Noticed(company, what, name, None, moved(steps), most, 0.0)
    first, why = said[0]
    return Noticed(company, what, name, first, moved(first), most, len(said) / (steps - first + 1), why)


def _dead(clean: Fast, shape: Shape, coming: Sequence[Day]) -> Noticed:
    """Let one stream be silent while the others flow; it must be noticed with the third delivery that lacks it."""
    there, name = clean.copied(), shape.dataset.name
    said = []
    for step, day in enumerate(coming, start=1):
        frames = {**day.frames, name: day.frames[name].clear()}
        if output := _about(there.deliver(frames, day.ends), name):
            said.append((step, output))
    return _noticed(clean, "a dead stream", name, said, float, 3.0, len(coming))


def _few(clean: Fast, shape: Shape, day: Day, bad: int, rows: int) -> Noticed:
    """Deliver few rows, of which many break a rule: a closed gate is asked for."""
    there, name = clean.copied(), shape.dataset.name
    frame = day.frames[name].head(rows)
    broken = frame.with_columns(
        pl.when(pl.int_range(pl.len()) < bad)
        .then(None)
        .otherwise(pl.col(one))
        .cast(frame.schema[one])
        .alias(one)
        for one in (shape.key if not shape.dataset.fields else ("record",))
    )
    delivered = there.deliver({**day.frames, name: broken}, day.ends)
    gate = delivered.gates.get(name)
    closed_gate = gate is not None and not gate.open
    said = [(1, "; ".join(gate.reasons))] if gate is not None and closed_gate else []
    return _noticed(clean, f"{bad} of {rows} rows rejected", name, said, lambda _: 0.0, 0.0, 1)


def _garbage(fast: Fast, shape: Shape, history: Sequence[Day], day: Day, seed: int) -> Noticed:
    """Let the third delivery of all be garbage; after the cold start a strong fault must be stopped all the same."""
    name = shape.dataset.name
    past = [one.frames for one in history if one.frames[name].height]
    faults = [one for one in faults_of(fast.company, past[-14:]) if one.dataset == name]
    garbage = [
        one
        for one in faults
        if one.form.name in {"another unit", "one value for all", "nulls"} and one.variant == 0
    ]
    strong = next(one for one in faults if one.form.name == "another unit" and one.variant == 0)
    for number, one in enumerate(history):
        frames = one.frames
        for fault in garbage if number == 3 else ():
            frames, _ = fault.corrupted(frames, past[:1], 0.9, seed)
        fast.deliver(frames, one.ends, accept=True)
    frames, _ = strong.corrupted(day.frames, past[-1:], 0.25, seed)
    delivered = fast.deliver(frames, day.ends)
    said = [(1, delivered.stopped[0])] if delivered.stopped else []
    return _noticed(fast, "garbage in the cold start", name, said, lambda _: 0.0, 0.0, 1)


def _eroded(fast: Fast, shape: Shape, days: Sequence[Day], seed: int, steps: int) -> Noticed:
    """Read all there is each time; from some read on each lacks 4.9 % more of it, which no single read makes much."""
    name = shape.dataset.name
    before = [one.name for one in fast.company.datasets]
    parents = before[: before.index(name)]
    rows = days[0].frames[name].clear()
    said: list[tuple[int, str]] = []
    for number, day in enumerate(days[: READS + steps]):
        step = number - READS + 1
        if step > 0:
            kept = pl.int_range(pl.len()).hash(seed + number).rank("ordinal") > pl.len() * ERODED
            rows = rows.filter(kept)
        rows = pl.concat([rows, day.frames[name]]).unique(list(shape.key), keep="last", maintain_order=True)
        if parents:
            fast.deliver(day.frames, day.ends, datasets=parents, accept=True)
        delivered = fast.deliver(
            {**day.frames, name: rows}, day.ends, datasets=[name], accept=step <= 0, full=True
        )
        deletions = [one for one in delivered.alarms if "delet" in one.name]
        if step > 0 and deletions:
            said.append((step, f"{deletions[0].name}: {deletions[0].detail}"))
    return _noticed(
        fast, "full reads - 4.9 %", name, said, lambda step: 1 - (1 - ERODED) ** step, MOST_SHARE, steps
    )


def drifts_table(found: Sequence[Noticed]) -> list[str]:
    """Return after which step each slow change was noticed, and how much had moved."""
    lines = [
        f"{'slow change':<28}{'company':<24}{'noticed after':>14}{'moved':>8}{'aim':>7}{'stays open':>12}"
    ]
    for one in found:
        step = "never" if one.step is None else f"step {one.step}"
        mark = "" if one.fine else "  MISSED"
        lines.append(
            f"{one.name:<28}{one.company:<24}{step:>14}{one.moved:>8.2f}{one.most:>7.2f}{one.open_share:>12.0%}{mark}"
        )
    return lines
