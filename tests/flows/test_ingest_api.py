"""Taking in an API that nobody wrote code for: described by a parameter, from the command line and as a deployment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from flows.ingest_api import ingest_api
from headworks.cli.main import main as headworks
from headworks.prefect.console import FAILED, OK, run_as_program
from headworks.settings import LakeSettings
from headworks.sources.api.resource import Resource
from headworks.storage.store import Lake
from tests.support.pools import CHECKOUT
from tests.support.served import Answer, Asked, Upstream, served

pytestmark = pytest.mark.server

TOKEN = "ingest-token-never-shown"
RATES = [
    b'{"day":"2026-01-%02d","currency":"%s"}' % (day, code)
    for day in range(1, 29)
    for code in (b"USD", b"GBP")
]


def answer(asked: Asked) -> Answer:
    """Serve rates by cursor and from a first day on, as the shop does, to whoever has the token."""
    if asked.headers.get("authorization") != f"Bearer {TOKEN}":
        return Answer(b'{"error":"who are you?"}', status=401)
    found = [rate for rate in RATES if json.loads(rate)["day"] >= asked.query.get("since", "")]
    at, size = int(asked.query.get("cursor", "0")), asked.number("limit", 10)
    following = json.dumps(str(at + size) if at + size < len(found) else None).encode()
    return Answer(b'{"rates":[' + b",".join(found[at : at + size]) + b'],"next_cursor":' + following + b"}")


@pytest.fixture
def api(prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """Serve the rates, with the blocks of their API and of a lake in the environment."""
    monkeypatch.chdir(tmp_path)
    with served(answer) as upstream:
        monkeypatch.setenv("HEADWORKS_LAKE_ROOT", str(tmp_path / "lake"))
        monkeypatch.setenv("HEADWORKS_SHOP_API_BASE_URL", upstream.url)
        monkeypatch.setenv("HEADWORKS_SHOP_API_TOKEN", TOKEN)
        yield upstream


def deployed() -> dict[str, Any]:
    """Return the parameters of the deployment that the checkout has as a pattern."""
    document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    (found,) = [each for each in document["deployments"] if each["name"] == "ingest-shop-rates"]
    parameters: dict[str, Any] = found["parameters"]
    return parameters


def ingest(resource: dict[str, Any], *arguments: str) -> int:
    """Run the flow as a program with a resource out of a file."""
    Path("resource.json").write_text(json.dumps(resource), encoding="utf-8")
    chosen = ["api=shop-api", "dataset=raw.shop_rates", "resource=@resource.json"]
    return run_as_program(ingest_api, [*(part for each in chosen for part in ("--param", each)), *arguments])


def landed(dataset: str = "raw.shop_rates") -> list[bytes]:
    table = Lake(LakeSettings(root="lake")).open("bronze", dataset)
    return [] if table is None else table.scan().collect().get_column("record").to_list()


def test_a_described_resource_is_landed_and_the_next_run_lands_nothing_twice(api: Upstream) -> None:
    assert ingest(deployed()["resource"], "--dry-run") == OK
    assert landed() == []
    assert ingest(deployed()["resource"]) == OK
    assert sorted(landed()) == sorted(RATES)
    with get_client(sync_client=True) as client:
        shown = [each for each in client.read_artifacts() if each.key == "progress-raw-shop-rates"]
    assert "1 pages, 56 records" in str(shown[-1].description)
    before = len(api.asked)
    assert ingest(deployed()["resource"]) == OK
    assert [asked.query.get("since") for asked in api.asked[before:]] == ["2026-01-28"]
    assert sorted(landed()) == sorted(RATES)


def test_a_wrong_parameter_is_refused_with_a_message_that_names_it(
    api: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {**deployed()["resource"], "pagination": {"kind": "cursor", "cursor_feild": "next"}}
    assert ingest(wrong) == FAILED
    assert "resource.pagination.cursor.cursor_feild" in capsys.readouterr().err
    assert ingest({"path": "/v1/rates"}) == FAILED
    assert "resource.pagination" in capsys.readouterr().err
    assert ingest({"path": "/v1/rates", "records": "a..b", "pagination": {"kind": "single"}}) == FAILED
    assert "resource.records" in capsys.readouterr().err
    assert api.asked == []


def test_a_deployed_run_takes_the_parameters_that_it_was_given_and_the_server_refuses_wrong_ones(
    api: Upstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """As the UI does it: one run of a deployment, with some parameters in place of the deployment's own."""
    deployment = RunnerDeployment.from_entrypoint(
        "flows.ingest_api.ingest_api", name="ingest-shop-rates", parameters=deployed()
    )
    made = deployment.apply()
    assert isinstance(made, UUID)
    with get_client(sync_client=True) as client:
        with pytest.raises(PrefectHTTPStatusError) as caught:
            client.create_flow_run_from_deployment(made, parameters={"mode": "all"})
        assert "mode" in caught.value.response.text
        run = client.create_flow_run_from_deployment(made, parameters={"dataset": "raw.other_rates"})
        execute(run.id)
        state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.is_completed(), state
    assert sorted(landed("raw.other_rates")) == sorted(RATES)
    assert landed() == []
    output = capfd.readouterr()
    assert TOKEN not in output.out + output.err


def execute(run: UUID) -> None:
    """Run a flow run in a process of its own, as a worker does."""
    command = [sys.executable, "-m", "prefect", "flow-run", "execute", str(run)]
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    subprocess.run(command, env={**os.environ, **settings}, check=True, timeout=300)


def test_probe_proposes_a_resource_with_reasons_and_tries_it(
    api: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    assert headworks(["probe", "/v1/rates?limit=20", "--block", "shop-api"]) == OK
    output = capsys.readouterr()
    reasons, _, proposed = output.out.partition("The resource, to be checked and pasted:")
    assert "- pagination: next_cursor looks like a token" in reasons
    assert "- tried: 3 pages were read like this, with 20, 20, 16 records, each of them new" in reasons
    assert "- a second run: read 56 records to its end" in reasons
    resource = Resource.model_validate_json(proposed)
    assert (resource.records, resource.pagination.kind) == ("rates", "cursor")
    assert TOKEN not in output.out + output.err


def test_probe_sends_no_credentials_to_another_address(
    api: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(answer) as other:
        assert headworks(["probe", f"{other.url}/v1/rates", "--block", "shop-api"]) == FAILED
        assert other.asked == []
    assert "where the block's credentials belong" in capsys.readouterr().err


def test_breakers_are_shown_keep_runs_from_asking_and_are_reset_by_commands(
    api: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {"failures": 12, "opened": 1, "closed_until": "2999-01-01T00:00:00Z", "reason": "it was down"}
    Lake(LakeSettings(root="lake")).put_object("_headworks/breakers/shop-api.json", state)
    assert headworks(["breaker", "show"]) == OK
    assert "it was down" in capsys.readouterr().out
    assert headworks(["breaker", "reset", "shop-api"]) == OK
    assert headworks(["breaker", "reset", "shop-api"]) == FAILED
    assert ingest(deployed()["resource"], "--dry-run") == OK
