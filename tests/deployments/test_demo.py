"""The demo as a stranger meets it: each test runs or looks at the real commands, in this order."""

from __future__ import annotations

import json
import re
import shlex
import socket
import stat
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psutil
import psycopg
import pytest
import yaml

from deployments.local.stack import POOL, WORKER
from headworks.gold.products import open_product
from headworks.prefect.local.postgres import ANALYTICS, SHOP, Postgres
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from shop import gold
from shop.truth import Truth, truth
from tests.deployments.conftest import Demo
from tests.support import canaries
from tests.support.held import Operated
from tests.support.pools import CHECKOUT, Operator

pytestmark = pytest.mark.server

_TABLES = ("silver/shop/orders", "silver/shop/order_lines", "gold/sales/daily", "gold/sales/customer_value")


def _account(demo: Demo) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((demo.stack.root / "account.json").read_text())
    return content


def _postgres(demo: Demo) -> Postgres:
    return demo.stack._postgres(demo.stack._state())


def _held(demo: Demo) -> dict[str, dict[str, str]]:
    """Return what was deployed, but for the queues: each look of a worker writes them."""
    held = Operated(demo.stack.api_url).holdings()
    del held["queues"]
    return held


def _truth(demo: Demo) -> Truth:
    with psycopg.connect(_postgres(demo).admin_url(SHOP)) as connection:
        return truth(connection)


def _lake(demo: Demo) -> Lake:
    return Lake(LakeSettings(root=str(demo.stack.root / "lake")))


def _published_daily(demo: Demo) -> list[Any]:
    with psycopg.connect(_postgres(demo).admin_url(ANALYTICS)) as connection:
        return connection.execute(
            "SELECT xmin::text, * FROM analytics.sales_daily ORDER BY 2, 3, 4"
        ).fetchall()


def _assert_true_to_the_cent(demo: Demo) -> None:
    """Compare gold, and what Postgres shows, with what the shop computes for itself in SQL."""
    lake, expected = _lake(demo), _truth(demo)
    frames = open_product(lake, gold.PRODUCT)
    revenue = frames["sales.daily"].select(pl.col("revenue_eur").sum()).collect().item()
    assert frames["sales.daily"].collect().height == len(expected.daily)
    assert revenue == sum(row.revenue_eur for row in expected.daily)
    with psycopg.connect(_postgres(demo).admin_url(ANALYTICS)) as connection:
        shown = connection.execute("SELECT count(*), sum(revenue_eur) FROM analytics.sales_daily").fetchone()
    assert shown == (len(expected.daily), revenue)


def test_the_first_demo_ends_with_an_account_and_gold_that_is_true_to_the_cent(demo: Demo) -> None:
    assert demo.first.code == 0, demo.first.err
    for part in (
        "Bronze: read and landed",
        "Quarantine: rejected rows by reason",
        "Gate: checks",
        "Published",
    ):
        assert part in demo.first.out
    account = _account(demo)
    assert account["status"] == "published"
    assert sum(landing["landed"] for landing in account["landings"]) > 50_000
    # Nothing that a stranger sees first warns of what is meant to be so.
    assert [landing["warnings"] for landing in account["landings"]] == [[]] * 5
    assert "WARNING" not in demo.first.out + demo.first.err
    _assert_true_to_the_cent(demo)


def test_the_account_links_to_the_run_in_the_prefect_ui(demo: Demo) -> None:
    link = _account(demo)["links"]["This run in the Prefect UI"]
    assert link.startswith(demo.stack.ui_url)
    run_id = link.rsplit("/", 1)[1]
    run = httpx.get(f"{demo.stack.api_url}/flow_runs/{run_id}").json()
    assert (run["state_name"], run["name"]) == ("Completed", "sales incremental")


def test_the_demo_deploys_all_that_is_for_processes_and_starts_nothing_by_itself(demo: Demo) -> None:
    """The words of the README: sales/sales-daily is there, and waits for a person."""
    document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
    wanted = {one["name"] for one in document["deployments"] if one["work_pool"]["name"] == POOL}
    held = Operated(demo.stack.api_url)
    deployed = held.post("deployments/filter", {})
    assert {one["name"] for one in deployed} == wanted
    schedules = [schedule for one in deployed for schedule in one["schedules"]]
    assert [one["active"] for one in schedules] == [False] * len(schedules) != []
    assert held.post("automations/filter", {}) == []
    assert held.post("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}) == []


def test_a_run_that_is_asked_for_in_the_ui_completes_in_the_demos_own_worker(
    demo: Demo, tmp_path: Path
) -> None:
    """What Quick run sends; with nobody but the demo to serve it."""
    operator = Operator(demo.stack, tmp_path)
    deployment = operator.read("deployments/name/sales/sales-daily")
    asked = operator.post(f"deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    run = operator.watch(asked["id"], "COMPLETED")
    assert run["work_pool_name"] == POOL
    _assert_true_to_the_cent(demo)


def test_no_secret_is_printed_or_written_where_others_can_read_it(demo: Demo) -> None:
    secrets_file = demo.stack.root / "secrets.json"
    assert stat.S_IMODE(secrets_file.stat().st_mode) == 0o600
    written = [demo.first.out, demo.first.err]
    written += [(demo.stack.root / name).read_text() for name in ("env", "stack.json", "account.json")]
    written += [log.read_text(errors="replace") for log in (demo.stack.root / "logs").iterdir()]
    written += [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    for secret in demo.secrets():
        assert not any(secret in text for text in written)


def test_a_second_demo_changes_no_table_and_says_so(demo: Demo) -> None:
    lake = _lake(demo)
    before, shown = _versions_with_rows(lake), _published_daily(demo)
    held, worker = _held(demo), demo.stack._state().processes[WORKER]
    second = demo.run("deployments.demo")
    assert second.code == 0, second.err
    assert "Nothing new was found" in second.out
    account = _account(demo)
    assert account["status"] == "unchanged"
    assert sum(landing["repeated"] for landing in account["landings"]) > 400, "known records landed again"
    assert [landing["warnings"] for landing in account["landings"]] == [[]] * 5
    assert _versions_with_rows(lake) == before
    assert _published_daily(demo) == shown, "Postgres' rows were written again"
    assert re.search(r"^Deploying .*Nothing to change: \d+ unchanged\.$", second.out, re.M), (
        "blocks or deployments were written again"
    )
    assert _held(demo) == held
    assert demo.stack._state().processes[WORKER] == worker, "another worker was started"


def test_three_more_days_take_in_just_what_is_new(demo: Demo) -> None:
    third = demo.run("deployments.demo", "--days", "3")
    assert third.code == 0, third.err
    assert "the shop lived 3 more days" in third.out
    account = _account(demo)
    landed = {landing["dataset"]: landing["landed"] for landing in account["landings"]}
    assert 0 < landed["shop.orders"] < 5_000
    assert account["status"] == "published"
    _assert_true_to_the_cent(demo)


def test_the_flow_by_hand_finds_the_local_stack_and_a_full_refresh_keeps_the_truth(demo: Demo) -> None:
    """Nothing of the environment leads to the stack here: the file that it left does."""
    full = demo.run("flows.sales", "--mode", "full")
    assert full.code == 0, full.err
    assert "Using the local stack's Prefect server" in full.err
    assert sum(landing["landed"] for landing in _account(demo)["landings"]) > 50_000
    _assert_true_to_the_cent(demo)


def test_no_customer_of_the_demo_is_seen_outside_of_the_tables_that_they_belong_to(demo: Demo) -> None:
    """Runs by hand and in the worker: what they printed and logged, the server's texts, results, logs, footers."""
    with psycopg.connect(_postgres(demo).admin_url(SHOP)) as connection:
        known = connection.execute(
            "SELECT name, email FROM shop.customers WHERE name LIKE '% %' AND length(email) > 8 "
            "AND (customer_id IS NULL OR mod(customer_id, 40) = 0 OR email NOT LIKE '%@%')"
        ).fetchall()
    people = sorted({mark for row in known for mark in row})
    assert len(people) > 50
    root = demo.stack.root / "lake"
    assert canaries.seen(canaries.table_texts(root / "silver" / "shop" / "customers"), people)
    texts = chain(
        [("printed", demo.first.out + demo.first.err)],
        canaries.file_texts(demo.stack.root / "logs"),
        canaries.server_texts(Operated(demo.stack.api_url)),
        canaries.file_texts(demo.stack.root / "prefect" / "storage"),
        canaries.log_texts(root),
        canaries.footer_texts(root),
        canaries.file_texts(root / "_headworks" / "checkpoints"),
        canaries.table_texts(root / "ops"),
    )
    # The commonest values of columns with few different ones, by which a shift is seen: docs/security.md.
    assert [where for where in canaries.seen(texts, people) if not where.endswith("/ops/profiles")] == []


def test_the_command_line_shows_the_last_account(demo: Demo) -> None:
    shown = demo.run("headworks.cli.main", "account")
    assert shown.code == 0, shown.err
    assert "sales · full" in shown.out


def test_the_commands_to_try_work_word_for_word(demo: Demo) -> None:
    """Those of README's table, but for make's, which are the modules that the other tests run."""
    text = (CHECKOUT / "README.md").read_text()
    commands = [shlex.split(found) for found in re.findall(r"^\|.*`headworks (.+?)` \|", text, re.MULTILINE)]
    assert [command[0] for command in commands] == ["sql", "run"]
    said = [demo.run("headworks.cli.main", *command) for command in commands]
    assert [one.code for one in said] == [0, 0], said[0].err + said[1].err
    assert "revenue_eur" in said[0].out
    assert said[0].out.rstrip().endswith("5 rows")
    assert "--on-conflict {refuse,wait}" in said[1].out
    # Each target of make that README names is there.
    made = subprocess.run(["make", "-s", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    for target in set(re.findall(r"\bmake ([a-z-]+)", text)):
        assert f"make {target} " in made.stdout, target


def test_down_stops_everything_and_up_finds_its_data_again_on_other_ports(demo: Demo) -> None:
    processes = demo.stack._state().processes
    ports = demo.stack._state().ports
    days = _truth(demo)
    down = demo.run("headworks.cli.main", "stack", "down")
    assert down.code == 0
    assert not any(process.is_running() for process in processes.values())
    assert "nothing was running" in demo.run("headworks.cli.main", "stack", "down").out
    taken = []
    try:
        for port in ports.values():
            taken.append(socket.create_server(("127.0.0.1", port)))
        up = demo.run("headworks.cli.main", "stack", "up")
    finally:
        for listener in taken:
            listener.close()
    assert up.code == 0, up.err
    assert up.out.count("is busy, so") == len(ports)
    assert set(demo.stack._state().ports.values()).isdisjoint(ports.values())
    assert demo.stack._state().processes[WORKER].is_running()
    assert _truth(demo) == days
    again = demo.run("deployments.demo")
    assert again.code == 0, again.err
    assert _account(demo)["status"] == "unchanged"


def test_without_a_running_server_the_flow_says_what_to_do(demo: Demo) -> None:
    failed = demo.run("flows.sales", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert failed.code == 1
    assert "The Prefect server does not answer" in failed.err
    assert "Traceback" not in failed.err


def _versions_with_rows(lake: Lake) -> dict[str, int]:
    """Return, for each table, the number of commits that changed its rows."""
    from deltalake import DeltaTable

    found = {}
    for path in _TABLES:
        history = DeltaTable(f"{lake.settings.root}/{path}").history()
        rows = [entry.get("operationMetrics", {}) for entry in history]
        found[path] = sum(
            any("added" in name and int(v or 0) for name, v in m.items() if "file" in name) for m in rows
        )
    return found
