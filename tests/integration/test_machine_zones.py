"""A machine's time zone decides nothing: what is landed, judged and made is the same in all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def played(folder: Path, zone: str) -> str:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.zone_worker", str(folder)],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout


@pytest.mark.parametrize("zone", ["America/St_Johns", "Pacific/Kiritimati"])
def test_silver_and_gold_are_the_same_and_open_their_gates_in_every_zone(tmp_path: Path, zone: str) -> None:
    here = played(tmp_path / "utc", "UTC")
    assert here.splitlines()[:2] == ["48 True", "True ()"]
    assert played(tmp_path / "there", zone) == here
