"""Settings are frozen and strict, say in clear what is wrong, and never show a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from headworks.settings import DatabaseSettings, LakeSettings, RejectLimits, Settings
from headworks.sources.api.auth import BearerAuth
from headworks.sources.api.settings import ApiSettings

CANARY = "canary-4d2e"
ALL: list[type[Settings]] = [LakeSettings, DatabaseSettings, ApiSettings, RejectLimits]


@pytest.mark.parametrize("kind", ALL)
def test_every_setting_is_described(kind: type[Settings]) -> None:
    assert all(field.description for field in kind.model_fields.values())


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (LakeSettings, {"root": "/x", "storage_option": {}}),
        (ApiSettings, {"base_url": "http://x", "tokn": "x"}),
        (DatabaseSettings, {"url": "x", "timeout": 3}),
        (RejectLimits, {"shares": 0.1}),
    ],
)
def test_a_misspelled_setting_is_refused(kind: type[Settings], content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        kind.model_validate(content)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        LakeSettings(root="/x").root = "/y"


@pytest.mark.parametrize(
    ("given", "root", "is_local"),
    [
        ("/data/lake/", "/data/lake", True),
        ("s3://bucket/lake/", "s3://bucket/lake", False),
        ("abfss://c@a.dfs.core.windows.net/lake", "abfss://c@a.dfs.core.windows.net/lake", False),
    ],
)
def test_a_root_is_a_folder_or_a_uri(given: str, root: str, is_local: bool) -> None:
    lake = LakeSettings(root=given)
    assert (lake.root, lake.is_local) == (root, is_local)


def test_a_relative_root_is_made_absolute_and_a_home_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert LakeSettings(root="lake").root == str(tmp_path / "lake")
    assert LakeSettings(root="~/lake").root == "/home/somebody/lake"


@pytest.mark.parametrize("root", ["", "/", "//"])
def test_an_empty_root_is_refused(root: str) -> None:
    with pytest.raises(ValidationError, match="must not be empty"):
        LakeSettings(root=root)


@pytest.mark.parametrize(
    ("url", "libpq"),
    [
        ("postgresql+psycopg://u:p@h:5/d", "postgresql://u:p@h:5/d"),
        ("postgresql://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require"),
        ("postgres+asyncpg://h/d", "postgresql://h/d"),
    ],
)
def test_libpq_reads_a_url_without_sqlalchemys_driver(url: str, libpq: str) -> None:
    assert DatabaseSettings(url=SecretStr(url)).libpq_url() == libpq


def test_no_secret_is_shown() -> None:
    shown = [
        LakeSettings(root="/x", storage_options={"AWS_SECRET_ACCESS_KEY": SecretStr(CANARY)}),
        DatabaseSettings(url=SecretStr(f"postgresql://u:{CANARY}@h/d")),
        ApiSettings(base_url="https://x", auth=BearerAuth(token=SecretStr(CANARY))),
    ]
    for settings in shown:
        assert CANARY not in f"{settings} {settings!r} {settings.model_dump_json()} {settings.model_dump()}"
    assert isinstance(shown[0], LakeSettings)
    assert shown[0].options() == {"AWS_SECRET_ACCESS_KEY": CANARY}


@pytest.mark.parametrize("url", ["api.example.com", "ftp://x", "", "//x"])
def test_an_api_without_http_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="begins with http"):
        ApiSettings(base_url=url)
