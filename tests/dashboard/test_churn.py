"""The page of the churn product says who is at risk in words that people read."""

from __future__ import annotations

import json

import polars as pl

from dashboard.churn import reason_text, risk_rows


def test_a_reason_is_shown_with_its_value_and_what_is_typical() -> None:
    reason = {"feature": "use_ratio", "value": 0.0909, "typical": 1.04, "effect": 1.2}
    assert reason_text(reason) == "use ratio 0.0909 (typical 1.04)"
    assert reason_text({"feature": "plan", "value": "team", "typical": None}) == "plan team (typical None)"


def test_a_score_is_shown_as_a_chance_with_its_reasons() -> None:
    scores = pl.DataFrame(
        {
            "rank": [1, 2],
            "contact_id": [7, 8],
            "score": [0.627, 0.01],
            "reasons": [json.dumps([{"feature": "seats", "value": 1, "typical": 3, "effect": 0.4}]), "[]"],
            "features": [json.dumps({"plan": "team", "country": "AT"})] * 2,
        }
    )
    rows = risk_rows(scores).to_dicts()
    assert rows[0] == {
        "rank": 1,
        "customer": 7,
        "chance to cancel": "62.7%",
        "why": "seats 1 (typical 3)",
        "plan": "team",
        "country": "AT",
    }
    assert rows[1]["why"] == "nothing in particular"
