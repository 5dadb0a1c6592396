"""The world behind the CRM: customers who use a product, have trouble with it, and leave; all of it from one seed.

Each week of each customer has a chance to be the last, which follows from what happened before: `HAZARD` is the hidden
truth. The CRM shows what came of it, as records with versions; the chances themselves it does not show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

Record = dict[str, Any]

WEEK: Final = timedelta(weeks=1)
PLANS: Final = {"basic": 19.0, "team": 49.0, "business": 129.0}
COUNTRIES: Final = ("AT", "CH", "DE", "NL")
RESOURCES: Final = ("contacts", "subscriptions", "tickets", "usage")

CAUSES: Final = ("drop", "severe", "raised", "basic", "seats", "chance")
"""What leads to leaving, and last the chance that comes of it."""

HAZARD: Final = {
    "base": -6.9,
    "drop": 5.5,
    "severe": 1.3,
    "raised": 2.0,
    "basic": 0.5,
    "seats": -0.25,
}
"""Log-odds of leaving in a week: the fall of use, severe tickets of 8 weeks, a raised price, the plan, the seats."""

HAZARD_AFTER: Final = {
    "base": -5.0,
    "drop": -0.5,
    "severe": 0.0,
    "raised": -0.5,
    "basic": -1.4,
    "seats": 0.55,
}
"""The same after the change of a world that changes: large customers leave for a competitor, whatever their use."""


@dataclass
class Customer:
    """A customer as the world knows them, the hidden truth included."""

    contact_id: int
    country: str
    plan: str
    seats: int
    level: float
    price: float
    began_at: datetime
    use: float = 0.0
    sessions: list[int] = field(default_factory=list)
    raised_at: datetime | None = None
    ended_at: datetime | None = None
    severe: list[datetime] = field(default_factory=list)
    open_tickets: list[Record] = field(default_factory=list)
    causes: list[tuple[datetime, tuple[float, ...]]] = field(default_factory=list)
    """What led to the chance to leave in the week from a moment on, in the order of `CAUSES`, and the chance."""


class World:
    """The world from its first Monday on, for a number of weeks; the same seed gives the same world.

    ``changes_in`` is the week from which on customers leave for other reasons.
    """

    def __init__(
        self,
        start: datetime,
        weeks: int,
        *,
        customers: int = 500,
        seed: int = 7,
        changes_in: int | None = None,
    ) -> None:
        self.start, self.weeks = start, weeks
        self.records: dict[str, list[Record]] = {name: [] for name in RESOURCES}
        """All versions of all records, by resource, in the order of ``updated_at``."""
        self.customers: list[Customer] = []
        self._seed, self._changes_in = seed, changes_in
        self._numbers = {name: 0 for name in RESOURCES}
        chance = Random(f"{seed} beginning")
        for _ in range(customers):
            # Most were there before the first week, or all would be new at once.
            self._join(
                chance, start - timedelta(days=chance.randrange(0, 500), minutes=chance.randrange(1440))
            )
        for week in range(weeks):
            self._live(week, customers)
        for versions in self.records.values():
            versions.sort(key=lambda record: (record["updated_at"], str(record)))

    def as_of(self, resource: str, now: datetime) -> list[Record]:
        """Return the newest version of each record that is there at a moment, in the order of ``updated_at``."""
        key = KEYS[resource]
        newest: dict[int, Record] = {}
        for record in self.records[resource]:
            if record["updated_at"] > now:
                break
            newest.pop(record[key], None)
            newest[record[key]] = record
        return list(newest.values())

    def _live(self, week: int, customers: int) -> None:
        at = self.start + week * WEEK
        chance = Random(f"{self._seed} week {week}")
        truth = HAZARD if self._changes_in is None or week < self._changes_in else HAZARD_AFTER
        for customer in self.customers:
            if customer.ended_at is None:
                self._week_of(customer, at, chance, truth)
        for _ in range(round(customers * 0.016)):
            self._join(chance, at + _within(chance))

    def _join(self, chance: Random, at: datetime) -> None:
        number = len(self.customers) + 1
        plan = chance.choices(list(PLANS), (5, 3, 2))[0]
        customer = Customer(
            contact_id=number,
            country=chance.choice(COUNTRIES),
            plan=plan,
            seats=max(1, round(chance.lognormvariate(1.0, 0.8))),
            level=chance.gauss(1.5, 0.35),
            price=PLANS[plan],
            began_at=at,
        )
        customer.use = customer.level
        self.customers.append(customer)
        self._put("contacts", self._contact(customer, at))
        self._put("subscriptions", self._subscription(customer, at))

    def _week_of(self, customer: Customer, at: datetime, chance: Random, truth: dict[str, float]) -> None:
        # Use wanders, and falls for some at once: they have found something else, or their project ended.
        customer.use += chance.gauss(0.0, 0.08) + 0.04 * (customer.level - customer.use)
        if chance.random() < 0.012:
            customer.use -= 2.4
        leaves = chance.random() < self._chance_of(customer, at, truth)
        self._use(customer, at, chance)
        self._tickets(customer, at, chance)
        if chance.random() < 0.01:
            customer.raised_at = at + _within(chance)
            customer.price = round(customer.price * chance.uniform(1.15, 1.4), 2)
            self._put("subscriptions", self._subscription(customer, customer.raised_at))
        if chance.random() < 0.02:
            customer.seats = max(1, customer.seats + chance.choice((-1, 1, 2)))
            self._put("contacts", self._contact(customer, at + _within(chance)))
        if leaves:
            # After everything else of the week, or there would be use without a subscription.
            customer.ended_at = at + WEEK - timedelta(seconds=chance.randrange(1, 7200))
            self._put("subscriptions", self._subscription(customer, customer.ended_at))
            if chance.random() < 0.3:
                gone = customer.ended_at + timedelta(days=chance.randrange(3, 20))
                self._put("contacts", {**self._contact(customer, gone), "deleted": True})

    def _chance_of(self, customer: Customer, at: datetime, truth: dict[str, float]) -> float:
        felt = (
            _fall(customer.sessions),
            float(min(2, sum(at - moment < 8 * WEEK for moment in customer.severe))),
            float(customer.raised_at is not None and at - customer.raised_at < 8 * WEEK),
            float(customer.plan == "basic"),
            math.log(customer.seats),
        )
        odds = truth["base"] + sum(truth[name] * value for name, value in zip(CAUSES, felt, strict=False))
        chance = 1 / (1 + math.exp(-odds))
        customer.causes.append((at, (*felt, chance)))
        return chance

    def _use(self, customer: Customer, at: datetime, chance: Random) -> None:
        customer.sessions.append(_poisson(chance, min(9.0, math.exp(customer.use))))
        for _ in range(customer.sessions[-1]):
            moment = at + _within(chance)
            record = {
                "event_id": self._number("usage"),
                "contact_id": customer.contact_id,
                "happened_at": moment,
                "minutes": max(1, round(chance.lognormvariate(2.6, 0.7))),
                "updated_at": moment,
            }
            self._put("usage", record)

    def _tickets(self, customer: Customer, at: datetime, chance: Random) -> None:
        for ticket in [*customer.open_tickets]:
            if chance.random() < 0.55:
                customer.open_tickets.remove(ticket)
                closed = at + _within(chance)
                self._put("tickets", {**ticket, "closed_at": closed, "updated_at": closed})
        if chance.random() < 0.05:
            moment = at + _within(chance)
            severe = chance.random() < 0.4
            ticket = {
                "ticket_id": self._number("tickets"),
                "contact_id": customer.contact_id,
                "severity": "severe" if severe else "normal",
                "opened_at": moment,
                "closed_at": None,
                "updated_at": moment,
            }
            customer.open_tickets.append(ticket)
            if severe:
                customer.severe.append(moment)
            self._put("tickets", ticket)

    def _contact(self, customer: Customer, at: datetime) -> Record:
        return {
            "contact_id": customer.contact_id,
            "name": f"Company {customer.contact_id}",
            "email": f"office@company-{customer.contact_id}.example",
            "country": customer.country,
            "seats": customer.seats,
            "created_at": customer.began_at,
            "updated_at": at,
            "deleted": False,
        }

    def _subscription(self, customer: Customer, at: datetime) -> Record:
        return {
            "subscription_id": 10_000 + customer.contact_id,
            "contact_id": customer.contact_id,
            "plan": customer.plan,
            "monthly_eur": f"{customer.price:.2f}",
            "status": "cancelled" if customer.ended_at is not None else "active",
            "started_at": customer.began_at,
            "ended_at": customer.ended_at,
            "updated_at": at,
        }

    def _number(self, resource: str) -> int:
        self._numbers[resource] += 1
        return self._numbers[resource]

    def _put(self, resource: str, record: Record) -> None:
        self.records[resource].append(record)


KEYS: Final = {
    "contacts": "contact_id",
    "subscriptions": "subscription_id",
    "tickets": "ticket_id",
    "usage": "event_id",
}
"""What names a record of each resource."""


def monday_before(moment: datetime) -> datetime:
    """Return the Monday, 00:00 UTC, at or before a moment."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def leaving(world: World) -> Iterator[tuple[int, datetime]]:
    """Yield who left, and when."""
    for customer in world.customers:
        if customer.ended_at is not None:
            yield customer.contact_id, customer.ended_at


def _fall(sessions: list[int]) -> float:
    """Return by which share use has fallen: the last three weeks against the twelve before."""
    recent, before = sessions[-3:], sessions[-15:-3]
    if len(recent) < 3 or not before:
        return 0.0
    ratio = (sum(recent) / 3 + 0.3) / (sum(before) / len(before) + 0.3)
    return max(0.0, 1 - ratio)


def _within(chance: Random) -> timedelta:
    # Not in the last two hours of a week: those belong to who leaves.
    return timedelta(seconds=chance.randrange(0, 7 * 86400 - 7300))


def _poisson(chance: Random, mean: float) -> int:
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count
