"""Every kind of error of an object store, at every kind of call, in every step: retried, or reported as one of ours.

A sample is played here; ``HEADWORKS_STORAGE_ROUNDS=200`` plays more (a round is a dozen faults and takes some seconds).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from headworks.settings import DatabaseSettings, LakeSettings
from headworks.storage.store import Lake
from tests.conftest import PostgresServer
from tests.storage.faulty import FaultyStore, faulty
from tests.storage.rounds import Rounds
from tests.support.object_store import BUCKET, ObjectStore, object_store

ROUNDS = int(os.environ.get("HEADWORKS_STORAGE_ROUNDS", "2"))
SEED = int(os.environ.get("HEADWORKS_STORAGE_SEED", "1"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    pytest.importorskip("moto", reason="the object store for tests is absent: pip install moto[s3]")
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def broken(store: ObjectStore, tmp_path: Path) -> Iterator[FaultyStore]:
    with faulty(store.url, tmp_path) as running:
        yield running


def lake_behind(broken: FaultyStore, store: ObjectStore, name: str) -> Lake:
    """Return a lake that is reached by way of the faulty store, by clients that retry nothing themselves."""
    options = store.options(AWS_ENDPOINT_URL=broken.url)
    impatient = {"max_retries": "0", "retry_timeout": "1s", "timeout": "3s", "connect_timeout": "3s"}
    options |= {key: SecretStr(value) for key, value in impatient.items()}
    return Lake(LakeSettings(root=f"s3://{BUCKET}/{name}/lake", storage_options=options))


def test_each_fault_of_the_store_is_retried_or_is_reported_as_one_of_ours(
    store: ObjectStore, broken: FaultyStore, postgres: PostgresServer, tmp_path: Path
) -> None:
    lake = lake_behind(broken, store, f"rounds-{SEED}")
    database = DatabaseSettings(url=SecretStr(postgres.new_database()))
    rounds = Rounds(lake, broken, database, tmp_path, random.Random(SEED))
    rounds.play(faults=False)
    for _ in range(ROUNDS):
        rounds.play()
    assert not rounds.wrong, "\n".join(rounds.wrong)
    print(f"{rounds.met.total()} faults, {len(rounds.met)} of them different; {dict(rounds.ends)}")
