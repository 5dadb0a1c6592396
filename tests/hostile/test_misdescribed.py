"""No reading by a description that is slightly off is short of the truth and says that it is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.misdescribed import ROWS, Description, descriptions, play, sampled


@pytest.mark.parametrize("described", sampled(60, 7), ids=lambda one: f"{one.style}: {one.done}")
def test_what_is_described_wrongly_is_refused_or_read_whole_or_not_called_complete(
    described: Description, tmp_path: Path
) -> None:
    rows = ROWS[len(described.done) % len(ROWS)]
    outcome = play(described, rows, tmp_path / "lake")
    assert outcome.what != "LIES", outcome.said


def test_every_style_as_it_is_described_rightly_is_exact(tmp_path: Path) -> None:
    right = [one for one in descriptions() if one.done == "as it is"]
    for number, (described, rows) in enumerate((one, rows) for one in right for rows in ROWS):
        assert play(described, rows, tmp_path / str(number)).what == "exact", (described.style, rows)
