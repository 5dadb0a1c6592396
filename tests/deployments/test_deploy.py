"""Deploying to a real server: everything is there afterwards, once, and again changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from headworks.prefect.deploying.deploy import main
from tests.support.held import Operated
from tests.support.pools import CHECKOUT
from tests.support.prefect_server import serving

pytestmark = pytest.mark.server

CANARY = "canary-5f1c0e"
VARIABLES = {
    "HEADWORKS_LAKE_ROOT": "s3://bucket/lake",
    "HEADWORKS_LAKE_STORAGE_OPTIONS": json.dumps({"AWS_SECRET_ACCESS_KEY": f"{CANARY}-lake"}),
    "HEADWORKS_SHOP_API_BASE_URL": "https://api.example.com",
    "HEADWORKS_SHOP_API_TOKEN": f"{CANARY}-api",
    "HEADWORKS_SHOP_DATABASE_URL": f"postgresql://reader:{CANARY}-shop@db.example.com/shop",
    "HEADWORKS_ANALYTICS_DATABASE_URL": f"postgresql://owner:{CANARY}-analytics@db.example.com/analytics",
    "HEADWORKS_ALERTS_KIND": "slack",
    "HEADWORKS_ALERTS_URL": f"https://hooks.example.com/{CANARY}-alerts",
}

FEW = {"sales-daily", "sales-daily-docker", "maintenance-nightly-docker", "freshness-hourly-docker"}
ALL = ("--prefect-file", "prefect.yaml")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """A server of this module's own."""
    with serving(tmp_path_factory.mktemp("server")) as url:
        yield Operated(url)


@pytest.fixture(autouse=True)
def operator(server: Operated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody in a checkout with the variables of the blocks, and no others."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HEADWORKS_PROFILE", raising=False)
    monkeypatch.chdir(CHECKOUT)
    with temporary_settings({PREFECT_API_URL: server.url, PREFECT_HOME: tmp_path}):
        yield


@pytest.fixture
def deployed(capsys: pytest.CaptureFixture[str], spoilt: Any) -> Any:
    """Deploy, and return what became of each thing by its name, with the last line under an empty name.

    A few deployments, unless a file is named: each takes its time.
    """
    few = spoilt()

    def deploy(*arguments: str, code: int = 0) -> dict[str, str]:
        capsys.readouterr()
        chosen = arguments if "--prefect-file" in arguments else (*few, *arguments)
        assert main(["--no-image", *chosen]) == code
        captured = capsys.readouterr()
        lines = captured.out.splitlines()
        rows = [line.split("  ") for line in lines[2:] if "  " in line]
        cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
        return {
            **{cell[1]: cell[2] for cell in cells if len(cell) > 2},
            "": (lines or [""])[-1],
            "lines": captured.out,
            "error": captured.err,
        }

    return deploy


@pytest.fixture
def spoilt(tmp_path: Path) -> Any:
    """Return a copy of the checkout's two files with something changed, as arguments."""

    def change(**changed: Any) -> list[str]:
        document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
        document["deployments"] = [one for one in document["deployments"] if one["name"] in FEW]
        server = yaml.safe_load((CHECKOUT / "deployments/server.yaml").read_text())
        changed.get("deployments", lambda _: None)(document["deployments"])
        changed.get("server", lambda _: None)(server)
        folder = tmp_path / f"checkout-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "prefect.yaml").write_text(yaml.safe_dump(document))
        (folder / "server.yaml").write_text(yaml.safe_dump(server))
        shutil.copytree(CHECKOUT / "deployments/pools", folder / "pools")
        return ["--prefect-file", str(folder / "prefect.yaml"), "--server", str(folder / "server.yaml")]

    return change


def named(deployments: list[Any], name: str) -> Any:
    return next(one for one in deployments if one["name"] == name)


def test_a_dry_run_tells_all_and_writes_nothing(server: Operated, deployed: Any) -> None:
    before = server.holdings()
    outcome = deployed("--dry-run")
    assert outcome["sales/sales-daily-docker"] == "created"
    assert outcome["shop-api"] == "created"
    assert "nothing was written" in outcome[""]
    assert server.holdings() == before


def test_deploying_makes_everything_once_and_again_changes_nothing(server: Operated, deployed: Any) -> None:
    for pool in ("headworks-docker", "headworks-local"):
        outcome = deployed(*ALL, "--pool", pool)
        assert outcome[pool] == "created"
    first = server.holdings()
    document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
    assert len(first["deployments"]) == len(document["deployments"])
    assert len(first["queues"]) == 6
    for pool in ("headworks-docker", "headworks-local"):
        outcome = deployed(*ALL, "--pool", pool)
        assert outcome[""].startswith("Nothing to change")
        assert set(outcome.values()) - {outcome[""], outcome["lines"], ""} == {"unchanged", "missing"}
    assert server.holdings() == first, "something was written again"


def test_by_hand_nothing_starts_by_itself_until_the_same_is_deployed_without(
    server: Operated, deployed: Any
) -> None:
    """The demo's way: schedules begin paused; deploying in full later makes triggers, and says what stays paused."""
    pool = ("--profile", "byhand")
    trigger = "byhand-freshness-hourly-docker: freshness-after-publication"
    assert trigger not in deployed(*pool, "--by-hand")
    ours = [one for one in server.post("deployments/filter", {}) if one["name"].startswith("byhand-")]
    schedules = [schedule for one in ours for schedule in one["schedules"]]
    assert [one["active"] for one in schedules] == [False] * len(schedules) != []
    first = server.holdings()
    assert deployed(*pool, "--by-hand", "--summary")["lines"].count("\n") == 1
    assert server.holdings() == first
    in_full = deployed(*pool)
    assert in_full[trigger] == "created"
    assert "paused, and stays so: every-morning" in in_full["lines"]
    assert server.automation(trigger)
    whole = server.holdings()
    assert deployed(*pool, "--by-hand")[""].startswith("Nothing to change"), "a trigger was taken away again"
    assert server.holdings() == whole


def test_another_commit_with_the_same_flows_changes_nothing(
    deployed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect takes the commit for the version, where a pipeline or a clone with a remote shows it."""
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/headworks")
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    for commit in ("c0ffee00", "decade00"):
        monkeypatch.setenv("GITHUB_SHA", commit)
        outcome = deployed()
    assert outcome[""].startswith("Nothing to change")


def test_the_server_holds_no_secret_but_in_its_blocks(server: Operated, deployed: Any) -> None:
    outcome = deployed(*ALL)
    held = server.holdings()
    in_blocks = "".join(held.pop("blocks").values())
    for secret in ("lake", "api", "shop", "analytics", "alerts"):
        assert f"{CANARY}-{secret}" in in_blocks, "the canary is not where it belongs"
    assert CANARY not in json.dumps(held)
    assert CANARY not in json.dumps(outcome)
    shown = server.post("block_documents/filter", {"include_secrets": False})
    assert CANARY not in json.dumps(shown), "a field of a block that is no secret holds one"


def test_what_a_person_paused_or_switched_off_stays_so_and_a_change_does_not_wake_it(
    server: Operated, deployed: Any, spoilt: Any
) -> None:
    name = "sales/sales-daily-docker"
    deployed()
    deployment = server.deployment(name)
    (schedule,) = deployment["schedules"]
    server.patch(f"deployments/{deployment['id']}/schedules/{schedule['id']}", {"active": False})
    zombies = server.automation("headworks-zombies")
    server.patch(f"automations/{zombies['id']}", {"enabled": False})
    server.patch("work_pools/headworks-docker", {"is_paused": True})
    assert deployed()[""].startswith("Nothing to change")

    def later(deployments: list[Any]) -> None:
        named(deployments, "sales-daily-docker")["schedules"][0]["cron"] = "45 5 * * *"

    def patient(declared: Any) -> None:
        declared["automations"][0]["trigger"]["within"] = 120

    outcome = deployed(*spoilt(deployments=later, server=patient))
    assert (outcome[name], outcome["headworks-zombies"]) == ("updated", "updated")
    (changed,) = server.deployment(name)["schedules"]
    assert (changed["schedule"]["cron"], changed["active"]) == ("45 5 * * *", False)
    assert server.automation("headworks-zombies")["enabled"] is False
    assert server.automation("headworks-zombies")["trigger"]["within"] == 120
    assert server.get("work_pools/headworks-docker")["is_paused"] is True
    deployed()
    server.patch("work_pools/headworks-docker", {"is_paused": False})
    server.patch(f"automations/{zombies['id']}", {"enabled": True})


def test_what_a_person_changed_by_hand_is_as_declared_again_and_nothing_else_is_touched(
    server: Operated, deployed: Any
) -> None:
    deployed()
    deployment = server.deployment("maintenance/maintenance-nightly-docker")
    server.patch(f"deployments/{deployment['id']}", {"job_variables": {"image": "other:1"}})
    (queue,) = [
        queue
        for queue in server.post("work_pools/headworks-docker/queues/filter")
        if queue["name"] == "background"
    ]
    server.patch(f"work_queues/{queue['id']}", {"priority": 3})
    server.patch("work_pools/headworks-docker", {"concurrency_limit": 99})
    outcome = deployed()
    assert {name for name, change in outcome.items() if change == "updated"} == {
        "maintenance/maintenance-nightly-docker",
        "headworks-docker/background",
        "headworks-docker",
    }
    assert deployed()[""].startswith("Nothing to change")


def test_schedules_and_triggers_that_are_no_longer_declared_go(
    server: Operated, deployed: Any, spoilt: Any
) -> None:
    deployed()

    def without(deployments: list[Any]) -> None:
        freshness = named(deployments, "freshness-hourly-docker")
        freshness["schedules"], freshness["triggers"] = [], []

    outcome = deployed(*spoilt(deployments=without))
    trigger = "freshness-hourly-docker: freshness-after-publication"
    assert outcome["freshness/freshness-hourly-docker"] == "updated"
    assert outcome[trigger] == "removed"
    assert server.deployment("freshness/freshness-hourly-docker")["schedules"] == []
    assert trigger not in {one["name"] for one in server.post("automations/filter")}
    assert deployed()[trigger] == "created"


def test_an_automation_that_was_made_twice_is_left_once(server: Operated, deployed: Any) -> None:
    deployed()
    one = server.automation("headworks-zombies")
    server.post("automations/", {key: one[key] for key in ("name", "trigger", "actions")})
    assert deployed()["headworks-zombies"] == "updated"
    server.automation("headworks-zombies")


def test_limits_are_made_changed_and_left_alone(server: Operated, deployed: Any, spoilt: Any) -> None:
    def limited(most: int) -> Any:
        def change(declared: Any) -> None:
            declared["global_limits"] = [
                {"name": "warehouse", "limit": most},
                {"name": "partner-api", "limit": most, "slot_decay_per_second": 10},
            ]
            declared["tag_limits"] = [{"tag": "reads-warehouse", "limit": most}]

        return spoilt(server=change)

    names = ("warehouse", "partner-api", "reads-warehouse")
    for most, change in ((4, "created"), (4, "unchanged"), (5, "updated"), (5, "unchanged")):
        outcome = deployed(*limited(most))
        assert [outcome[name] for name in names] == [change] * 3
    assert {
        one["name"]: one["slot_decay_per_second"]
        for one in server.post("v2/concurrency_limits/filter")
        if one["name"] in names
    } == {"warehouse": 0, "partner-api": 10}


def test_a_profile_is_apart_from_the_others_on_the_same_server(
    server: Operated, deployed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed()
    before = server.holdings()
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name.replace("HEADWORKS_", "HEADWORKS_STAGING_"), value)
    outcome = deployed("--profile", "staging")
    assert outcome["sales/staging-sales-daily-docker"] == "created"
    assert outcome["staging-shop-database"] == "created"
    held = server.holdings()
    for kind, things in before.items():
        assert {key: held[kind][key] for key in things} == things, "production was touched"
    staging = server.deployment("sales/staging-sales-daily-docker")
    assert staging["work_pool_name"] == "staging-headworks-docker"
    assert "headworks-staging" in staging["tags"]
    assert "headworks" not in staging["tags"], "production's automations would look at it"
    zombies = json.dumps(server.automation("staging-headworks-zombies"))
    assert "prefect.tag.headworks-staging" in zombies
    assert "staging-headworks-docker" in json.dumps(server.automation("staging-headworks-workers-gone"))
    assert deployed("--profile", "staging")[""].startswith("Nothing to change")


def test_files_that_say_what_is_not_known_and_pools_that_are_not_there_are_refused(
    deployed: Any, spoilt: Any
) -> None:
    def misspelt(deployments: list[Any]) -> None:
        deployments[0]["parametres"] = {}

    assert "parametres" in deployed(*spoilt(deployments=misspelt), code=1)["error"]
    assert "headworks-other" in deployed("--pool", "headworks-other", code=1)["error"]
    assert "Staging!" in deployed("--profile", "Staging!", code=1)["error"]
    assert "--file" in deployed("--file", "nowhere.env", code=1)["error"]


def test_a_pool_of_another_type_is_refused_before_anything_is_written(
    server: Operated, deployed: Any
) -> None:
    server.post("work_pools/", {"name": "odd-headworks-local", "type": "docker"})
    before = server.holdings()
    outcome = deployed("--profile", "odd", "--pool", "headworks-local", code=1)
    assert "of the type docker, and process is wanted" in outcome["error"]
    assert server.holdings() == before


def test_without_a_server_or_with_one_that_is_away_it_says_so(deployed: Any, tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert "does not answer" in deployed(code=1)["error"]
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert "PREFECT_API_URL" in deployed(code=1)["error"]


def test_with_a_registry_deployments_take_the_image_from_there(
    server: Operated, deployed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = named(
        yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())["deployments"], "sales-daily-docker"
    )
    monkeypatch.setenv("HEADWORKS_REGISTRY", "registry.example.com/team/")
    deployed()
    deployed = server.deployment("sales/sales-daily-docker")["job_variables"]["image"]
    assert deployed == f"registry.example.com/team/{plain['work_pool']['job_variables']['image']}"
