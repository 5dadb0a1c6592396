"""What is asked of a delivery as long as too few good ones are known: strict rules of its own, without statistics.

Content that is damaged in itself is reported at once. With what few deliveries there are only gross differences count,
so that an odd first one closes no gate for long. None of it says that a delivery is unlike good ones, so one that only
warned here is among the good ones later, where medians make little of a single odd one.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, inf, log
from statistics import median

from headworks.quality.findings import Compared, Finding
from headworks.quality.profiles import ColumnProfile, Profile

COLD = "cold start: "
"""What the names of these checks begin with."""

_DAMAGED = ("mojibake", "replaced", "placeholder")
"""Not moments in the future: what is due, or valid until, lies there in good rows."""
_DAMAGE = (0.2, 0.6)
_NULLS = (0.3, 0.9)
_LEVEL = (log(5), log(30))
_VOLUME = (log(5), log(12))
_NEW = (0.5, 2.0)


def cold_findings(compared: Compared) -> Iterator[Finding]:
    """Look at damage, and at gross differences from the deliveries that there are."""
    here = compared.profile
    seen = [one for one in compared.baseline.profiles if one.rows]
    yield from _volume(here, seen)
    if here.rows < compared.limits.rows:
        return
    for column in here.columns:
        filled = here.rows - column.nulls
        for kind in _DAMAGED:
            share = column.damage.get(kind, 0) / max(filled, 1)
            check = f"{COLD}{kind} in {column.name}"
            yield Finding(
                check, share, 0.0, share, *_DAMAGE, f"{kind} in {share:.0%} of the values of {column.name}"
            )
        there = [(one, mine) for one in seen if (mine := one.column(column.name)) is not None]
        if there:
            yield from _column(here, column, there)


def _volume(here: Profile, seen: list[Profile]) -> Iterator[Finding]:
    # Of a range too short to say how long it is, rows are counted, and those are no rows of a day.
    alike = [one for one in seen if (one.days is None) == (here.days is None)]
    rates = [one.landed / (one.days or 1.0) for one in alike if one.landed]
    rate = here.landed / (here.days or 1.0)
    if len(rates) < 2 or not rate:
        return
    expected = median(rates)
    warn, stop = _VOLUME
    whole = here.kind == "whole"
    if whole and rate > expected:
        # A young table grows by leaps while its history is loaded in pieces: that is no reason to stop the load.
        stop = inf
    yield Finding(
        f"{COLD}volume", rate, expected, log(rate / expected), warn, stop,
        f"{rate:,.0f} rows{'' if whole else ' a day'}, {len(rates)} runs before had {expected:,.0f}",
    )  # fmt: skip


def _column(
    here: Profile, column: ColumnProfile, there: list[tuple[Profile, ColumnProfile]]
) -> Iterator[Finding]:
    nulls, usual = column.nulls / here.rows, median(mine.nulls / one.rows for one, mine in there)
    yield Finding(
        f"{COLD}nulls in {column.name}", nulls, usual, nulls - usual, *_NULLS,
        f"{nulls:.0%} nulls in {column.name}, {usual:.0%} in {len(there)} runs before",
    )  # fmt: skip
    means = [mine.mean for _, mine in there if mine.mean is not None and mine.mean > 0]
    # What may be negative, such as a delay, has a mean of any sign: no factor says how far it is from another.
    signed = any(mine.negatives for _, mine in there)
    measured = column.kind == "number" and not column.identifier and not signed
    if measured and column.mean is not None and len(means) > 1:
        expected = median(means)
        apart = log(max(column.mean, expected * exp(-6)) / expected)
        yield Finding(
            f"{COLD}mean of {column.name}", column.mean, expected, apart, *_LEVEL,
            f"the mean of {column.name} is {column.mean:,.4g}, {expected:,.4g} in {len(means)} runs before",
        )  # fmt: skip
    values = [set(mine.categories) for _, mine in there if mine.categories]
    if column.categories and len(values) > 1 and not column.identifier:
        known = set().union(*values)
        new = sum(count for value, count in column.categories.items() if value not in known) / max(
            sum(column.categories.values()), 1
        )
        yield Finding(
            f"{COLD}new values of {column.name}", new, 0.0, new, *_NEW,
            f"{new:.0%} of the values of {column.name} were in none of {len(values)} runs before",
        )  # fmt: skip
