"""Every deployment of prefect.yaml runs on the demo as it is shipped, again and again while the shop lives on.

The deployments are brought to the demo's own server as operators bring them; their runs have the parameters that the
server resolves, and the blocks, roles and grants of the demo. The engine runs in this process.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from headworks.prefect.blocks.profiles import Profile
from headworks.prefect.deploying.declared import read_deployments, read_server, template_of
from headworks.prefect.deploying.flows import ensure_deployment
from headworks.prefect.deploying.pools import ensure_pool
from headworks.prefect.deploying.register_blocks import main as register_blocks
from headworks.prefect.local.postgres import SHOP
from headworks.quality.deliveries import deliveries
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.conftest import PostgresServer
from tests.deployments.conftest import Demo
from tests.support.crm import CrmPlace, make_world, open_crm, receive
from tests.support.pools import CHECKOUT, assert_published_equals_truth

pytestmark = pytest.mark.server

ROUNDS = 3
POOL = "headworks-local"
OF_THE_CRM = "churn-weekly"
CRM_BLOCKS = {"crm_api": "crm-api", "lake": "crm-lake", "analytics_database": "crm-analytics"}
"""The blocks of the CRM's deployment alongside those of the demo's shop, by the parameters that name them."""


def _shipped() -> dict[str, dict[str, Any]]:
    """Return the deployments for the process pool, in the order of the file; their twins differ in the pool alone."""
    document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    return {one["name"]: one for one in document["deployments"] if one["work_pool"]["name"] == POOL}


SHIPPED = _shipped()
OF_THE_SHOP = [name for name in SHIPPED if name != OF_THE_CRM]


@pytest.fixture(scope="module")
def deployed(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    """The demo's server with all of them deployed, as this process's own server."""
    assert demo.first.code == 0, demo.first.err
    home = tmp_path_factory.mktemp("operator")
    chosen = {
        PREFECT_API_URL: demo.stack.api_url,
        PREFECT_HOME: home,
        PREFECT_LOCAL_STORAGE_PATH: home / "results",
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    with demo.unserved(), temporary_settings(chosen), get_client(sync_client=True) as client:
        (pool,) = [one for one in read_server(Profile()).work_pools if one.name == POOL]
        list(ensure_pool(client, pool, template_of(pool, Profile()), dry_run=False))
        for one in read_deployments(Profile(), CHECKOUT / "prefect.yaml"):
            if one.work_pool.name == POOL:
                # Without triggers and schedules: what is run here is what this test runs.
                bare = one.model_copy(update={"triggers": (), "schedules": ()})
                list(ensure_deployment(client, bare, dry_run=False))
        yield client


def test_twins_for_docker_have_the_same_parameters_and_flow() -> None:
    """So that what is run here holds for them as well."""
    document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    twins = {one["name"]: one for one in document["deployments"] if one["name"] not in SHIPPED}
    assert set(twins) == {f"{name}-docker" for name in SHIPPED}
    for name, one in SHIPPED.items():
        twin = twins[f"{name}-docker"]
        assert (twin["entrypoint"], twin["parameters"]) == (one["entrypoint"], one["parameters"])


def test_every_deployment_runs_three_times_while_the_shop_lives_on(
    demo: Demo, deployed: SyncPrefectClient
) -> None:
    ended: list[tuple[int, str, str, str]] = []
    latest = ""
    for number in range(1, ROUNDS + 1):
        demo.stack.live(1)
        for name in OF_THE_SHOP:
            flow_run, state = _run(deployed, name, _by_hand(demo, name, number, latest))
            latest = flow_run if name == "sales-daily" else latest
            ended.append((number, name, state.type.value, state.message or ""))
        assert_published_equals_truth(demo.stack)
    assert [one for one in ended if one[2] != "COMPLETED"] == []
    assert len(ended) == ROUNDS * len(OF_THE_SHOP)
    _assert_all_orders_are_in_silver(demo)


def test_the_weekly_model_runs_as_shipped_and_ad_hoc_with_another_horizon_cut_and_seed(
    deployed: SyncPrefectClient,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deployment of the second company, with blocks that a person registers as prefect.yaml says."""
    world = make_world()
    receive(tmp_path / "lake", world)
    with open_crm(CrmPlace(tmp_path / "lake", postgres.new_database()), world) as place:
        described = {
            name.replace("HEADWORKS_LAKE", "HEADWORKS_CRM_LAKE").replace(
                "ANALYTICS_DATABASE", "CRM_ANALYTICS"
            ): value
            for name, value in place.variables().items()
            if name != "HEADWORKS_PROJECT"
        }
        for name, value in described.items():
            monkeypatch.setenv(name, value)
        assert register_blocks(["crm-api=api", "crm-lake=lake", "crm-analytics=database"]) == 0
        for name in described:
            monkeypatch.delenv(name)

        def ended(**by_hand: Any) -> str:
            _, state = _run(deployed, OF_THE_CRM, {**CRM_BLOCKS, **by_hand})
            assert state.type.value == "COMPLETED", state.message
            return place.product.run_id

        first = ended()
        place.assert_whole()
        assert ended() == first, "a week without news publishes nothing"
        assert ended(dry_run=True, horizon_days=14, seed=5) == first
        assert ended(seed=2) != first
        place.assert_whole()
        newest = place.champions.newest
        assert newest is not None
        assert (newest.sequence, newest.trained.seed) == (2, 2)
        cut = place.scores.get_column("cut")[0] - timedelta(days=8)
        second = place.product.run_id
        assert ended(seed=3, cut=cut.isoformat(), dry_run=True) == second
        _, state = _run(deployed, OF_THE_CRM, {**CRM_BLOCKS, "cut": cut.isoformat()})
        assert state.type.value == "FAILED", "an old week is no publication"
        assert "dry_run" in (state.message or "")
        place.assert_whole()
        assert place.product.run_id == second


def _run(client: SyncPrefectClient, name: str, by_hand: dict[str, Any]) -> tuple[str, State[Any]]:
    """Run a deployment as a worker would; returns the run's id and how it ended."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(SHIPPED[name]["entrypoint"])
    deployment = client.read_deployment_by_name(f"{flow.name}/{name}")
    asked = client.create_flow_run_from_deployment(deployment.id, parameters=by_hand)
    flow_run = client.read_flow_run(asked.id)
    assert flow_run.parameters == {**SHIPPED[name]["parameters"], **by_hand}
    run_flow(flow, flow_run=flow_run, return_type="state")
    return str(asked.id), client.read_flow_run(asked.id).state  # type: ignore[return-value]


def _by_hand(demo: Demo, name: str, number: int, sales_run: str) -> dict[str, Any]:
    """Return what a person, or a trigger, adds to the parameters of a deployment that nothing else starts."""
    if name == "alert":
        return {"flow_run": sales_run}
    if name == "deliveries":
        # To take back what silver has; it only says what it would do.
        newest = deliveries(Lake(LakeSettings(root=str(demo.stack.root / "lake"))), "shop.orders")[-1]
        return {"delivery": newest.id, "action": "discard", "by": "Ada", "note": "a question"}
    if name == "backfill-sales":
        day = f"2026-01-{5 + number:02}"
        return {"name": f"round{number}", "start": day, "end": f"2026-01-{6 + number:02}"}
    return {}


def _assert_all_orders_are_in_silver(demo: Demo) -> None:
    """Compare the mirror with the table: each order that has a key, in its newest version."""
    lake = Lake(LakeSettings(root=str(demo.stack.root / "lake")))
    shown = set(
        lake.must_open("silver", "shop_raw.orders").scan().select("order_id", "updated_at").collect().rows()
    )
    with psycopg.connect(demo.stack._postgres(demo.stack._state()).admin_url(SHOP)) as connection:
        wanted = connection.execute(
            "SELECT order_id, max(updated_at) FROM shop.orders WHERE order_id IS NOT NULL GROUP BY 1"
        ).fetchall()
    assert shown == set(wanted)
