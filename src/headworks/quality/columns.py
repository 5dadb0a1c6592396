"""Anomalies of single columns: nulls, damaged text, different values, numbers out of bounds, shifted distributions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from statistics import median

from headworks.quality.findings import Compared, Finding, level_finding, share_finding, shift_finding
from headworks.quality.profiles import MOST_CATEGORIES, ColumnProfile
from headworks.quality.statistics import coarse, pooled, regrouped, spread

_FAR_BINS = 3
"""Three bins are a factor of about two."""

_COMPARABLE = 1.6
"""Different values are compared between candidates whose sizes differ by no more than this factor."""

_TAILS = ((5, "95 %"), (6, "99 %"))
"""Where these quantiles are in a column's profile."""

_HANDFUL = 5
"""Checks that even so few rows can fail need no more."""


class _Column:
    """One column of a candidate, with the same column of the good runs in which it had enough rows."""

    def __init__(self, compared: Compared, column: ColumnProfile) -> None:
        self.compared, self.here, self.limits = compared, column, compared.limits
        self.rows = compared.profile.rows
        self.filled = self.rows - column.nulls

    def seen(self, check: str, *, rows: int | None = None) -> list[tuple[int, ColumnProfile]]:
        """Return (rows, column) of each good run with at least ``rows`` rows; empty where there are too few."""
        least = self.limits.rows if rows is None else rows
        found = [
            (profile.rows, column)
            for profile in self.compared.good(check)
            if profile.rows >= least
            and (column := profile.column(self.here.name)) is not None
            and column.dtype == self.here.dtype
        ]
        return found if len(found) >= self.limits.good_runs else []


def null_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the share of nulls of each column."""
    for column in _columns(compared):
        check = f"nulls in {column.here.name}"
        if seen := column.seen(check):
            shares = [one.nulls / rows for rows, one in seen]
            yield share_finding(check, column.here.nulls, column.rows, shares, column.limits, check)


def damage_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the shares of damaged text: mojibake, replacement characters, blanks, padding, placeholders, numbers."""
    for column in _columns(compared):
        for kind, hits in column.here.damage.items():
            check = f"{kind} in {column.here.name}"
            if seen := column.seen(check):
                shares = [one.damage.get(kind, 0) / max(rows - one.nulls, 1) for rows, one in seen]
                yield share_finding(check, hits, column.filled, shares, column.limits, check)


def distinct_findings(compared: Compared) -> Iterator[Finding]:
    """Compare how many different values a column has; a column that became constant is striking most."""
    for column in _columns(compared):
        here, check = column.here, f"distinct values of {column.here.name}"
        seen = [(rows, one) for rows, one in column.seen(check) if one.distinct]
        if not here.distinct or len(seen) < column.limits.good_runs:
            continue
        if not 1 / _COMPARABLE <= column.rows / median(rows for rows, _ in seen) <= _COMPARABLE:
            continue  # of more rows fewer are different; the constant column is looked for apart
        few = median(one.distinct for _, one in seen) <= MOST_CATEGORIES
        values = [log(one.distinct if few else one.distinct / rows) for rows, one in seen]
        value = log(here.distinct if few else here.distinct / column.rows)
        expected = median(values)
        text = f"{here.name} has {here.distinct:,} different values in {column.rows:,} rows"
        if few:
            text += f", usually {median(one.distinct for _, one in seen):,.0f}"
        yield level_finding(
            check, here.distinct, _usual(seen, column.rows, few), value - expected,
            [one - expected for one in values], column.limits.distinct, column.limits.distinct_stop, text,
        )  # fmt: skip


def prevalence_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the share of the commonest value, where values are many: one customer for half of all orders."""
    for column in _columns(compared):
        here, check = column.here, f"commonest value of {column.here.name}"
        if here.kind == "other" or here.categories is not None or column.filled < column.limits.rows:
            continue
        if seen := column.seen(check):
            shares = [one.top / max(rows - one.nulls, 1) for rows, one in seen]
            yield share_finding(check, here.top, column.filled, shares, column.limits, check)


def mean_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the mean of each column of positive numbers, as a factor: a unit changed in some rows shows here."""
    for column in _measures(compared):
        here, check = column.here, f"mean of {column.here.name}"
        seen = [
            one.mean for _, one in column.seen(check, rows=_HANDFUL) if one.mean is not None and one.mean > 0
        ]
        if here.mean is None or here.mean <= 0 or len(seen) < column.limits.good_runs:
            continue
        expected = median(seen)
        usual = [log(one / expected) for one in seen]
        text = f"{check} is {here.mean:,.4g}, usually {expected:,.4g}"
        yield level_finding(
            check, here.mean, expected, log(here.mean / expected),
            [*usual, 4 * spread(usual)], column.limits.mean, column.limits.mean_stop, text,
        )  # fmt: skip


def tail_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the largest values: the 95 % and 99 % quantiles as factors, which a unit changed in a few rows moves far.

    The mean hides such rows where it varies much, and few of them are no share of outliers.
    """
    for column in _measures(compared):
        for place, name in _TAILS:
            check = f"{name} quantile of {column.here.name}"
            seen = [one.quantiles[place] for _, one in column.seen(check) if one.quantiles]
            seen = [value for value in seen if value > 0]
            value = column.here.quantiles[place] if column.here.quantiles else 0.0
            if value <= 0 or len(seen) < column.limits.good_runs or column.filled < column.limits.rows:
                continue
            expected = median(seen)
            usual = [log(one / expected) for one in seen]
            text = f"{check} is {value:,.4g}, usually {expected:,.4g}"
            yield level_finding(
                check, value, expected, max(log(value / expected), 0.0), [*usual, 4 * spread(usual)],
                column.limits.tail, column.limits.tail_stop, text,
            )  # fmt: skip


def outlier_findings(compared: Compared) -> Iterator[Finding]:
    """Count the numbers that lie beyond twice the largest, or below half the smallest, that good runs ever had."""
    for column in _measures(compared):
        here, check = column.here, f"outliers in {column.here.name}"
        seen = [one.bins for _, one in column.seen(check, rows=_HANDFUL) if one.bins]
        if len(seen) < column.limits.good_runs:
            continue
        low = min(min(bins) for bins in seen) - _FAR_BINS
        high = max(max(bins) for bins in seen) + _FAR_BINS
        far = sum(count for bin_, count in here.bins.items() if not low <= bin_ <= high)
        share, few = far / max(column.filled, 1), min(3 / max(column.filled, 1), 0.25)
        yield Finding(
            check, share, 0.0, share, max(column.limits.outliers, few), max(column.limits.outliers_stop, few),
            f"{far:,} of {column.filled:,} values of {here.name} are far out of all seen before",
        )  # fmt: skip


def shift_findings(compared: Compared) -> Iterator[Finding]:
    """Compare distributions: of numbers, categories, lengths of text, hours of the day, hours before the cursor."""
    for column in _columns(compared):
        here = column.here
        if here.identifier or column.filled < column.limits.rows:
            continue
        if here.hours:
            check = f"hours of {here.name}"
            hours = [_named(one.hours) for _, one in column.seen(check) if one.hours]
            if len(hours) >= column.limits.good_runs:
                yield shift_finding(check, _named(here.hours), hours, column.limits, check)
        check = f"distribution of {here.name}"
        seen = [one for _, one in column.seen(check)]
        usual = [one.categories for one in seen if one.categories is not None]
        if here.categories is not None and len(usual) == len(seen) > 0:
            yield shift_finding(check, here.categories, usual, column.limits, check)
        elif here.bins and (histograms := [one.bins for one in seen if one.bins]):
            bins = coarse(histograms)
            there = [regrouped(one, bins) for one in histograms]
            text = {"text": f"lengths of {here.name}", "number": check}.get(here.kind, f"lag of {here.name}")
            yield shift_finding(check, regrouped(here.bins, bins), there, column.limits, text)


def novelty_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the share of rows whose category no good run ever had."""
    for column in _columns(compared):
        here, check = column.here, f"new values of {column.here.name}"
        seen = [one.categories for _, one in column.seen(check)]
        known = pooled([one for one in seen if one is not None])
        if here.kind != "text" or here.identifier or not seen or any(one is None for one in seen):
            continue
        if here.categories is None:
            hits, text = (
                column.filled,
                f"{here.name} has {here.distinct:,} values, where it had {len(known)} before",
            )
        else:
            new = [name for name in here.categories if name not in known]
            hits = sum(here.categories[name] for name in new)
            text = f"{check} ({', '.join(repr(name) for name in new[:3])})" if new else check
        yield share_finding(check, hits, column.filled, [0.0], column.limits, text)


def constant_findings(compared: Compared) -> Iterator[Finding]:
    """Look for columns that have one value where they always had several; a handful of rows is enough to say so."""
    for column in _columns(compared, rows=_HANDFUL):
        here, check = column.here, f"one value in {column.here.name}"
        seen = column.seen(check, rows=_HANDFUL)
        usual = min((one.distinct for _, one in seen), default=0)
        if usual >= 3 and column.filled >= _HANDFUL:
            distance = 1.0 if here.distinct == 1 else 0.0
            text = f"{here.name} has {here.distinct:,} values, always had at least {usual:,}"
            yield Finding(check, here.distinct, usual, distance, 0.5, 0.5, text)


def _columns(compared: Compared, *, rows: int | None = None) -> Iterator[_Column]:
    if compared.profile.rows < (compared.limits.rows if rows is None else rows):
        return
    for column in compared.profile.columns:
        yield _Column(compared, column)


def _measures(compared: Compared) -> Iterator[_Column]:
    found = _columns(compared, rows=_HANDFUL)
    return (one for one in found if one.here.kind == "number" and not one.here.identifier)


def _named(hours: Sequence[int]) -> dict[str, int]:
    """Return the hours in pairs: single hours are too few rows each."""
    return {str(hour): hours[hour] + hours[hour + 1] for hour in range(0, 24, 2)}


def _usual(seen: Sequence[tuple[int, ColumnProfile]], rows: int, few: bool) -> float:
    return median(one.distinct if few else one.distinct / there * rows for there, one in seen)
