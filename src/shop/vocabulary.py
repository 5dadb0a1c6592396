"""The shop's fixed words: what is allowed where, and between which bounds.

Constants that rules, generator and truth agree on belong here; the rules themselves do not.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

COUNTRIES: Final = ("CH", "DE", "ES", "FR", "GB", "IT", "NL", "PL", "SE", "US")
SEGMENTS: Final = ("business", "consumer", "public")
CURRENCIES: Final = ("CHF", "EUR", "GBP", "PLN", "SEK", "USD")
UNITS_PER_EURO: Final = {"CHF": 1.0, "EUR": 1.0, "GBP": 1.0, "PLN": 4.0, "SEK": 11.0, "USD": 1.0}
"""About what a euro is worth, to recognise a price's hundredfold; money is converted by the rates of the day."""

LARGEST_MARKUP: Final = 10.0
"""How many times its list price a product may be sold for, or how small a part of it."""

STATUSES: Final = ("new", "paid", "shipped", "delivered", "cancelled")
CATEGORIES: Final = ("books", "garden", "kitchen", "lighting", "music", "office", "sport", "toys")

UNCOUNTED_STATUS: Final = "cancelled"
"""Orders with this status are valid, but no revenue."""

EMAIL_PATTERN: Final = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
ISO_DATE_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
PRICE_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?$"
"""A clean price is a JSON string such as "12.50"; a JSON number of at least 0 is accepted too."""

EARLIEST_BIRTH: Final = date(1900, 1, 1)
LATEST_BIRTH: Final = date(2020, 12, 31)
EARLIEST_ORDER: Final = datetime(2020, 1, 1, tzinfo=UTC)
ORDER_CLOCK_SKEW: Final = timedelta(days=1)
"""How far `ordered_at` may lie after `updated_at`."""
