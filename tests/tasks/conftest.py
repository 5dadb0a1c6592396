"""Fixtures of the tasks' suite: a lake that blocks describe by environment variables, and a Prefect server."""

from __future__ import annotations

from pathlib import Path

import pytest

from headworks.prefect.steps.extract import Run
from headworks.settings import LakeSettings
from headworks.storage.store import Lake


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """An empty lake that the block ``lake`` describes."""
    root = tmp_path / "lake"
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", str(root))
    return Lake(LakeSettings(root=str(root)))


@pytest.fixture
def run(lake: Lake) -> Run:
    """A run that works on that lake."""
    return Run(run_id="run-1", lake="lake")
