"""The steps of a model's week as workers name them, and where what they make is published."""

from __future__ import annotations

from typing import Final

from headworks.publish.tables import PublishedTable
from tests.support.shipments import MODEL

STEPS: Final = ("train", "evaluate", "score", "promote", "publish")
SCHEMA, TABLE, CHAMPIONS = "analytics", "late_scores", "late_champions"
PUBLISHED: Final = (
    PublishedTable(MODEL.scores, TABLE, MODEL.key),
    PublishedTable(MODEL.champions, CHAMPIONS, ("sequence",)),
)


def begins(step: str) -> str:
    """Return the line that says that a step is entered."""
    return f"> {step}"


def ends(step: str) -> str:
    """Return the line that says that a step is left."""
    return f"< {step}"
