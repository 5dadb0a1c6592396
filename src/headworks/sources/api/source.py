"""A paginated JSON resource as a source: the exact bytes of each record, page by page.

What belongs here: pages into batches. What does not: requests (``client.py``), which page comes next (``pages.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import httpx
import msgspec
import polars as pl
from pydantic import Field

from headworks.errors import PageUnreadable, ReadIncomplete
from headworks.settings import Settings
from headworks.sources.api.client import ApiClient
from headworks.sources.api.pages import Cursors, Page, PageNumbers
from headworks.sources.base import Batch, Position

RECORDS = pl.Schema({"record": pl.Binary(), "_page": pl.Int64(), "_url": pl.String()})

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder()


class Resource(Settings):
    """Describes one resource of an API: where it is, where its records are, and how its pages follow each other."""

    path: str = Field(description="Path below the API's base URL, such as /v1/products.")
    records: str = Field(
        default="",
        description="Dotted path of the records in the body; empty for the body itself.",
    )
    pagination: Annotated[PageNumbers | Cursors, Field(discriminator="kind")]
    cursor_field: str | None = Field(
        default=None, description="Field of a record that the next reading begins with."
    )


@dataclass(frozen=True)
class ApiSource:
    """Reads one resource; ``batch_pages`` pages are one batch."""

    client: ApiClient
    resource: Resource
    batch_pages: int = field(default=10)

    @property
    def schema(self) -> pl.Schema:
        """The columns of every batch's frame: the record as received, its page's number in this reading, its URL."""
        return RECORDS

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield batches of pages from ``position``; ``until`` is not used, since the API bounds its own present."""
        paginator = self.resource.pagination
        here, ended, number = paginator.resume(position), False, 0
        while not ended:
            records: list[tuple[bytes, int, str]] = []
            for _ in range(self.batch_pages):
                number += 1
                page, raw = self._page(here)
                url = _url(self.resource.path, paginator.parameters(here))
                records += [(bytes(record), number, url) for record in raw]
                here, ended = self._next(here, page, raw)
                if ended:
                    break
            yield Batch(
                pl.DataFrame(records, schema=RECORDS, orient="row"),
                here,
                read=len(records),
            )

    def _page(self, position: Position) -> tuple[Page, list[msgspec.Raw]]:
        paginator = self.resource.pagination
        return self.client.get(self.resource.path, paginator.parameters(position), self._decode)

    def _decode(self, body: bytes) -> tuple[Page, list[msgspec.Raw]]:
        """Take a body apart without touching its records; raises `PageUnreadable` where it is not what it should be."""
        try:
            raw = _array.decode(_at(body, self.resource.records))
            envelope = {name: _any.decode(_at(body, name)) for name in self.resource.pagination.fields}
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError) as problem:
            raise PageUnreadable(
                f"A page is not the JSON that was expected ({len(body)} bytes): {problem}.",
                where=f"{self.resource.path}, records at {self.resource.records or 'the top'}",
                do="check the resource's paths against an answer of the API, if it stays so.",
            ) from problem
        return Page(len(raw), envelope), raw

    def _next(self, position: Position, page: Page, raw: list[msgspec.Raw]) -> tuple[Position, bool]:
        try:
            step = self.resource.pagination.after(position, page)
        except ReadIncomplete as problem:
            raise ReadIncomplete(problem.what, where=self.resource.path, do=problem.do) from problem
        after = step.position
        if self.resource.cursor_field is not None:
            after = {**after, "watermark": self._watermark(after.get("watermark"), raw)}
        return after, step.ended

    def _watermark(self, before: str | None, raw: list[msgspec.Raw]) -> str | None:
        """Return the largest value of the cursor field; values compare as text, as ISO dates do."""
        values = [value for value in (self._cursor_of(record) for record in raw) if value is not None]
        return max([*values, before] if before else values, default=before)

    def _cursor_of(self, record: msgspec.Raw) -> str | None:
        try:
            value = _any.decode(_object.decode(record)[self.resource.cursor_field or ""])
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError):
            return None
        return value if isinstance(value, str) else None


def _at(body: bytes | msgspec.Raw, path: str) -> Any:
    """Return the raw JSON at a dotted path, undecoded."""
    for name in path.split(".") if path else ():
        body = _object.decode(body)[name]
    return body


def _url(path: str, parameters: dict[str, str]) -> str:
    return str(httpx.URL(path, params=parameters))
