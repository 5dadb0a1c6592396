"""Commits out of order, by clocks of many zones and across their changes: each row lands once, whatever the cursor.

The oracle is the list of rows that were committed. A transaction that runs is rows that are not there yet, of which the
server says when the oldest began; its present is the campaign's own. ``HEADWORKS_CLOCK_CAMPAIGNS`` makes more of them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import psycopg
import pytest
from sqlalchemy import create_engine, text

from headworks.settings import DatabaseSettings
from headworks.sources.sql import bound, dialect
from headworks.sources.sql.presents import Present
from headworks.sources.sql.reader import reader_of
from headworks.sources.sql.table import Table
from tests.conftest import PostgresServer
from tests.integration.dialects.conftest import mariadb
from tests.support.dialects import settings
from tests.support.mariadb import MariaDb

__all__ = ["mariadb"]

CAMPAIGNS = int(os.environ.get("HEADWORKS_CLOCK_CAMPAIGNS", "10"))
ZONES = (
    "UTC", "America/New_York", "America/St_Johns", "Europe/Berlin", "Asia/Kathmandu", "Asia/Tokyo",
    "Australia/Lord_Howe",
)  # fmt: skip
QUIET = datetime(2025, 6, 14, 22, tzinfo=UTC)
# When clocks are set back, by zone: what was shown once is shown again.
SET_BACK = {
    "America/New_York": datetime(2025, 11, 2, 6, tzinfo=UTC),
    "America/St_Johns": datetime(2025, 11, 2, 4, 30, tzinfo=UTC),
    "Europe/Berlin": datetime(2025, 10, 26, 1, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2025, 4, 5, 15, tzinfo=UTC),
}
LAG = timedelta(minutes=30)
KEYS = {"int": ("id",), "uuid": ("k",), "both": ("k", "id")}
CURSORS = ("timestamptz", "timestamp", "date")


@dataclass
class Campaign:
    """One made-up day: who writes by which clock, how long transactions take, and when somebody reads."""

    random: Random
    engine: str
    cursor: str = ""
    zone: str = "UTC"
    own: str = "UTC"
    declared: str | None = None
    key: tuple[str, ...] = ()
    longest: timedelta = LAG
    now: datetime = QUIET
    running: list[tuple[datetime, list[tuple[int, str, str]]]] = field(default_factory=list)
    committed: list[int] = field(default_factory=list)
    landed: Counter[int] = field(default_factory=Counter)
    position: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Choose everything that differs from campaign to campaign."""
        random = self.random
        kinds = CURSORS if self.engine == "postgres" else CURSORS[1:]
        self.cursor = random.choice([*kinds, "timestamp", "timestamp"])
        self.zone = random.choice(ZONES)
        self.own = random.choice([self.zone, "UTC"]) if self.engine == "postgres" else "UTC"
        self.declared = random.choice([None, self.zone])
        self.key = KEYS[random.choice(sorted(KEYS))]
        self.now = random.choice([SET_BACK.get(self.zone, QUIET), QUIET]) - timedelta(
            minutes=random.randint(60, 180)
        )
        # Other databases do not show their transactions: none may be longer than the commit lag.
        self.longest = timedelta(hours=5) if self.engine == "postgres" else LAG - timedelta(minutes=5)
        if self.declared is None and self.zone not in {self.own, "UTC"}:
            # A clock that nobody declared and the database does not have: what can be known of it is an hour.
            self.longest, self.now = timedelta(minutes=50), QUIET
            if self.cursor == "date":
                self.declared = self.zone

    def begin(self) -> None:
        """Begin a transaction that writes a few rows, by its own clock or the statement's."""
        started = self.now
        rows: list[tuple[int, str, str]] = []
        for _ in range(self.random.choice([1, 1, 2, 5])):
            number = len(self.committed) + sum(len(each) for _, each in self.running) + len(rows)
            at = (started + timedelta(seconds=self.random.choice([0, 0, 1]))).astimezone(ZoneInfo(self.zone))
            shown = at.isoformat() if self.cursor == "timestamptz" else at.replace(tzinfo=None).isoformat(" ")
            key = f"{self.random.getrandbits(32):08x}-{number}"
            rows.append((number, key, shown[:10] if self.cursor == "date" else shown))
        self.running.append((started, rows))

    def due(self) -> list[tuple[int, str, str]]:
        """Commit some of the transactions, and each that becomes too old; returns their rows."""
        rows = []
        for each in list(self.running):
            if self.now - each[0] > self.longest - timedelta(minutes=20) or self.random.random() < 0.15:
                self.running.remove(each)
                rows += each[1]
        self.committed += [number for number, _, _ in rows]
        return rows

    @property
    def oldest(self) -> datetime | None:
        """When the oldest transaction that runs began."""
        return min((started for started, _ in self.running), default=None)

    def take(self, database: DatabaseSettings, batches: int | None = None) -> None:
        """Read onwards, to the end or for so many batches alone."""
        table = Table(
            name="rows_t",
            cursor="at",
            key=self.key,
            cursor_zone=self.declared if self.cursor != "timestamptz" else None,
            commit_lag_s=0 if self.engine == "postgres" else LAG.total_seconds(),
            batch_rows=self.random.choice([3, 10, 1000]),
        )
        reading = reader_of(database, table).read(self.position, None)
        for count, batch in enumerate(reading):
            assert batch.read == batch.height + batch.repeated
            self.landed.update(pl.DataFrame(batch.frame).get_column("id").to_list())
            self.position = json.loads(json.dumps(batch.position))
            if count + 1 == batches:
                break
        reading.close()  # type: ignore[attr-defined]

    def story(self) -> str:
        """Say what was chosen."""
        return f"{self.engine} {self.cursor} by {self.zone} on {self.own}, declared {self.declared}, key {self.key}"


def play(campaign: Campaign, put: Any, database: DatabaseSettings, present: Any) -> None:
    """Play a day of commits and readings, then let everything commit and read three times more."""
    random = campaign.random
    for _ in range(random.randint(30, 50)):
        campaign.now += timedelta(minutes=random.randint(1, 12))
        for _ in range(random.randint(0, 2)):
            campaign.begin()
        put(campaign.due())
        if random.random() < 0.3:
            present(campaign)
            campaign.take(database, batches=random.choice([None, None, 1, 2]))
    campaign.longest = timedelta()
    put(campaign.due())
    for hours in (16, 17, 40):
        campaign.now += timedelta(hours=hours)
        present(campaign)
        campaign.take(database)
    missing = set(campaign.committed) - set(campaign.landed)
    twice = [number for number, times in campaign.landed.items() if times > 1]
    assert (missing, twice) == (set(), []), campaign.story()


@pytest.mark.parametrize("seed", range(CAMPAIGNS))
def test_postgres(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    campaign = Campaign(Random(seed), "postgres")
    dsn = postgres.new_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET timezone TO '{campaign.own}'")
        connection.execute(f"CREATE TABLE rows_t (id int, k text, at {campaign.cursor})")

        def put(rows: list[tuple[int, str, str]]) -> None:
            if rows:
                connection.cursor().executemany("INSERT INTO rows_t VALUES (%s, %s, %s)", rows)

        def present(campaign: Campaign) -> None:
            oldest = f"'{campaign.oldest}'::timestamptz" if campaign.oldest else "NULL::timestamptz"
            output = f"SELECT '{campaign.now}'::timestamptz, false, true, {oldest}, NULL::timestamptz WHERE %s <> ''"
            monkeypatch.setattr(bound, "_PRESENT", output)

        play(campaign, put, settings(dsn), present)


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    ("kind", "seed"),
    # Of MariaDB a third of the seeds is enough here: its server is slower.
    [
        *(("sqlite", seed) for seed in range(CAMPAIGNS)),
        *(("mariadb", seed) for seed in range(0, CAMPAIGNS, 3)),
    ],
)
def test_others(
    kind: str, tmp_path: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    campaign = Campaign(Random(1000 + seed), kind)
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    if kind == "mariadb":
        server: MariaDb = request.getfixturevalue("mariadb")
        url = server.url(server.new_database())
    made = "DATE" if campaign.cursor == "date" else "DATETIME(6)" if kind == "mariadb" else "DATETIME"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE rows_t (id INTEGER, k VARCHAR(40), at {made})")

    def put(rows: list[tuple[int, str, str]]) -> None:
        with engine.begin() as connection:
            for number, key, at in rows:
                connection.execute(
                    text("INSERT INTO rows_t VALUES (:i, :k, :a)"), {"i": number, "k": key, "a": at}
                )

    def present(campaign: Campaign) -> None:
        offset = campaign.now.astimezone(ZoneInfo(campaign.own)).utcoffset()
        monkeypatch.setattr(dialect, "present_of", lambda _: Present(campaign.now, offset or timedelta()))
        # Transactions of the campaign are none of the server's.
        monkeypatch.setattr(dialect, "settled", lambda _, present, lag: (present - lag, ""))

    play(campaign, put, settings(url), present)
    engine.dispose()
