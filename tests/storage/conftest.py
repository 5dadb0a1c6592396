"""A running object store, one in front of it that breaks, and lakes that are reached by way of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.storage.faulty import FaultyStore, faulty
from tests.support.object_store import BUCKET, ObjectStore, object_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A running store that breaks nothing."""
    pytest.importorskip("moto", reason="the object store for tests is absent: pip install moto[s3]")
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def broken(store: ObjectStore, tmp_path: Path) -> Iterator[FaultyStore]:
    """A store in front of it that can be known to break."""
    with faulty(store.url, tmp_path) as running:
        yield running


def lake_behind(broken: FaultyStore, store: ObjectStore, name: str) -> Lake:
    """Return a lake that is reached by way of the faulty store, by clients that retry nothing themselves."""
    options = store.options(AWS_ENDPOINT_URL=broken.url)
    impatient = {"max_retries": "0", "retry_timeout": "1s", "timeout": "3s", "connect_timeout": "3s"}
    options |= {key: SecretStr(value) for key, value in impatient.items()}
    return Lake(LakeSettings(root=f"s3://{BUCKET}/{name}/lake", storage_options=options))
