"""Anomalies of single columns: nulls, damaged text, signs, different values, numbers out of bounds, distributions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import inf, log, sqrt
from statistics import median

from headworks.quality.findings import (
    SURE,
    Compared,
    Finding,
    Seen,
    level_finding,
    share_finding,
    shift_finding,
)
from headworks.quality.profiles import MOST_CATEGORIES, ColumnProfile, Profile
from headworks.quality.statistics import coarse, regrouped, sigmas_for, spread

_FAR_BINS = 3
"""Three bins are a factor of about two."""

_COMPARABLE = 1.6
"""Different values are compared between candidates whose sizes differ by no more than this factor."""

_QUANTILES = ((0, "1 %"), (1, "5 %"), (3, "50 %"), (5, "95 %"), (6, "99 %"))
"""Where these quantiles are in a column's profile."""

_HANDFUL = 5
"""Checks that even so few rows can fail need no more."""

_NAMES = 0.5
"""Where more than every other row has a value of its own, these are names."""

_MANY_PAIRS = 4
"""Of the twelve pairs of hours of a day: office hours have as many."""

_OUTGROWN = 2
_LOWEST = -5.0
"""The logarithm that represents a positive number that became none."""

_FAR_ALONE = (log(10), log(100))
"""A single value this far beyond all seen before warns, and stops."""


class _Column:
    """One column of a candidate, with the same column of the good runs in which it had enough rows."""

    def __init__(self, compared: Compared, column: ColumnProfile) -> None:
        self.compared, self.here, self.limits = compared, column, compared.limits
        self.rows = compared.profile.rows
        self.filled = self.rows - column.nulls

    def seen(self, check: str, *, rows: int | None = None) -> list[tuple[Profile, ColumnProfile]]:
        """Return each good run with at least ``rows`` rows and its column; empty where there are too few."""
        least = self.limits.rows if rows is None else rows
        found = [
            (profile, column)
            for profile in self.compared.like(check)
            if profile.rows >= least
            and (column := profile.column(self.here.name)) is not None
            and column.dtype == self.here.dtype
        ]
        return found if len(found) >= self.compared.needed else []

    def share(
        self,
        check: str,
        hits: int,
        counted: Callable[[ColumnProfile], int],
        *,
        of_filled: bool = True,
        vanishing: bool = False,
    ) -> Iterator[Finding]:
        """Compare a share of the rows, or of those with a value."""
        if seen := self.seen(check):
            shares = [
                (one.as_of, counted(column) / max(one.rows - (column.nulls if of_filled else 0), 1))
                for one, column in seen
            ]
            rows = self.filled if of_filled else self.rows
            yield share_finding(self.compared, check, hits, rows, shares, check, vanishing=vanishing)


def null_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the share of nulls of each column."""
    for column in _columns(compared):
        check = f"nulls in {column.here.name}"
        yield from column.share(check, column.here.nulls, lambda one: one.nulls, of_filled=False)


def damage_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the shares of damaged text: mojibake, replacement characters, blanks, padding, placeholders, numbers."""
    for column in _columns(compared):
        for kind, hits in column.here.damage.items():
            yield from column.share(f"{kind} in {column.here.name}", hits, partial(_damaged, kind))


def _damaged(kind: str, column: ColumnProfile) -> int:
    return column.damage.get(kind, 0)


def sign_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the shares of negative numbers and of zeros."""
    for column in _measures(compared, rows=None):
        name = column.here.name
        yield from column.share(
            f"negatives in {name}", column.here.negatives, lambda one: one.negatives, vanishing=True
        )
        yield from column.share(f"zeros in {name}", column.here.zeros, lambda one: one.zeros, vanishing=True)


def distinct_findings(compared: Compared) -> Iterator[Finding]:
    """Compare how many different values a column has: of a reference these are the rows that share a parent."""
    for column in _columns(compared):
        here, check = column.here, f"distinct values of {column.here.name}"
        seen = [(one, there) for one, there in column.seen(check) if there.distinct]
        if not here.distinct or len(seen) < compared.needed:
            continue
        if not 1 / _COMPARABLE <= column.rows / median(one.rows for one, _ in seen) <= _COMPARABLE:
            continue  # of more rows fewer are different; the constant column is looked for apart
        few = median(there.distinct for _, there in seen) <= MOST_CATEGORIES
        values: Seen = [
            (one.as_of, log(there.distinct if few else there.distinct / one.rows)) for one, there in seen
        ]
        value = log(here.distinct if few else here.distinct / column.rows)
        text = f"{here.name} has {here.distinct:,} different values in {column.rows:,} rows"
        if few:
            text += f", usually {median(there.distinct for _, there in seen):,.0f}"
        yield level_finding(
            compared, check, value, values, column.limits.at("distinct"), column.limits.at("distinct_stop"), text,
            shown=(here.distinct, _usual(seen, column.rows, few)), noise=here.distinct**-0.5 if few else 0.0,
        )  # fmt: skip


def prevalence_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the share of the commonest value, where values are many: one customer for half of all orders."""
    for column in _columns(compared):
        here = column.here
        shares = here.categories is not None and not here.identifier
        if here.kind == "other" or shares or column.filled < column.limits.rows:
            continue
        yield from column.share(f"commonest value of {here.name}", here.top, lambda one: one.top)


def mean_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the mean of each column of numbers, of positive ones as a factor: a changed unit shows here."""
    for column in _measures(compared):
        here, check = column.here, f"mean of {column.here.name}"
        seen = [
            (one, there.mean) for one, there in column.seen(check, rows=_HANDFUL) if there.mean is not None
        ]
        if here.mean is None or len(seen) < compared.needed:
            continue
        yield _numbers_apart(
            column, check, here.mean, [(one, mean) for one, mean in seen if mean is not None], "mean"
        )


def tail_findings(compared: Compared) -> Iterator[Finding]:
    """Compare quantiles, those of positive numbers as factors: a unit changed in a few rows moves the outer ones far.

    The mean hides such rows where it varies much, and few of them are no share of outliers.
    """
    for column in _measures(compared, rows=None):
        for place, name in _QUANTILES:
            check = f"{name} quantile of {column.here.name}"
            seen = [(one, there.quantiles[place]) for one, there in column.seen(check) if there.quantiles]
            if column.here.quantiles and len(seen) >= compared.needed and column.filled >= column.limits.rows:
                value = column.here.quantiles[place]
                found = _numbers_apart(column, check, value, seen, "tail")
                yield replace(found, distance=0.0) if _by_chance(column, check, place, value) else found


_POINTS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def _by_chance(column: _Column, check: str, place: int, value: float) -> bool:
    """Return whether a quantile lies where chance alone may put it: between usual quantiles of ranks around its own.

    Where values have a gap, such as the one between what was paid back and what was paid, a few rows more on one side
    move a quantile all the way across.
    """
    there = [one for _, one in column.seen(check) if one.quantiles]
    expected = median(one.quantiles[place] for one in there)
    if (
        value.is_integer()
        and abs(value - expected) <= 1
        and all(one.quantiles[place].is_integer() for one in there)
    ):
        return True  # of counts the next number is no far step
    rows, point = min(column.filled, column.compared.profile.rows), _POINTS[place]
    apart = sigmas_for(column.compared.chance, len(there)) * sqrt(point * (1 - point) / max(rows, 1))
    usual = [median(one.quantiles[at] for one in there) for at in range(len(_POINTS))]
    ends = [(one.low, one.high) for one in there if one.low is not None and one.high is not None]
    ranks = [0.0, *_POINTS, 1.0]
    values = [median(low for low, _ in ends), *usual, median(high for _, high in ends)]
    low, high = (_between(ranks, values, min(max(point + one, 0.0), 1.0)) for one in (-apart, apart))
    return low <= value <= high


def _between(ranks: Sequence[float], values: Sequence[float], rank: float) -> float:
    for (one, low), (other, high) in pairwise(zip(ranks, values, strict=True)):
        if rank <= other:
            return low + (high - low) * (rank - one) / (other - one)
    return values[-1]


def _numbers_apart(
    column: _Column, check: str, value: float, seen: Sequence[tuple[Profile, float]], limit: str
) -> Finding:
    """Compare numbers as factors where all are positive, and otherwise in widths of the middle half of the values."""
    expected = median(number for _, number in seen)
    text = f"{check} is {value:,.4g}, usually {expected:,.4g}"
    limits = (column.limits.at(limit), column.limits.at(f"{limit}_stop"))
    shown = (value, expected)
    if min(number for _, number in seen) > 0:
        level = max(log(value), log(expected) + _LOWEST) if value > 0 else log(expected) + _LOWEST
        points = [(one.as_of, log(number)) for one, number in seen]
        return level_finding(column.compared, check, level, points, *limits, text, shown=shown)
    width = _width(column, check) or abs(expected) or 1.0
    points = [(one.as_of, number / width) for one, number in seen]
    return level_finding(column.compared, check, value / width, points, *limits, text, shown=shown)


def _width(column: _Column, check: str) -> float:
    """Return how wide the middle half of a column's values usually is, or how far its outer ones are apart."""
    there = [one.quantiles for _, one in column.seen(check, rows=_HANDFUL) if one.quantiles]
    middle = median(one[4] - one[2] for one in there) if there else 0.0
    return middle or (median(one[6] - one[0] for one in there) if there else 0.0)


def outlier_findings(compared: Compared) -> Iterator[Finding]:
    """Count the numbers that lie beyond twice the largest, or below half the smallest, that good runs ever had."""
    for column in _columns(compared, rows=_HANDFUL):
        here, check = column.here, f"outliers in {column.here.name}"
        if here.kind != "number":
            continue
        seen = [one.bins for _, one in column.seen(check, rows=_HANDFUL) if one.bins]
        if len(seen) < compared.needed:
            continue
        low = min(min(bins) for bins in seen) - _FAR_BINS
        high = max(max(bins) for bins in seen) + _FAR_BINS
        far = sum(count for bin_, count in here.bins.items() if not low <= bin_ <= high)
        share, few = far / max(column.filled, 1), min(3 / max(column.filled, 1), 0.25)
        warn, stop = (max(column.limits.at(name), few) for name in ("outliers", "outliers_stop"))
        yield Finding(
            check, share, 0.0, share, warn, stop,
            f"{far:,} of {column.filled:,} values of {here.name} are far out of all seen before",
        )  # fmt: skip


def extreme_findings(compared: Compared) -> Iterator[Finding]:
    """Look for single values far beyond all that good runs had, and name their row: one amount times a thousand."""
    for column in _measures(compared):
        here, check = column.here, f"largest value of {column.here.name}"
        seen = [_size(one) for _, one in column.seen(check, rows=_HANDFUL) if one.high is not None]
        size = _size(here)
        if len(seen) < compared.needed or here.high is None or max(seen) <= 0 or size <= 0:
            continue
        logs = [log(one) for one in seen if one > 0]
        # Of a heavy tail the largest values of days differ much: a new largest one is then no wonder.
        usual = 4 * spread(logs) + max((b - a for a, b in pairwise(sorted(logs))), default=0.0)
        warn, stop = (max(limit, usual) for limit in _FAR_ALONE)
        low = here.low is not None and -here.low > here.high
        value, key = (here.low, here.low_key) if low else (here.high, here.high_key)
        named = f" in the row {key}" if key else ""
        yield Finding(
            check, value or 0.0, max(seen), max(log(size / max(seen)), 0.0), warn, stop,
            f"{value:,.6g}{named} is {size / max(seen):,.1f} times the largest of {len(seen)} good runs", tuple(seen),
            drawn=size,
        )  # fmt: skip


def _size(column: ColumnProfile) -> float:
    return max(abs(column.high or 0.0), abs(column.low or 0.0))


def shift_findings(compared: Compared) -> Iterator[Finding]:
    """Compare distributions: of numbers, categories, lengths of text, hours of the day, hours before the cursor."""
    for column in _columns(compared):
        here = column.here
        if column.filled < column.limits.rows or (here.identifier and here.kind != "text"):
            continue
        if here.hours:
            check = f"hours of {here.name}"
            hours = [_named(one.hours) for _, one in column.seen(check) if one.hours]
            if len(hours) >= compared.needed and _spans_days(hours):
                yield shift_finding(compared, check, _named(here.hours), hours, check)
        check = f"distribution of {here.name}"
        seen = [one for _, one in column.seen(check)]
        usual = [one.categories for one in seen if one.categories is not None]
        if here.categories is not None and not here.identifier and len(usual) == len(seen) > 0:
            yield shift_finding(compared, check, here.categories, usual, check)
        elif here.bins and (histograms := [one.bins for one in seen if one.bins]):
            bins = coarse(histograms)
            there = [regrouped(one, bins) for one in histograms]
            text = {"text": f"lengths of {here.name}", "number": check}.get(here.kind, f"lag of {here.name}")
            yield shift_finding(compared, check, regrouped(here.bins, bins), there, text)


def _spans_days(seen: Sequence[Mapping[str, int]]) -> bool:
    """Return whether deliveries usually have rows in many hours of the day.

    A delivery of an hour has that hour, and the next one has another: of a table that is delivered hourly 17 of 40
    clean hours were alarmed. How late its rows are is looked at by their age.
    """
    return median(sum(count > 0 for count in one.values()) for one in seen) >= _MANY_PAIRS


def category_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the share of each value, where these are few, and look for those that are missing altogether."""
    for column in _columns(compared):
        here = column.here
        if here.categories is None or here.identifier or column.filled < column.limits.rows:
            continue
        check = f"missing values of {here.name}"
        seen = [(one, there.categories, one.rows - there.nulls) for one, there in column.seen(check)]
        usual = [(one, counts, rows) for one, counts, rows in seen if counts is not None and rows]
        if len(usual) < max(compared.needed, len(seen)):
            continue
        missing: list[str] = []
        lost = 0.0
        for name in sorted({value for _, counts, _ in usual for value in counts}):
            shares = [(one.as_of, counts.get(name, 0) / rows) for one, counts, rows in usual]
            expected = compared.expects(shares).center
            # Rare ones come and go; and a value that is sometimes not there is not missing.
            if expected * column.filled < _HANDFUL:
                continue
            hits = here.categories.get(name, 0)
            if not hits and expected * column.filled >= SURE and all(share > 0 for _, share in shares):
                missing.append(f"{name!r} (usually {expected:.1%})")
                lost += expected
            least = max(column.limits.at("share") / 4, min(1.5 * column.limits.at("share"), expected / 2))
            stop = max(least * 1.5, min(2 * column.limits.at("share_stop"), 0.75 * expected))
            yield share_finding(
                compared, f"share of {name!r} in {here.name}", hits, column.filled, shares,
                f"rows with {name!r} in {here.name}", warn=least, stop=stop,
            )  # fmt: skip
        yield Finding(
            check, len(missing), 0, float(bool(missing)) * (1 + lost), 0.5, 1 + column.limits.at("share"),
            f"{here.name} has no more {', '.join(missing[:3])}" if missing else check,
        )  # fmt: skip


def parent_findings(compared: Compared) -> Iterator[Finding]:
    """Look for parents of which each good run had rows and this one has none, where parents are few.

    One of them may have ended; several at once, with much of the rows, have not.
    """
    for column in _columns(compared):
        here, check = column.here, f"parents missing in {column.here.name}"
        if not here.identifier or not here.categories:
            continue
        seen = [(one, there.categories, one.rows - there.nulls) for one, there in column.seen(check)]
        usual = [(one, counts, rows) for one, counts, rows in seen if counts and rows]
        if len(usual) < max(compared.needed, len(seen)):
            continue
        shares = {
            name: median(counts.get(name, 0) / rows for _, counts, rows in usual)
            for name in {value for _, counts, _ in usual for value in counts}
        }

        def missing(counts: Mapping[str, int], shares: Mapping[str, float] = shares) -> float:
            return sum(share for name, share in shares.items() if not counts.get(name))

        gone = [
            name for name in sorted(shares, key=lambda name: -shares[name]) if name not in here.categories
        ]
        lost = missing(here.categories)
        found = share_finding(
            compared, check, round(lost * column.filled), column.filled,
            [(one.as_of, missing(counts)) for one, counts, _ in usual],
            f"usual rows of parents in {here.name} that have none ({', '.join(gone[:3])})",
        )  # fmt: skip
        several = sum(shares[name] > 0 for name in gone) > 1
        yield replace(found, distance=max(found.distance, 0.0), stop=found.stop if several else inf)


def novelty_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the share of rows whose category no good run ever had."""
    for column in _columns(compared):
        here, check = column.here, f"new values of {column.here.name}"
        seen = [one.categories for _, one in column.seen(check)]
        if here.kind != "text" or here.identifier or not seen or any(one is None for one in seen):
            continue
        # A name of each row is no set of values, however few rows there are; and a set may outgrow what is kept of it.
        named = max(sum(1 for _ in one or ()) / max(sum((one or {}).values()), 1) for one in seen) > _NAMES
        if named or (here.categories is None and here.distinct <= _OUTGROWN * MOST_CATEGORIES):
            continue
        known = {value for one in (*seen, *_let_through(column)) for value in one or ()}
        if here.categories is None:
            hits, text = (
                column.filled,
                f"{here.name} has {here.distinct:,} values, where it had {len(known)} before",
            )
        else:
            new = [name for name in here.categories if name not in known]
            hits = sum(here.categories[name] for name in new)
            text = f"{check} ({', '.join(repr(name) for name in new[:3])})" if new else check
        share, few = hits / max(column.filled, 1), 4 / max(column.filled, 1)
        counted = [one for one in seen if one is not None]
        usual = 2 * _usually_new(counted)
        warn, stop = (max(column.limits.at(name), few, usual) for name in ("share", "share_stop"))
        if _is_settled(counted):
            # A set that has had no new value for thousands of rows: a single row with one is worth a word.
            warn = min(warn, 0.5 / max(column.filled, 1))
        yield Finding(
            check, share, 0.0, share, warn, max(stop, 1.2 * warn), f"{text}: {share:.1%} of {column.filled:,} rows"
        )  # fmt: skip


def _is_settled(seen: Sequence[Mapping[str, int]]) -> bool:
    """Return whether the newer half of the good runs had no value that the older half did not have, in many rows."""
    half = len(seen) // 2
    older = {value for one in seen[:half] for value in one}
    rows = sum(count for one in seen[half:] for count in one.values())
    return rows >= _MANY_ROWS and all(value in older for one in seen[half:] for value in one)


_MANY_ROWS = 2_000


def _usually_new(seen: Sequence[Mapping[str, int]]) -> float:
    """Return the share of values that were in one good run alone, of the run with the second most of them.

    Few rows of free text have few values as well, and all of them are new each time.
    """
    runs = Counter(value for one in seen for value in one)
    shares = sorted(
        sum(count for value, count in one.items() if runs[value] == 1) / max(sum(one.values()), 1)
        for one in seen
    )
    return shares[-2] if len(shares) > 1 else shares[-1]


def _let_through(column: _Column) -> Iterator[dict[str, int]]:
    """Yield the values of runs that were let through with a warning: a new value is reported once, and then known."""
    for profile in column.compared.baseline.recent:
        there = profile.column(column.here.name)
        if there is not None and there.categories is not None:
            yield there.categories


def constant_findings(compared: Compared) -> Iterator[Finding]:
    """Look for columns that have one value where they always had several; a handful of rows is enough to say so."""
    for column in _columns(compared, rows=_HANDFUL):
        here, check = column.here, f"one value in {column.here.name}"
        seen = column.seen(check, rows=_HANDFUL)
        values = sorted(one.distinct for _, one in seen)
        # The second fewest: one run that was let in with one value alone says nothing about all others.
        usual = values[1 if len(values) > _HANDFUL else 0] if values else 0
        if usual >= 3 and column.filled >= _HANDFUL:
            distance = 1.0 if here.distinct == 1 else 0.0
            text = f"{here.name} has {here.distinct:,} values, good runs had at least {usual:,}"
            yield Finding(check, here.distinct, usual, distance, 0.5, 0.5, text)


def _columns(compared: Compared, *, rows: int | None = None) -> Iterator[_Column]:
    if compared.profile.rows < (compared.limits.rows if rows is None else rows):
        return
    for column in compared.profile.columns:
        yield _Column(compared, column)


def _measures(compared: Compared, rows: int | None = _HANDFUL) -> Iterator[_Column]:
    found = _columns(compared, rows=rows)
    return (one for one in found if one.here.kind == "number" and not one.here.identifier)


def _named(hours: Sequence[int]) -> dict[str, int]:
    """Return the hours in pairs: single hours are too few rows each."""
    return {str(hour): hours[hour] + hours[hour + 1] for hour in range(0, 24, 2)}


def _usual(seen: Sequence[tuple[Profile, ColumnProfile]], rows: int, few: bool) -> float:
    return median(there.distinct if few else there.distinct / one.rows * rows for one, there in seen)
