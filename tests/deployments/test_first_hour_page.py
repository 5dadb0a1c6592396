"""The first hour runs word for word, with a server that we did not write and a Postgres, and three days after it."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from tests.conftest import PostgresServer
from tests.servers.process import free_port, running
from tests.support.pools import CHECKOUT

PAGE = (CHECKOUT / "docs" / "first-hour.md").read_text(encoding="utf-8")
COUNTRIES = ("DE", "FR", "PL", "ES", "IT")

Gold = dict[str, tuple[int, Decimal]]


def step(number: int) -> list[str]:
    """Return the blocks of a step of the page."""
    (text,) = re.findall(rf"^## {number}\. .*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


class Company:
    """Contacts behind a datasette and orders in a Postgres, which change from day to day."""

    def __init__(self, contacts: Path, orders: str, analytics: str) -> None:
        self._contacts, self._orders, self.analytics = contacts, orders, analytics
        self._day = 0
        with sqlite3.connect(contacts) as database:
            database.execute(
                "CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT, updated_at TEXT)"
            )
        database.close()
        with psycopg.connect(orders) as connection:
            connection.execute(
                "CREATE TABLE orders (id bigint PRIMARY KEY, contact_id bigint NOT NULL, amount numeric(12, 2), "
                "status text, updated_at timestamptz)"
            )
        self.live()

    def live(self) -> None:
        """Live a day: new contacts and orders, and some that change."""
        day, self._day = self._day, self._day + 1
        moment = f"2024-03-{1 + day:02}T06:00:00Z"
        people = [(n, f"Person {n}", COUNTRIES[n % 4], moment) for n in range(1 + 120 * day, 121 + 120 * day)]
        if day:
            people += [(n, f"Person {n}", COUNTRIES[(n + day) % 5], moment) for n in range(1, 40, 3)]
        with sqlite3.connect(self._contacts) as database:
            database.executemany("INSERT OR REPLACE INTO contacts VALUES (?, ?, ?, ?)", people)
        database.close()
        sold = [
            (n, 1 + n % (120 * self._day), Decimal(n * 7 % 9901) / 100 + day, ("open", "paid")[n % 2], moment)
            for n in (*range(1 + 500 * day, 501 + 500 * day), *range(1, 60 if day else 1, 7))
        ]
        with psycopg.connect(self._orders) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO orders VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET "
                "contact_id = excluded.contact_id, amount = excluded.amount, updated_at = excluded.updated_at",
                sold,
            )

    def truth(self) -> Gold:
        """Return what the gold table must be of the sources as they are now."""
        with sqlite3.connect(self._contacts) as database:
            country = dict(database.execute("SELECT id, country FROM contacts").fetchall())
        database.close()
        found: Gold = {}
        with psycopg.connect(self._orders) as connection:
            for contact, amount in connection.execute("SELECT contact_id, amount FROM orders").fetchall():
                count, total = found.get(country[contact], (0, Decimal(0)))
                found[country[contact]] = (count + 1, total + amount)
        return found

    def published(self) -> Gold:
        """Return what readers of the analytics database see."""
        with psycopg.connect(self.analytics) as connection:
            rows = connection.execute("SELECT country, orders, amount FROM deals.by_country").fetchall()
        return {name: (count, amount) for name, count, amount in rows}


@pytest.fixture
def company(tmp_path: Path, postgres: PostgresServer) -> Company:
    return Company(tmp_path / "crm.db", postgres.new_database(), postgres.new_database())


@pytest.fixture
def shell(company: Company, tmp_path: Path, prefect_api_url: str) -> Iterator[dict[str, str]]:
    """The variables of a shell of somebody who follows the page: the program, and the three addresses."""
    binary = tmp_path / "bin"
    binary.mkdir()
    (binary / "headworks").write_text(f'#!/bin/sh\nexec {sys.executable} -m headworks.cli "$@"\n')
    (binary / "headworks").chmod(0o755)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    mine = {
        name: value for name, value in os.environ.items() if not name.startswith(("HEADWORKS", "PREFECT"))
    }
    with running(
        ["-m", "datasette", "serve", str(tmp_path / "crm.db"), "-p", str(port)],
        f"{url}/-/versions.json",
        tmp_path / "log",
    ):
        yield mine | {
            "PATH": f"{binary}{os.pathsep}{mine['PATH']}",
            "API": f"{url}/crm/contacts.json",
            "DATABASE": company._orders,
            "ANALYTICS": company.analytics,
            "PREFECT_API_URL": prefect_api_url,
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "PREFECT_LOGGING_LEVEL": "WARNING",
        }


def follow(block: str, folder: Path, shell: dict[str, str]) -> str:
    """Type a block; what was printed. Each line has to work."""
    done = subprocess.run(
        ["bash", "-e", "-c", block], cwd=folder, env=shell, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def follow_the_page_about_data(here: Path, shell: dict[str, str]) -> None:
    """Type each command of docs/data.md, and run its Python, which needs no Prefect."""
    page = (CHECKOUT / "docs" / "data.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (headworks .*)$", page, re.MULTILINE)
    assert len(commands) == 5
    shown = follow("\n".join(commands), here, shell)
    assert "gold.deals.by_country" in shown
    assert "country" in (here / "by_country.csv").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = (
        code.replace('"LAKE"', repr(str(here / "lake")))
        + '\nimport sys\nassert "prefect" not in sys.modules\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env=shell, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "amount" in done.stdout


@pytest.mark.server
def test_the_page_is_followed_word_for_word_and_three_days_after_it(
    company: Company, shell: dict[str, str], tmp_path: Path
) -> None:
    follow("headworks init acme", tmp_path, shell)
    assert any("headworks init acme" in block for block in step(1))
    here = tmp_path / "acme"
    for number in (2, 3):
        for block in step(number):
            follow(block, here, shell)

    (block,) = step(4)
    shown = follow(block, here, shell)
    assert "pipeline · incremental · published" in shown
    assert "pipeline · incremental · unchanged" in shown, "the second run finds nothing new"
    assert company.published() == company.truth()

    scheduled, without_example = step(5)
    assert "erp.orders" in follow(scheduled, here, shell)
    follow(without_example, here, shell)
    left = subprocess.run(
        ["headworks", "check"], cwd=here, env=shell, capture_output=True, text=True, check=False
    )
    named = {"demo-daily", "backfill", "freshness-hourly"}
    assert set(re.findall(r"prefect.yaml, (\S+)", left.stdout)) == {
        *named,
        *(f"{one}-docker" for one in named),
    }
    file = here / "prefect.yaml"
    text = re.sub(
        r"\n  - (&demo-daily\n    )?<<: \*[\w-]+\n    name: demo-daily.*?(?=\n\n)",
        "",
        file.read_text(),
        flags=re.S,
    )
    file.write_text(
        text.replace("product: demo", "product: deals").replace("gold.demo.daily", "gold.deals.by_country")
    )
    assert "nothing was found" in follow("headworks check", here, shell)

    (block,) = step(6)
    follow_the_page_about_data(here, shell)
    for _ in range(3):
        company.live()
        shown = follow(block, here, shell)
        assert "pipeline · incremental · published" in shown
        assert company.published() == company.truth()
        again = follow(
            "headworks sql 'SELECT sum(orders) AS n FROM gold.deals.by_country' --csv", here, shell
        )
        assert again.split()[-1] == str(sum(count for count, _ in company.truth().values()))


def test_the_lines_that_a_person_writes_are_as_many_as_the_page_says() -> None:
    def lines(block: str) -> list[int]:
        found = re.findall(r"<<'?(SQL|YAML|ENV)'?\n(.*?)\n\1\n", block, re.DOTALL)
        return [len([line for line in text.splitlines() if line.strip()]) for _, text in found]

    (product,), (run,), (schedule, _) = step(3), step(4), step(5)
    sql, contract, declared = lines(product)
    assert f"{sql} of SQL, {contract} of the contract, {declared} of the product" in PAGE
    assert f"wrote {sql + contract + declared} lines for the product" in PAGE
    assert f"{lines(run)[0]} variables and {lines(schedule)[0]} lines of schedule" in PAGE
