"""The product ``churn``: who is likely to cancel within four weeks, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl

from crm.datasets import CONTACTS, CONTRACTS, SUBSCRIPTIONS, TICKETS, USAGE
from headworks.models.features import AsOf, feature_table
from headworks.models.model import Bounds, Model
from headworks.publish.tables import PublishedTable

PRODUCT, SCHEMA = "churn", "analytics"
HORIZON = timedelta(weeks=4)
_WEEK = timedelta(weeks=1)
_LONGEST_TENURE_WEEKS = 104


def features(known: AsOf) -> pl.LazyFrame:
    """Return one row for each active subscription, from what was known at the cut."""
    cut = known.cut
    active = known.rows(SUBSCRIPTIONS.name).filter(pl.col("status") == "active")
    contacts = known.rows(CONTACTS.name).select("contact_id", "country", "seats")
    base = active.join(contacts, on="contact_id").select(
        "contact_id",
        "plan",
        "country",
        "seats",
        monthly_eur=pl.col("monthly_eur").cast(pl.Float64),
        tenure_weeks=((pl.lit(cut) - pl.col("started_at")) / _WEEK)
        .cast(pl.Float64)
        .clip(0, _LONGEST_TENURE_WEEKS),
    )
    return (
        base.unique("contact_id", keep="any", maintain_order=True)
        .join(_use(known), on="contact_id", how="left")
        .join(_trouble(known), on="contact_id", how="left")
        .join(_raised(known), on="contact_id", how="left")
        .with_columns(
            pl.col("sessions_4w", "minutes_4w", "open_tickets", "severe_8w", "raised_8w").fill_null(0),
            pl.col("days_since_use").fill_null(105.0),
            pl.col("use_ratio").fill_null(0.0),
        )
        .sort("contact_id")
    )


def _use(known: AsOf) -> pl.LazyFrame:
    """Return how much a contact used the product lately, and compared with the weeks before."""
    age = (pl.lit(known.cut) - pl.col("happened_at")) / _WEEK
    recent, before = age <= 3, (age > 3) & (age <= 15)
    sessions = known.rows(USAGE.name).filter(age.is_between(0, 15))
    counted = sessions.group_by("contact_id").agg(
        sessions_4w=(age <= 4).sum().cast(pl.Int64),
        minutes_4w=pl.col("minutes").filter(age <= 4).sum().cast(pl.Int64),
        recent=recent.sum().cast(pl.Float64) / 3,
        before=before.sum().cast(pl.Float64) / 12,
        days_since_use=((pl.lit(known.cut) - pl.col("happened_at").max()).dt.total_seconds() / 86400).cast(
            pl.Float64
        ),
    )
    return counted.with_columns(
        use_ratio=((pl.col("recent") + 0.3) / (pl.col("before") + 0.3)).clip(0, 3),
    ).drop("recent", "before")


def _trouble(known: AsOf) -> pl.LazyFrame:
    age = (pl.lit(known.cut) - pl.col("opened_at")) / _WEEK
    return (
        known.rows(TICKETS.name)
        .group_by("contact_id")
        .agg(
            open_tickets=pl.col("closed_at").is_null().sum().cast(pl.Int64),
            severe_8w=((pl.col("severity") == "severe") & (age <= 8)).sum().cast(pl.Int64),
        )
    )


def _raised(known: AsOf) -> pl.LazyFrame:
    """Return by how much a contact's price was raised in the last eight weeks, from the versions of subscriptions."""
    age = (pl.lit(known.cut) - pl.col("valid_from")) / _WEEK
    price = pl.col("monthly_eur").cast(pl.Float64)
    return (
        known.versions(SUBSCRIPTIONS.name)
        .filter(~pl.col("_deleted"))
        .sort("contact_id", "valid_from")
        .with_columns(rise=price / price.shift(1).over("contact_id") - 1)
        .filter(age <= 8)
        .group_by("contact_id")
        .agg(raised_8w=pl.col("rise").max().cast(pl.Float64))
    )


def outcomes(known: AsOf) -> pl.LazyFrame:
    """Return who cancelled, and when."""
    return (
        known.rows(SUBSCRIPTIONS.name)
        .filter((pl.col("status") == "cancelled") & pl.col("ended_at").is_not_null())
        .select("contact_id", at="ended_at")
    )


def estimator(seed: int) -> Any:
    """Return an untrained model: small trees, one thread, so that the same rows and seed give the same bits."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=60,
        num_leaves=7,
        learning_rate=0.07,
        min_child_samples=40,
        reg_lambda=5.0,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.8,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        random_state=seed,
        verbose=-1,
    )


FEATURES = feature_table(
    "churn.features",
    of=(CONTACTS, SUBSCRIPTIONS, TICKETS, USAGE),
    features=features,
    outcomes=outcomes,
    key=("contact_id",),
    contract=CONTRACTS / "gold_churn_features.yml",
)

MODEL = Model(
    name="churn",
    features=FEATURES,
    numbers=(
        *("seats", "monthly_eur", "tenure_weeks", "sessions_4w", "minutes_4w", "use_ratio"),
        *("days_since_use", "open_tickets", "severe_8w", "raised_8w"),
    ),
    categories=("plan", "country"),
    horizon=HORIZON,
    estimator=estimator,
    segments=("plan", "country"),
    bounds=Bounds(),
    contract=CONTRACTS / "gold_churn_scores.yml",
    about="The chance that a customer cancels within four weeks, from use, tickets, price and plan as they were known.",
)

PUBLISHED = (
    PublishedTable(MODEL.scores, "churn_scores", ("contact_id",), CONTRACTS / "postgres_churn_scores.yml"),
    PublishedTable(MODEL.champions, "churn_champions", ("sequence",)),
)
