"""An API is proposed with its columns and why, from an address and from a recipe, and no secret is in the proposal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from headworks.errors import SettingsError
from headworks.names import check_dataset
from headworks.sources.api.adding import columns_of, propose_api
from headworks.sources.api.auth import BearerAuth
from headworks.sources.api.recipes import recipe, recipe_names
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings
from headworks.sources.api.source import ApiSource
from tests.support.clients import api_client
from tests.support.served import Answer, Asked, served

ROWS = [
    {
        "id": number,
        "Created At": "2026-01-01T00:00:00Z",
        "birthDay": "2020-02-29",
        "price": number / 4,
        "ok": True,
        "who": {"name": f"n{number}", "id": str(number)},
        "tags": [1],
        "note": None if number % 2 else "x",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    for number in range(1, 48)
]
TYPES = {
    "id": "Int64",
    "created_at": "Datetime",
    "birth_day": "Date",
    "price": "Decimal",
    "ok": "Boolean",
    "who_name": "String",
    "who_id": "String",
    "tags": "Json",
    "note": "String",
    "updated_at": "Datetime",
}
SECRET = "not-to-be-shown-to-anybody"


def _answer(asked: Asked) -> Answer:
    if asked.headers.get("authorization") != f"Bearer {SECRET}":
        return Answer(b'{"error": "who?"}', 401)
    size, after = asked.number("limit", 10), asked.number("starting_after", 0)
    rest = [row for row in ROWS if int(str(row["id"])) > after]
    return Answer(json.dumps({"data": rest[:size], "has_more": len(rest) > size}).encode())


def _settings(url: str) -> ApiSettings:
    return ApiSettings(base_url=url, auth=BearerAuth(token=SecretStr(SECRET)))


def _checked(found: Any, url: str) -> None:
    check_dataset(found.name)
    assert {one.name: one.type for one in found.columns} == TYPES
    assert {one.name for one in found.columns if one.nullable} == {"note"}
    assert (found.key, found.runnable) == (("id",), True)
    assert SECRET not in repr(found)
    assert found.settings["auth"] == {"kind": "bearer", "token": "<token>"}
    client = api_client(url)
    object.__setattr__(client, "settings", _settings(url))
    batches = list(ApiSource(client, Resource.model_validate(found.resource)).read(None, None))
    assert sum(batch.read for batch in batches) == len(ROWS)
    assert batches[-1].shown


def test_an_address_is_proposed_with_columns_that_its_records_have() -> None:
    with served(_answer) as api:
        found = propose_api(f"{api.url}/v1/charges?limit=10", _settings(api.url), name="acme.charges")
        _checked(found, api.url)
    assert (found.name, found.cursor) == ("acme.charges", "updated_at")
    assert found.evidence


def test_a_recipe_is_proposed_with_columns_where_the_api_can_be_asked() -> None:
    with served(_answer) as api:
        found = propose_api(settings=_settings(api.url), like="stripe", resource="charges")
        _checked(found, api.url)
    assert found.name == "stripe.charges"


def test_an_address_elsewhere_is_not_asked_with_the_credentials_and_nothing_named_is_refused() -> None:
    with pytest.raises(SettingsError, match="where the credentials belong"):
        propose_api("https://elsewhere.example/v1/x", _settings("https://api.example"))
    with pytest.raises(SettingsError, match="Neither"):
        propose_api()
    with pytest.raises(SettingsError, match="several resources"):
        propose_api(like="stripe")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_proposed_without_asking_anybody(name: str) -> None:
    for resource in recipe(name).resources:
        found = propose_api(like=name, resource=resource)
        check_dataset(found.name)
        Resource.model_validate(found.resource)
        assert found.columns == ()
        assert any("columns" in one for one in found.unknown)
        described = recipe(name).resource(resource)
        assert len(found.key) == len(described.key)
        assert (found.cursor is None) == (described.incremental is None)


def test_columns_have_names_of_their_own_and_the_type_that_holds_all_values() -> None:
    records = [
        {
            "a-b": 1,
            "a_b": 2.5,
            "A b": None,
            "big": 2**70,
            "mixed": 1,
            "1st": "2026-02-30",
            "o": {},
            "_x": [1],
        },
        {"a-b": None, "a_b": 1, "A b": None, "big": 1, "mixed": "x", "1st": "x", "o": {"p": 1}, "_x": None},
        "no object",
    ]
    found = {one.name: (one.field, one.type, one.nullable) for one in columns_of(records)}
    assert found == {
        "a_b": ("a-b", "Int64", True),
        "a_b_2": ("a_b", "Decimal", False),
        "a_b_3": ('"A b"', "String", True),
        "big": ("big", "Decimal", False),
        "mixed": ("mixed", "String", False),
        "n_1st": ("1st", "String", False),
        "o": ("o", "Json", False),
        "x": ("_x", "Json", True),
    }
