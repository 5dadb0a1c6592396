"""Reading a vendor's server by its recipe, batch by batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from headworks.sources.api.client import ApiClient
from headworks.sources.api.recipes import recipe
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings, Limits
from headworks.sources.api.source import DELETED, ApiSource
from headworks.sources.base import Batch, Position
from tests.recipes.families import SIZE, World
from tests.recipes.vendor import Vendor
from tests.support.clients import NOW, no_wait
from tests.support.served import Answer, Asked, served

UNLANDED = 2
"""Pages that may be asked for and not yet landed."""

_TOKEN = b'{"access_token":"filled","token_type":"Bearer","expires_in":3600}'


@dataclass
class Playing:
    """A vendor's server that is running. ``most``: after so many pages it refuses all others.

    ``ahead`` is how many pages of a reading were asked for and not landed, at most: the same request twice counts once.
    """

    vendor: Vendor
    world: World
    url: str = ""
    pages: int = 0
    most: int | None = None
    asked: list[Asked] = field(default_factory=list)
    landed: int = 0
    ahead: int = 0
    _different: set[tuple[Any, ...]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def begin(self) -> None:
        """Count the pages of another reading."""
        with self._lock:
            self.pages = self.landed = self.ahead = 0
            self._different.clear()

    def land(self, pages: int) -> None:
        """Count pages that landed."""
        with self._lock:
            self.landed += pages

    def answer(self, asked: Asked) -> Answer:
        """Answer a request, or one for a token."""
        self.asked.append(asked)
        if asked.path.endswith("/token"):
            return Answer(_TOKEN, headers={"Content-Type": "application/json"})
        with self._lock:
            self.pages += 1
            self._different.add((asked.method, asked.path, *sorted(asked.query.items()), asked.body))
            self.ahead = max(self.ahead, len(self._different) - self.landed)
            refused = self.most is not None and self.pages > self.most
        if refused:
            return Answer(b'{"message":"not now"}', status=403)
        return self.vendor.answer(self.world, asked)

    def source(self) -> ApiSource:
        """Return the recipe as a source, with all of its places filled, in pages of ten records."""
        found = recipe(self.vendor.recipe)
        filled = dict.fromkeys(found.fill, "filled")
        settings = found.api(filled)
        settings |= {
            "base_url": self.url + urlsplit(settings["base_url"]).path,
            "limits": Limits(attempts=2, in_flight=2),
        }
        if "token_url" in settings.get("auth", {}):
            settings["auth"] = {**settings["auth"], "token_url": f"{self.url}/oauth/token"}
        client = ApiClient(
            ApiSettings.model_validate(settings), clock=lambda: NOW, sleep=no_wait, chance=lambda: 1.0
        )
        return ApiSource(client, sized(found.resource(self.vendor.resource, filled)), unlanded_pages=UNLANDED)


def sized(resource: Resource) -> Resource:
    """Return a resource with small pages."""
    if not hasattr(resource.pagination, "size"):
        return resource
    return resource.model_copy(update={"pagination": resource.pagination.model_copy(update={"size": SIZE})})


@contextmanager
def playing(vendor: Vendor, rows: int) -> Iterator[Playing]:
    """Serve a vendor as long as the block runs."""
    world = World()
    world.grow(rows)
    played = Playing(vendor, world)
    with served(played.answer) as upstream:
        played.url = upstream.url
        yield played


@dataclass
class Stream:
    """What readings of a vendor have given, batch after batch, with the position after the last one."""

    played: Playing
    position: Position | None = None
    held: list[tuple[Any, bool]] = field(default_factory=list)
    repeated: int = 0

    def read(self) -> Read:
        """Read from the position to the end of the pass, and keep what came before a stop as a landing does."""
        self.played.begin()
        found = Read()
        for batch in self.played.source().read(self.position, None):
            rows = batch.frame
            marks = rows[DELETED].to_list() if DELETED in rows.columns else [False] * rows.height
            pairs = zip(rows["record"].to_list(), marks, strict=True)
            self.held += [(json.loads(record), bool(mark)) for record, mark in pairs]
            self.position = json.loads(json.dumps(batch.position))
            self.repeated += batch.repeated
            self.played.land(batch.effort.pages)
            found.add(batch)
        return found


@dataclass
class Read:
    """What one reading gave."""

    landed: int = 0
    repeated: int = 0
    warnings: tuple[str, ...] = ()
    shown: bool | None = None

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        self.landed += batch.frame.height
        self.repeated += batch.repeated
        self.warnings += batch.warnings
        self.shown = batch.shown if batch.shown is not None else self.shown
