"""Every kind of error of an object store, at every kind of call, in every step: retried, or reported as one of ours.

A sample is played here; ``HEADWORKS_STORAGE_ROUNDS=200`` plays more (a round is a dozen faults and takes some seconds).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

from pydantic import SecretStr

from headworks.settings import DatabaseSettings
from tests.conftest import PostgresServer
from tests.storage.conftest import lake_behind
from tests.storage.faulty import FaultyStore
from tests.storage.rounds import Rounds
from tests.support.object_store import ObjectStore

ROUNDS = int(os.environ.get("HEADWORKS_STORAGE_ROUNDS", "2"))
SEED = int(os.environ.get("HEADWORKS_STORAGE_SEED", "1"))


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
