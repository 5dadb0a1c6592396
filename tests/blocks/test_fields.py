"""Blocks: every field is described, a slug never changes, and nothing secret is in anything that is shown."""

from __future__ import annotations

import inspect
import json
import logging
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.core import Block
from prefect_sqlalchemy import SqlAlchemyConnector
from pydantic import SecretStr

import blocks
from headworks.prefect.blocks import (
    AlertChannel,
    ApiCredentials,
    FileLocation,
    LakeLocation,
    database_connector,
    database_settings,
)
from headworks.settings import DatabaseSettings
from tests.support.pools import CHECKOUT
from tests.support.task_runs import ended_task_runs

CANARY = "canary-7f3a-secret"
OURS: list[type[Block]] = [AlertChannel, ApiCredentials, FileLocation, LakeLocation]

MAKERS: dict[str, Callable[[], Block]] = {
    "api": lambda: ApiCredentials(base_url="https://api.example.com", token=SecretStr(CANARY)),
    "oauth": lambda: ApiCredentials(
        base_url="https://api.example.com",
        auth="oauth2",
        token_url="https://login.example.com/token",
        client_id="reader",
        client_secret=SecretStr(CANARY),
    ),
    "custom": lambda: ApiCredentials(
        base_url="https://api.example.com",
        auth="custom",
        auth_class="company.auth:Signed",
        auth_arguments={"key": SecretStr(CANARY)},
    ),
    "lake": lambda: LakeLocation.model_validate(
        {
            "root": "s3://bucket/lake",
            "storage_options": {"AWS_SECRET_ACCESS_KEY": CANARY, "AWS_ACCESS_KEY_ID": CANARY},
        }
    ),
    "files": lambda: FileLocation.model_validate(
        {"root": "s3://bucket/in", "storage_options": {"AWS_SECRET_ACCESS_KEY": CANARY}}
    ),
    "database": lambda: database_connector(
        SecretStr(f"postgresql://reader:{CANARY}@db.example.com:5432/shop?sslmode=require")
    ),
}


def settings_of(block: Block) -> Any:
    if isinstance(block, SqlAlchemyConnector):
        return database_settings(block)
    assert isinstance(block, ApiCredentials | FileLocation | LakeLocation)
    return block.to_settings()


@pytest.mark.parametrize("kind", OURS)
def test_every_field_of_a_block_is_described(kind: type[Block]) -> None:
    fields = {
        name: field.description for name, field in kind.model_fields.items() if name not in Block.model_fields
    }
    assert fields
    assert all(text and text.endswith((".", ";")) for text in fields.values()), fields
    assert kind._description
    assert (kind.__doc__ or "").strip()


@pytest.mark.parametrize("kind", OURS)
def test_a_block_leads_to_its_section_of_the_documentation(kind: type[Block]) -> None:
    home = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["urls"]["Documentation"]
    begin, _, section = str(kind._documentation_url).partition("#")
    assert begin.startswith(f"{home}/blob/main/docs/")
    page = (CHECKOUT / "docs" / begin.rpartition("/")[2]).read_text()
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    assert section in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("kind", OURS)
def test_new_fields_have_defaults_so_that_saved_blocks_still_load(kind: type[Block]) -> None:
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    assert required == [{AlertChannel: "kind", ApiCredentials: "base_url"}.get(kind, "root")]


def test_slugs_are_those_that_saved_blocks_have() -> None:
    assert [kind.get_block_type_slug() for kind in OURS] == [
        "headworks-alerts",
        "headworks-api",
        "headworks-files",
        "headworks-lake",
    ]


def test_the_package_hands_out_every_block() -> None:
    found = {
        value
        for value in vars(blocks).values()
        if inspect.isclass(value)
        and issubclass(value, Block)
        and value.__module__.startswith("headworks.prefect.blocks")
    }
    assert found == set(OURS)


@pytest.mark.parametrize("name", MAKERS)
def test_no_secret_is_in_what_a_block_or_its_settings_show(name: str) -> None:
    block = MAKERS[name]()
    settings = settings_of(block)
    shown = [
        f"{value}{value!r}{value:}" + json.dumps(value.model_dump(mode="json"), default=str)
        for value in (block, settings)
    ]
    shown += [block.model_dump_json(), settings.model_dump_json(), str(block.model_dump())]
    assert not any(CANARY in text for text in shown), [text for text in shown if CANARY in text]


@pytest.mark.parametrize("name", MAKERS)
def test_the_secret_is_there_for_those_who_need_it(name: str) -> None:
    settings = settings_of(MAKERS[name]())
    clear = {
        "api": lambda: settings.auth.token.get_secret_value(),
        "files": lambda: settings.options()["AWS_SECRET_ACCESS_KEY"],
        "oauth": lambda: settings.auth.client_secret.get_secret_value(),
        "custom": lambda: settings.auth.arguments["key"].get_secret_value(),
        "lake": lambda: settings.options()["AWS_SECRET_ACCESS_KEY"],
        "database": lambda: settings.libpq_url(),
    }[name]()
    assert CANARY in clear


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40s%2Fs@host:5433/db?sslmode=require&application_name=x",
        "postgresql://host/db",
        "postgresql:///db?host=/tmp/sockets",
        "postgresql+psycopg://u@host/db",
    ],
)
def test_a_database_url_survives_the_block(url: str) -> None:
    from psycopg.conninfo import conninfo_to_dict

    settings = database_settings(database_connector(SecretStr(url)))
    plain = DatabaseSettings(url=SecretStr(url)).libpq_url()
    assert conninfo_to_dict(settings.libpq_url()) == conninfo_to_dict(plain)


@contextmanager
def heard(caplog: pytest.LogCaptureFixture, *names: str) -> Iterator[None]:
    """Hear loggers that pass nothing on to others once Prefect has set them up."""
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(caplog.handler)


@pytest.mark.server
def test_no_secret_is_in_a_log_a_state_a_result_or_an_artifact(
    prefect_server: str, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    """A canary in every secret field, and a flow that does with blocks all that a careless person does."""
    from prefect import flow, get_run_logger, task
    from prefect.client.orchestration import get_client

    made = [maker() for maker in MAKERS.values()]

    @task(persist_result=True, result_serializer="json")
    def tell(block: Any) -> str:
        get_run_logger().info("block %s, settings %r", block, settings_of(block))
        create_markdown_artifact(f"{block!r} {settings_of(block)}", key="canary")
        return str(settings_of(block).model_dump(mode="json"))

    @task
    def fail(block: Any) -> None:
        raise RuntimeError(f"it went wrong with {block} and {settings_of(block)!r}")

    ids: list[str] = []

    @flow(name="careless")
    def careless() -> None:
        from prefect.runtime import flow_run

        ids.append(str(flow_run.id))
        for block in made:
            tell(block)
            fail(block, return_state=True)

    with heard(caplog, "prefect.flow_runs", "prefect.task_runs"):
        careless(return_state=True)
    with get_client(sync_client=True) as client:
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[ids[0]]))  # type: ignore[list-item]
        seen = [run.model_dump_json() for run in ended_task_runs(ids[0], count=2 * len(made))]
        seen += [run.model_dump_json() for run in client.read_flow_runs(flow_run_filter=chosen)]
        answer = client._client.post("/artifacts/filter", json={})
        seen.append(answer.text)
    assert "canary" in answer.text, "the artifacts were not found"
    seen.append(caplog.text)
    seen += [path.read_text() for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert "it went wrong with" in caplog.text
    assert not any(CANARY in text for text in seen)
