"""What a run asks of a product's models is refused where it would have no effect, or no reason is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crm.project import CHURN
from headworks.errors import SettingsError
from headworks.prefect.stages import Question, question_of

ASKED: dict[str, Any] = {"accept": ("scores: drift",), "seed": 3, "horizon_days": 14.0}


@pytest.mark.parametrize("name", ASKED)
def test_a_product_without_a_model_takes_no_question(name: str) -> None:
    given = {name: ASKED[name], "note": "known"}
    assert question_of(CHURN, **given) != Question()
    with pytest.raises(SettingsError, match="has no model"):
        question_of(replace(CHURN, models=()), **given)


def test_nothing_is_asked_by_a_run_without_such_parameters() -> None:
    question = question_of(replace(CHURN, models=()))
    assert (question.cut, question.horizon_days, question.seed, question.accepted.names) == (
        None,
        None,
        1,
        (),
    )


def test_a_check_is_not_let_through_without_a_word_on_why() -> None:
    with pytest.raises(SettingsError, match="without a word"):
        question_of(CHURN, accept=("scores: drift",), note=" ")
