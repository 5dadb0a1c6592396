"""Profiles as kept in ``ops.profiles``, and the good ones of them: what a candidate is compared with.

A profile is good if its own gate was open, if its run came to its end (``ops.runs`` says published or unchanged), and
if nobody has labelled its time as an incident. The candidate's own run is never among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from headworks.quality.judgements import Judgement, judgements
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import Profile
from headworks.storage.store import Lake
from headworks.storage.translating import collected

PROFILES = pl.Schema(
    {
        "scope": pl.String(),
        "kind": pl.String(),
        "run_id": pl.String(),
        "profiled_at": pl.Datetime("us", "UTC"),
        "gate_open": pl.Boolean(),
        "rows": pl.Int64(),
        "profile": pl.String(),
    }
)
GOOD_RUNS = ("published", "unchanged")


@dataclass(frozen=True)
class Baseline:
    """The good profiles of one table, oldest first, and what people have said about its anomalies."""

    profiles: tuple[Profile, ...] = ()
    judgements: tuple[Judgement, ...] = ()

    def accepted(self, check: str, moment: datetime) -> Judgement | None:
        """Return the judgement by which a check's anomaly is accepted at a moment; None where there is none."""
        return next((one for one in self.judgements if one.accepts(check, moment)), None)

    def without_accepted(self, check: str) -> tuple[Profile, ...]:
        """Return the profiles but for those whose anomaly in this check was accepted: Black Friday is no usual day."""
        return tuple(one for one in self.profiles if self.accepted(check, one.as_of) is None)


def keep_profile(lake: Lake, profile: Profile, *, gate_open: bool) -> None:
    """Append a candidate's profile and whether its gate was open; of several for one run the last counts."""
    row = {
        "scope": profile.scope,
        "kind": profile.kind,
        "run_id": profile.run_id,
        "profiled_at": profile.moment,
        "gate_open": gate_open,
        "rows": profile.rows,
        "profile": profile.model_dump_json(exclude_defaults=True),
    }
    table = lake.ensure("ops", "profiles", PROFILES, partition_by="scope")
    table.append(pl.DataFrame([row], schema=PROFILES), {})


def baseline(
    lake: Lake, scope: str, kinds: Sequence[str], run_id: str, moment: datetime, limits: AnomalyLimits
) -> Baseline:
    """Return the good profiles of ``scope`` that a candidate of run ``run_id`` at ``moment`` may be compared with."""
    said = judgements(lake, scope)
    table, runs = lake.open("ops", "profiles"), lake.open("ops", "runs")
    if table is None or runs is None:
        return Baseline(judgements=said)
    since = moment - timedelta(days=limits.history_days)
    kept = table.scan().filter(
        (pl.col("scope") == scope)
        & pl.col("kind").is_in(list(kinds))
        & (pl.col("run_id") != run_id)
        & pl.col("profiled_at").is_between(since, moment)
    )
    last = kept.sort("profiled_at").unique(["scope", "run_id"], keep="last", maintain_order=True)
    ended = runs.scan().filter(pl.col("status").is_in(GOOD_RUNS)).select("run_id").unique()
    kept_up = last.filter("gate_open").join(ended, on="run_id", how="semi", maintain_order="left")
    good = collected(kept_up, table.name)
    profiles = [Profile.model_validate_json(text) for text in good.get_column("profile")]
    unlabelled = [one for one in profiles if not any(j.labels(one.as_of) for j in said)]
    return Baseline(tuple(unlabelled[-limits.history :]), said)
