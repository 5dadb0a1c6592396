"""The products that flows publish to a database, and where to: for the flows, and for whoever rolls one back.

What belongs here: that list. What does not: how a product is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from headworks.publish.postgres import PublishedTable
from shop import gold


@dataclass(frozen=True)
class Published:
    """Where a product is published: the database's block, the schema, and its tables there."""

    database: str
    schema: str
    tables: tuple[PublishedTable, ...]


PUBLISHED = {gold.PRODUCT: Published("analytics-database", gold.SCHEMA, gold.PUBLISHED)}
"""By the product's name."""
