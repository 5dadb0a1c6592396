"""Engines that are wrong on purpose, so that the campaign is seen to find what it looks for.

Each keeps a stream's position in a file of its own, beside the data instead of with it: the mistake that the landing
protocol exists to avoid. What belongs here: such mistakes. What does not: anything that the real engine does.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from headworks.lake import landing
from headworks.lake.landing import Head, Landing
from headworks.lake.store import Lake

BREAKS: Final = ("position-after", "position-before")
"""Write the position after the rows, and a kill in between doubles them; before the rows, and it loses them."""


def break_engine(how: str) -> None:
    """Make the landing loop wrong in one of the ways of `BREAKS`."""
    read_head = landing.read_head
    commit = getattr(landing, "_commit")  # noqa: B009 - a private name, and that is the point

    def forgetful_head(lake: Lake, table: Any, dataset: str, stream: str) -> Head:
        beside = _beside(lake, stream)
        position = json.loads(beside.read_text()) if beside.exists() else None
        return replace(read_head(lake, table, dataset, stream), position=position)

    def two_step_commit(where: Landing, table: Any, batch: Any, sequence: int, token: int) -> None:
        beside = _beside(where.lake, where.stream)
        beside.parent.mkdir(parents=True, exist_ok=True)
        if how == "position-before":
            beside.write_text(json.dumps(batch.position))
        commit(where, table, batch, sequence, token)
        if how == "position-after":
            beside.write_text(json.dumps(batch.position))

    setattr(landing, "read_head", forgetful_head)  # noqa: B010
    setattr(landing, "_commit", two_step_commit)  # noqa: B010


def _beside(lake: Lake, stream: str) -> Path:
    return Path(lake.settings.root) / "positions" / f"{stream}.json"
