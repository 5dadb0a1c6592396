"""The pools' base job templates: Prefect's own, but for what makes a run safe and able to be taken up elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.workers.process import ProcessWorker
from prefect_docker.worker import DockerWorker  # type: ignore[import-untyped]

from headworks.prefect.blocks.profiles import Profile
from headworks.prefect.deploying.declared import read_server, template_of

WORKERS = {"docker": DockerWorker, "process": ProcessWorker}
POOLS = {pool.type: pool for pool in read_server(Profile()).work_pools}
FIXED = {"privileged", "container_create_kwargs"}
"""What a run's job variables must not change: they would undo what keeps it in its container."""


@pytest.mark.parametrize("kind", WORKERS)
def test_a_template_has_what_this_version_of_the_worker_knows_and_nothing_else(kind: str) -> None:
    ours, theirs = template_of(POOLS[kind], Profile()), WORKERS[kind].get_default_base_job_template()
    fixed = FIXED if kind == "docker" else set()
    assert set(ours["job_configuration"]) == set(theirs["job_configuration"])
    assert set(theirs["variables"]["properties"]) - set(ours["variables"]["properties"]) == fixed
    added = set(ours["variables"]["properties"]) - set(theirs["variables"]["properties"])
    assert added == ({"tmpfs", "pids_limit"} if kind == "docker" else set())


def test_a_container_may_do_no_more_than_it_must_whatever_its_job_variables_say() -> None:
    configuration: dict[str, Any] = template_of(POOLS["docker"], Profile())["job_configuration"]
    assert configuration["privileged"] is False
    rights = configuration["container_create_kwargs"]
    assert rights["user"] == "10001:10001"
    assert rights["read_only"] is True
    assert rights["cap_drop"] == ["ALL"]
    assert rights["security_opt"] == ["no-new-privileges:true"]
    assert rights["init"] is True


def test_every_run_gives_signs_of_life_and_containers_keep_results_where_another_one_finds_them() -> None:
    for pool in POOLS.values():
        env = template_of(pool, Profile())["variables"]["properties"]["env"]["default"]
        assert env["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    docker = template_of(POOLS["docker"], Profile())["variables"]["properties"]
    (volume,) = docker["volumes"]["default"]
    folder = volume.rpartition(":")[2]
    assert docker["env"]["default"]["PREFECT_RESULTS_LOCAL_STORAGE_PATH"].startswith(f"{folder}/")
    assert docker["mem_limit"]["default"]
    assert docker["auto_remove"]["default"] is True


def test_the_networks_that_containers_join_are_the_operators_choice() -> None:
    for kind, expected in (("docker", ["data", "flows"]), ("process", None)):
        properties = template_of(POOLS[kind], Profile(), ["data", "flows"])["variables"]["properties"]
        assert properties.get("networks", {}).get("default") == expected


def test_runs_of_a_profile_know_which_one_it_is() -> None:
    for pool in read_server(Profile("staging")).work_pools:
        template = template_of(pool, Profile("staging"))
        assert pool.name.startswith("staging-")
        assert template["variables"]["properties"]["env"]["default"]["HEADWORKS_PROFILE"] == "staging"
