"""A secret in a block is seen nowhere: after runs that went well and runs that failed because of a wrong secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from deployments.local.stack import POSTGRES
from tests.deployments.conftest import Command, Demo
from tests.support import canaries
from tests.support.held import Operated
from tests.support.served import Answer, Upstream, served

pytestmark = [pytest.mark.server, pytest.mark.campaign]

WRONG = {
    "HEADWORKS_SHOP_API_TOKEN": "canary-token-77aa",
    "HEADWORKS_SHOP_DATABASE_URL": "postgresql://headworks:canary-password-77bb@127.0.0.1:{port}/shop",
    "HEADWORKS_ANALYTICS_DATABASE_URL": "postgresql://headworks:canary-owner-77cc@127.0.0.1:{port}/analytics",
}
ALERTS = "canary-webhook-77dd"
LAKE = "canary-lake-key-77ee"
SECRETS = ("canary-token-77aa", "canary-password-77bb", "canary-owner-77cc", ALERTS, LAKE)


@dataclass(frozen=True)
class Lived:
    """What the runs left behind: what they printed, and what people were notified of."""

    demo: Demo
    commands: dict[str, Command]
    people: Upstream

    def printed(self) -> Iterator[tuple[str, str]]:
        for name, command in self.commands.items():
            yield name, command.out + command.err
        for asked in self.people.asked:
            yield "an alert", asked.body.decode()


@pytest.fixture(scope="module")
def lived(demo: Demo) -> Iterator[Lived]:
    """Runs with every block holding a canary, each of them wrong once; the demo's own blocks are put back."""
    demo.stack.live(1)
    right = demo.stack.variables()
    port = str(demo.stack._state().ports[POSTGRES])
    commands: dict[str, Command] = {}
    with served(lambda asked: Answer()) as people:
        always = {
            "HEADWORKS_ALERTS_KIND": "webhook",
            "HEADWORKS_ALERTS_URL": f"{people.url}/{ALERTS}",
            "HEADWORKS_LAKE_STORAGE_OPTIONS": f'{{"AWS_SECRET_ACCESS_KEY": "{LAKE}"}}',
        }

        def run(name: str, **changed: str) -> None:
            environment = {**demo.stack.environment(), **right, **always, **changed}
            blocks = demo.run("headworks.prefect.deploying.register_blocks", **environment)
            more = demo.run("headworks.prefect.deploying.register_blocks", "alerts", **environment)
            assert (blocks.code, more.code) == (0, 0), blocks.err + more.err
            commands[f"blocks of {name}"] = blocks
            commands[name] = demo.run("flows.sales", **demo.stack.environment())

        try:
            run("well")
            for variable, value in WRONG.items():
                demo.stack.live(1)
                run(variable, **{variable: value.format(port=port)})
            yield Lived(demo, commands, people)
        finally:
            demo.run("headworks.prefect.deploying.register_blocks", **demo.stack.environment(), **right)
            Operated(demo.stack.api_url)._ask("DELETE", _alerts_block(demo), None)


def _alerts_block(demo: Demo) -> str:
    found: Any = Operated(demo.stack.api_url).get(
        "block_types/slug/headworks-alerts/block_documents/name/alerts"
    )
    return f"block_documents/{found['id']}"


def test_the_runs_went_as_they_were_meant_to(lived: Lived) -> None:
    assert lived.commands["well"].code == 0, lived.commands["well"].err
    assert [lived.commands[name].code for name in WRONG] == [1, 1, 1]
    assert lived.people.asked, "nobody was notified, so no alert was looked at"


def test_the_server_shows_no_secret(lived: Lived) -> None:
    server = Operated(lived.demo.stack.api_url)
    assert canaries.seen(canaries.server_texts(server), secrets(lived)) == []


def test_neither_tables_nor_files_of_the_lake_nor_results_hold_a_secret(lived: Lived) -> None:
    lake = lived.demo.stack.root / "lake"
    texts = chain(
        canaries.table_texts(lake),
        canaries.file_texts(lake),
        canaries.file_texts(lived.demo.stack.root / "prefect" / "storage"),
    )
    assert canaries.seen(texts, secrets(lived)) == []


def test_neither_what_was_printed_nor_what_people_were_told_nor_a_log_shows_a_secret(lived: Lived) -> None:
    texts = chain(lived.printed(), canaries.file_texts(Path(lived.demo.stack.root / "logs")))
    assert canaries.seen(texts, secrets(lived)) == []


def secrets(lived: Lived) -> list[str]:
    return [*SECRETS, *lived.demo.secrets()]
