"""The sales flow in a container, through a Docker work pool, by the commands that prefect.yaml names."""

from __future__ import annotations

import json

import psycopg
import pytest

from headworks.prefect.local.postgres import ANALYTICS
from tests.docker.conftest import Container, Pool, docker
from tests.support.pools import assert_published_equals_truth

pytestmark = [pytest.mark.docker, pytest.mark.server]


@pytest.fixture(scope="module")
def first(pool: Pool) -> Container:
    """The first run's container."""
    return pool.run_flow()


def test_a_run_in_a_container_publishes_the_truth(pool: Pool, first: Container) -> None:
    assert assert_published_equals_truth(pool.stack) > 1000
    run = pool.operator.read(f"flow_runs/{first.flow_run}")
    state = json.loads(docker("inspect", "--format", "{{json .State}}", first.name))
    assert state["ExitCode"] == 0
    assert run["infrastructure_pid"].endswith(docker("inspect", "--format", "{{.Id}}", first.name))


def test_a_second_container_finds_the_lake_and_changes_nothing(pool: Pool, first: Container) -> None:
    before = _published(pool)
    pool.run_flow("--param", 'mode="full"')
    assert _published(pool) == before, "rows were written again"


def test_more_days_of_the_shop_come_in_through_a_container_too(pool: Pool, first: Container) -> None:
    before = _published(pool)
    pool.stack.live(2)
    pool.run_flow()
    assert _published(pool) != before
    assert assert_published_equals_truth(pool.stack) > 1000


def test_the_container_has_neither_rights_nor_secrets_that_it_does_not_need(
    pool: Pool, first: Container
) -> None:
    inspected = docker("inspect", first.name)
    (container,) = json.loads(inspected)
    assert container["HostConfig"]["ReadonlyRootfs"] is True
    assert container["HostConfig"]["Privileged"] is False
    assert container["HostConfig"]["Init"] is True
    assert container["HostConfig"]["Memory"] > 0
    assert set(container["HostConfig"]["Tmpfs"]) == {"/tmp", "/home/headworks"}
    assert container["HostConfig"]["CapDrop"] == ["ALL"]
    assert container["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]
    assert container["Config"]["User"].partition(":")[0] not in {"", "0", "root"}
    ours = [each for each in container["Config"]["Env"] if each.startswith("HEADWORKS_")]
    assert ours == ["HEADWORKS_PROJECT=shop.project:SHOP"]
    shown = {
        "docker inspect": inspected,
        "docker logs": docker("logs", first.name),
        "the deployment": json.dumps(pool.operator.read("deployments/name/sales/sales-daily-docker")),
        "the flow run": json.dumps(pool.operator.read(f"flow_runs/{first.flow_run}")),
        "the work pool": json.dumps(pool.operator.read("work_pools/headworks-docker")),
    }
    made = pool.stack._secrets()
    for secret in (made.postgres_password.get_secret_value(), made.api_token.get_secret_value()):
        assert [where for where, text in shown.items() if secret in text] == []


def _published(pool: Pool) -> list[tuple[object, ...]]:
    """Return the published rows, each with the number of the transaction that wrote it."""
    postgres = pool.stack._postgres(pool.stack._state())
    with psycopg.connect(postgres.admin_url(ANALYTICS)) as connection:
        return connection.execute(
            "SELECT xmin::text, * FROM analytics.sales_daily ORDER BY day, country, category"
        ).fetchall()
