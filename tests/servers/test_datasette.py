"""Datasette, which we did not write, is read exactly: by next URL, by token, by Link header, whatever the key."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml

from headworks.cli.main import main
from headworks.scaffold import init
from headworks.sources.api.paginate import Cursor, LinkHeader, NextUrl
from headworks.sources.api.resource import Completeness, Resource
from headworks.storage.store import Lake
from tests.servers import flights
from tests.servers.exact import records, same, take

OBJECTS: dict[str, str | int | float | bool] = {"_shape": "objects", "_size": 1000}
BY_URL = NextUrl(url_field="next_url")
BY_TOKEN = Cursor(cursor_parameter="_next", cursor_field="next", size_parameter="_size", size=700)
BY_LINK = LinkHeader()
TOTAL = Completeness(total_field="filtered_table_rows_count")


def test_a_key_of_five_columns_by_next_url_and_announced_total(lake: Lake, datasette_url: str) -> None:
    """26,112 hours of weather, whose token is the five values of the last key."""
    resource = Resource(
        path="/weather.json",
        parameters=OBJECTS,
        records="rows",
        pagination=BY_URL,
        key=flights.WEATHER_KEY,
        completeness=TOTAL,
    )
    report = take(lake, datasette_url, resource)
    same(lake, flights.weather(), flights.WEATHER_KEY, "hour")
    assert (report.landed, report.repeated, report.shown, report.expected) == (26_112, 0, True, 26_112)
    assert report.pages == 27


def test_a_key_of_one_column_by_token(lake: Lake, datasette_url: str) -> None:
    resource = Resource(
        path="/planes.json",
        parameters={"_shape": "objects"},
        records="rows",
        pagination=BY_TOKEN,
        key=("tailnum",),
        completeness=TOTAL,
    )
    report = take(lake, datasette_url, resource, batch_pages=1)
    same(lake, flights.planes(), ("tailnum",), "seats")
    assert (report.batches, report.shown) == (5, True)


def test_an_array_at_the_top_by_link_header(lake: Lake, datasette_url: str) -> None:
    resource = Resource(
        path="/planes.json",
        parameters={"_shape": "array", "_size": 500},
        pagination=BY_LINK,
        key=("tailnum",),
    )
    report = take(lake, datasette_url, resource)
    same(lake, flights.planes(), ("tailnum",), "seats")
    assert report.pages == 7


@pytest.mark.parametrize("key", [(), ("rowid",)])
def test_rows_without_a_key_of_their_own_are_all_kept(
    lake: Lake, datasette_url: str, key: tuple[str, ...]
) -> None:
    """Many planes are of the same model: equal records on different pages are different records."""
    resource = Resource(
        path="/sightings.json", parameters=OBJECTS, records="rows", pagination=BY_URL, key=key
    )
    take(lake, datasette_url, resource)
    held = records(lake)
    assert sorted(row["rowid"] for row in held) == list(range(1, 3323))
    truth = flights.planes().select("model", "seats")
    assert pl.DataFrame(
        [(row["model"], row["seats"]) for row in held], schema=truth.schema, orient="row"
    ).equals(truth)


def test_a_filtered_and_sorted_table_by_a_token_of_value_and_key(lake: Lake, datasette_url: str) -> None:
    """Sorted by a column with many ties, the token is that value and the key together."""
    resource = Resource(
        path="/planes.json",
        parameters={**OBJECTS, "_size": 100, "_sort": "seats", "engines": 2},
        records="rows",
        pagination=BY_URL,
        key=("tailnum",),
        completeness=TOTAL,
    )
    take(lake, datasette_url, resource)
    same(lake, flights.planes().filter(pl.col("engines") == 2), ("tailnum",), "seats")


@pytest.mark.parametrize("shape", ["", "?_shape=objects", "?_shape=array"])
def test_a_table_is_added_by_its_address_in_whichever_shape_its_rows_come(
    datasette_url: str,
    shape: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a shape rows are arrays, whose names are in another array, and three facets are objects."""
    init("acme", tmp_path / "acme")
    monkeypatch.chdir(tmp_path / "acme")
    monkeypatch.delenv("HEADWORKS_PROJECT", raising=False)
    address = f"{datasette_url}/planes.json{shape}"
    assert main(["add", "api", address, "--name", "nyc.planes", "--show"]) == 0, capsys.readouterr().err
    declared = yaml.safe_load("dataset:" + capsys.readouterr().out.partition("\ndataset:")[2])
    assert declared["key"] == ["tailnum"]
    assert {"tailnum", "model", "seats"} <= set(declared["columns"])
    resource = Resource.model_validate(declared["source"]["api"]["resource"])
    assert resource.columns == ("" if shape else "columns")
