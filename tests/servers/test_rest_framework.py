"""Django REST framework, which we did not write, is read exactly under each of its ways of paging."""

from __future__ import annotations

import pytest

from headworks.sources.api.paginate import LinkHeader, NextUrl, Offset, PageNumbers, Pagination
from headworks.sources.api.resource import Completeness, Resource
from headworks.storage.store import Lake
from tests.servers import flights
from tests.servers.exact import same, take

COUNT = Completeness(total_field="count")
WAYS: dict[str, tuple[str, str, Pagination, Completeness]] = {
    "numbers, 404 after the last": (
        "/number",
        "results",
        PageNumbers(size_parameter="size", size=100, past_end="missing"),
        COUNT,
    ),
    "numbers, larger than allowed": (
        "/number",
        "results",
        PageNumbers(size_parameter="size", size=500),
        COUNT,
    ),
    "the next number's URL": ("/number", "results", NextUrl(), COUNT),
    "offsets": ("/offset", "results", Offset(size=80), COUNT),
    "offsets, larger than allowed": ("/offset", "results", Offset(size=1000), COUNT),
    "the next offset's URL": ("/offset", "results", NextUrl(), COUNT),
    "cursors": ("/cursor", "results", NextUrl(stable=True), Completeness()),
    "cursors, not declared": ("/cursor", "results", NextUrl(), Completeness()),
    "Link headers": ("/link", "", LinkHeader(), Completeness()),
}


@pytest.mark.parametrize("way", WAYS)
def test_all_airports_are_read_once(lake: Lake, rest_framework_url: str, way: str) -> None:
    path, where, pagination, completeness = WAYS[way]
    resource = Resource(
        path=path, records=where, pagination=pagination, key=("faa",), completeness=completeness
    )
    report = take(lake, rest_framework_url, resource)
    same(lake, flights.airports().select("faa", "name", "alt"), ("faa",), "alt")
    # Nothing announces how many rows there are. The Link header has the numbers of pages, and a cursor with the three
    # letters of an airport could be anything unless it is declared as what the framework documents it to be.
    assert (report.landed, report.shown) == (1458, way not in ("Link headers", "cursors, not declared"))
