"""prefect.yaml means what it says: Prefect ignores what it does not know, so the file is judged here, key by key."""

from __future__ import annotations

import copy
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.flows import load_flow_from_entrypoint
from pydantic import BaseModel

from headworks.prefect.blocks.profiles import Profile
from headworks.prefect.deploying.declared import read_server, template_of
from tests.support.pools import CHECKOUT

Document = dict[str, Any]

_POOLS = ("headworks-local", "headworks-docker")
_SECRET_KEY = re.compile(
    r"passw|token|secret|credential|api_?key|auth_string|connection_string", re.IGNORECASE
)
_USER_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]*@", re.IGNORECASE)


def faults(document: Document) -> list[str]:
    """Return all that is wrong with a prefect.yaml, in words; empty where nothing is."""
    found = _unknown("the file", document, PrefectYamlModel)
    for deployment in document["deployments"]:
        found += _deployment_faults(deployment)
    found += [f"{path}: {why}" for path, text in _texts(document) for why in _text_faults(path, text)]
    return found


def _deployment_faults(deployment: Document) -> list[str]:
    name = deployment["name"]
    found = _unknown(name, deployment, DeploymentConfig)
    found += _unknown(f"{name}.concurrency_limit", deployment["concurrency_limit"], ConcurrencyLimitSpec)
    found += _unknown(f"{name}.work_pool", deployment["work_pool"], WorkPoolConfig)
    for schedule in deployment["schedules"]:
        found += _unknown(f"{name}.schedules", schedule, RawScheduleConfig)
    for trigger in deployment.get("triggers", []):
        found += _unknown(f"{name}.triggers", trigger, DeploymentEventTrigger)
    pool = deployment["work_pool"]["name"]
    if pool not in _POOLS:
        return [*found, f"{name}.work_pool: {pool} is a pool that nothing here says how to make"]
    variables = _template(pool)["variables"]["properties"]
    chosen = deployment["work_pool"].get("job_variables", {})
    return found + [f"{name}: no job variable {key!r} of {pool}" for key in chosen if key not in variables]


def _template(pool: str) -> Document:
    """Return the base job template that the pool is made with."""
    (declared,) = [one for one in read_server(Profile()).work_pools if one.name == pool]
    return template_of(declared, Profile())


def _unknown(where: str, given: Mapping[str, Any], model: type[BaseModel]) -> list[str]:
    known = set(model.model_fields) | {field.alias for field in model.model_fields.values() if field.alias}
    return [f"{where}: Prefect knows no {key!r}" for key in given if key not in known]


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Walk over all texts and numbers of the file, each with the keys that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path)
    elif value is not None:
        yield path, str(value)


def _text_faults(path: str, text: str) -> Iterator[str]:
    if _SECRET_KEY.search(path.rpartition(".")[2]):
        yield "this is the name of a secret, which belongs in a block"
    if _USER_IN_URL.search(text):
        yield "a URL with a user in it"
    if "{{" in text and not path.endswith(".triggers.parameters.flow_run.template"):
        yield "a template, which is filled in at deploy time and then read by all who see the deployment"


def _read() -> Document:
    document: Document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    return document


def _deployments() -> dict[str, Document]:
    return {deployment["name"]: deployment for deployment in _read()["deployments"]}


def test_prefect_yaml_has_no_key_that_prefect_ignores_no_secret_and_no_template() -> None:
    document = _read()
    assert faults(document) == []
    PrefectYamlModel.model_validate(document)


SPOILERS: dict[str, Callable[[Document], object]] = {
    "Prefect knows no 'pulls'": lambda d: d.update(pulls=[]),
    "Prefect knows no 'tag'": lambda d: d["deployments"][0].update(tag="sales"),
    "Prefect knows no 'variables'": lambda d: d["deployments"][1]["work_pool"].update(variables={}),
    "Prefect knows no 'time_zone'": lambda d: d["deployments"][0]["schedules"][0].update(time_zone="UTC"),
    "Prefect knows no 'strategy'": lambda d: d["deployments"][0]["concurrency_limit"].update(strategy="X"),
    "no job variable 'volume'": lambda d: _variables(d).update(volume="headworks-data:/data"),
    "Prefect knows no 'expects'": lambda d: _triggers(d)[0].update(expects=[]),
    "a pool that nothing here says": lambda d: d["deployments"][0]["work_pool"].update(name="other"),
    "the name of a secret": lambda d: _env(d).update(PREFECT_API_KEY="1234"),
    "a URL with a user in it": lambda d: _env(d).update(DATABASE="postgresql://me:pw@db/shop"),
    "a template, which": lambda d: _env(d).update(SHOP="{{ $SHOP }}"),
}


@pytest.mark.parametrize("fault", SPOILERS)
def test_each_fault_would_be_found(fault: str) -> None:
    spoilt = copy.deepcopy(_read())
    SPOILERS[fault](spoilt)
    assert any(fault in found for found in faults(spoilt))


def _variables(document: Document) -> Document:
    variables: Document = document["deployments"][1]["work_pool"]["job_variables"]
    return variables


def _env(document: Document) -> Document:
    env: Document = _variables(document).setdefault("env", {})
    return env


def _triggers(document: Document) -> list[Document]:
    triggers: list[Document] = document["deployments"][-1]["triggers"]
    return triggers


def twin(name: str) -> str:
    """Return the name of the same deployment on the Docker pool."""
    return f"{name}-docker"


FLOWS = {
    "sales-daily": "sales",
    "ingest-shop-rates": "ingest-api",
    "replay-quarantine": "replay-quarantine",
    "deliveries": "deliveries",
    "pipeline": "pipeline",
    "orders-hourly": "ingest-database",
    "orders-keys-nightly": "ingest-database",
    "churn-weekly": "churn",
    "receipts": "ingest-files",
    "backfill-sales": "backfill",
    "maintenance-nightly": "maintenance",
    "freshness-hourly": "freshness",
    "alert": "alert",
}
"""The deployments of the process pool; each has a twin on the Docker pool."""

BY_HAND = {"pipeline", "ingest-shop-rates", "receipts", "backfill-sales", "replay-quarantine", "deliveries"}
"""Patterns, and what a person starts: they have no schedule."""

BY_EVENT = {"alert", "freshness-hourly"}
"""What a trigger starts; the freshness is looked at by schedule as well."""

DROPPED = {"orders-hourly", "maintenance-nightly", "freshness-hourly"}
"""Where the next run would do the same: it is dropped, and does not queue up."""

ASKED = {
    "deliveries": {"delivery": "1a2b3c4d", "action": "discard", "by": "ada", "note": "a test"},
    "backfill-sales": {"name": "january", "start": "2026-01-01", "end": "2026-02-01"},
    "alert": {"flow_run": "00000000-0000-0000-0000-000000000000"},
}
"""What a person or a trigger gives when starting a run."""


def test_what_is_started_by_hand_has_no_schedule_and_all_else_has_one() -> None:
    without = {name for name, each in _deployments().items() if not each["schedules"]}
    started = {*BY_HAND, "alert"}
    assert without == started | {twin(name) for name in started}


def test_each_deployment_is_judged_here() -> None:
    assert set(_deployments()) == set(FLOWS) | {twin(name) for name in FLOWS}


def test_every_flow_of_the_package_has_a_deployment() -> None:
    modules = {path.stem for path in (CHECKOUT / "flows").glob("*.py")}
    entrypoints = {each["entrypoint"].split(".")[1] for each in _deployments().values()}
    helpers = {"__init__", "console", "running"}
    assert entrypoints == modules - helpers


@pytest.mark.parametrize("name", FLOWS)
def test_the_entrypoint_is_the_flow_by_its_modules_name_and_takes_the_parameters(name: str) -> None:
    deployment = _deployments()[name]
    assert "/" not in deployment["entrypoint"], "a path loads a second copy of the module"
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"])
    assert flow.name == FLOWS[name]
    assert set(deployment["parameters"]) <= set(inspect.signature(flow.fn).parameters)
    flow.validate_parameters({**deployment["parameters"], **ASKED.get(name, {})})


@pytest.mark.parametrize("name", sorted(set(FLOWS) - BY_HAND - {"alert"}))
def test_a_schedule_can_be_paused_for_good_and_says_its_time_zone(name: str) -> None:
    (schedule,) = _deployments()[name]["schedules"]
    RawScheduleConfig.model_validate(schedule)
    CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    assert schedule["slug"]
    assert "active" not in schedule, "deploying again would begin a paused schedule again"


@pytest.mark.parametrize("name", FLOWS)
def test_each_deployment_has_a_twin_on_the_docker_pool_that_differs_only_in_name_and_work_pool(
    name: str,
) -> None:
    process, docker = _deployments()[name], _deployments()[twin(name)]
    different = {key for key in process | docker if process.get(key) != docker.get(key)}
    assert different == {"name", "work_pool"}
    queue = process["work_pool"].get("work_queue_name")
    assert process["work_pool"].get("name") == "headworks-local"
    assert docker["work_pool"] == {
        "name": "headworks-docker",
        "job_variables": _variables(_read()),
        **({"work_queue_name": queue} if queue else {}),
    }
    assert f"<<: *{name}\n" in (CHECKOUT / "prefect.yaml").read_text(encoding="utf-8")


def test_each_queue_that_a_deployment_names_is_made_with_its_pool() -> None:
    known = {(pool.name, queue.name) for pool in read_server(Profile()).work_pools for queue in pool.queues}
    used = {
        (each["work_pool"]["name"], each["work_pool"].get("work_queue_name", "default"))
        for each in _deployments().values()
    }
    assert used == known


def test_one_run_at_a_time_and_nothing_is_pulled_built_or_pushed() -> None:
    document = _read()
    assert document["pull"] == []
    for name, deployment in _deployments().items():
        dropped = name.removesuffix("-docker") in DROPPED
        strategy = "CANCEL_NEW" if dropped else "ENQUEUE"
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": strategy}
        assert (deployment["build"], deployment["push"]) == ([], [])


def test_what_events_start_looks_at_our_own_runs_and_never_at_itself() -> None:
    triggered = {name for name, each in _deployments().items() if each.get("triggers")}
    assert triggered == BY_EVENT | {twin(name) for name in BY_EVENT}
    for name, deployment in _deployments().items():
        assert ("headworks" in deployment["tags"]) == (not name.startswith("alert")), "alerts about alerts"
        for trigger in deployment.get("triggers", []):
            assert trigger["match_related"]["prefect.resource.id"] == "prefect.tag.headworks"


def test_the_image_has_the_version_of_this_checkout() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    image = _variables(_read())["image"]
    assert image == f"headworks:{project['version']}"
    assert f"docker build --tag {image} ." in (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
