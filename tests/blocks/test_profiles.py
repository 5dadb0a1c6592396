"""Profiles and secrets from files: which block is looked for, and where its fields come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from headworks.errors import SettingsError
from headworks.prefect.blocks import api_settings, lake_settings
from headworks.prefect.blocks.profiles import Profile
from headworks.prefect.blocks.resolve import variables
from headworks.prefect.limits import budget_name
from headworks.sources.api.auth import BearerAuth

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder without a .env, with production's lake in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", "s3://bucket/production")


def test_with_a_profile_only_its_own_blocks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lake_settings("lake").root == "s3://bucket/production"
    monkeypatch.setenv("HEADWORKS_PROFILE", "staging")
    with pytest.raises(SettingsError, match="HEADWORKS_STAGING_LAKE_ROOT"):
        lake_settings("lake")
    monkeypatch.setenv("HEADWORKS_STAGING_LAKE_ROOT", "s3://bucket/staging")
    assert lake_settings("lake").root == "s3://bucket/staging"


def test_budgets_of_requests_are_apart_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    assert budget_name("shop-api") == "headworks-shop-api"
    monkeypatch.setenv("HEADWORKS_PROFILE", "staging")
    assert budget_name("shop-api") == "headworks-staging-shop-api"


@pytest.mark.parametrize("label", ["Staging", "a-b", "9", "x" * 17])
def test_a_name_that_would_not_read_well_is_refused(label: str) -> None:
    with pytest.raises(SettingsError, match="not a valid name of a profile"):
        Profile(label)


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "token"
    secret.write_text("from-a-file\n")
    monkeypatch.setenv("HEADWORKS_SHOP_API_BASE_URL", "https://api.example.com")
    monkeypatch.setenv("HEADWORKS_SHOP_API_TOKEN_FILE", str(secret))
    auth = api_settings("shop-api").auth
    assert isinstance(auth, BearerAuth)
    assert auth.token.get_secret_value() == "from-a-file"


def test_a_secret_that_is_given_twice_or_whose_file_cannot_be_read_is_refused_without_telling_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWORKS_SHOP_API_TOKEN", "in-clear")
    monkeypatch.setenv("HEADWORKS_SHOP_API_TOKEN_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="Both") as caught:
        variables()
    assert "in-clear" not in str(caught.value)
    monkeypatch.delenv("HEADWORKS_SHOP_API_TOKEN")
    with pytest.raises(SettingsError, match="FileNotFoundError"):
        variables()
