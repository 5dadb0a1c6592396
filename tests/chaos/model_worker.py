"""A process that learns, judges, scores and publishes once, and says where it is, to be killed anywhere on the way.

It imports everything first, then waits for one line on its standard input: what to do, as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any

import psycopg
import sklearn.pipeline  # noqa: F401 - imported late by the engine; a worker has it before it says anything
import soda_core.contracts  # noqa: F401
import soda_duckdb.common.data_sources.duckdb_data_source  # noqa: F401
from pydantic import SecretStr

from crm import timelapse
from headworks.gold.products import ProductVersion, open_product
from headworks.models.learning import Accepted
from headworks.publish.postgres import publish_postgres
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.storage.store import Lake
from tests.chaos.model_steps import PUBLISHED, SCHEMA, TABLE, begins, ends
from tests.support.shipments import LATE, MODEL

BREAKS = ("two-halves",)
"""Half of the scores are shown before the other half: a kill in between leaves a mixture."""

_MARKED = {
    "train_model": "train",
    "judge": "evaluate",
    "score_newest": "score",
    "commit_gold": "promote",
    "publish_product": "promote",
}


_LET = Accepted(
    names=("feature lately_h: drift", "scores: drift", "champion: scores: drift"),
    by="the campaign",
    note="kills are looked at, not drift",
)
"""So few rows share their carrier's figures that one week in forty is refused for them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait for what to do, do it once, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.model_worker", description=__doc__)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--break", dest="break_", choices=BREAKS)
    parser.add_argument("--hold", metavar="LINE", help="stop at this line and wait to be killed")
    options = parser.parse_args(arguments)
    for name, step in _MARKED.items():
        setattr(timelapse, name, _marked(step, getattr(timelapse, name), options.hold))
    line = sys.stdin.readline()
    if line.strip():
        _learn(options, json.loads(line))
        _say("=", options.hold)
    return 0


def _learn(options: argparse.Namespace, asked: dict[str, Any]) -> None:
    lake = Lake(LakeSettings(root=options.lake))
    now = datetime.fromisoformat(asked["now"])
    learned = timelapse.learn_week(
        lake, lambda: now, asked["run_id"], seed=asked["seed"], accepted=_LET, of=LATE
    )
    if learned.product is None:
        raise SystemExit(f"Nothing was published: {'; '.join(learned.reasons)}")
    if options.break_:
        _show_a_half(options.dsn, lake, options.hold)
    publish: Callable[..., Any] = _marked("publish", publish_postgres, options.hold)
    publish(lake, DatabaseSettings(url=SecretStr(options.dsn)), SCHEMA, _named(learned.product), PUBLISHED)


def _named(product: ProductVersion | None) -> ProductVersion:
    assert product is not None
    return product


def _show_a_half(dsn: str, lake: Lake, hold: str | None) -> None:
    champion = open_product(lake, LATE.name)[MODEL.scores].collect().get_column("champion")[0]
    with psycopg.connect(dsn) as connection:
        connection.execute(
            f"UPDATE {SCHEMA}.{TABLE} SET champion = %s WHERE shipment_id %% 2 = 0".encode(), (champion,)
        )
    _say("half", hold)


def _marked(step: str, function: Callable[..., Any], hold: str | None) -> Callable[..., Any]:
    @wraps(function)
    def made(*arguments: Any, **more: Any) -> Any:
        _say(begins(step), hold)
        result = function(*arguments, **more)
        _say(ends(step), hold)
        return result

    return made


def _say(line: str, hold: str | None) -> None:
    print(line, flush=True)
    while line == hold:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
