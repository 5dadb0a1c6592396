"""One comparison of one number with what the good runs had, and how it is reported.

A finding is measured as a distance from what was expected. Beyond ``warn`` it warns, beyond ``stop`` it stops the run.
Both are at least what the settings say. They grow with how far the good runs were from what the others said about them
(leave-one-out), by as many standard deviations as the budget of false alarms allows to each of a table's checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import isfinite
from statistics import median
from typing import Literal

from headworks.quality.baselines import Baseline
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import Profile
from headworks.quality.seasons import Expected, Rhythm, expect, same_hours
from headworks.quality.statistics import (
    Counts,
    pooled,
    psi,
    psi_noise,
    share_noise,
    sigmas_for,
    spread,
)
from headworks.reports import CheckReport

Level = Literal["passed", "warned", "failed"]
Seen = Sequence[tuple[datetime, float]]

_BEYOND_SEEN = 1.25
_STOP_OVER_WARN = 1.2
_CHECKS_A_COLUMN = 8
_CHECKS_A_TABLE = 12
SURE = 15
"""What is expected in so many rows is not missing by chance."""

MANY = 1_000
_WORTH_STOPPING = 0.015
_NEVER = 0.25
"""A share that was nothing in each good run may be a quarter of the usual limits: to see any is news."""

_SAME_HOURS = 45
_NEWEST: dict[Rhythm, int] = {"hourly": 48, "daily": 30, "weekly": 52, "monthly": 18, "list": 30}
"""So many of the newest good runs say what content is like; the volume has seasons, and looks further back."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_SHOWN = 24


@dataclass(frozen=True)
class Finding:
    """A number, what was expected in its place, how far they are apart, and how far they may be."""

    check: str
    value: float
    expected: float
    distance: float
    warn: float
    stop: float
    text: str
    seen: tuple[float, ...] = field(default=(), compare=False)
    loud: float = 0.0
    """The share of the good runs that would have been beyond ``warn``, each compared with the others."""
    drawn: float | None = field(default=None, compare=False)
    """The value in the unit of ``seen``."""

    @property
    def level(self) -> Level:
        """What the distance means."""
        if abs(self.distance) > self.stop:
            return "failed"
        return "warned" if abs(self.distance) > self.warn else "passed"


@dataclass(frozen=True)
class Compared:
    """A candidate's profile and the good ones before it: what every check is given."""

    profile: Profile
    baseline: Baseline
    limits: AnomalyLimits

    @property
    def needed(self) -> int:
        """How many good runs there must be; fewer where a person has said that this is what it looks like."""
        vouched = any(one.vouched for one in self.baseline.profiles)
        return min(_VOUCHED, self.limits.good_runs) if vouched else self.limits.good_runs

    def good(self, check: str) -> tuple[Profile, ...]:
        """Return the profiles that a check may compare with; empty where there are too few.

        Those that a person had to accept count only where without them there would be too few, and nothing compared.
        """
        usable = self.baseline.without_accepted(check)
        if len(usable) < self.needed:
            since = self.baseline.normal_since(check)
            usable = tuple(one for one in self.baseline.profiles if since is None or one.as_of >= since)
        return usable if len(usable) >= self.needed else ()

    def like(self, check: str) -> tuple[Profile, ...]:
        """Return the newest of them that the candidate's content may be compared with.

        At night a table has other rows than by day: of an hourly one those of about the same hour count.
        """
        usable = self.good(check)
        if self.baseline.rhythm != "hourly":
            return usable[-_NEWEST[self.baseline.rhythm] :]
        places = same_hours([one.as_of for one in usable], self.profile.as_of)[-_SAME_HOURS:]
        enough = len(places) >= self.needed
        return tuple(usable[place] for place in places) if enough else usable[-_NEWEST["hourly"] :]

    @cached_property
    def chance(self) -> float:
        """How often one check may raise a false alarm: its part of the budget."""
        return self.limits.budget / (_CHECKS_A_TABLE + _CHECKS_A_COLUMN * len(self.profile.columns))

    def expects(self, seen: Seen) -> Expected:
        """Return what is expected of a number at the time of the candidate's data."""
        return expect(seen, self.profile.as_of, self.baseline.rhythm)

    def widened(
        self, expected: Expected, noise: float, warn: float, stop: float, *, chance: float | None = None
    ) -> tuple[float, float]:
        """Return the limits of a distance, widened by how far the good runs were from each other's expectations.

        A good run that was further away widens them at most to the double: one odd run blinds nobody.
        """
        sigmas = sigmas_for(chance or self.chance, len(expected.residuals))
        # What chance does to a count is known, however few runs there are.
        surely = sigmas_for(chance or self.chance, MANY)
        usual = max(sigmas * expected.scale, surely * expected.noise * noise)
        largest = max((abs(one) for one in expected.residuals), default=0.0)
        warn = max(warn, usual, min(_BEYOND_SEEN * largest, 2 * usual))
        return warn, max(stop, _STOP_OVER_WARN * warn)


_VOUCHED = 3


def share_finding(
    compared: Compared,
    check: str,
    hits: int,
    rows: int,
    seen: Seen,
    text: str,
    *,
    warn: float | None = None,
    stop: float | None = None,
    vanishing: bool = False,
) -> Finding:
    """Compare a share of rows with the shares that good runs had.

    With ``vanishing`` it is an anomaly, too, where no row is left of what each good run had, however few these were.
    """
    limits, value = compared.limits, hits / max(rows, 1)
    expected = compared.expects(seen)
    center = min(max(expected.center, 0.0), 1.0)
    given = "share" in limits.model_fields_set
    never = _NEVER if not given and not any(one for _, one in seen) else 1.0
    warn = limits.at("share") if warn is None else warn
    stop = limits.at("share_stop") if stop is None else stop
    warn, stop = compared.widened(expected, share_noise(center, rows), warn * never, stop * (never**0.5))
    if vanishing and not hits and center * rows >= SURE and all(one > 0 for _, one in seen):
        warn, stop = min(warn, 0.9 * center), min(stop, max(0.9 * center, _WORTH_STOPPING))
    return Finding(
        check=check,
        value=value,
        expected=center,
        distance=value - center,
        warn=warn,
        stop=stop,
        text=f"{text}: {value:.1%} of {rows:,} rows, usually {center:.1%}",
        seen=tuple(one for _, one in seen),
        loud=_loud(expected.residuals, warn),
        drawn=value,
    )


def level_finding(
    compared: Compared,
    check: str,
    value: float,
    seen: Seen,
    warn: float,
    stop: float,
    text: str,
    *,
    shown: tuple[float, float] | None = None,
    noise: float = 0.0,
    only_above: bool = False,
) -> Finding:
    """Compare a level, which may be a logarithm; ``shown`` are the value and what was expected as people know them."""
    expected = compared.expects(seen)
    distance = value - expected.center
    warn, stop = compared.widened(expected, noise, warn, stop)
    here, there = shown or (value, expected.center)
    return Finding(
        check, here, there, max(distance, 0.0) if only_above else distance, warn, stop, text,
        tuple(one for _, one in seen), _loud(expected.residuals, warn), value,
    )  # fmt: skip


def shift_finding(
    compared: Compared, check: str, here: Counts, there: Sequence[Counts], text: str
) -> Finding:
    """Compare a distribution with those of good runs; each of these with all others says how much is usual."""
    everything = pooled(there)
    rows, usual_rows = sum(here.values()), sum(everything.values()) // max(len(there), 1)
    seen = sorted(psi(one, _less(everything, one)) for one in there)
    bins = len({*here, *everything})
    noise = psi_noise(bins, min(rows, usual_rows), sum(everything.values()))
    value = psi(here, everything)
    sigmas = sigmas_for(compared.chance, len(seen))
    # The second largest: a single odd one among the good runs is no measure.
    usual = max(median(seen) + sigmas * spread(seen), _BEYOND_SEEN * seen[-2 if len(seen) > 4 else -1])
    warn = max(compared.limits.at("shift"), noise, usual)
    stop = max(compared.limits.at("shift_stop"), _STOP_OVER_WARN * warn)
    return Finding(
        check, value, median(seen), value, warn, stop,
        f"{text}: PSI {value:.2f}, usually up to {seen[-1]:.2f}", tuple(seen), _loud(seen, warn), value,
    )  # fmt: skip


def report_findings(
    compared: Compared, family: str, findings: Sequence[Finding], runs: int
) -> list[CheckReport]:
    """Report the findings of one family: each that is out of its limits, or in one report that none is."""
    out = [_report(compared, finding) for finding in findings if finding.level != "passed"]
    if out or not findings:
        return out
    detail = f"{len(findings)} compared with {runs} good runs, all within limits"
    if len(findings) == 1:
        detail = f"{findings[0].text}; compared with {runs} good runs"
    return [
        CheckReport(
            scope=compared.profile.scope, name=family, kind="anomaly", outcome="passed", detail=detail
        )
    ]


def picture(seen: Sequence[float], value: float) -> str:
    """Return the newest of the good runs' numbers and the candidate's as a line of blocks, the candidate's last."""
    shown = [*seen[-_SHOWN:], value]
    low, high = min(shown), max(shown)
    if high <= low:
        return ""
    blocks = [_BLOCKS[round((one - low) / (high - low) * (len(_BLOCKS) - 1))] for one in shown]
    return f"{''.join(blocks[:-1])}|{blocks[-1]}"


def _report(compared: Compared, finding: Finding) -> CheckReport:
    critical = finding.level == "failed"
    scope = compared.profile.scope
    accepted = compared.baseline.accepted(finding.check, compared.profile.as_of)
    stops = f"stops beyond ±{finding.stop:.3g}" if isfinite(finding.stop) else "never stops"
    detail = f"{finding.text} (warns beyond ±{finding.warn:.3g}, {stops})"
    if finding.seen and finding.drawn is not None and (drawn := picture(finding.seen, finding.drawn)):
        detail += f" {drawn}"
    outcome: Literal["failed", "warned", "accepted"] = "failed" if critical else "warned"
    if accepted is not None:
        outcome = "accepted"
        detail += f"; accepted by {accepted.by}: {accepted.reason}"
    elif critical:
        detail += f"; if it stays like this: {command_of_new_normal(scope, finding.check)}"
    return CheckReport(
        scope=scope,
        name=finding.check,
        kind="anomaly",
        outcome=outcome,
        severity="critical" if critical else "warning",
        detail=detail,
        value=finding.value,
        expected=finding.expected,
    )


def command_of_new_normal(scope: str, check: str) -> str:
    """Return the command that makes what a check found the new normal."""
    return f"headworks anomaly accept {scope} --check {check!r} --as-new-normal --reason WHY --by YOU"


def _loud(residuals: Sequence[float], warn: float) -> float:
    return sum(abs(one) > warn for one in residuals) / max(len(residuals), 1)


def _less(everything: Counts, one: Counts) -> dict[str, int]:
    return {bin_: count - one.get(bin_, 0) for bin_, count in everything.items()}
