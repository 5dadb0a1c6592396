"""``headworks probe`` on many addresses: is what it proposes right, and does none of it read a part in green?

``python -m tests.recipes.probing`` looks at all of them; CI at a seeded sample. Each address is probed while its table
is small or large, then the table grows, and the proposal reads all of it, or does not say that it did.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from headworks.errors import HeadworksError
from headworks.sources.api.auth import BasicAuth
from headworks.sources.api.client import ApiClient
from headworks.sources.api.paths import placed
from headworks.sources.api.probe import probe
from headworks.sources.api.proposal import Proposal
from headworks.sources.api.recipes import recipe
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings, Limits
from headworks.sources.api.source import ApiSource
from headworks.testing.access import Open
from headworks.testing.hostile import HostileApi, hostile
from headworks.testing.styles import STYLES
from headworks.testing.truth import make_rows
from tests.recipes.odd_shapes import SHAPES, Shape
from tests.recipes.reading import playing
from tests.recipes.vendor import Vendor
from tests.recipes.vendors import VENDORS
from tests.servers import flights
from tests.servers.aws import GROUP, STREAM, TABLE, aws, headers
from tests.servers.datasette import datasette
from tests.servers.kinto import PASSWORD, USER, Collection, kinto
from tests.servers.rest_framework import WAYS, rest_framework
from tests.support.clients import NOW, no_wait
from tests.support.served import served

ROWS = (7, 47)
"""Less than a page, and several."""
GROWN = 150


@dataclass(frozen=True)
class Looked:
    """An address that is being served: how it is asked, how many records it has, and how it grows."""

    client: ApiClient
    path: str
    parameters: Mapping[str, str]
    count: Callable[[], int]
    grow: Callable[[], None]
    body: dict[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Address:
    """One address. ``knowable``: what it answers is enough for finding out how it is read."""

    name: str
    serve: Callable[[int], Any]
    knowable: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a look: right, said that it cannot know, honest about a part, or ``PART IN GREEN``."""

    what: str
    said: str = ""


def client_of(settings: ApiSettings) -> ApiClient:
    """Make a client that waits for nothing."""
    return ApiClient(settings, clock=lambda: NOW, sleep=no_wait, chance=lambda: 1.0)


def look(looked: Looked) -> Outcome:
    """Probe an address, let its table grow, and read it as proposed."""
    try:
        found = probe(looked.client, looked.path, looked.parameters, body=looked.body)
    except HeadworksError as problem:
        return Outcome("failed", f"{type(problem).__name__}: {problem}")
    if "pagination" not in found.resource:
        return Outcome("not known", "; ".join(found.unknown))
    outcome = _read(looked, found)
    if outcome.what != "right":
        return outcome
    looked.grow()
    grown = _read(looked, found)
    return replace(grown, what=f"{grown.what} when grown") if grown.what != "right" else outcome


def _read(looked: Looked, found: Proposal) -> Outcome:
    resource = Resource.model_validate(found.resource)
    kind = resource.pagination.kind
    came: Counter[bytes] = Counter()
    shown, warnings = None, ""
    try:
        for batch in ApiSource(looked.client, resource).read(None, None):
            came.update(batch.frame["record"].drop_nulls().to_list())
            shown = batch.shown if batch.shown is not None else shown
            warnings += " ".join(batch.warnings)
    except HeadworksError as problem:
        return Outcome("stopped", f"{kind}: {type(problem).__name__}: {problem}")
    if len(came) == looked.count():
        return Outcome("right", f"{kind}, shown={shown}")
    described = json.dumps(found.resource)[:400]
    said = f"{kind}: {len(came)} of {looked.count()}, shown={shown}, {warnings[:200]} {described}"
    return Outcome("PART IN GREEN" if shown else "a part, and said so", said)


def addresses() -> Iterator[Address]:
    """Yield every address that needs no other process."""
    # Changes since a token that is given elsewhere have no first page to look at.
    for vendor in (one for one in VENDORS if one.first_at is None):
        described = recipe(vendor.recipe).resource(vendor.resource).pagination
        # Places inside of a query's text are not looked for.
        yield Address(f"vendor {vendor}", _vendor(vendor), getattr(described, "send_in", "") != "text")
    for style in STYLES:
        yield Address(f"style {style}", _style(style))
    for shape in SHAPES:
        yield Address(f"shape {shape.name}", _shape(shape), shape.knowable)


def servers(folder: Path) -> Iterator[Address]:
    """Yield addresses of servers that nobody wrote for this, each started in a folder."""
    (folder / "kinto").mkdir()
    (folder / "datasette").mkdir()
    (folder / "django").mkdir()
    (folder / "aws").mkdir()
    with (
        datasette(folder / "datasette") as tables,
        kinto(folder / "kinto") as records,
        rest_framework(folder / "django") as django,
        aws(folder / "aws") as amazon,
    ):
        airports = Collection(records, "airports")
        airports.make()
        airports.put([{"id": str(number), "name": f"airport {number}"} for number in range(60)])
        user = BasicAuth(username=USER, password=SecretStr(PASSWORD))
        path = airports.path.removeprefix(records)
        yield Address("kinto", _real(ApiSettings(base_url=records, auth=user), f"{path}?_limit=20", 60))
        shapes = {
            "objects by url": ("weather", 26_112),
            "objects by key": ("planes", 3322),
            "no key": ("sightings", 3322),
        }
        for name, (table, count) in shapes.items():
            asked = f"/{table}.json?_shape=objects&_size=1000"
            yield Address(f"datasette {name}", _real(ApiSettings(base_url=tables), asked, count))
        asked = "/planes.json?_shape=array&_size=500"
        yield Address("datasette array", _real(ApiSettings(base_url=tables), asked, 3322))
        many = flights.airports().height
        for way in WAYS:
            yield Address(f"rest framework {way}", _real(ApiSettings(base_url=django), f"/{way}", many))
        for service, operation, body, count in (
            ("dynamodb", "Scan", {"TableName": TABLE, "Limit": 100}, 600),
            (
                "logs",
                "GetLogEvents",
                {"logGroupName": GROUP, "logStreamName": STREAM, "startFromHead": True, "limit": 20},
                100,
            ),
        ):
            settings = ApiSettings(base_url=amazon, headers=headers(service, operation))
            yield Address(f"aws {service}", _real(settings, "/", count, body))


def _real(
    settings: ApiSettings, asked: str, count: int, body: dict[str, Any] | None = None
) -> Callable[[int], Any]:
    @contextmanager
    def serve(rows: int) -> Iterator[Looked]:
        path, _, query = asked.partition("?")
        parameters = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        yield Looked(client_of(settings), path, parameters, lambda: count, lambda: None, body)

    return serve


def _vendor(vendor: Vendor) -> Callable[[int], Any]:
    @contextmanager
    def serve(rows: int) -> Iterator[Looked]:
        with playing(vendor, rows) as played:
            if vendor.only_deleted:
                played.world.delete(*range(1, rows + 1))
            source = played.source()
            described = source.resource
            parameters = {name: _text(value) for name, value in described.parameters.items()}
            body = dict(described.body) if described.body is not None else None
            mark = described.incremental
            if mark is not None and mark.start is not None:
                value = mark.template.format(mark.start)
                if mark.send_in == "body":
                    body = placed(body, mark.parameter, value)
                elif mark.send_in == "text":
                    places = {"{since}": value, "{begin}": "1", "{most}": "10"}
                    for place, filled in places.items():
                        parameters["query"] = parameters["query"].replace(place, filled)
                else:
                    parameters[mark.parameter] = value
            if body is not None and (name := getattr(described.pagination, "size_parameter", None)):
                body = placed(body, name, 10)

            def grow() -> None:
                played.world.grow(GROWN)
                if vendor.only_deleted:
                    played.world.delete(*range(rows + 1, rows + GROWN + 1))

            yield Looked(
                source.api, described.path, parameters, lambda: len(vendor.shown(played.world)), grow, body
            )

    return serve


def _style(name: str) -> Callable[[int], Any]:
    @contextmanager
    def serve(rows: int) -> Iterator[Looked]:
        api = HostileApi(STYLES[name], make_rows(rows, 1), access=Open())
        body: dict[str, Any] | None = None
        if name == "graphql":
            query = "query($first: Int, $after: String) { things(first: $first, after: $after) { edges { node } } }"
            body = {"query": query, "variables": {"first": 5}}
        elif name == "search":
            body = {"filter": {"kind": "thing"}, "size": 5}
        with hostile(api):
            client = client_of(ApiSettings(base_url=api.url, limits=Limits(attempts=2)))
            asked = {} if body or name == "single" else {"limit": "5"}

            def grow() -> None:
                api.rows.extend(make_rows(rows + GROWN, 1)[rows:])

            yield Looked(client, STYLES[name].path, asked, lambda: len(api.rows), grow, body)

    return serve


def _shape(shape: Shape) -> Callable[[int], Any]:
    @contextmanager
    def serve(rows: int) -> Iterator[Looked]:
        held = [shape.record(number) for number in range(1, rows + 1)]
        with served(lambda asked: shape.answer(asked, held)) as upstream:
            client = client_of(ApiSettings(base_url=upstream.url, limits=Limits(attempts=1)))

            def grow() -> None:
                held.extend(shape.record(number) for number in range(rows + 1, rows + GROWN + 1))

            path, _, query = shape.asked.partition("?")
            parameters = dict(pair.split("=", 1) for pair in query.split("&") if pair)
            yield Looked(client, path, parameters, lambda: len(held), grow, shape.body)

    return serve


def shape_of(name: str) -> Callable[[int], Any]:
    """Return how the shape of a name is served."""
    (found,) = [shape for shape in SHAPES if shape.name == name]
    return _shape(found)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> int:
    """Look at every address with every number of rows, and count what came of it."""
    counts: dict[int, Counter[str]] = {rows: Counter() for rows in ROWS}
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    with tempfile.TemporaryDirectory() as folder:
        _look_at(chain(addresses(), servers(Path(folder))), wanted, counts)
    for rows, counted in counts.items():
        print(f"{rows} rows: {sum(counted.values())} addresses: {dict(counted)}", flush=True)
    return int(any("GREEN" in what for counted in counts.values() for what in counted))


def _look_at(looked_at: Iterable[Address], wanted: str, counts: dict[int, Counter[str]]) -> None:
    for address in looked_at:
        if not re.search(wanted, address.name):
            continue
        for rows in ROWS:
            with address.serve(rows) as looked:
                outcome = look(looked)
            what = outcome.what if address.knowable or outcome.what != "not known" else "right: not knowable"
            counts[rows][what] += 1
            if not what.startswith("right") or wanted:
                print(f"{address.name}, {rows} rows: {what}: {outcome.said}", flush=True)


__all__ = ["ROWS", "Address", "Outcome", "addresses", "look", "shape_of"]

if __name__ == "__main__":
    sys.exit(main())
