"""Any sequence of readings, deletions, replays, rollbacks, kills and clocks leaves what an independent oracle says.

What is compared is silver, the lines of its records' arrays, what is kept of those that are none, and a product.

Here a sample of seeds is played, with those that the rules of ``tests/rules/versions.py`` name always among them;
``python -m tests.versions.play FIRST LAST`` plays as many as wanted.
"""

from __future__ import annotations

import os
import tempfile

import pytest

from tests.versions.world import play

CHOSEN = (0, 2, 3, 4, 5, 6, 9, 10, 11, 14, 16, 17, 22, 26, 95, 451)
"""Each way of keeping things and lines is among them, and 95 and 451 find a tombstone with nothing but its key."""

SEEDS = (
    range(int(os.environ["HEADWORKS_VERSIONS_SEEDS"])) if "HEADWORKS_VERSIONS_SEEDS" in os.environ else CHOSEN
)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seed", SEEDS)
def test_silver_holds_what_the_oracle_says(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert play(folder, seed) is None
