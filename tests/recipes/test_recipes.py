"""Each recipe reads a server of its vendor's shape exactly: at first, again, after changes, and after a stop."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from headworks.cli.api import block_fields, markdown
from headworks.cli.main import main as headworks
from headworks.errors import CredentialsRefused
from headworks.prefect.blocks.api import ApiCredentials
from headworks.sources.api.recipes import Recipe, recipe, recipe_names
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings
from tests.recipes.families import SIZE
from tests.recipes.reading import UNLANDED, Playing, Stream, playing
from tests.recipes.vendor import Vendor
from tests.recipes.vendors import VENDORS
from tests.support.pools import CHECKOUT

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
    """Return whether a vendor's pages are counted, so that a scan may have to be repeated, or its rows have no key."""
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
        if vendor.first_at is not None:
            # What was there before the first run is not among the changes: let all of it change.
            played.world.change(*range(1, ROWS + 1))
            first = stream.read()
        assert len(stream.held) == len(vendor.shown(played.world))
        exactly(played, stream.held)
        again = stream.read()
        exactly(played, stream.held)
        if vendor.mark is not None or vendor.by_change:
            assert again.landed == 0, again
        played.world.grow(5)
        if vendor.mark is None or vendor.mark.of == "updated":
            played.world.change(2, 9, 33)
        played.world.delete(1, 20)
        stream.read()
        exactly(played, stream.held)
        stream.read()
        exactly(played, stream.held)
        if vendor.first_at is not None:
            return
        full = Stream(played)
        full.read()
        exactly(played, full.held)
        assert len(full.held) == len(vendor.shown(played.world))
        stopped = Stream(played)
        for played.most in (2, 2):
            before = len(stopped.held)
            with suppress(CredentialsRefused):
                stopped.read()
            # How far it read ahead of the refusal depends on the machine; how far it may does not.
            assert played.landed >= 1
            assert played.ahead <= UNLANDED
            assert len(stopped.held) > before or counted(vendor)
        # What landed is not asked for again, save the page before a stop where pages are counted.
        assert stopped.repeated <= (SIZE if counted(vendor) else 0) or vendor.array
        played.most = None
        stopped.read()
        exactly(played, stopped.held)
        if not counted(vendor):
            assert len(stopped.held) == len(full.held)
        assert first.shown or first.warnings


def test_every_recipe_has_a_server_of_its_shape() -> None:
    assert {vendor.recipe for vendor in VENDORS} == set(recipe_names())
    for name in recipe_names():
        found = recipe(name)
        played = {found.resource(one.resource).pagination.kind for one in VENDORS if one.recipe == name}
        assert {found.resource(resource).pagination.kind for resource in found.resources} == played, name


def test_the_page_of_the_docs_lists_the_recipes_as_they_are() -> None:
    page = (CHECKOUT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert page == markdown([recipe(name) for name in recipe_names()]), (
        "headworks api recipes --markdown > docs/recipes.md"
    )


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_the_same_as_settings_and_as_a_block(name: str) -> None:
    found = recipe(name)
    block = ApiCredentials(**block_fields(found.settings)).to_settings()
    assert block.model_dump(include={"base_url", "auth", "headers"}) == ApiSettings.model_validate(
        found.settings
    ).model_dump(include={"base_url", "auth", "headers"})
    for resource in found.resources:
        assert Resource.model_validate(found.content(resource)) == found.resource(resource)


@pytest.mark.parametrize(
    ("today", "said"),
    [(date(2027, 7, 31), "until 2027-07; what"), (date(2027, 8, 1), "until 2027-07, which is over")],
)
def test_a_recipe_of_a_version_that_ends_says_until_when_and_that_it_is_over(today: date, said: str) -> None:
    (one,) = recipe("shopify").ends(today)
    assert f"version 2026-07 {said}" in one
    assert recipe("stripe").ends(today) == []


def test_a_recipe_names_the_version_that_its_settings_ask_for() -> None:
    content = recipe("shopify").model_dump()
    with pytest.raises(ValidationError, match="the version 2031-01 is not in the settings"):
        Recipe.model_validate({**content, "version": {**content["version"], "name": "2031-01"}})


def test_a_description_is_printed_to_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    assert headworks(["api", "recipes"]) == 0
    assert "microsoft-graph" in capsys.readouterr().out
    assert headworks(["api", "like", "shopify", "--resource", "orders", "--set", "shop=acme"]) == 0
    printed = capsys.readouterr().out
    assert "export HEADWORKS_SHOPIFY_API_BASE_URL='https://acme.myshopify.com/admin/api/2026-07'" in printed
    assert "<access_token>: the Admin API token" in printed
    assert headworks(["api", "like", "stripe", "--resource", "charges", "--json"]) == 0
    assert Resource.model_validate_json(capsys.readouterr().out).pagination.kind == "keyset"
    assert headworks(["api", "like", "stripe", "--resource", "charges", "--python"]) == 0
    assert "'key_parameter': 'starting_after'," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shopfy"], "Did you mean shopify?"),
        (["stripe", "--resource", "charge"], "Did you mean charges?"),
        (["stripe", "--json"], "none was named"),
        (["stripe", "--set", "shop=acme"], "has no place shop"),
        (["shopify", "--set", "shop"], "shop has no value"),
    ],
    ids=str,
)
def test_what_no_recipe_has_is_refused_by_name(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert headworks(["api", "like", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_a_recipe_that_asks_for_larger_pages_than_its_vendor_gives_is_refused() -> None:
    content = recipe("stripe").model_dump(exclude={"most_per_page"})
    with pytest.raises(ValueError, match="pages of 100 records, and the vendor gives 50"):
        Recipe.model_validate({**content, "most_per_page": 50})
    with pytest.raises(ValueError, match="none: invoice"):
        Recipe.model_validate({**content, "most_per_page": {"*": 100, "invoice": 10}})
