"""Pagination as small state machines without I/O: one class for each way in which APIs cut their records into pages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headworks.sources.api.paginate.base import Ask, Evidence, Page, Paginator, State, Step
from headworks.sources.api.paginate.counting import Offset, PageNumbers
from headworks.sources.api.paginate.links import LinkHeader, NextHeader, NextUrl
from headworks.sources.api.paginate.tokens import Composite, Cursor, Keyset, Single

# Prefect's form takes the first kind with the most fields of a value: `Single` has the kind alone, and adds nothing.
Pagination = Annotated[
    Single | PageNumbers | Offset | Cursor | NextUrl | LinkHeader | NextHeader | Keyset | Composite,
    Field(discriminator="kind"),
]
"""Any kind of pagination that ships with headworks, distinguished by ``kind``."""

__all__ = [
    "Ask",
    "Composite",
    "Cursor",
    "Evidence",
    "Keyset",
    "LinkHeader",
    "NextHeader",
    "NextUrl",
    "Offset",
    "Page",
    "PageNumbers",
    "Pagination",
    "Paginator",
    "Single",
    "State",
    "Step",
]
