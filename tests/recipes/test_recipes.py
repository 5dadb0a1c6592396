"""Each recipe reads a server of its vendor's shape exactly: at first, again, after changes, and after a stop."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from headworks.errors import CredentialsRefused
from headworks.sources.api.recipes import recipe, recipe_names
from headworks.sources.api.resource import Resource
from tests.recipes.reading import Playing, Stream, playing
from tests.recipes.vendors import VENDORS, Vendor

ROWS = 47


def exactly(played: Playing, held: list[tuple[Any, bool]]) -> None:
    """Compare what came last of each key with the vendor's rows."""
    vendor = played.vendor
    last = {_name(vendor, record): (record, deleted) for record, deleted in held}
    for row in vendor.shown(played.world):
        record = vendor.record(row)
        came = last.pop(_name(vendor, record), None)
        assert came is not None, f"lost: {record}"
        assert came == (record, bool(vendor.tombstone) and row.deleted)
    gone = {_name(vendor, vendor.record(row)) for row in played.world.rows if row.deleted}
    assert set(last) <= gone, f"too many: {set(last) - gone}"


def counted(vendor: Vendor) -> bool:
    """Tell whether a vendor's pages are counted, so that a scan may have to be made again, or its rows have no key."""
    return vendor.array or recipe(vendor.recipe).resource(vendor.resource).pagination.kind in (
        "page_numbers",
        "offset",
        "link_header",
    )


def _name(vendor: Vendor, record: Any) -> Any:
    if vendor.array:
        return record[0]
    for step in vendor.key.split("/"):
        record = record[step]
    return record


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
def test_a_recipe_reads_exactly_and_again_and_after_changes_and_after_a_stop(vendor: Vendor) -> None:
    with playing(vendor, ROWS) as played:
        if vendor.only_deleted:
            played.world.delete(*range(3, ROWS))
        stream = Stream(played)
        first = stream.read()
        assert len(stream.held) == len(vendor.shown(played.world))
        exactly(played, stream.held)
        again = stream.read()
        exactly(played, stream.held)
        if vendor.mark is not None:
            assert again.landed == 0, again
        played.world.grow(5)
        if vendor.mark is None or vendor.mark.of == "updated":
            played.world.change(2, 9, 33)
        played.world.delete(1, 20)
        stream.read()
        exactly(played, stream.held)
        stream.read()
        exactly(played, stream.held)
        full = Stream(played)
        full.read()
        exactly(played, full.held)
        assert len(full.held) == len(vendor.shown(played.world))
        stopped = Stream(played)
        for played.most in (2, 2):
            with suppress(CredentialsRefused):
                stopped.read()
        assert played.pages == 3 or vendor.array
        played.most = None
        stopped.read()
        exactly(played, stopped.held)
        if not counted(vendor):
            assert len(stopped.held) == len(full.held)
        assert first.shown or first.remarks


def test_every_recipe_has_a_server_of_its_shape() -> None:
    shapes = {name: set() for name in recipe_names()}
    assert {vendor.recipe for vendor in VENDORS} == set(shapes)
    for name in shapes:
        found = recipe(name)
        played = {_shape(found.resource(vendor.resource)) for vendor in VENDORS if vendor.recipe == name}
        for resource in found.resources:
            shapes[name].add(_shape(found.resource(resource)))
        assert {shape[0] for shape in shapes[name]} <= {shape[0] for shape in played}, name


def _shape(resource: Resource) -> tuple[str, str]:
    return resource.pagination.kind, json.dumps(resource.pagination.model_dump(mode="json"), sort_keys=True)
