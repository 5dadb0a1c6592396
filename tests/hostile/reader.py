"""A process that lands one reading of a hostile API, to be killed anywhere on the way.

It imports everything, says so, and waits for a line before it begins.
"""

from __future__ import annotations

import sys

from headworks.bronze.landing import Landing, land
from headworks.settings import LakeSettings
from headworks.sources.api.source import ApiSource
from headworks.storage.store import Lake
from headworks.testing.access import Keyed
from headworks.testing.hostile import HostileApi
from headworks.testing.outcome import DATASET
from headworks.testing.reading import source_of
from headworks.testing.styles import STYLES

READY, DONE = "ready", "done"
UNLANDED_PAGES = 20
IN_FLIGHT = 8


def reading(api: HostileApi) -> ApiSource:
    """Return the source that is read before a kill and after it."""
    return source_of(api, in_flight=IN_FLIGHT, unlanded_pages=UNLANDED_PAGES)


def main(url: str, style: str, folder: str) -> None:
    """Wait for a line, land everything, and say so."""
    api = HostileApi(STYLES[style], [], access=Keyed(), served_at=url)
    landing = Landing(Lake(LakeSettings(root=folder)), DATASET, DATASET, "run")
    source = reading(api)
    print(READY, flush=True)
    if sys.stdin.readline():
        land(landing, source)
        print(DONE, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
