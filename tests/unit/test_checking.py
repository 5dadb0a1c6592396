"""The check of a project finds what its deployments name and nobody makes, at whatever depth it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from headworks.checking import check
from headworks.scaffold import init

EXTRA = """
  - <<: *pipeline
    name: mine
    entrypoint: flows.{flow}.{flow}
    parameters: {parameters}
    schedules: []
"""

WAYS = {
    "a product": ("pipeline", "{product: demi}", "there is no product 'demi'"),
    "a product of a backfill": (
        "backfill",
        "{flow: pipeline, parameters: {product: demi}}",
        "there is no product 'demi'",
    ),
    "a promise of a gold table": (
        "freshness",
        "{promises: [{table: gold.demo.weekly, committed_within_h: 1}]}",
        "nothing makes gold.demo.weekly, which is promised",
    ),
    "a promise of a dataset": (
        "freshness",
        "{promises: [{table: silver.example.order, committed_within_h: 1}]}",
        "nothing makes silver.example.order, which is promised",
    ),
    "a flow": ("pipelin", "{product: demo}", "there is no flow flows.pipelin.pipelin"),
    "what there is": ("freshness", "{promises: [{table: bronze.example.orders, committed_within_h: 1}]}", ""),
    "a table of a mirrored schema": (
        "freshness",
        "{promises: [{table: silver.example.orders.archive, committed_within_h: 1}]}",
        "",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_deployment_names_and_nobody_makes_is_found(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, parameters, wanted = WAYS[way]
    folder = tmp_path / "lemon"
    init("lemon", folder)
    monkeypatch.delenv("HEADWORKS_PROJECT", raising=False)
    monkeypatch.syspath_prepend(str(folder / "src"))
    monkeypatch.chdir(folder)
    with (folder / "prefect.yaml").open("a") as file:
        file.write(EXTRA.format(flow=flow, parameters=parameters))
    found = {(one.severity, one.where, one.text) for one in check(folder)}
    assert found == ({("wrong", "prefect.yaml, mine", wanted)} if wanted else set())
