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

DEPLOYMENTS = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())["deployments"]
ENTRYPOINTS = sorted({one["entrypoint"] for one in DEPLOYMENTS})

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
    # A field with the one value that shows its model from others says so by that.
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


def chosen(value: Any, about: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[Any, str | None]]:
    """Walk over the kinds in a value, each with the one that the form takes it for.

    The form takes the first alternative that has the most fields of the value.
    """
    about = resolved(about, schema)
    alternatives = [resolved(one, schema) for one in about.get("oneOf", about.get("anyOf", []))]
    if not isinstance(value, dict):
        return
    if alternatives:
        about = max(alternatives, key=lambda one: len(one.get("properties", {}).keys() & value.keys()))
        yield value.get("kind"), about.get("properties", {}).get("kind", {}).get("const")
    for name, inner in value.items():
        yield from chosen(inner, about.get("properties", {}).get(name, {}), schema)


def resolved(about: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = about.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schema["definitions"][name] if name else about
    return found


@pytest.mark.parametrize("deployment", [one["name"] for one in DEPLOYMENTS])
def test_the_form_takes_each_kind_of_a_deployments_parameters_for_what_it_is(deployment: str) -> None:
    (declared,) = [one for one in DEPLOYMENTS if one["name"] == deployment]
    schema = form(declared["entrypoint"])
    for name, value in declared.get("parameters", {}).items():
        for kind, taken in chosen(value, schema["properties"][name], schema):
            assert kind == taken, name


def test_a_kind_without_further_fields_is_left_as_it_is_by_the_form() -> None:
    schema = form("flows.ingest_api.ingest_api")
    for kind in ("cursor", "offset", "single"):
        resource = {"path": "/", "pagination": {"kind": kind}}
        assert list(chosen(resource, schema["properties"]["resource"], schema)) == [(kind, "single")]
