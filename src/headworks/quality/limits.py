"""Thresholds of the anomaly checks: one frozen model a dataset, whose defaults suit most."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headworks.settings import Settings

WhenIdle = Literal["fine", "warn", "stop"]


class AnomalyLimits(Settings):
    """How far a candidate may be from the good runs before it.

    Each check has two limits: beyond the first it warns, beyond the second it stops the run. Both grow by themselves
    where the good runs differ among each other by more than the number here, so that what is usual is no alarm.
    """

    enabled: bool = Field(default=True, description="Compare candidates with good runs at all.")
    history: int = Field(default=30, ge=3, description="How many of the newest good runs are compared with.")
    history_days: int = Field(default=120, ge=1, description="Older runs than this many days do not count.")
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
    volume: float = Field(default=0.2, gt=0, description="Rows a day away from the usual: warns.")
    volume_stop: float = Field(default=0.4, gt=0, description="Rows a day away from the usual: stops.")
    share: float = Field(
        default=0.02, gt=0, description="Shares (nulls, rejects, damaged text) away from the usual: warns."
    )
    share_stop: float = Field(default=0.1, gt=0, description="Shares away from the usual: stops.")
    outliers: float = Field(
        default=0.003, gt=0, description="Share of values far out of all seen before: warns."
    )
    outliers_stop: float = Field(default=0.01, gt=0, description="Share of values far out: stops.")
    shift: float = Field(
        default=0.25, gt=0, description="PSI of a distribution against the good runs: warns."
    )
    shift_stop: float = Field(
        default=0.375, gt=0, description="PSI of a distribution against the good runs: stops."
    )
    mean: float = Field(
        default=0.35,
        gt=0,
        description="Mean away from the usual, as a factor's logarithm (0.35: × 1.42): warns.",
    )
    mean_stop: float = Field(default=0.7, gt=0, description="Mean away from the usual (0.7: doubled): stops.")
    tail: float = Field(
        default=0.7,
        gt=0,
        description="95 % and 99 % quantiles above the usual, as a logarithm (0.7: doubled): warns.",
    )
    tail_stop: float = Field(default=1.1, gt=0, description="These quantiles (1.1: three times): stops.")
    distinct: float = Field(
        default=0.7,
        gt=0,
        description="Different values away from the usual, as a logarithm (0.7: halved): warns.",
    )
    distinct_stop: float = Field(default=1.1, gt=0, description="Different values (1.1: a third): stops.")
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
