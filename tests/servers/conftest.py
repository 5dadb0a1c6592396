"""One of each server for the session, started when a test first wants it, and a lake for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.servers.aws import aws
from tests.servers.datasette import datasette
from tests.servers.kinto import kinto
from tests.servers.rest_framework import rest_framework


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake in a folder of its own."""
    return Lake(LakeSettings(root=str(tmp_path / "lake")))


@pytest.fixture(scope="session")
def datasette_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database of a running Datasette."""
    with datasette(tmp_path_factory.mktemp("datasette")) as url:
        yield url


@pytest.fixture(scope="session")
def kinto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Kinto."""
    with kinto(tmp_path_factory.mktemp("kinto")) as url:
        yield url


@pytest.fixture(scope="session")
def rest_framework_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Django REST framework."""
    with rest_framework(tmp_path_factory.mktemp("django")) as url:
        yield url


@pytest.fixture(scope="session")
def aws_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Amazon's APIs, as moto answers for them."""
    with aws(tmp_path_factory.mktemp("aws")) as url:
        yield url
