"""Every parameter of every deployment is a field of the UI's form that says what it is, with its choices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from tests.support.pools import CHECKOUT

ENTRYPOINTS = sorted(
    {one["entrypoint"] for one in yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())["deployments"]}
)

CHOICES = {
    "mode": ["incremental", "full"],
    "on_conflict": ["refuse", "wait"],
    "every": ["hour", "day", "week", "month"],
    "format": ["csv", "ndjson", "json", "parquet"],
    "compression": ["auto", "none", "gz", "zst"],
}


def form(entrypoint: str) -> dict[str, Any]:
    flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint)
    return parameter_schema(flow).model_dump(mode="json", exclude_unset=True)


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk over a form's fields, and over those of the models in it."""
    yield from schema["properties"].items()
    for name, model in schema.get("definitions", {}).items():
        for field, about in model.get("properties", {}).items():
            yield f"{name}.{field}", about


@pytest.mark.parametrize("entrypoint", ENTRYPOINTS)
def test_every_field_says_what_it_is(entrypoint: str) -> None:
    # A field with the one value that tells its model from others says so by that.
    silent = [
        name
        for name, about in fields(form(entrypoint))
        if not about.get("description") and "const" not in about
    ]
    assert silent == []


@pytest.mark.parametrize("entrypoint", ENTRYPOINTS)
def test_what_has_few_values_is_a_choice(entrypoint: str) -> None:
    properties = form(entrypoint)["properties"]
    for name in CHOICES.keys() & properties.keys():
        assert sorted(properties[name]["enum"]) == sorted(CHOICES[name])
    for name, about in properties.items():
        if name in {"dry_run", "compare_keys", "silver"}:
            assert about["type"] == "boolean"


@pytest.mark.parametrize("entrypoint", ENTRYPOINTS)
def test_no_field_takes_a_secret_since_parameters_are_shown_to_all(entrypoint: str) -> None:
    for name, about in fields(form(entrypoint)):
        assert not about.get("writeOnly"), name
        assert about.get("format") != "password", name
