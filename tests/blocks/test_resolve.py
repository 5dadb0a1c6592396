"""A block is found on the server, then in the environment, then in ``.env``; else the error lists each place."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from pydantic import SecretStr

from headworks.errors import SettingsError
from headworks.prefect import collection
from headworks.prefect.blocks import ApiCredentials, LakeLocation, api_settings, lake_settings, load_database
from headworks.prefect.deploying.register_blocks import register
from headworks.sources.api.auth import BearerAuth

CANARY = "canary-9b1c-secret"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with nothing of headworks in the environment."""
    import os

    for name in os.environ:
        if name.startswith("HEADWORKS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_the_server_goes_before_the_environment_and_that_before_the_file(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".env").write_text("HEADWORKS_ORDERED_LAKE_ROOT=/from/the/file\n")
    assert lake_settings("ordered-lake").root == "/from/the/file"
    monkeypatch.setenv("HEADWORKS_ORDERED_LAKE_ROOT", "/from/the/environment")
    assert lake_settings("ordered-lake").root == "/from/the/environment"
    register("ordered-lake", {"HEADWORKS_ORDERED_LAKE_ROOT": "/from/the/server"}, "lake")
    assert lake_settings("ordered-lake").root == "/from/the/server"


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_each_kind_of_block_comes_back_from_the_server_as_it_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {
        "HEADWORKS_KEPT_LAKE_ROOT": "s3://bucket/lake",
        "HEADWORKS_KEPT_LAKE_STORAGE_OPTIONS": f'{{"AWS_SECRET_ACCESS_KEY": "{CANARY}"}}',
        "HEADWORKS_KEPT_API_BASE_URL": "https://api.example.com",
        "HEADWORKS_KEPT_API_TOKEN": CANARY,
        "HEADWORKS_KEPT_DATABASE_URL": f"postgresql://u:{CANARY}@h:5432/d",
    }
    register("kept-lake", found, "lake")
    for name in ("kept-api", "kept-database"):
        register(name, found)
    assert lake_settings("kept-lake").options() == {"AWS_SECRET_ACCESS_KEY": CANARY}
    auth = api_settings("kept-api").auth
    assert isinstance(auth, BearerAuth)
    token = auth.token
    assert token is not None
    assert token.get_secret_value() == CANARY
    assert load_database("kept-database").libpq_url() == f"postgresql://u:{CANARY}@h:5432/d"


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("load", "name", "slug", "variable"),
    [
        (lake_settings, "absent-lake", "headworks-lake", "HEADWORKS_ABSENT_LAKE_ROOT"),
        (api_settings, "absent-api", "headworks-api", "HEADWORKS_ABSENT_API_BASE_URL"),
        (load_database, "absent-database", "sqlalchemy-connector", "HEADWORKS_ABSENT_DATABASE_URL"),
    ],
)
def test_a_block_that_is_nowhere_is_an_error_that_lists_every_place_that_was_looked_at(
    elsewhere: Path, load: object, name: str, slug: str, variable: str
) -> None:
    assert callable(load)
    with pytest.raises(SettingsError) as caught:
        load(name)
    said = str(caught.value)
    for place in (
        f"{slug}/{name}",
        "on the Prefect server",
        f"{variable} in the environment",
        f"{variable} in {elsewhere / '.env'}",
    ):
        assert place in said, said
    assert f"set {variable}" in caught.value.do
    assert "headworks register-blocks" in caught.value.do


WRONG: dict[str, tuple[Callable[[str], object], str, str, str]] = {
    "an empty root": (lake_settings, "LAKE_ROOT", "/", "root"),
    "an address without http": (api_settings, "API_BASE_URL", f"ftp://{CANARY}", "base_url"),
    "a URL that cannot be read": (load_database, "DATABASE_URL", f"{CANARY}", "URL cannot be read"),
    "another kind of database to publish to": (
        partial(load_database, postgres=True),
        "DATABASE_URL",
        f"mysql+pymysql://u:{CANARY}@h/d",
        "mysql",
    ),
}


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_a_clear_error_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    load, variable, value, said = WRONG[case]
    monkeypatch.setenv(f"HEADWORKS_WRONG_{variable}", value)
    with pytest.raises(SettingsError) as caught:
        load(f"wrong-{variable.split('_')[0].lower()}")
    assert said in str(caught.value)
    assert CANARY not in f"{caught.value}{caught.value!r}"


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("text", ["not json", "[1]", '"text"'])
def test_storage_options_that_are_no_object_are_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HEADWORKS_ODD_LAKE_ROOT", "s3://bucket")
    monkeypatch.setenv("HEADWORKS_ODD_LAKE_STORAGE_OPTIONS", f"{text[:-1]}{CANARY}{text[-1:]}")
    with pytest.raises(SettingsError, match="not a JSON object") as caught:
        lake_settings("odd-lake")
    assert CANARY not in f"{caught.value}{caught.value!r}"


def test_blocks_work_without_any_server() -> None:
    """Made by hand, they need neither a server nor variables."""
    assert LakeLocation(root="/x").to_settings().root == "/x"
    made = ApiCredentials(base_url="http://x", token=SecretStr(CANARY))
    assert made.to_settings().base_url == "http://x"


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("name", collection.__all__)
def test_the_example_of_a_block_runs_as_it_is_shown(name: str) -> None:
    """It is shown in the UI; Prefect's own would load a block from a module of which nobody is to know."""
    kind: type[Block] = getattr(collection, name)
    example = kind.get_code_example() or ""
    (code,) = re.findall(r"```python\n(.*)```", example, re.DOTALL)
    (saved,) = set(re.findall(r'"(example-\w+)"', code))
    found: dict[str, Any] = {}
    try:
        exec(code, found)
    finally:
        kind.delete(saved)
    assert found.get("settings") or found.get("channel")
