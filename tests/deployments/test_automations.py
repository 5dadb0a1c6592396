"""What the server does by itself: calls zombies crashed, shows of workers, and starts what an event starts.

On a real server with its event services. The automations are those of ``server.yaml`` and ``prefect.yaml``; only the
time after which a silent run is a zombie is shorter.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.events import Event
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from prefect.states import Cancelled, Completed, Crashed, Failed, Running
from pydantic import SecretStr

from flows.alert import alert
from flows.freshness import freshness
from flows.maintenance import maintenance
from headworks.ops.channels import Webhook
from headworks.ops.incidents import heal, open_incidents
from headworks.prefect.deploying.deploy import main
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support.held import Operated, wait_for
from tests.support.pools import CHECKOUT, run_command
from tests.support.prefect_server import serving
from tests.support.served import Answer, Asked, served

pytestmark = pytest.mark.server

_SILENT_S = 10
"""The shortest that Prefect allows for what has not happened."""

DEPLOYED = {"sales-daily", "maintenance-nightly", "freshness-hourly", "alert"}
SALES, MAINTENANCE = "sales/sales-daily", "maintenance/maintenance-nightly"


class People:
    """Who is notified: a webhook that keeps what is posted to it."""

    def __init__(self) -> None:
        self.output: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Answer:
        self.output.append(json.loads(asked.body))
        return Answer()

    def titles(self) -> list[str]:
        return [each["title"] for each in self.output]


@pytest.fixture(scope="module")
def people() -> Iterator[tuple[People, str]]:
    """The people, and the address that they are reported at."""
    output = People()
    with served(output.answer) as upstream:
        yield output, f"{upstream.url}/T0/secret"


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, people: tuple[People, str]
) -> Iterator[tuple[Operated, Lake]]:
    """A server that was deployed to, and the lake of its block."""
    folder = tmp_path_factory.mktemp("operated")
    document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
    document["deployments"] = [one for one in document["deployments"] if one["name"] in DEPLOYED]
    (folder / "prefect.yaml").write_text(yaml.safe_dump(document))
    declared = yaml.safe_load((CHECKOUT / "deployments/server.yaml").read_text())
    declared["automations"][0]["trigger"]["within"] = _SILENT_S
    (folder / "server.yaml").write_text(yaml.safe_dump(declared))
    shutil.copytree(CHECKOUT / "deployments/pools", folder / "pools")
    (folder / "blocks.env").write_text(
        f"HEADWORKS_LAKE_ROOT={folder / 'lake'}\n"
        f"HEADWORKS_ALERTS_KIND=webhook\nHEADWORKS_ALERTS_URL={people[1]}\n"
    )
    late = {
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "1",
        # Proactive triggers are looked at so often.
        "PREFECT_SERVER_SERVICES_TRIGGERS_PROACTIVE_GRANULARITY": "1",
    }
    arguments = ["--pool", "headworks-local", "--file", str(folder / "blocks.env")]
    arguments += ["--prefect-file", str(folder / "prefect.yaml"), "--server", str(folder / "server.yaml")]
    with serving(tmp_path_factory.mktemp("server"), **late) as url, _talking_to(url, folder):
        assert main(arguments) == 0
        yield Operated(url), Lake(LakeSettings(root=str(folder / "lake")))


@pytest.fixture(autouse=True)
def talking(server: tuple[Operated, Lake], people: tuple[People, str], tmp_path: Path) -> Iterator[None]:
    """Talk to that server, and let people have heard nothing yet."""
    people[0].output.clear()
    with _talking_to(server[0].url, tmp_path):
        yield


def _talking_to(url: str, folder: Path) -> Any:
    return temporary_settings(
        {
            PREFECT_API_URL: url,
            PREFECT_HOME: folder / "home",
            PREFECT_LOCAL_STORAGE_PATH: folder / "results",
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        }
    )


@pytest.fixture
def client(talking: None) -> Iterator[SyncPrefectClient]:
    """A client of the server."""
    with get_client(sync_client=True) as client:
        yield client


def begin(client: SyncPrefectClient, name: str, **parameters: Any) -> UUID:
    """Ask for a run of a deployment, as a person does."""
    deployment = client.read_deployment_by_name(name)
    run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    return run.id


def now(client: SyncPrefectClient, run: UUID, state: State[Any]) -> None:
    """Let a run be in a state."""
    client.set_flow_run_state(run, state, force=True)


def happens(client: SyncPrefectClient, name: str, **content: Any) -> None:
    """Report this server of an event: Prefect's own worker for that talks to the first server that a process had."""
    event = Event.model_validate({"event": name, **content})
    client.request("POST", "/events", json=[event.model_dump(mode="json")]).raise_for_status()


def lives(client: SyncPrefectClient, run: UUID, tag: str) -> None:
    """Emit the sign of life that Prefect's engine emits."""
    happens(
        client,
        "prefect.flow-run.heartbeat",
        resource={"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.name": "a run"},
        related=[{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}],
    )


def state_of(client: SyncPrefectClient, run: UUID) -> str:
    state = client.read_flow_run(run).state
    return state.name if state and state.name else ""


def alerts_about(server: Operated, run: UUID) -> list[Any]:
    """Return the runs of the alert flow that the server asked for because of a run."""
    return [one for one in server.runs_of("alert") if one["parameters"] == {"flow_run": str(run)}]


@pytest.mark.campaign
def test_a_run_that_gives_no_sign_of_life_is_crashed_and_others_are_left_alone(
    server: tuple[Operated, Lake], client: SyncPrefectClient
) -> None:
    silent, ended, cancelled = (begin(client, SALES) for _ in range(3))
    # Of another team: it has not our tag.
    other = client.create_flow_run(maintenance, tags=["theirs"]).id
    for run in (silent, ended, cancelled, other):
        now(client, run, Running())
    for run in (silent, ended, cancelled):
        lives(client, run, "headworks")
    lives(client, other, "theirs")
    now(client, ended, Completed())
    now(client, cancelled, Cancelled())
    wait_for("the zombie is found", lambda: state_of(client, silent) == "Crashed")
    assert [state_of(client, run) for run in (ended, cancelled, other)] == [
        "Completed",
        "Cancelled",
        "Running",
    ]
    wait_for("people are to be reported it", lambda: alerts_about(server[0], silent))
    now(client, other, Cancelled())


@pytest.mark.campaign
def test_a_run_that_never_gave_a_sign_of_life_is_found_as_well(
    server: tuple[Operated, Lake], client: SyncPrefectClient
) -> None:
    run = begin(client, SALES)
    now(client, run, Running())
    wait_for("the zombie is found", lambda: state_of(client, run) == "Crashed")


def test_people_are_told_once_of_a_crash_and_once_when_the_flow_does_its_work_again(
    server: tuple[Operated, Lake], client: SyncPrefectClient, people: tuple[People, str]
) -> None:
    for message in ("The machine is gone.", "And again."):
        run = begin(client, MAINTENANCE)
        now(client, run, Crashed(message=message))
        (asked,) = wait_for("the alert is asked for", partial(alerts_about, server[0], run))
        alert(flow_run=UUID(asked["parameters"]["flow_run"]))
    (output,) = people[0].output
    assert (output["incident"], output["kind"]) == ("flow maintenance of maintenance-nightly", "run failed")
    assert "The machine is gone." in output["text"]
    assert [each.incident for each in open_incidents(server[1])] == [output["incident"]]
    assert maintenance(return_state=True).is_completed()
    assert open_incidents(server[1]) != (), "this run was of no deployment"
    channel = Webhook(url=SecretStr(people[1]))
    assert heal(server[1], [channel], output["incident"])
    assert [each["healed"] for each in people[0].output] == [False, True]


def test_a_run_that_nobody_starts_in_time_is_told_and_alerts_are_not_told_of_themselves(
    server: tuple[Operated, Lake], client: SyncPrefectClient, people: tuple[People, str]
) -> None:
    run = begin(client, MAINTENANCE)
    (asked,) = wait_for("the alert is asked for", lambda: alerts_about(server[0], run))
    assert alert(flow_run=run) == "reported"
    (output,) = people[0].output
    assert output["kind"] == "run late"
    # Nobody starts the alert either, and nobody is to be reported of that.
    wait_for("the alert is late", lambda: state_of(client, UUID(asked["id"])) == "Late")
    assert alerts_about(server[0], UUID(asked["id"])) == []
    now(client, run, Running())
    assert alert(flow_run=run) == "it is Running by now"
    now(client, run, Completed())


def test_what_a_run_told_itself_a_dry_run_and_what_is_well_by_now_are_not_told_again(
    server: tuple[Operated, Lake], client: SyncPrefectClient, people: tuple[People, str]
) -> None:
    dry = begin(client, SALES, dry_run=True)
    now(client, dry, Failed(message="it was only a try"))
    assert alert(flow_run=dry) == "it was a dry run"
    first, second = begin(client, SALES), begin(client, SALES)
    now(client, first, Failed(message="the source is away"))
    now(client, second, Failed(message="the gate is closed"))
    assert alert(flow_run=first) == "reported"
    assert alert(flow_run=second) == "people know of it already"
    assert len(people[0].output) == 1


def test_where_the_lake_is_away_people_are_told_without_it(
    server: tuple[Operated, Lake], client: SyncPrefectClient, people: tuple[People, str]
) -> None:
    run = begin(client, SALES, lake="no-such-lake")
    now(client, run, Failed(message="There is no block"))
    assert alert(flow_run=run) == "reported, without the lake"
    assert len(people[0].output) == 1


def test_a_published_product_starts_what_depends_on_it(
    server: tuple[Operated, Lake], client: SyncPrefectClient
) -> None:
    before = len(server[0].runs_of("freshness-hourly"))
    for tag in ("theirs", "headworks"):
        happens(
            client,
            "headworks.product.published",
            resource={"prefect.resource.id": "headworks.product.sales"},
            related=[{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}],
            payload={"sequence": 7},
        )
    wait_for("the run is asked for", lambda: len(server[0].runs_of("freshness-hourly")) > before)
    assert len(server[0].runs_of("freshness-hourly")) == before + 1


def test_the_server_tells_by_itself_that_a_pool_has_no_worker_and_that_it_has_one_again(
    server: tuple[Operated, Lake], client: SyncPrefectClient, people: tuple[People, str]
) -> None:
    pool = client.read_work_pool("headworks-local")
    for name in ("headworks-local", "pool-of-others"):
        happens(
            client,
            "prefect.work-pool.not-ready",
            resource={
                "prefect.resource.id": f"prefect.work-pool.{pool.id}",
                "prefect.resource.name": name,
            },
        )
    wait_for("the server shows", lambda: "Nobody works in the pool headworks-local" in people[0].titles())
    client.request(
        "POST",
        "/work_pools/headworks-local/workers/heartbeat",  # type: ignore[arg-type] # a template's own value
        json={"name": "one", "heartbeat_interval_seconds": 30},
    )
    back = "The pool headworks-local has a worker again (recovered)"
    wait_for("the server shows", lambda: back in people[0].titles())
    assert not [title for title in people[0].titles() if "pool-of-others" in title]


def test_runs_that_fail_before_they_begin_are_reported_even_where_alerting_fails_so_too(
    server: tuple[Operated, Lake], client: SyncPrefectClient, people: tuple[People, str], tmp_path: Path
) -> None:
    """A worker whose environment is gone: neither the run nor the run that would alert ever begins."""
    _end_all(client)
    run = begin(client, SALES)
    _work_with_a_broken_environment(server[0].url, tmp_path)
    wait_for("the run crashed", lambda: state_of(client, run) == "Crashed")
    assert (
        client.read_flow_run(run).start_time is None or client.read_flow_run(run).total_run_time.seconds == 0
    )
    # One that it was late, perhaps, and one that it crashed.
    asked = wait_for("the alert is asked for", lambda: alerts_about(server[0], run))
    _work_with_a_broken_environment(server[0].url, tmp_path)
    wait_for("an alert crashed", lambda: any(state_of(client, UUID(one["id"])) == "Crashed" for one in asked))
    failed = "Alerting people failed: "
    wait_for("the server reports it", lambda: any(each.startswith(failed) for each in people[0].titles()))
    for output in [each for each in people[0].output if each["title"].startswith(failed)]:
        assert "look at the runs that failed or crashed just before" in output["text"]
    _end_all(client)


def _end_all(client: SyncPrefectClient) -> None:
    """End what other tests have left, so that the worker takes this test's runs alone."""
    unended = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]}}}
    for run in client.request("POST", "/flow_runs/filter", json={"flow_runs": unended}).json():
        now(client, UUID(run["id"]), Cancelled())


def _work_with_a_broken_environment(server: str, folder: Path) -> None:
    """Let a worker take what is due, where the Python that runs are started with is gone."""
    command = ["prefect", "worker", "start", "--pool", "headworks-local", "--run-once"]
    run_command(
        [sys.executable, "-m", *command, "--install-policy", "never"],
        {
            "PREFECT_API_URL": server,
            "PREFECT_HOME": str(folder / "worker"),
            "HEADWORKS_PYTHON": str(folder / "gone" / "python"),
        },
    )


def test_a_missed_promise_is_one_incident_of_its_flow_and_heals(
    server: tuple[Operated, Lake], people: tuple[People, str]
) -> None:
    promise = {"table": "gold.sales.daily", "committed_within_h": 26}
    for _ in range(2):
        state = freshness(promises=[promise], return_state=True)
        assert state.is_failed()
    assert [each["kind"] for each in people[0].output] == ["freshness missed"]
    assert freshness(promises=[], return_state=True).is_completed()
    assert [each["healed"] for each in people[0].output] == [False, True]
