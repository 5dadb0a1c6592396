"""The shop lives deterministically: in steps or in one go, interrupted or not, alone or not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import sqlalchemy

from shop import database
from shop.database import create_schema, found, live, live_until, lived_days
from shop.errors import ShopError
from shop.live import main
from shop.world import Day, World

Connect = Callable[..., psycopg.Connection[Any]]
TABLES = (
    "shop.customers",
    "shop.orders",
    "shop.order_lines",
    "catalogue.products",
    "catalogue.rates",
    "shop.life",
)


def contents(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """All rows of all tables as text, sorted."""
    return {
        table: [row for (row,) in connection.execute(f"SELECT t::text FROM {table} AS t ORDER BY 1")]
        for table in TABLES
    }


def test_living_in_steps_equals_living_in_one_go(connect: Connect, small: World) -> None:
    steps, at_once = connect(), connect()
    create_schema(steps, small)
    for days in (1, 4, 1, 2, 3):
        assert len(live(steps, small, days)) == days
    create_schema(at_once, small)
    live(at_once, small, 11)
    assert contents(steps) == contents(at_once)


def test_another_seed_is_another_world(connect: Connect, founded_dsn: str, small: World) -> None:
    other = connect()
    found(other, small.model_copy(update={"seed": 8}))
    with psycopg.connect(founded_dsn) as connection:
        assert contents(connection)["shop.orders"] != contents(other)["shop.orders"]


def test_a_day_that_breaks_off_leaves_no_trace_and_is_lived_again(
    connect: Connect, founded_dsn: str, small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    create_schema(connection, small)
    write_day = database.write_day

    def break_off(connection: psycopg.Connection[Any], day: Day) -> None:
        write_day(connection, day)
        if day.day_no == 3:
            raise OSError("the machine went away")

    monkeypatch.setattr(database, "write_day", break_off)
    with pytest.raises(OSError, match="went away"):
        found(connection, small)
    assert lived_days(connection) == 3
    monkeypatch.undo()
    assert len(found(connection, small)) == 3
    with psycopg.connect(founded_dsn) as undisturbed:
        assert contents(connection) == contents(undisturbed)


def test_founding_twice_does_nothing_more(connect: Connect, founded_dsn: str, small: World) -> None:
    connection = connect(founded_dsn)
    before = contents(connection)
    assert found(connection, small) == []
    assert contents(connection) == before


def test_two_at_once_live_each_day_once(connect: Connect, founded_dsn: str, small: World) -> None:
    shared = connect()
    found_by_both = 0

    def one() -> int:
        with psycopg.connect(shared.info.dsn) as connection:
            return len(found(connection, small))

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(one) for _ in range(2)]
        found_by_both = sum(future.result() for future in futures)
    assert found_by_both == small.history_days
    with psycopg.connect(founded_dsn) as alone:
        assert contents(shared) == contents(alone)


def test_a_database_of_another_world_is_refused(connect: Connect, founded_dsn: str, small: World) -> None:
    with pytest.raises(ShopError, match="another world"):
        create_schema(connect(founded_dsn), small.model_copy(update={"seed": 8}))


def test_an_open_transaction_is_refused_since_its_days_would_not_be_committed(
    connect: Connect, founded_dsn: str, small: World
) -> None:
    connection = connect(founded_dsn)
    connection.autocommit = False
    connection.execute("SELECT 1")
    with pytest.raises(ShopError, match="middle of a transaction"):
        live(connection, small, 1)


def test_rows_written_on_a_day_say_so(connect: Connect, founded_dsn: str, small: World) -> None:
    """Whatever a later day touches bears a moment of that day, and nothing else changes."""
    connection = connect(founded_dsn)
    before = contents(connection)
    (day,) = live(connection, small, 1)
    for table in ("shop.customers", "shop.orders", "shop.order_lines"):
        of_day = "(t.updated_at AT TIME ZONE 'UTC')::date"
        rows = connection.execute(f"SELECT t::text, {of_day} FROM {table} AS t").fetchall()
        written = [row_day for text, row_day in rows if text not in set(before[table])]
        assert written
        assert set(written) == {day}


def test_each_day_changes_something_of_every_kind(connect: Connect, founded_dsn: str, small: World) -> None:
    connection = connect(founded_dsn)
    connection.execute("CREATE TABLE before AS SELECT * FROM shop.orders")
    connection.execute(
        "CREATE TABLE products AS SELECT ord, payload::jsonb AS record FROM catalogue.products"
    )
    (day,) = live(connection, small, 1)

    def count(statement: str) -> int:
        row = connection.execute(statement, {"day": day}).fetchone()
        assert row is not None
        return int(row[0])

    today = "updated_at >= %(day)s"
    known = "(SELECT order_id FROM before WHERE order_id IS NOT NULL)"
    both = "shop.orders o JOIN before b USING (order_id)"
    late = "ordered_at < %(day)s AND ordered_at >= %(day)s::date - 10"
    changed = "catalogue.products p JOIN products b USING (ord) WHERE p.payload::jsonb"
    expected = {
        f"shop.customers WHERE created_at >= %(day)s AND {today}": 3,
        f"shop.customers WHERE created_at < %(day)s AND {today}": 3,
        f"shop.orders WHERE {today} AND order_id NOT IN {known}": 6,
        f"shop.orders WHERE {today} AND order_id NOT IN {known} AND {late}": 1,
        f"{both} WHERE o.{today} AND o.status <> b.status": 3,
        f"shop.order_lines WHERE {today} AND order_id IN {known}": 1,
        f"{changed} ->> 'price' <> b.record ->> 'price'": 3,
        f"{changed} ->> 'category' <> b.record ->> 'category'": 1,
    }
    for what, at_least in expected.items():
        assert count(f"SELECT count(*) FROM {what}") >= at_least, what


def test_rates_come_on_weekdays_from_before_the_first_possible_order(founded_dsn: str, small: World) -> None:
    with psycopg.connect(founded_dsn) as connection:
        rows = connection.execute(
            "SELECT day, count(*), count(DISTINCT currency) FROM catalogue.rates GROUP BY 1"
        ).fetchall()
        euro = connection.execute(
            "SELECT DISTINCT eur_per_unit FROM catalogue.rates WHERE currency = 'EUR'"
        ).fetchall()
    days = sorted(day for day, _, _ in rows)
    assert all(day.weekday() < 5 for day in days)
    assert (small.first_day - days[0]).days >= 10
    assert {(count, kinds) for _, count, kinds in rows} == {(6, 6)}
    assert euro == [(1,)]


def test_the_default_shop_has_the_promised_size(connect: Connect) -> None:
    connection = connect()
    found(connection, World())

    def count(statement: str) -> int:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return int(row[0])

    assert 1900 <= count("SELECT count(DISTINCT customer_id) FROM shop.customers") <= 2200
    assert 11_000 <= count("SELECT count(*) FROM shop.orders") <= 13_500
    assert 33_000 <= count("SELECT count(*) FROM shop.order_lines") <= 42_000
    assert 460 <= count("SELECT count(*) FROM catalogue.products") <= 500
    assert count("SELECT count(DISTINCT country) FROM shop.customers WHERE country <> 'XX'") == 10
    assert count("SELECT count(*) FROM shop.life") == 60


def test_the_command_line_founds_and_lives_on(
    connect: Connect,
    founded_dsn: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    small: World,
) -> None:
    def small_world(seed: int = small.seed) -> World:
        return small.model_copy(update={"seed": seed})

    monkeypatch.setattr("shop.live.World", small_world)
    connection = connect()
    assert main(["--dsn", connection.info.dsn, "--days", "2"]) == 0
    assert "lived 2 more days" in capsys.readouterr().out
    assert lived_days(connection) == small.history_days + 2
    assert main(["--dsn", connection.info.dsn]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main(["--dsn", connection.info.dsn, "--seed", "8"]) == 2
    assert "another world" in capsys.readouterr().err


def test_a_database_that_is_not_there_gives_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dsn", "host=127.0.0.1 port=1 password=hunter2"]) == 2
    message = capsys.readouterr().err
    assert "Check --dsn" in message
    assert "hunter2" not in message


def test_living_until_a_day_is_idempotent(connect: Connect, founded_dsn: str, small: World) -> None:
    connection = connect(founded_dsn)
    assert len(live_until(connection, small, small.history_days + 2)) == 2
    assert live_until(connection, small, small.history_days + 2) == []


def test_the_databases_of_these_tests_suit_sqlalchemy(postgres: Any) -> None:
    url = postgres.new_database().replace("postgresql://", "postgresql+psycopg://", 1)
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT 1")).scalar_one() == 1
    engine.dispose()
