"""Taking in an API that nobody wrote code for: described by a parameter, run as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from headworks.lake.store import Lake
from headworks.settings import LakeSettings
from headworks.sources.api.resource import Resource
from tests.deployments.conftest import Command, Demo
from tests.support.pools import CHECKOUT

pytestmark = pytest.mark.server


def deployed() -> dict[str, Any]:
    """Return the parameters of the deployment that the checkout has as a pattern."""
    document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    (found,) = [each for each in document["deployments"] if each["name"] == "ingest-shop-rates"]
    parameters: dict[str, Any] = found["parameters"]
    return parameters


def ingest(demo: Demo, resource: dict[str, Any], *arguments: str) -> Command:
    """Run the flow with a resource out of a file."""
    written = demo.folder / "resource.json"
    written.write_text(json.dumps(resource), encoding="utf-8")
    chosen = ["api=shop-api", "dataset=raw.shop_rates", "resource=@resource.json"]
    options = [part for each in chosen for part in ("--param", each)]
    return demo.run("flows.ingest_api", *options, *arguments)


def landed(demo: Demo) -> pl.DataFrame:
    lake = Lake(LakeSettings(root=str(demo.stack.root / "lake")))
    return lake.must_open("bronze", "raw.shop_rates").scan().collect()


def test_a_described_resource_is_landed_and_the_next_run_lands_nothing_twice(demo: Demo) -> None:
    assert demo.first.code == 0, demo.first.err
    first = ingest(demo, deployed()["resource"])
    assert first.code == 0, first.err
    rows = landed(demo)
    keys = {(each["day"], each["currency"]) for each in map(json.loads, rows.get_column("record"))}
    assert len(keys) == rows.height > 500
    again = ingest(demo, deployed()["resource"])
    assert again.code == 0, again.err
    assert landed(demo).height == rows.height


def test_a_wrong_parameter_is_refused_with_a_message_that_names_it(demo: Demo) -> None:
    wrong = {**deployed()["resource"], "pagination": {"kind": "cursor", "cursor_feild": "next"}}
    refused = ingest(demo, wrong)
    assert refused.code == 1
    assert "A parameter is wrong" in refused.err
    assert "resource.pagination.cursor.cursor_feild" in refused.err
    nameless = ingest(demo, {"path": "/v1/rates"})
    assert nameless.code == 1
    assert "resource.pagination" in nameless.err


def test_an_unknown_block_is_named_with_the_places_that_were_looked_at(demo: Demo) -> None:
    refused = demo.run(
        "flows.ingest_api",
        *("--param", "api=other-api", "--param", "dataset=raw.other"),
        *("--param", 'resource={"path":"/x","pagination":{"kind":"single"}}'),
    )
    assert refused.code == 1
    assert "HEADWORKS_OTHER_API_BASE_URL" in refused.err


def test_probe_proposes_a_resource_with_reasons_and_it_reads_the_whole(demo: Demo) -> None:
    probed = demo.run("deployments.cli", "probe", "/v1/rates?limit=200", "--block", "shop-api")
    assert probed.code == 0, probed.err
    reasons, _, proposed = probed.out.partition("The resource, to be checked and pasted:")
    assert "- pagination: next_cursor looks like a token" in reasons
    assert (
        "- tried: 2 pages were read like this, with 200 and 200 records, 200 of the second page new"
        in reasons
    )
    resource = Resource.model_validate_json(proposed)
    assert resource.records == "rates"
    assert resource.pagination.kind == "cursor"
    for secret in demo.secrets():
        assert secret not in probed.out + probed.err


def test_breakers_are_shown_and_reset_by_commands(demo: Demo) -> None:
    lake = Lake(LakeSettings(root=str(demo.stack.root / "lake")))
    until = "2999-01-01T00:00:00Z"
    state = {"failures": 12, "opened": 1, "closed_until": until, "probing_until": None, "reason": "down"}
    lake.put_object("_headworks/breakers/shop-api.json", state)
    shown = demo.run("deployments.cli", "breaker", "show")
    assert "shop-api  open" in shown.out
    refused = ingest(demo, deployed()["resource"], "--dry-run")
    assert refused.code == 1
    assert "headworks breaker reset shop-api" in refused.err
    assert demo.run("deployments.cli", "breaker", "reset", "shop-api").code == 0
    assert ingest(demo, deployed()["resource"], "--dry-run").code == 0
    assert not Path(demo.stack.root / "lake/_headworks/breakers/shop-api.json").exists()
