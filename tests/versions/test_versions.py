"""Any sequence of readings, deletions, replays, rollbacks, kills and clocks leaves what an independent oracle says.

What is compared is silver, the lines of its records' arrays, what is kept of those that are none, and a product.

Here a sample of seeds is played; ``python -m tests.versions.play FIRST LAST`` plays as many as wanted.
"""

from __future__ import annotations

import os
import tempfile

import pytest

from tests.versions.world import play

SEEDS = range(int(os.environ.get("HEADWORKS_VERSIONS_SEEDS", "14")))


@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", SEEDS)
def test_silver_holds_what_the_oracle_says(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert play(folder, seed) is None
