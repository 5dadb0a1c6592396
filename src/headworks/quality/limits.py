"""Thresholds of the anomaly checks: one frozen model a dataset, whose defaults suit most."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headworks.quality.seasons import Rhythm
from headworks.settings import Settings

WhenIdle = Literal["fine", "warn", "stop"]


class AnomalyLimits(Settings):
    """How far a candidate may be from the good runs before it.

    Each check has two limits: beyond the first it warns, beyond the second it stops the run. Both grow by themselves
    where the good runs differ among each other by more than the number here, so that what is usual is no alarm.

    Example:
        >>> AnomalyLimits(sensitivity="relaxed", lives="daily").enabled
        True
    """

    sensitivity: Literal["strict", "normal", "relaxed"] = Field(
        default="normal",
        description="Halves (strict) or doubles (relaxed) the limits below that are not given, and allows three times "
        "as many false alarms, or a third.",
    )
    false_alarms: float = Field(
        default=0.01,
        gt=0,
        le=0.5,
        description="How often a clean delivery of a table may raise an alarm: a budget that all its checks share.",
    )
    enabled: bool = Field(default=True, description="Compare candidates with good runs at all.")
    lives: Rhythm | None = Field(
        default=None,
        description="How often the table gets something: hourly, daily, weekly, monthly, or a list that is read whole. "
        "Left out, its runs show it.",
    )
    history: int | None = Field(
        default=None,
        ge=3,
        description="How many of the newest runs are looked at. Left out, as many as the rhythm needs.",
    )
    history_days: int | None = Field(
        default=None,
        ge=1,
        description="Older runs than this many days do not count. Left out, it follows from the rhythm: 31 days of an "
        "hourly table, 200 of a daily one, five years of a weekly or monthly one.",
    )
    good_runs: int = Field(
        default=7, ge=3, description="With fewer good runs than this there is nothing to compare: cold start."
    )
    same_time_runs: int = Field(
        default=3,
        ge=2,
        description="With this many good runs of the same weekday (or hour), the volume is compared with those alone.",
    )
    rows: int = Field(
        default=30, ge=1, description="In fewer rows than this, shares and distributions say nothing."
    )
    volume: float = Field(default=0.12, gt=0, description="Rows a day away from the usual: warns.")
    volume_stop: float = Field(default=0.18, gt=0, description="Rows a day away from the usual: stops.")
    share: float = Field(
        default=0.02, gt=0, description="Shares (nulls, rejects, damaged text) away from the usual: warns."
    )
    share_stop: float = Field(default=0.05, gt=0, description="Shares away from the usual: stops.")
    outliers: float = Field(
        default=0.003, gt=0, description="Share of values far out of all seen before: warns."
    )
    outliers_stop: float = Field(default=0.01, gt=0, description="Share of values far out: stops.")
    shift: float = Field(
        default=0.12, gt=0, description="PSI of a distribution against the good runs: warns."
    )
    shift_stop: float = Field(
        default=0.2, gt=0, description="PSI of a distribution against the good runs: stops."
    )
    mean: float = Field(
        default=0.12,
        gt=0,
        description="Mean away from the usual, as a factor's logarithm (0.12: × 1.13): warns.",
    )
    mean_stop: float = Field(
        default=0.25, gt=0, description="Mean away from the usual (0.25: × 1.28): stops."
    )
    tail: float = Field(
        default=0.4,
        gt=0,
        description="Quantiles away from the usual, as a logarithm (0.4: × 1.5): warns.",
    )
    tail_stop: float = Field(default=0.7, gt=0, description="Quantiles (0.7: doubled): stops.")
    distinct: float = Field(
        default=0.3,
        gt=0,
        description="Different values away from the usual, as a logarithm (0.3: by a quarter): warns.",
    )
    distinct_stop: float = Field(default=0.6, gt=0, description="Different values (0.6: halved): stops.")
    deleted: float = Field(
        default=0.05, gt=0, le=1, description="Share of silver that one full read deletes: warns."
    )
    deleted_stop: float = Field(
        default=0.2, gt=0, le=1, description="Share that one full read deletes: stops."
    )
    future_hours: float = Field(
        default=24.0, ge=0, description="How far after the present moment a moment may lie, in hours."
    )
    when_idle: WhenIdle = Field(
        default="warn", description="What happens where a source has had nothing new for unusually long."
    )
    relation: float = Field(
        default=0.01, gt=0, description="Share of rows that break what always held between columns: warns."
    )
    relation_stop: float = Field(
        default=0.03, gt=0, description="Share of rows that break what always held: stops."
    )
    drift: float = Field(
        default=0.025,
        gt=0,
        description="A share that has crept away from the usual over weeks, by points (0.025: 2.5 points): warns.",
    )
    drift_level: float = Field(
        default=0.08,
        gt=0,
        description="A mean or a volume that has crept away, as a factor's logarithm (0.08: 8 %): warns.",
    )

    def at(self, name: str) -> float:
        """Return a limit as it was given; one that was not, as the sensitivity makes it."""
        value = float(getattr(self, name))
        return value if name in self.model_fields_set else value * _LIMITS_TIMES[self.sensitivity]

    @property
    def budget(self) -> float:
        """The false alarms that the sensitivity allows."""
        return min(self.false_alarms * _BUDGET_TIMES[self.sensitivity], 0.5)


_LIMITS_TIMES = {"strict": 0.5, "normal": 1.0, "relaxed": 2.0}
_BUDGET_TIMES = {"strict": 3.0, "normal": 1.0, "relaxed": 1 / 3}
