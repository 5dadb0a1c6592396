"""Backup and restore as docs/operations.md shows it: the lake and the server's database, lost and back again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet

from deployments.local.stack import PREFECT
from headworks.prefect.local.postgres import ANALYTICS
from headworks.prefect.local.processes import stop
from tests.support.held import Operated
from tests.support.operated import OperatedStack
from tests.support.pools import Operator, assert_published_equals_truth

pytestmark = [pytest.mark.server, pytest.mark.campaign]

KEY = Fernet.generate_key().decode()


class KeyedStack(OperatedStack):
    """A stack whose server encrypts its blocks with a key that is not in its database."""

    def _server_settings(self) -> Mapping[str, str]:
        return {**super()._server_settings(), "PREFECT_SERVER_ENCRYPTION_KEY": KEY}


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator of a server on Postgres whose pool is deployed to."""
    folder = tmp_path_factory.mktemp("backup")
    stack = KeyedStack(folder / ".headworks")
    try:
        stack.up()
        operator = Operator(stack, folder / "operator")
        operator.run(
            "headworks.prefect.deploying.deploy",
            "--pool",
            "headworks-local",
            environment={**stack.variables(), **UNTOLD},
        )
        yield operator
    finally:
        stack.down()


UNTOLD = {"HEADWORKS_ALERTS_KIND": "slack", "HEADWORKS_ALERTS_URL": "http://127.0.0.1:9/secret-of-alerts"}


def program(name: str, *arguments: str) -> None:
    """Run one of Postgres' own programs."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert found, f"{name} comes with Debian's postgresql"
    done = subprocess.run([str(found[-1]), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_lost_lake_and_a_lost_server_are_restored_and_work_goes_on_exactly(
    operator: Operator, tmp_path: Path
) -> None:
    stack = operator.stack
    assert isinstance(stack, KeyedStack)
    lake, address = stack.root / "lake", stack.database.url
    operator.run("flows.sales")
    assert_published_equals_truth(stack)

    # The backup, while nothing runs.
    held = Operated(stack.api_url).holdings()
    shutil.copytree(lake, tmp_path / "lake")
    program("pg_dump", "--format=custom", f"--file={tmp_path / 'server.dump'}", address)
    assert b"secret-of-alerts" not in (tmp_path / "server.dump").read_bytes(), "blocks are encrypted"

    # What comes after it is in neither.
    stack.live(2)
    operator.run("flows.sales")

    # Both are lost.
    stop(stack._state().processes[PREFECT])
    shutil.rmtree(lake)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")

    # Restored.
    shutil.copytree(tmp_path / "lake", lake)
    program(
        "pg_restore",
        "--clean",
        "--if-exists",
        "--no-owner",
        f"--dbname={address}",
        str(tmp_path / "server.dump"),
    )
    stack.up()
    again = Operated(stack.api_url).holdings()
    assert again == held, "blocks, deployments, pools or automations are not what they were"
    deployed = operator.run(
        "headworks.prefect.deploying.deploy",
        "--pool",
        "headworks-local",
        environment={**stack.variables(), **UNTOLD},
    )
    assert "Nothing to change" in deployed

    # Postgres shows a publication that this lake does not know, perhaps by the number of its next one: a person says
    # that the lake is right.
    postgres = stack._postgres(stack._state())
    with psycopg.connect(postgres.admin_url(ANALYTICS)) as connection:
        connection.execute("DELETE FROM analytics._headworks_products WHERE product = 'sales'")
    operator.run("flows.sales")
    assert assert_published_equals_truth(stack) > 1000
