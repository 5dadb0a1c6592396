"""One comparison of one number with what the good runs had, and how it is reported.

A finding is measured as a distance from what was expected. Beyond ``warn`` it warns, beyond ``stop`` it stops the run.
The limits grow where the good runs differ among each other by more than the settings allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from headworks.quality.baselines import Baseline
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import Profile
from headworks.quality.statistics import Counts, pooled, psi, psi_noise, share_noise
from headworks.reports import CheckReport

Level = Literal["passed", "warned", "failed"]

_SIGMAS = 5
_BEYOND_SEEN = 1.5
_STOP_OVER_WARN = 1.5


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

    @property
    def level(self) -> Level:
        """What the distance means."""
        if abs(self.distance) > self.stop:
            return "failed"
        return "warned" if abs(self.distance) > self.warn else "passed"


@dataclass(frozen=True)
class Compared:
    """A candidate's profile alongside the good ones before it: what every check is given."""

    profile: Profile
    baseline: Baseline
    limits: AnomalyLimits

    def good(self, check: str) -> tuple[Profile, ...]:
        """Return the profiles that a check may compare with; empty where there are too few."""
        usable = self.baseline.without_accepted(check)
        return usable if len(usable) >= self.limits.good_runs else ()


def share_finding(
    check: str, hits: int, rows: int, seen: Sequence[float], limits: AnomalyLimits, text: str
) -> Finding:
    """Compare a share of rows with the shares that good runs had."""
    expected, value = median(seen), hits / max(rows, 1)
    usual = max(abs(one - expected) for one in seen)
    noise = _SIGMAS * share_noise(expected, rows)
    warn = max(limits.share, _BEYOND_SEEN * usual, noise)
    return Finding(
        check=check,
        value=value,
        expected=expected,
        distance=value - expected,
        warn=warn,
        stop=max(limits.share_stop, _STOP_OVER_WARN * warn),
        text=f"{text}: {value:.1%} of {rows:,} rows, usually {expected:.1%}",
    )


def level_finding(
    check: str,
    value: float,
    expected: float,
    distance: float,
    seen: Sequence[float],
    warn: float,
    stop: float,
    text: str,
) -> Finding:
    """Compare a distance with those that the good runs have among each other (``seen``)."""
    usual = max((abs(one) for one in seen), default=0.0)
    warn = max(warn, _BEYOND_SEEN * usual)
    return Finding(check, value, expected, distance, warn, max(stop, _STOP_OVER_WARN * warn), text)


def shift_finding(
    check: str, here: Counts, there: Sequence[Counts], limits: AnomalyLimits, text: str
) -> Finding:
    """Compare a distribution with those of good runs; each of these with all others says how much is usual."""
    everything = pooled(there)
    rows, usual_rows = sum(here.values()), sum(everything.values()) // max(len(there), 1)
    seen = [psi(one, _less(everything, one)) for one in there]
    bins = len({*here, *everything})
    noise = psi_noise(bins, min(rows, usual_rows), sum(everything.values()))
    value = psi(here, everything)
    return level_finding(
        check,
        value,
        median(seen),
        value,
        [*seen, noise / _BEYOND_SEEN],
        limits.shift,
        limits.shift_stop,
        f"{text}: PSI {value:.2f}, usually up to {max(seen):.2f}",
    )


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


def _report(compared: Compared, finding: Finding) -> CheckReport:
    critical = finding.level == "failed"
    accepted = compared.baseline.accepted(finding.check, compared.profile.as_of)
    detail = f"{finding.text} (warns beyond ±{finding.warn:.3g}, stops beyond ±{finding.stop:.3g})"
    outcome: Literal["failed", "warned", "accepted"] = "failed" if critical else "warned"
    if accepted is not None:
        outcome = "accepted"
        detail += f"; accepted by {accepted.by}: {accepted.reason}"
    return CheckReport(
        scope=compared.profile.scope,
        name=finding.check,
        kind="anomaly",
        outcome=outcome,
        severity="critical" if critical else "warning",
        detail=detail,
        value=finding.value,
        expected=finding.expected,
    )


def _less(everything: Counts, one: Counts) -> dict[str, int]:
    return {bin_: count - one.get(bin_, 0) for bin_, count in everything.items()}
