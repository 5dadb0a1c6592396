"""The ways that are measured: the bare client, which only takes bytes, and the whole protocol into committed Delta.

Each runs in a process of its own and prints one line of JSON: what it took, and its peak memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from typing import Any

from benchmarks.api.server import PER_PAGE


def bare(url: str, pages: int, in_flight: int) -> float:
    """Fetch all pages with aiohttp and nothing else; seconds."""
    import aiohttp

    async def fetch_all() -> float:
        connector = aiohttp.TCPConnector(limit=in_flight)
        async with aiohttp.ClientSession(connector=connector) as session:
            numbers = iter(range(1, pages + 1))

            async def take() -> None:
                for number in numbers:
                    async with session.get(f"{url}/things?page={number}&per_page={PER_PAGE}") as response:
                        await response.read()

            begun = time.perf_counter()
            await asyncio.gather(*(take() for _ in range(in_flight)))
            return time.perf_counter() - begun

    return asyncio.run(fetch_all())


def ours(url: str, pages: int, in_flight: int, *, by_cursor: bool, key: bool) -> float:
    """Land all pages through the whole protocol; seconds, from opening the lake to the last commit."""
    from headworks.bronze.landing import Landing, land
    from headworks.settings import LakeSettings
    from headworks.sources.api.client import ApiClient
    from headworks.sources.api.paginate import Cursor, PageNumbers
    from headworks.sources.api.resource import Completeness, Resource
    from headworks.sources.api.settings import ApiSettings, Limits
    from headworks.sources.api.source import ApiSource
    from headworks.storage.store import Lake

    pagination: Any = PageNumbers(pages_field="meta.pages")
    if by_cursor:
        pagination = Cursor(cursor_field="meta.next")
    things = Resource(
        path="/things",
        records="data",
        pagination=pagination,
        completeness=Completeness(total_field="meta.total"),
        key=("id",) if key else (),
    )
    api = ApiClient(ApiSettings(base_url=url, limits=Limits(in_flight=in_flight)))
    with tempfile.TemporaryDirectory() as root:
        begun = time.perf_counter()
        lake = Lake(LakeSettings(root=root))
        report = land(Landing(lake, "bench.things", "bench.things", "run"), ApiSource(api, things))
        took_s = time.perf_counter() - begun
        rows = lake.must_open("bronze", "bench.things").row_count()
    assert rows == report.landed == pages * PER_PAGE, (rows, report)
    assert report.shown, report
    return took_s


def main() -> None:
    """Measure one way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["bare", "numbers", "cursor"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--pages", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--key", action="store_true")
    options = parser.parse_args()
    measured = (options.url, options.pages, options.in_flight)
    if options.way == "bare":
        took_s = bare(*measured)
    else:
        took_s = ours(*measured, by_cursor=options.way == "cursor", key=options.key)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {"seconds": round(took_s, 3), "cpu_s": round(time.process_time(), 2), "peak_mb": round(peak_mb)}
        )
    )


if __name__ == "__main__":
    main()
