"""The rules of models: where each is in the code, and the tests that fail without it."""

from __future__ import annotations

from tests.rules.base import Rule, rule

FEATURES, TRAINING = "src/headworks/models/features.py", "src/headworks/models/training.py"
JUDGING, LEARNING = "src/headworks/models/judging.py", "src/headworks/models/learning.py"
CHAMPIONS = "src/headworks/models/champions.py"

_F, _G = "tests/unit/models/test_features.py", "tests/unit/models/test_gate.py"
_M = "tests/integration/test_models.py"

RULES: tuple[Rule, ...] = (
    rule(
        "a feature knows what was received by the cut and no more",
        FEATURES,
        "self.frames[name].lazy().filter(pl.col(_RECEIVED) <= self.cut)",
        "self.frames[name].lazy()",
        f"{_F}::test_what_was_known_at_a_cut",
        f"{_F}::test_features_of_a_cut_do_not_change_when_more_is_received",
    ),
    rule(
        "a label is known when its horizon has passed by what was received",
        TRAINING,
        "(end <= pl.col(OBSERVED_UNTIL)) & (end <= scored)",
        "pl.lit(True)",
        f"{_F}::test_a_label_is_known_when_its_horizon_has_passed_and_not_before",
    ),
    rule(
        "between what is learned from and what is judged by lies a horizon",
        TRAINING,
        "known.filter(pl.col(CUT) + asked.horizon <= newest[0])",
        "known.filter(pl.col(CUT) < newest[0])",
        f"{_F}::test_a_label_is_known_when_its_horizon_has_passed_and_not_before",
    ),
    rule(
        "a feature that differs when it is made again from what was received is a leak",
        JUDGING,
        "not leak.leaks and not leak.missing, detail",
        "True, detail",
        f"{_G}::test_a_bad_week_is_refused_for_its_reason",
    ),
    rule(
        "a leak that could not be looked for is not known",
        JUDGING,
        "    if leak is None or not leak.rows:\n        checks.add(\n"
        '            "features: as they were known",\n            None,',
        "    if leak is None or not leak.rows:\n        checks.add(\n"
        '            "features: as they were known",\n            True,',
        f"{_G}::test_what_cannot_be_known_is_never_green",
    ),
    rule(
        "a model's file is what its name says",
        TRAINING,
        "    if hashlib.sha256(data).hexdigest() != file:\n",
        "    if False:\n",
        f"{_M}::test_scores_by_parts_are_the_same_and_a_file_that_was_changed_or_holds_strange_types_is_not_loaded",
    ),
    rule(
        "a model's file holds trusted types alone",
        TRAINING,
        "    if strange:\n",
        "    if False:\n",
        f"{_M}::test_scores_by_parts_are_the_same_and_a_file_that_was_changed_or_holds_strange_types_is_not_loaded",
    ),
)
