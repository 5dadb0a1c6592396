"""What an operator does by hand on a lake that flows work on: looking, rolling back, setting streams back."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from headworks.prefect.local.postgres import ANALYTICS
from tests.deployments.conftest import Command, Demo

pytestmark = pytest.mark.server


def headworks(demo: Demo, *arguments: str) -> Command:
    return demo.run("headworks.cli.main", *arguments)


def run_sales(demo: Demo, *arguments: str) -> Command:
    return demo.run("flows.sales", *arguments)


def run_id(demo: Demo) -> str:
    found: str = json.loads((demo.stack.root / "account.json").read_text())["run_id"]
    return found


def shown_rows(demo: Demo) -> int:
    postgres = demo.stack._postgres(demo.stack._state())
    with psycopg.connect(postgres.admin_url(ANALYTICS)) as connection:
        row = connection.execute("SELECT count(*) FROM analytics.sales_daily").fetchone()
    assert row is not None
    return int(row[0])


def test_a_product_is_rolled_back_held_and_released_by_commands(demo: Demo) -> None:
    assert run_sales(demo).code == 0
    first, rows_at_first = run_id(demo), shown_rows(demo)
    published = headworks(demo, "product", "show", "sales").out.splitlines()[2].split()[3]
    demo.stack.live(2)
    assert run_sales(demo).code == 0
    rows_at_last = shown_rows(demo)
    assert rows_at_last > rows_at_first

    back = headworks(demo, "rollback", "sales", "--to", published, "--reason", "the rates were wrong")
    assert back.code == 0, back.err
    assert "headworks product release sales" in back.out
    assert shown_rows(demo) == rows_at_first

    held = run_sales(demo)
    assert held.code == 2
    assert "the rates were wrong" in held.err
    assert shown_rows(demo) == rows_at_first
    assert "the rates were wrong" in headworks(demo, "product", "show", "sales").out

    assert headworks(demo, "product", "release", "sales").code == 0
    assert run_sales(demo).code == 0
    assert shown_rows(demo) == rows_at_last
    assert first


def test_a_rollback_to_an_unknown_run_says_which_are_known(demo: Demo) -> None:
    refused = headworks(demo, "rollback", "sales", "--to", "nobody", "--reason", "typo")
    assert refused.code == 1
    assert "choose one of these runs" in refused.err
    assert "Traceback" not in refused.err


def test_a_stream_is_shown_and_set_back_and_the_next_run_changes_nothing(demo: Demo) -> None:
    shown = headworks(demo, "stream", "show", "shop.orders").out
    assert "shop.orders" in shown
    assert headworks(demo, "stream", "reset", "shop.orders").code == 0
    again = run_sales(demo)
    assert again.code == 0, again.err
    account = json.loads((demo.stack.root / "account.json").read_text())
    orders = next(each for each in account["refinements"] if each["dataset"] == "shop.orders")
    assert orders["landed"] > 100
    assert orders["inserted"] + orders["updated"] + orders["deleted"] == 0
    assert account["status"] == "unchanged"


def test_a_position_that_is_no_json_object_is_refused(demo: Demo) -> None:
    refused = headworks(demo, "stream", "reset", "shop.orders", "--position", "yesterday")
    assert refused.code == 1
    assert "not a position" in refused.err


def test_the_help_needs_no_server(tmp_path: Path, demo: Demo) -> None:
    assert "rollback" in headworks(demo, "--help").out
