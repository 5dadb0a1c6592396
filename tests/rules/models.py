"""The rules of models: where each is in the code, and the tests that fail without it."""

from __future__ import annotations

from tests.rules.base import Rule, rule

FEATURES, TRAINING = "src/headworks/models/features.py", "src/headworks/models/training.py"
JUDGING, LEARNING = "src/headworks/models/judging.py", "src/headworks/models/learning.py"
FILES = "src/headworks/models/files.py"

_F, _G = "tests/unit/models/test_features.py", "tests/unit/models/test_gate.py"
_M, _R = "tests/integration/test_models.py", "tests/integration/test_registry.py"

RULES: tuple[Rule, ...] = (
    rule(
        "an infinite feature closes the gate",
        "src/headworks/models/judging.py",
        "    _check_finite(checks, frame)\n",
        "",
        "tests/unit/models/test_gate.py::test_a_bad_week_is_refused_for_its_reason",
    ),
    rule(
        "a feature that the champion lacks is held against the cuts before",
        "src/headworks/models/judging.py",
        '[name for name in model.numbers if name not in profile["numbers"]]',
        "[]",
        "tests/unit/models/test_gate.py::test_a_bad_week_is_refused_for_its_reason",
    ),
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
        "the file of a champion that can be rolled back to is kept",
        FILES,
        "            if reference.version <= table.version",
        "            if False and reference.version <= table.version",
        f"{_M}::test_files_of_models_that_no_publication_needs_are_collected_and_those_to_roll_back_to_stay",
    ),
    rule(
        "the file of a model is collected only when it is older than any run",
        "src/headworks/ops/maintenance.py",
        "if each.modified_at < young and _still_old(lake, each.path, young):",
        "if True:",
        f"{_M}::test_files_of_models_that_no_publication_needs_are_collected_and_those_to_roll_back_to_stay",
    ),
    rule(
        "a training that is found again makes its file young",
        TRAINING,
        "        lake.put_bytes(file_path(model, there.file), data)\n",
        "",
        f"{_M}::test_a_model_that_is_trained_again_from_the_same_rows_has_a_young_file",
    ),
    rule(
        "a champion that is registered already is not registered again",
        "src/headworks/models/registry.py",
        "        version = known or _made(",
        "        version = _made(",
        f"{_R}::test_a_champion_is_registered_with_its_file_and_card_and_a_rollback_moves_the_alias",
    ),
    rule(
        "a model's file holds trusted types alone",
        TRAINING,
        "    if strange:\n",
        "    if False:\n",
        f"{_M}::test_scores_by_parts_are_the_same_and_a_file_that_was_changed_or_holds_strange_types_is_not_loaded",
    ),
)
