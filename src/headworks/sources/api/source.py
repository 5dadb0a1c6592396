"""A resource of an API as a source: pages gathered into batches, fetched while the batch before is being landed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, repeat
from typing import TypeVar

import polars as pl

from headworks.errors import HeadworksError, ReadIncomplete, ReadShort, SettingsError
from headworks.names import Window
from headworks.redaction import redacted, redacted_error
from headworks.sources.api.ahead import Unlanded
from headworks.sources.api.bridge import iterate
from headworks.sources.api.children import FamilyReading, begin_family
from headworks.sources.api.client import ApiClient
from headworks.sources.api.progress import PageToLand, begin
from headworks.sources.api.reading import Reading
from headworks.sources.api.resource import Incremental, Resource
from headworks.sources.api.signing import know_secrets
from headworks.sources.base import REFUSAL, Batch, Effort, Position

RECORDS = pl.Schema({"record": pl.Binary(), "_page": pl.Int64(), "_url": pl.String(), **REFUSAL})
DELETED = "_deleted"
"""Column that marks tombstones, where the resource has them."""

T = TypeVar("T")

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class ApiSource:
    """Reads one resource.

    Never more than ``unlanded_pages`` pages are on their way to bronze, from being asked for to being committed: so
    many a killed run reads again at most. A batch ends after half of them, so that it is committed while the other
    half is being fetched, or after so many bytes or seconds.
    """

    api: ApiClient
    resource: Resource
    unlanded_pages: int = 400
    batch_bytes: int = 16 * _MEGABYTE
    batch_s: float = 10.0
    window: Window | None = None

    @property
    def schema(self) -> pl.Schema:
        """The columns of every batch's frame: the record as received, its page's number in this reading, its URL.

        A record that nobody could read has a reason and its bytes in their place."""
        return pl.Schema({**RECORDS, DELETED: pl.Boolean()}) if self.resource.tombstone else RECORDS

    @property
    def _incremental(self) -> Incremental | None:
        """How the API is asked for what is new: of the parents, where there are any."""
        each = self.resource.each
        return each.of.incremental if each is not None else self.resource.incremental

    def within(self, window: Window) -> ApiSource:
        """Return the source bounded to a window; raises `SettingsError` where the API takes no end."""
        incremental = self._incremental
        if incremental is None or incremental.until_parameter is None:
            raise SettingsError(
                "This resource cannot be read for a window, since it has no parameter for its end.",
                where=self.resource.path,
                do="give its incremental an until_parameter, or run it without a window.",
            )
        return replace(self, window=window)

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield batches of pages from ``position`` to the end of the pass.

        Raises `SettingsError` for an ``until`` that the API has no parameter for, and whatever stops the reading, after
        the pages that came before it; of a reading that goes round in circles nothing more is given.
        """
        incremental = self._incremental
        if until is not None and (incremental is None or incremental.until_parameter is None):
            self.within(Window(start=datetime.min, end=until))
        know_secrets(self.api.settings, self.api.tokens)
        now = self.api.clock()
        unlanded = Unlanded(self.unlanded_pages)
        reading = self._reading(position, now, until, unlanded)
        gathered = iterate(
            lambda: self._gather(reading, unlanded),
            name=f"headworks {self.resource.path}",
            used=lambda chunk: unlanded.landed(len(chunk.pages)),
        )
        try:
            for chunk in gathered:
                yield self._batch(chunk)
                if chunk.problem is not None:
                    raise chunk.problem
            return
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is raised again
            problem = redacted_error(raised)
        # Raised out here, so that nothing which may hold a secret is chained to it.
        raise problem

    def _reading(
        self, position: Position | None, now: datetime, until: datetime | None, unlanded: Unlanded
    ) -> Reading | FamilyReading:
        """Return the reading from a position on."""
        if self.resource.each is not None:
            family = begin_family(position, self.resource)
            return FamilyReading(
                self.api, self.resource, family, now, unlanded, window=self.window, until=until
            )
        progress = begin(
            position,
            self.resource,
            self.resource.pagination,
            now,
            window=self.window,
            until=until,
            base_url=self.api.settings.base_url,
        )
        return Reading(self.api, self.resource, progress, now, unlanded)

    async def _gather(self, reading: Reading | FamilyReading, unlanded: Unlanded) -> AsyncIterator[_Chunk]:
        """Gather pages until there are enough of them; a problem comes with the pages before it."""
        chunk, since, traffic = _Chunk(), _seconds(), (0, 0)
        async with aclosing(reading.pages()) as pages:
            while True:
                try:
                    landed = await anext(pages, None)
                except HeadworksError as problem:
                    landing = not isinstance(problem, ReadIncomplete) or isinstance(problem, ReadShort)
                    if not chunk.pages or not landing:
                        raise
                    chunk.problem = problem
                    yield chunk
                    return
                if landed is not None:
                    chunk.add(landed)
                    unlanded.gathered()
                done = landed is None or landed.progress.done
                if chunk.pages and (
                    done or (landed is not None and landed.flush) or self._is_enough(chunk, since)
                ):
                    spent = reading.session.traffic
                    chunk.requests, chunk.retries = spent.requests - traffic[0], spent.retries - traffic[1]
                    traffic = (spent.requests, spent.retries)
                    yield chunk
                    chunk, since = _Chunk(), _seconds()
                if landed is None:
                    return

    def _is_enough(self, chunk: _Chunk, since: float) -> bool:
        return (
            len(chunk.pages) >= max(1, self.unlanded_pages // 2)
            or chunk.bytes >= self.batch_bytes
            or _seconds() - since >= self.batch_s
        )

    def _batch(self, chunk: _Chunk) -> Batch:
        pages = chunk.pages
        counts = [len(page.records) + len(page.refused) for page in pages]
        columns = [
            pl.Series("record", _each_record(pages), dtype=pl.Binary),
            pl.Series("_page", _each([page.number for page in pages], counts), dtype=pl.Int64),
            pl.Series("_url", _each([page.url for page in pages], counts), dtype=pl.String),
            *_refusals(pages, sum(counts)),
        ]
        if self.resource.tombstone:
            marks = [
                mark for page in pages for mark in (*(page.deleted or ()), *(False for _ in page.refused))
            ]
            columns.append(pl.Series(DELETED, marks, dtype=pl.Boolean))
        read, last = sum(page.read for page in pages), pages[-1]
        return Batch(
            pl.DataFrame(columns),
            last.progress.to_position(),
            read=read,
            repeated=read - sum(counts),
            refused=sum(len(page.refused) for page in pages),
            warnings=tuple(dict.fromkeys(redacted(page.warning) for page in pages if page.warning)),
            shown=last.shown,
            expected=last.expected,
            effort=Effort(pages=len(pages), requests=chunk.requests, retries=chunk.retries),
        )


@dataclass
class _Chunk:
    """Pages on their way to a batch."""

    pages: list[PageToLand] = field(default_factory=list)
    bytes: int = 0
    requests: int = 0
    retries: int = 0
    problem: HeadworksError | None = None

    def add(self, landed: PageToLand) -> None:
        self.pages.append(landed)
        self.bytes += sum(map(len, landed.records)) + sum(len(raw) for _, raw in landed.refused)


def _each_record(pages: Sequence[PageToLand]) -> list[bytes | None]:
    """Return the records of pages, with nothing in the place of each refused one after those of its page."""
    if not any(page.refused for page in pages):
        return [record for page in pages for record in page.records]
    return [record for page in pages for record in (*page.records, *(None for _ in page.refused))]


def _refusals(pages: Sequence[PageToLand], height: int) -> list[pl.Series]:
    """Return the columns of refused records."""
    if not any(page.refused for page in pages):
        return [
            pl.Series(name, [], dtype=dtype).extend_constant(None, height) for name, dtype in REFUSAL.items()
        ]
    rows = [row for page in pages for row in (*((None, None) for _ in page.records), *page.refused)]
    return [
        pl.Series(name, [row[at] for row in rows], dtype=dtype)
        for at, (name, dtype) in enumerate(REFUSAL.items())
    ]


def _each(values: Iterable[T], counts: Iterable[int]) -> list[T]:
    """Return each value so many times."""
    return list(chain.from_iterable(map(repeat, values, counts)))


def _seconds() -> float:
    return asyncio.get_running_loop().time()
