"""Reads a resource once for each record of another one: the items of each order, the detail of each entry of a list.

The parents are read page by page by a reading of their own, and the children of a page several at a time. The position
holds that of the parents after the page in hand, which of its parents are left, and where each child that was begun
is, so that a reading which was cut short resumes every one of them. It is complete if the parents' reading and each
child's are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from headworks.errors import SettingsError
from headworks.names import Window
from headworks.sources.api.ahead import Unlanded
from headworks.sources.api.client import ApiClient, Session
from headworks.sources.api.formats import prefix_of
from headworks.sources.api.noticing import probably
from headworks.sources.api.paginate.base import as_text
from headworks.sources.api.progress import PageToLand, begin, described_as
from headworks.sources.api.reading import Reading
from headworks.sources.api.records import FieldReader, value_of
from headworks.sources.api.request import filled, quoted
from headworks.sources.api.resource import Each, Resource
from headworks.sources.base import Position

_GONE = frozenset({404, 410})
"""A parent that is there no longer has no children either; what else is skipped is only not shown to us."""


@dataclass(frozen=True)
class Family:
    """The position of a reading of children.

    ``parents`` is the parents' position after the page in hand, ``over`` says whether that was their last. ``left``
    has the values of those parents of the page whose children are not all read, by their place in it, ``begun`` the
    positions of children that are being read. ``known`` names the described fields that some page of a child had.
    """

    parents: Position | None = None
    over: bool = False
    left: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    begun: Mapping[int, Position] = field(default_factory=dict)
    whole: bool = True
    skipped: int = 0
    described: str = ""
    known: frozenset[str] = frozenset()
    done: bool = False
    warning: str = ""

    def to_position(self) -> Position:
        """Return it as JSON."""
        position: Position = {
            "family": 1,
            "done": self.done,
            "parents": self.parents,
            "described": self.described,
            "known": sorted(self.known),
        }
        if not self.done:
            position |= {
                "over": self.over,
                "left": {str(place): list(values) for place, values in self.left.items()},
                "begun": {str(place): begun for place, begun in self.begun.items()},
                "whole": self.whole,
                "skipped": self.skipped,
            }
        return position


def begin_family(position: Position | None, resource: Resource) -> Family:
    """Return where to begin, given where the last reading stopped; children described otherwise begin again."""
    assert resource.each is not None, "asked for a resource with parents alone"
    described = json.dumps([*described_as(resource, ""), resource.each.fields, resource.each.add])
    if position is None:
        return Family(described=described)
    if position.get("family") != 1 or position["described"] != described:
        return Family(
            described=described,
            warning="What is asked for is described differently than when this stream was last read: all of it is read "
            "again.",
        )
    if position["done"]:
        return Family(parents=position["parents"], described=described, known=frozenset(position["known"]))
    return Family(
        position["parents"],
        position["over"],
        {int(place): tuple(values) for place, values in position["left"].items()},
        {int(place): begun for place, begun in position["begun"].items()},
        position["whole"],
        position["skipped"],
        described,
        frozenset(position["known"]),
    )


class FamilyReading:
    """One reading of the children of all parents, from where its stream is to the end of the pass."""

    def __init__(
        self,
        api: ApiClient,
        resource: Resource,
        family: Family,
        now: datetime,
        unlanded: Unlanded,
        *,
        window: Window | None = None,
        until: datetime | None = None,
    ) -> None:
        assert resource.each is not None, "made for a resource with parents alone"
        self._api, self._resource, self._each, self._now = api, resource, resource.each, now
        self._family, self._unlanded = family, unlanded
        self._bounds: Mapping[str, Any] = {"window": window, "until": until}
        self._of = parents_of(self._each)
        self._fields = FieldReader((*self._each.fields.values(), *self._each.add.values()))
        self._number = 0
        self._warnings: list[str] = [family.warning]
        self.session: Session

    async def pages(self) -> AsyncGenerator[PageToLand, None]:
        """Yield page after page of the children until the pass has ended."""
        async with self._api.session() as self.session:
            async with aclosing(self._children()) as left:
                async for landed in left:
                    yield landed
            if not self._family.over:
                progress = begin(
                    self._family.parents,
                    self._of,
                    self._of.pagination,
                    self._now,
                    base_url=self._api.settings.base_url,
                    **self._bounds,
                )
                # A parent that is as it was has children that may not be.
                progress = replace(progress, held=None)
                parents = Reading(self._api, self._of, progress, self._now, self._unlanded)
                async with aclosing(parents.pages(self.session)) as pages:
                    async for page in pages:
                        self._family = self._with_parents(page)
                        async with aclosing(self._children()) as children:
                            async for landed in children:
                                yield landed
            yield self._end()

    def _with_parents(self, page: PageToLand) -> Family:
        """Return the position with a page of parents in hand."""
        gone = page.deleted or [False] * len(page.records)
        records = [one for one, deleted in zip(page.records, gone, strict=True) if not deleted]
        rows = self._fields.read(records)
        wanted = len(self._each.fields)
        lacking = [row for row in rows if any(raw in (None, b"null") for raw in row[:wanted])]
        if lacking and len(lacking) == len(rows):
            sample = value_of(records[0])
            names = [
                name
                for name, raw in zip(self._each.fields.values(), rows[0][:wanted], strict=True)
                if raw in (None, b"null")
            ]
            raise SettingsError(
                f"No parent has the field {', '.join(names)}, which the description names in each.fields."
                f"{probably(names[0], sample if isinstance(sample, dict) else {})}",
                where=self._of.path,
                do="correct each.fields of the resource.",
            )
        if lacking:
            self._warnings.append(
                f"{len(lacking)} parents lack a field that their children are asked for with, such as "
                f"{', '.join(self._each.fields.values())}: their children were not read."
            )
        if page.warning:
            self._warnings.append(page.warning)
        if page.refused:
            self._warnings.append(
                f"{len(page.refused)} parents cannot be read, and their children were not read."
            )
        left = [row for row in rows if row not in lacking]
        return replace(
            self._family,
            parents=page.progress.to_position(),
            over=page.progress.done,
            left={place: tuple((raw or b"null").decode() for raw in row) for place, row in enumerate(left)},
            begun={},
            whole=self._family.whole
            and not (page.progress.done and page.shown is False)
            and not lacking
            and not page.refused,
        )

    async def _children(self) -> AsyncGenerator[PageToLand, None]:
        """Yield the pages of the children that are left of the parents in hand, several children at a time."""
        places = list(self._family.left)
        if not places:
            return
        width = min(self._api.settings.limits.in_flight, len(places))
        came: asyncio.Queue[tuple[int, PageToLand | Exception, Reading]] = asyncio.Queue(width)
        todo = iter(places)

        async def work() -> None:
            for place in todo:
                reading = self._child(place)
                try:
                    async with aclosing(reading.pages(self.session)) as pages:
                        async for landed in pages:
                            await came.put((place, landed, reading))
                except Exception as problem:  # noqa: BLE001 - whatever it is, it is raised where pages are taken
                    await came.put((place, problem, reading))
                    return

        workers = [asyncio.ensure_future(work()) for _ in range(width)]
        try:
            while self._family.left:
                place, landed, reading = await came.get()
                if isinstance(landed, Exception):
                    raise landed
                yield self._landed(place, landed, reading)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def _child(self, place: int) -> Reading:
        each, raws = self._each, [raw.encode() for raw in self._family.left[place]]
        resource = child_of(self._resource, dict(zip(each.fields, map(value_of, raws), strict=False)))
        progress = begin(
            self._family.begun.get(place),
            resource,
            resource.pagination,
            self._now,
            base_url=self._api.settings.base_url,
        )
        # What each child has landed is not kept from run to run: there may be very many of them.
        known = tuple(sorted(self._family.known.union(progress.known)))
        progress = replace(progress, known=known, held=None)
        prefix = prefix_of(dict(zip(each.add, raws[len(each.fields) :], strict=True)))
        return Reading(self._api, resource, progress, self._now, self._unlanded, prefix, brief=True)

    def _landed(self, place: int, landed: PageToLand, reading: Reading) -> PageToLand:
        """Return a child's page with the position of all, and keep that."""
        family = self._family
        left, begun = dict(family.left), dict(family.begun)
        whole, skipped = family.whole, family.skipped
        if landed.progress.done:
            left.pop(place)
            begun.pop(place, None)
            away = reading.missing.intersection(self._each.skip_statuses)
            skipped += bool(away)
            whole = whole and landed.shown is not False and away <= _GONE
        else:
            begun[place] = landed.progress.to_position()
        known = family.known | reading.known
        self._family = replace(
            family, left=left, begun=begun, whole=whole, skipped=skipped, known=known, warning=""
        )
        self._number += 1
        said = " ".join(filter(None, (*self._warnings, landed.warning)))
        self._warnings = []
        return replace(
            landed, progress=self._family, number=self._number, warning=said, shown=None, expected=None
        )

    def _end(self) -> PageToLand:
        """Return the empty page with which the pass ends."""
        family = self._family
        if family.skipped:
            statuses = ", ".join(map(str, self._each.skip_statuses))
            self._warnings.append(
                f"{family.skipped} parents' children were skipped, as described for {statuses}."
            )
        if not family.whole:
            self._warnings.append(
                "The parents, or the children of some, are not shown to be complete, and so this reading is not."
            )
        ended = Family(family.parents, described=family.described, known=family.known, done=True)
        said = " ".join(filter(None, self._warnings))
        return PageToLand(
            [], [], 0, self._number, self._resource.path, ended, warning=said, shown=family.whole
        )


def parents_of(each: Each) -> Resource:
    """Return the parents as a resource."""
    return Resource(**{name: getattr(each.of, name) for name in type(each.of).model_fields})


def child_of(resource: Resource, values: Mapping[str, Any]) -> Resource:
    """Return the resource of one parent's children."""
    texts = {name: as_text(value) for name, value in values.items()}
    each = resource.each
    return resource.model_copy(
        update={
            "path": filled(resource.path, {name: quoted(text) for name, text in texts.items()}),
            "parameters": filled(resource.parameters, texts),
            "body": filled(resource.body, texts),
            "each": None,
            "empty_statuses": (*resource.empty_statuses, *(each.skip_statuses if each else ())),
        }
    )
