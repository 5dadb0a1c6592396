"""Registering blocks: written once, changed only by a change, and loaded by the flows as they were meant."""

from __future__ import annotations

import pytest

from headworks.errors import SettingsError
from headworks.prefect.blocks import api_settings, files_settings, lake_settings, load_database
from headworks.prefect.blocks.resolve import kind_of
from headworks.prefect.deploying.register_blocks import main, register
from headworks.project import BlockKind
from headworks.sources.api.auth import BearerAuth
from tests.deployments.conftest import Demo

pytestmark = pytest.mark.server

_FOUND = {
    "HEADWORKS_SPARE_LAKE_ROOT": "s3://bucket/lake",
    "HEADWORKS_SPARE_LAKE_STORAGE_OPTIONS": '{"AWS_SECRET_ACCESS_KEY": "very-secret"}',
    "HEADWORKS_SPARE_FILES_ROOT": "s3://bucket/in",
    "HEADWORKS_SPARE_FILES_STORAGE_OPTIONS": '{"AWS_SECRET_ACCESS_KEY": "very-secret"}',
    "HEADWORKS_SPARE_API_BASE_URL": "https://api.example.com",
    "HEADWORKS_SPARE_API_TOKEN": "very-secret",
    "HEADWORKS_SPARE_DATABASE_URL": "postgresql://reader:p%40ss@db.example.com:5432/shop",
}
_KINDS: dict[str, BlockKind] = {
    "spare-lake": "lake",
    "spare-api": "api",
    "spare-database": "database",
    "spare-files": "files",
}


@pytest.fixture
def server(demo: Demo) -> object:
    """The demo's Prefect server as the one that this process talks to."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: demo.stack.api_url}):
        yield


@pytest.mark.usefixtures("server")
def test_blocks_are_registered_once_and_updated_only_by_a_change() -> None:
    assert [register(name, _FOUND, kind) for name, kind in _KINDS.items()] == ["registered"] * 4
    assert [register(name, _FOUND, kind) for name, kind in _KINDS.items()] == ["unchanged"] * 4
    rotated = {**_FOUND, "HEADWORKS_SPARE_API_TOKEN": "another-secret"}
    assert [register(name, rotated, kind) for name, kind in _KINDS.items()] == [
        "unchanged",
        "updated",
        "unchanged",
        "unchanged",
    ]
    auth = api_settings("spare-api").auth
    assert isinstance(auth, BearerAuth)
    token = auth.token
    assert token.get_secret_value() == "another-secret"
    files = files_settings("spare-files")
    assert (files.root, files.options()) == ("s3://bucket/in", {"AWS_SECRET_ACCESS_KEY": "very-secret"})
    assert "very-secret" not in repr(files)
    assert lake_settings("spare-lake").options() == {"AWS_SECRET_ACCESS_KEY": "very-secret"}
    assert (
        load_database("spare-database").libpq_url() == "postgresql://reader:p%40ss@db.example.com:5432/shop"
    )


@pytest.mark.usefixtures("server")
def test_a_block_that_nothing_describes_is_refused_with_the_names_of_its_variables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWORKS_MISSING_LAKE_ROOT", raising=False)
    assert main(["missing-lake"]) == 1
    output = capsys.readouterr().err
    assert "missing-lake" in output
    assert "HEADWORKS_MISSING_LAKE_" in output


def test_the_kind_of_a_block_is_what_the_project_says_or_its_variables_alone_can_mean() -> None:
    """A root may be a lake's or that of files: nobody guesses by the name."""
    declared: dict[str, BlockKind] = {"spare-lake": "files"}
    assert kind_of("spare-lake", _FOUND, declared) == "files"
    assert [kind_of(name, _FOUND, {}) for name in ("spare-api", "spare-database")] == ["api", "database"]
    assert kind_of("nothing-lake", _FOUND, {}) is None
    for name in ("spare-lake", "spare-files"):
        with pytest.raises(SettingsError, match=f"{name}=lake or {name}=files"):
            kind_of(name, _FOUND, {})


def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are(
    server: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spare-lake=folder"]) == 1
    assert "lake, api, database, files, alerts" in capsys.readouterr().err
