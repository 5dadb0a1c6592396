"""Fixtures of the flows' suite: a small shop whose first load is published and which has lived one day since.

Each test gets a copy of that place to break, so that the first load runs once a session.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from headworks.prefect.local.serving import serving
from headworks.prefect.steps import report
from shop.api import make_app
from shop.database import found
from shop.limits import Limits
from shop.world import World
from tasks import extract, gold, publish, refine
from tests.conftest import PostgresServer
from tests.support.sales import TOKEN, Place

WORLD = World(
    seed=11,
    first_day=date(2025, 1, 6),
    history_days=5,
    customers_at_start=50,
    customers_per_day=5,
    moves_per_day=3,
    orders_per_day=20,
    products_at_start=60,
)
PATIENT = Limits(burst=1000, per_second=1000)


@contextmanager
def open_shop(place: Place) -> Iterator[Place]:
    """Serve the API of a place's own shop, so that its catalogue lives on with its orders."""
    with serving(make_app(SecretStr(place.shop), SecretStr(TOKEN), PATIENT)) as url:
        yield replace(place, api=url)


@pytest.fixture(scope="session")
def empty_place(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A founded shop of which nothing was ingested; not to be changed, only copied."""
    shop = postgres.new_database()
    with psycopg.connect(shop) as connection:
        found(connection, WORLD)
    root = tmp_path_factory.mktemp("empty") / "lake"
    root.mkdir()
    return Place(root, shop, postgres.new_database(), api="")


@pytest.fixture(scope="session")
def published_place(
    empty_place: Place,
    postgres: PostgresServer,
    prefect_api_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Place:
    """A shop whose first load is published, and which lived a day since; not to be changed, only copied."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    folder = tmp_path_factory.mktemp("published")
    place = empty_place.copy(folder / "lake", postgres.new_database)
    chosen = {
        PREFECT_API_URL: prefect_api_url,
        PREFECT_LOCAL_STORAGE_PATH: folder / "results",
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    with temporary_settings(chosen), open_shop(place) as opened:
        assert opened.run().status == "published"
    place.live(WORLD)
    return place


@pytest.fixture
def place(
    published_place: Place, postgres: PostgresServer, tmp_path: Path, prefect_server: str, at_once: None
) -> Iterator[Place]:
    """A copy of the published shop with a day to ingest, and a Prefect server to run the flow on."""
    with open_shop(published_place.copy(tmp_path / "lake", postgres.new_database)) as opened:
        yield opened


@pytest.fixture
def new_place(
    empty_place: Place, postgres: PostgresServer, tmp_path: Path, prefect_server: str, at_once: None
) -> Iterator[Place]:
    """A copy of the founded shop, and a Prefect server to run the flow on."""
    with open_shop(empty_place.copy(tmp_path / "lake", postgres.new_database)) as opened:
        yield opened


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tasks retry without waiting."""
    for task in (
        extract.extract_table,
        extract.extract_resource,
        refine.refine_dataset,
        gold.pin_silver,
        gold.stage_gold,
        gold.audit_gold,
        gold.commit_gold,
        publish.name_product,
        publish.publish_tables,
        report.record,
    ):
        monkeypatch.setattr(task, "retry_delay_seconds", 0)
        monkeypatch.setattr(task, "retry_jitter_factor", None)
