"""Taking files in: a place, a source, and what bronze then has.

Shared by the suites of files; no tests here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from headworks.bronze.landing import Landing, land
from headworks.reports import LandingReport
from headworks.settings import FilesSettings
from headworks.sources.files.location import Location
from headworks.sources.files.selection import Files
from headworks.sources.files.source import FileSource
from headworks.storage.shelf import LakeShelf
from headworks.storage.store import Lake
from tests.support.items import bronze
from tests.support.stores import Store

NAME = "t.files"
CSV = Files(format="csv", settle_s=0)


def source(store: Store, lake: Lake, files: Files = CSV, **changed: Any) -> FileSource:
    return FileSource(Location(store.settings), files, LakeShelf(lake, NAME), **changed)


def take(store: Store, lake: Lake, files: Files = CSV, **changed: Any) -> LandingReport:
    return land(Landing(lake, NAME, NAME, "run"), source(store, lake, files, **changed))


def values(lake: Lake) -> list[Any]:
    """Return the ids of all good rows, sorted, duplicate ones included."""
    rows = bronze(lake, NAME).filter(pl.col("_refused").is_null())
    return sorted(rows.get_column("id").to_list())


class Interrupted(Location):
    """A location in which something happens when a file is read for the n-th time."""

    def __init__(self, settings: FilesSettings, at: dict[int, Callable[[], None]]) -> None:
        super().__init__(settings)
        self._at, self._reads = at, 0

    def read(self, file: Any, start: int, end: int) -> bytes:
        """Let it happen, then read."""
        self._reads += 1
        self._at.pop(self._reads, lambda: None)()
        return super().read(file, start, end)


def big(first: int, last: int, width: int = 40) -> bytes:
    return b"id,v\n" + b"".join(b"%d,%s\n" % (n, b"x" * width) for n in range(first, last))
