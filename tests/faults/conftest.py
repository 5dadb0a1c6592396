"""Fixtures of the campaign: the ground, made once, and a day of the shop for each fault to lose or double."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from shop.world import World
from tests.docker.conftest import deploy, docker, engine, image
from tests.faults.ground import Ground
from tests.support.operated import OperatedStack
from tests.support.pools import Operator
from tests.support.served import Answer, Asked, served

__all__ = ["engine", "image"]

WORLD = World(
    seed=3,
    first_day=date(2026, 1, 5),
    history_days=8,
    customers_at_start=60,
    customers_per_day=5,
    moves_per_day=3,
    orders_per_day=25,
    products_at_start=60,
)


@pytest.fixture(scope="session")
def ground(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A server on Postgres, a small shop whose first load is published from a container, and a hearer of alerts."""
    folder = tmp_path_factory.mktemp("faults")
    data = folder / "data"
    data.mkdir()
    # Containers have a user of their own.
    data.chmod(0o777)
    heard: list[str] = []

    def hear(asked: Asked) -> Answer:
        heard.append(asked.body.decode())
        return Answer()

    operator = Operator(OperatedStack(folder / ".headworks", WORLD), folder / "operator")
    with served(hear) as hook:
        ground = Ground(operator, data, heard)
        try:
            operator.stack.up()
            alerts = {"HEADWORKS_ALERTS_KIND": "webhook", "HEADWORKS_ALERTS_URL": hook.url}
            deploy(operator, str(data), **alerts)
            with ground.working():
                ground.run()
            ground.assert_exact()
            yield ground
        finally:
            operator.stack.down()
            left = docker("ps", "--all", "--quiet", "--filter", "name=headworks-test-").split()
            if left:
                docker("rm", "--force", *left)


@pytest.fixture(autouse=True)
def day(ground: Ground) -> None:
    """Let the shop live a day, and forget what was heard so far."""
    ground.stack.live(1)
    ground.heard.clear()
