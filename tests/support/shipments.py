"""A second model, declared as docs/models.md says: which shipments of the shop will be late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import dataframely as dy
import polars as pl

from headworks.bronze.landing import Landing, land
from headworks.models.features import AsOf, feature_table
from headworks.models.model import Bounds, Model
from headworks.project import Product
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import refine
from headworks.silver.work import Refinement
from headworks.sources.base import Batch, Position
from headworks.storage.store import Lake

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(weeks=1)
FIRST, LIVED = 18, 23
"""The week after a history that a champion can be made of, and how many there are in all."""
PROMISED = timedelta(days=7)
CONTRACTS = Path(__file__).parent / "shipment_contracts"


class Shipments(dy.Schema):
    """Shipments, each version with its time."""

    shipment_id = dy.Int64(nullable=False)
    carrier = dy.String(nullable=False)
    weight_kg = dy.Float64(nullable=False)
    placed_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    delivered_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


SHIPMENTS = Dataset(
    name="shop.shipments",
    key=("shipment_id",),
    schema=Shipments,
    columns={name: pl.col(name) for name in Shipments.column_names()},
    cursor="updated_at",
    keeps="history",
)


# What a user writes for a model begins here.
def features(known: AsOf) -> pl.LazyFrame:
    """Return the shipments that are on their way at the cut, and how their carrier has done lately."""
    rows = known.rows("shop.shipments")
    age = (pl.lit(known.cut) - pl.col("placed_at")).dt.total_seconds() / 86400
    carriers = rows.group_by("carrier").agg(
        on_their_way=pl.col("delivered_at").is_null().sum().cast(pl.Int64),
        lately_h=((pl.col("delivered_at") - pl.col("placed_at")).dt.total_seconds() / 3600)
        .filter(pl.col("delivered_at") > known.cut - 4 * WEEK)
        .mean(),
    )
    open_ones = rows.filter(pl.col("delivered_at").is_null() & (age < 7)).with_columns(age_days=age)
    return open_ones.join(carriers, on="carrier").select(
        *("shipment_id", "carrier", "weight_kg", "age_days", "on_their_way", "lately_h")
    )


def outcomes(known: AsOf) -> pl.LazyFrame:
    """Return which shipments became late, and when: seven days after they were placed."""
    due = pl.col("placed_at") + PROMISED
    late = pl.col("delivered_at").is_null() | (pl.col("delivered_at") > due)
    return known.rows("shop.shipments").filter(late & (due <= known.cut)).select("shipment_id", at=due)


def estimator(seed: int) -> Any:
    """Return a logistic regression over scaled features."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(random_state=seed))


FEATURES = feature_table(
    "late.features",
    of=(SHIPMENTS,),
    features=features,
    outcomes=outcomes,
    key=("shipment_id",),
    contract=CONTRACTS / "gold_late_features.yml",
)
MODEL = Model(
    name="late",
    features=FEATURES,
    numbers=("weight_kg", "age_days", "on_their_way", "lately_h"),
    categories=("carrier",),
    segments=("carrier",),
    horizon=PROMISED,
    estimator=estimator,
    trusted=(),
    # Few rows that share their carrier's figures: their distribution moves more than that of many single ones.
    bounds=Bounds(rows=200, positives=20, rows_change=0.5, calibration=0.08, prediction_drift=1.0),
    contract=CONTRACTS / "gold_late_scores.yml",
    about="Which shipments on their way will not arrive within seven days.",
)
LATE = Product("late", (FEATURES,), models=(MODEL,))
# And it ends here.


@dataclass(frozen=True)
class Weekly:
    """A source that gives what changed by a moment, each version once."""

    frame: pl.DataFrame
    now: datetime

    @property
    def schema(self) -> pl.Schema:
        """The frame's columns."""
        return self.frame.schema

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield what changed since the last reading."""
        since = datetime.fromisoformat(position["upto"]) if position else START - 52 * WEEK
        new = self.frame.filter((pl.col("updated_at") > since) & (pl.col("updated_at") <= self.now))
        if new.height:
            yield Batch(new, {"upto": self.now.isoformat()}, read=new.height)


def shipments(weeks: int, seed: int = 3, a_week: int = 160) -> pl.DataFrame:
    """Return all versions of the shipments of some weeks; one carrier is slow, and heavy ones take longer."""
    chance, rows = Random(seed), []
    pace = {"fast": 2.2, "usual": 4.0, "slow": 6.5}
    for number in range(weeks * a_week):
        placed = START + timedelta(seconds=chance.randrange(weeks * 7 * 86400))
        carrier = chance.choice(list(pace))
        weight = round(chance.uniform(0.2, 30), 1)
        took = timedelta(days=max(0.5, chance.gauss(pace[carrier] + weight / 20, 1.8)))
        base = {"shipment_id": number, "carrier": carrier, "weight_kg": weight, "placed_at": placed}
        rows.append({**base, "delivered_at": None, "updated_at": placed})
        rows.append({**base, "delivered_at": placed + took, "updated_at": placed + took})
    schema = {name: column.dtype for name, column in Shipments.columns().items()}
    return pl.DataFrame(rows, schema=schema).sort("updated_at")


def receive(lake: Lake, frame: pl.DataFrame, weeks: Sequence[int], run_id: str) -> datetime:
    """Let a lake receive what changed by the Monday of each of some weeks; returns the last moment."""
    now = START
    for week in weeks:
        now = START + week * WEEK + timedelta(hours=5)
        moment = now
        landing = Landing(lake, SHIPMENTS.name, SHIPMENTS.name, run_id, clock=lambda at=moment: at)  # type: ignore[misc]
        land(landing, Weekly(frame, now))
    gate = refine(Refinement(lake, run_id, lambda: now), SHIPMENTS).gate
    assert gate is None or gate.open, gate.reasons
    return now
