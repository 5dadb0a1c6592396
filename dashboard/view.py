"""What of the published sales is shown: choices, sums and how numbers are written. Pure functions of frames.

Money is a decimal from gold to the page; a float appears only as the length of a bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import polars as pl

from headworks.ops.escaping import spreadsheet

Dimension = Literal["day", "country", "category"]

REVENUE = "revenue_eur"
NOTHING = Decimal("0.00")
_MONEY = pl.Decimal(38, 2)


@dataclass(frozen=True)
class Choice:
    """What a person chose to see: days from ``first`` to ``last`` inclusive; no country or category means all."""

    first: date
    last: date
    countries: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def days(self) -> int:
        """Number of days in the period."""
        return (self.last - self.first).days + 1

    def before(self) -> Choice:
        """Return the same choice for the period of equal length just before."""
        length = timedelta(days=self.days)
        return Choice(self.first - length, self.last - length, self.countries, self.categories)


@dataclass(frozen=True)
class Offer:
    """What there is to choose from."""

    first: date
    last: date
    countries: tuple[str, ...]
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Figures:
    """The sums over what is chosen. Orders are not among them: one order may count in several categories."""

    revenue: Decimal
    units: int
    days: int
    change: Decimal | None
    """Relative change of revenue against the period before; none where that period is not covered."""

    @property
    def revenue_a_day(self) -> Decimal:
        """Mean revenue of a day, rounded to the cent."""
        return (self.revenue / self.days).quantize(NOTHING)


def offer(daily: pl.DataFrame) -> Offer | None:
    """Return what there is to choose from; none where no day has revenue."""
    if daily.is_empty():
        return None
    return Offer(
        first=daily.get_column("day").min(),  # type: ignore[arg-type]
        last=daily.get_column("day").max(),  # type: ignore[arg-type]
        countries=tuple(daily.get_column("country").unique().sort()),
        categories=tuple(daily.get_column("category").unique().sort()),
    )


def chosen(daily: pl.DataFrame, choice: Choice) -> pl.DataFrame:
    """Return the rows of ``sales.daily`` that are chosen."""
    rows = daily.filter(pl.col("day").is_between(choice.first, choice.last))
    if choice.countries:
        rows = rows.filter(pl.col("country").is_in(choice.countries))
    if choice.categories:
        rows = rows.filter(pl.col("category").is_in(choice.categories))
    return rows


def figures(daily: pl.DataFrame, choice: Choice) -> Figures:
    """Return the sums over what is chosen, and the change against the period before where all of it is covered."""
    rows = chosen(daily, choice)
    earliest, before = daily.get_column("day").min(), choice.before()
    change = None
    if isinstance(earliest, date) and before.first >= earliest:
        earlier = total(chosen(daily, before))
        change = (total(rows) - earlier) / earlier if earlier else None
    return Figures(total(rows), int(rows.get_column("units").sum()), choice.days, change)


def total(rows: pl.DataFrame) -> Decimal:
    """Return the revenue of rows, exact to the cent."""
    found = rows.select(pl.col(REVENUE).cast(_MONEY).sum()).item()
    return found if isinstance(found, Decimal) else NOTHING


def by(rows: pl.DataFrame, *dimensions: Dimension) -> pl.DataFrame:
    """Return revenue and units by one or more dimensions: days in order, others by falling revenue."""
    sums = rows.group_by(dimensions).agg(pl.col(REVENUE).cast(_MONEY).sum(), pl.col("units").sum())
    if "day" in dimensions:
        return sums.sort(*dimensions)
    return sums.sort(pl.col(REVENUE), *dimensions, descending=[True, *[False] * len(dimensions)])


def by_day(rows: pl.DataFrame, choice: Choice) -> pl.DataFrame:
    """Return revenue and units for each day of the period, also for those on which nothing was sold."""
    days = pl.DataFrame({"day": pl.date_range(choice.first, choice.last, "1d", eager=True)})
    return days.join(by(rows, "day"), on="day", how="left").with_columns(
        pl.col(REVENUE).fill_null(NOTHING), pl.col("units").fill_null(0)
    )


def top_customers(customers: pl.DataFrame, choice: Choice, limit: int) -> pl.DataFrame:
    """Return the customers of the chosen countries who bought most since they first did, the best first."""
    rows = customers.filter(pl.col("country").is_in(choice.countries)) if choice.countries else customers
    return rows.sort(REVENUE, "customer_id", descending=[True, False]).head(limit)


def money(amount: Decimal) -> str:
    """Write an amount of euros to the cent, such as ``€ 1,234.50``."""
    return f"{'−' if amount < 0 else ''}€ {abs(amount):,.2f}"


def number(value: int) -> str:
    """Write a whole number, such as ``12,345``."""
    return f"{value:,}"


def percent(share: Decimal) -> str:
    """Write a relative change with its sign, such as ``+3.4 %``."""
    return f"{'−' if share < 0 else '+'}{abs(share) * 100:.1f} %"


def day(value: date) -> str:
    """Write a day, such as ``Wed 11 Mar 2026``."""
    return f"{value:%a} {value.day} {value:%b %Y}"


def share_of(amount: Decimal, whole: Decimal) -> str:
    """Write which part of a whole an amount is, such as ``12.5 %``."""
    return f"{amount / whole * 100:.1f} %" if whole else "–"


def drawn(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as a chart draws them: lengths as floats, and alongside them the exact amount as text."""
    texts = [money(amount) for amount in rows.get_column(REVENUE)]
    lengths = pl.col(REVENUE).cast(pl.Float64)
    return rows.with_columns(
        lengths.alias("length"), pl.Series("shown", texts, dtype=pl.String), pl.col("units").cast(pl.Int64)
    ).drop(REVENUE)


def as_csv(rows: pl.DataFrame) -> str:
    """Return rows of ``sales.daily`` as CSV, in order, every amount exact, and no text that a sheet would compute."""
    return spreadsheet(rows.sort("day", "country", "category")).write_csv()


def with_room(longest: float) -> float:
    """Return how long an axis must be, so that the exact amount fits behind the longest bar."""
    return longest * 1.4 if longest > 0 else 1.0
