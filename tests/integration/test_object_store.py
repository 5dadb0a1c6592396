"""The lake on an object store, over real HTTP: the same steps, the same protocol, no table of locks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deltalake.exceptions import CommitFailedError
from pydantic import SecretStr

from headworks.bronze.landing import Landing, land
from headworks.errors import CandidateStale, ConcurrentRun, LakeUnavailable, LakeUnusable
from headworks.gold.curation import audit, curate
from headworks.gold.products import open_product
from headworks.ops.leases import Leasing
from headworks.publish.postgres import publish_postgres
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.integration.test_landing_races import made_at_once
from tests.integration.test_leases import NAME as LEASE
from tests.integration.test_leases import taken_at_once
from tests.support.faults import Crash, crash_after, happened_but_failed, writes
from tests.support.golden import PRODUCT, PUBLISHED, committed, fill, named, rows, staged, tables
from tests.support.items import ITEM, NAME, bronze, head, land_items, refine_items, rejected, silver
from tests.support.object_store import SECRET, ObjectStore, object_store
from tests.support.sources import ITEMS, Numbered, bad_items, frame_of, ids, items


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    pytest.importorskip("moto", reason="the object store for tests is absent: pip install moto[s3]")
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def remote(store: ObjectStore) -> Lake:
    """An empty lake in the object store."""
    return store.lake()


def test_everything_from_landing_to_postgres(
    remote: Lake, store: ObjectStore, database: DatabaseSettings, tmp_path: Path
) -> None:
    named(remote, tmp_path, items(1, 4))
    version = named(remote, tmp_path, [*items(1, 4), *bad_items(5, 6), *items(7, 9)])
    assert set(silver(remote)) == {1, 2, 3, 4, 7, 8, 9}
    assert rejected(remote) == ["5", "6"]
    assert rows(remote) == [1, 2, 3, 4, 7, 8, 9]
    assert open_product(remote, PRODUCT)["t.each"].collect().height == 7
    report = publish_postgres(remote, database, "analytics", version, PUBLISHED)
    assert report.rows == 9
    kinds = {key.split("/")[0] for key in store.keys(remote)}
    assert kinds == {"bronze", "silver", "gold", "quarantine", "ops", "products", "_headworks"}


def test_a_commit_that_happened_and_is_reported_as_failed_lands_once(remote: Lake) -> None:
    with writes(happened_but_failed(2)):
        land_items(remote, items(1, 5))
    assert ids(bronze(remote)) == ["1", "2", "3", "4", "5"]


def test_a_crash_after_the_commit_loses_and_doubles_nothing(remote: Lake) -> None:
    with writes(crash_after(2)), pytest.raises(Crash):
        land_items(remote, items(1, 5))
    assert land_items(remote, items(1, 5)).landed == 1
    assert head(remote).position == {"n": 5}
    assert ids(bronze(remote)) == ["1", "2", "3", "4", "5"]


def test_a_sequence_is_refused_from_a_stale_snapshot(remote: Lake) -> None:
    remote.ensure("bronze", NAME, ITEMS)
    first, stale = remote.must_open("bronze", NAME), remote.must_open("bronze", NAME)
    first.append(frame_of(items(1, 5)), {NAME: 1})
    with pytest.raises(CommitFailedError):
        stale.append(frame_of(items(1, 5)), {NAME: 1})
    assert remote.must_open("bronze", NAME).row_count() == 5


def test_a_zombie_is_refused_at_landing_silver_and_gold(remote: Lake, tmp_path: Path) -> None:
    def take_over(number: int) -> None:
        if number == 1:
            land_items(remote, items(1, 8))

    with pytest.raises(ConcurrentRun):
        land(Landing(remote, NAME, NAME, "zombie"), Numbered(items(1, 8), before_batch=take_over))
    assert len(ids(bronze(remote))) == 8

    def token() -> int:
        refine_items(remote)
        return 4711

    with pytest.raises(CandidateStale):
        refine(Refinement(remote, "zombie", token=token), ITEM)
    assert set(silver(remote)) == set(range(1, 9))

    gold = tables(tmp_path)[0]
    candidate = staged(remote, gold, fill(remote, items(1, 8)))
    gate = audit(remote, gold, candidate)
    committed(remote, gold, fill(remote, items(1, 9)))
    with pytest.raises(CandidateStale):
        curate(remote, candidate, gate)
    assert rows(remote) == list(range(1, 10))


def test_of_many_makers_of_one_table_one_makes_it_and_all_write_to_it(remote: Lake) -> None:
    for number in range(3):
        made_at_once(remote, f"t.each{number}")


def test_of_many_runs_on_one_stream_at_once_one_wins(remote: Lake) -> None:
    runs = 4
    start = threading.Barrier(runs)

    def one(number: int) -> bool:
        start.wait(timeout=30)
        try:
            land(Landing(remote, NAME, NAME, f"run{number}"), Numbered(items(1, 6)))
        except ConcurrentRun:
            return False
        return True

    with ThreadPoolExecutor(runs) as pool:
        assert any(pool.map(one, range(runs)))
    assert ids(bronze(remote)) == ["1", "2", "3", "4", "5", "6"]


def test_of_many_runs_at_once_one_takes_the_lease_and_the_next_one_takes_it_after_it(remote: Lake) -> None:
    (lease,) = taken_at_once(remote)
    assert lease.renew()
    with pytest.raises(ConcurrentRun):
        Leasing(remote).take(LEASE, "another", "")
    lease.release()
    assert Leasing(remote).take(LEASE, "another", "").number == lease.number + 1
    assert len(remote.list_objects("_headworks/leases")) == 1


def test_options_that_only_delta_knows_stand_in_no_leases_way(store: ObjectStore) -> None:
    root = store.lake().settings.root
    options = store.options(AWS_S3_ALLOW_UNSAFE_RENAME="true", max_retries="2", retry_timeout="5s")
    lake = Lake(LakeSettings(root=root, storage_options=options))
    assert Leasing(lake).take(LEASE, "first", "").renew()


def test_a_bucket_that_is_not_there_is_said_in_one_message_without_the_secret(store: ObjectStore) -> None:
    lake = Lake(LakeSettings(root="s3://no-such-bucket/lake", storage_options=store.options()))
    with pytest.raises(LakeUnusable) as caught:
        lake.check_writable()
    said = f"{caught.value} {caught.value!r} {lake.settings!r}"
    assert "credentials" in caught.value.do
    assert SECRET not in said


def test_a_store_that_does_not_answer_is_said_in_one_message(store: ObjectStore) -> None:
    options = store.options(AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_RETRIES="0")
    options |= {"max_retries": SecretStr("0"), "retry_timeout": SecretStr("1s")}
    lake = Lake(LakeSettings(root="s3://lakes/lake", storage_options=options))
    with pytest.raises(LakeUnavailable) as caught:
        lake.open("bronze", NAME)
    assert SECRET not in str(caught.value)
