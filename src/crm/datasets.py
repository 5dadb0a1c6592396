"""The CRM's datasets: where each is read from, how its columns are made, what it refers to."""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl

from headworks.quality.limits import AnomalyLimits
from headworks.silver.dataset import Dataset, Reference
from headworks.silver.expressions import decimal, utc_moment, whole_number
from headworks.sources.api.paginate import Cursor
from headworks.sources.api.resource import Incremental, Resource, Tombstone

CONTRACTS = Path(__file__).parent / "contracts"

PLANS = ("basic", "team", "business")
COUNTRIES = ("AT", "CH", "DE", "NL")

_MOMENT = {"time_unit": "us", "time_zone": "UTC"}


class Contacts(dy.Schema):
    """Contacts, each version with its time."""

    contact_id = dy.Int64(nullable=False)
    name = dy.String(nullable=True)
    email = dy.String(nullable=True)
    country = dy.String(nullable=False)
    seats = dy.Int64(nullable=False)
    created_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")

    @dy.rule()
    def unknown_country(cls) -> pl.Expr:
        """The company sells in these countries only."""
        return pl.col("country").is_in(COUNTRIES)

    @dy.rule()
    def impossible_seats(cls) -> pl.Expr:
        """A contact has at least one seat."""
        return pl.col("seats") >= 1


class Subscriptions(dy.Schema):
    """Subscriptions, each version with its time."""

    subscription_id = dy.Int64(nullable=False)
    contact_id = dy.Int64(nullable=False)
    plan = dy.String(nullable=False)
    monthly_eur = dy.Decimal(precision=12, scale=2, nullable=False)
    status = dy.String(nullable=False)
    started_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    ended_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")

    @dy.rule()
    def unknown_plan(cls) -> pl.Expr:
        """These plans are sold."""
        return pl.col("plan").is_in(PLANS)

    @dy.rule()
    def unknown_status(cls) -> pl.Expr:
        """A subscription is active or cancelled."""
        return pl.col("status").is_in(["active", "cancelled"])

    @dy.rule()
    def ends_before_it_starts(cls) -> pl.Expr:
        """What has ended began before."""
        return pl.col("ended_at").is_null() | (pl.col("ended_at") >= pl.col("started_at"))


class Tickets(dy.Schema):
    """Tickets, each version with its time."""

    ticket_id = dy.Int64(nullable=False)
    contact_id = dy.Int64(nullable=False)
    severity = dy.String(nullable=False)
    opened_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    closed_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")

    @dy.rule()
    def unknown_severity(cls) -> pl.Expr:
        """A ticket is normal or severe."""
        return pl.col("severity").is_in(["normal", "severe"])


class Usage(dy.Schema):
    """Sessions; one never changes."""

    event_id = dy.Int64(nullable=False)
    contact_id = dy.Int64(nullable=False)
    happened_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    minutes = dy.Int64(nullable=False)
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")

    @dy.rule()
    def impossible_minutes(cls) -> pl.Expr:
        """A session has a length."""
        return pl.col("minutes") > 0


CONTACTS = Dataset(
    name="crm.contacts",
    key=("contact_id",),
    schema=Contacts,
    fields=("contact_id", "name", "email", "country", "seats", "created_at", "updated_at"),
    columns={
        "contact_id": whole_number("contact_id"),
        "name": pl.col("name").str.strip_chars(),
        "email": pl.col("email"),
        "country": pl.col("country"),
        "seats": whole_number("seats"),
        "created_at": utc_moment("created_at"),
        "updated_at": utc_moment("updated_at"),
    },
    cursor="updated_at",
    keeps="history",
    anomalies=AnomalyLimits(),
    contract=CONTRACTS / "silver_crm_contacts.yml",
)

SUBSCRIPTIONS = Dataset(
    name="crm.subscriptions",
    key=("subscription_id",),
    schema=Subscriptions,
    fields=(
        *("subscription_id", "contact_id", "plan", "monthly_eur"),
        *("status", "started_at", "ended_at", "updated_at"),
    ),
    columns={
        "subscription_id": whole_number("subscription_id"),
        "contact_id": whole_number("contact_id"),
        "plan": pl.col("plan"),
        "monthly_eur": decimal("monthly_eur", 12, 2),
        "status": pl.col("status"),
        "started_at": utc_moment("started_at"),
        "ended_at": utc_moment("ended_at"),
        "updated_at": utc_moment("updated_at"),
    },
    cursor="updated_at",
    keeps="history",
    references=(Reference(("contact_id",), "crm.contacts", ("contact_id",), "unknown_contact"),),
    contract=CONTRACTS / "silver_crm_subscriptions.yml",
)

TICKETS = Dataset(
    name="crm.tickets",
    key=("ticket_id",),
    schema=Tickets,
    fields=("ticket_id", "contact_id", "severity", "opened_at", "closed_at", "updated_at"),
    columns={
        "ticket_id": whole_number("ticket_id"),
        "contact_id": whole_number("contact_id"),
        "severity": pl.col("severity"),
        "opened_at": utc_moment("opened_at"),
        "closed_at": utc_moment("closed_at"),
        "updated_at": utc_moment("updated_at"),
    },
    cursor="updated_at",
    keeps="history",
    contract=CONTRACTS / "silver_crm_tickets.yml",
)

USAGE = Dataset(
    name="crm.usage",
    key=("event_id",),
    schema=Usage,
    fields=("event_id", "contact_id", "happened_at", "minutes", "updated_at"),
    columns={
        "event_id": whole_number("event_id"),
        "contact_id": whole_number("contact_id"),
        "happened_at": utc_moment("happened_at"),
        "minutes": whole_number("minutes"),
        "updated_at": utc_moment("updated_at"),
    },
    cursor="updated_at",
    contract=CONTRACTS / "silver_crm_usage.yml",
)


def _resource(name: str, key: str, *, deleted: bool = False) -> Resource:
    """Describe a resource as the CRM documents it: cursor pages, changed since, deleted ones with a flag."""
    return Resource(
        path=f"/v1/{name}",
        records="results",
        # Its cursor is a place in the list as it was when the scan began.
        pagination=Cursor(cursor_parameter="after", cursor_field="paging.next", size=500, stable=True),
        incremental=Incremental(parameter="updated_since", field="updated_at", lookback_s=3600),
        key=(key,),
        tombstone=Tombstone(field="deleted") if deleted else None,
    )


SOURCES: tuple[tuple[Dataset, Resource], ...] = (
    (CONTACTS, _resource("contacts", "contact_id", deleted=True)),
    (SUBSCRIPTIONS, _resource("subscriptions", "subscription_id")),
    (TICKETS, _resource("tickets", "ticket_id")),
    (USAGE, _resource("usage", "event_id")),
)
