"""The rules of models: where each is in the code, and the tests that fail without it."""

from __future__ import annotations

from tests.rules.base import Rule, rule

FEATURES, TRAINING = "src/headworks/models/features.py", "src/headworks/models/training.py"
JUDGING, LEARNING = "src/headworks/models/judging.py", "src/headworks/models/learning.py"
FILES = "src/headworks/models/files.py"

_F, _G = "tests/unit/models/test_features.py", "tests/unit/models/test_gate.py"
_D, _O = "tests/unit/models/test_drift.py", "tests/unit/models/test_outcomes.py"
_M, _R = "tests/integration/test_models.py", "tests/integration/test_registry.py"

_L, _W = "tests/integration/test_champions_that_cannot_predict.py", "tests/unit/silver/test_receipts.py"
CURRENT, COMPARE = "src/headworks/models/current.py", "src/headworks/silver/compare.py"
PRODUCTS, GOLD_TABLE = "src/headworks/gold/products.py", "src/headworks/gold/table.py"

RULES: tuple[Rule, ...] = (
    rule(
        "a champion's lost file is made again from what it learned from",
        CURRENT,
        "    if isinstance(lost, ObjectLost) and restored(lake, model, champion):\n",
        "    if False:\n",
        f"{_L}::test_a_champion_s_file_is_made_again_from_what_it_learned_from",
    ),
    rule(
        "a file that is made again counts only where it is the same to the byte",
        TRAINING,
        "    if not is_named(data, trained.file):\n        return False\n",
        "",
        f"{_L}::test_a_file_that_is_made_again_as_another_one_is_not_put_in_the_place_of_the_lost_one",
    ),
    rule(
        "a trained model's file that is damaged is put again",
        TRAINING,
        "    if data is not None and is_named(data, there.file):\n",
        "    if data is not None:\n",
        f"{_L}::test_a_challenger_s_damaged_file_is_put_again_by_the_next_run",
    ),
    rule(
        "where the champion cannot predict, the challenger is held against what it was measured by",
        JUDGING,
        "        (difference >= -worse_by) if known and kept.metric == mine.metric else None,\n",
        "        True,\n",
        f"{_L}::test_what_is_accepted_of_a_lost_champion_lets_no_worse_challenger_in",
    ),
    rule(
        "a check of the scores that a person lets through is let through to the end",
        LEARNING,
        "    checks += _let(of_scores if verdict.gate.open else _as_champions(of_scores), lesson.accepted)",
        "    checks += of_scores if verdict.gate.open else _as_champions(of_scores)",
        f"{_L}::test_scores_that_are_let_through_are_let_through_to_the_end",
    ),
    rule(
        "what is let through of a refused challenger's scores lets none of the champion's through",
        LEARNING,
        "of_scores if verdict.gate.open else _as_champions(of_scores)",
        "of_scores",
        f"{_L}::test_what_is_accepted_of_a_refused_challenger_s_scores_lets_no_scores_of_the_champion_through",
    ),
    rule(
        "a feature's NaN is a null and no value that comes and goes",
        TRAINING,
        "    rows = rows.select(CUT, pl.col(name).cast(pl.Float64).fill_nan(None))\n",
        "    rows = rows.select(CUT, pl.col(name).cast(pl.Float64))\n",
        f"{_D}::test_a_feature_of_few_values_that_is_often_no_number_is_compared_by_its_distribution",
        f"{_D}::test_no_number_gives_the_profile_that_a_null_gives",
    ),
    rule(
        "medians of a champion that are no numbers are not compared with",
        JUDGING,
        "if one is not None and np.isfinite(one)]",
        "]",
        f"{_D}::test_medians_of_a_champion_that_are_no_numbers_are_not_compared_with",
    ),
    rule(
        "an old cut is no publication",
        LEARNING,
        "    if not dry_run and cut is not None:\n",
        "    if False:\n",
        f"{_L}::test_an_old_cut_is_a_question_and_no_publication_and_a_moment_needs_its_zone",
    ),
    rule(
        "a run under way does not publish over a rollback that was released meanwhile",
        PRODUCTS,
        "            _refuse_rolled_back(current, table.transaction(_rollbacks_id(product)) - rolled_back)\n",
        "            pass\n",
        "tests/integration/test_rollback.py::"
        "test_a_run_under_way_does_not_publish_over_a_rollback_that_was_released_meanwhile",
        f"{_L}::test_a_run_under_way_does_not_bring_back_a_champion_that_was_rolled_back_and_released",
    ),
    rule(
        "what maintenance commits to a gold table holds no candidate",
        GOLD_TABLE,
        "    return newest if newest.only_cared_for_since(staged.base_version) else table\n",
        "    return table\n",
        f"{_L}::test_the_first_maintenance_between_staging_and_committing_holds_no_run",
    ),
    rule(
        "in a history what is read again was received when it came first",
        COMPARE,
        "            .then(first_receipt)\n",
        "            .then(RECEIVED)\n",
        f"{_W}::test_a_full_read_of_what_is_there_moves_no_receipt",
        f"{_W}::test_other_values_of_the_same_moment_were_received_when_they_came",
    ),
    rule(
        "of readings of one range the first one counts as the receipt",
        COMPARE,
        '        pl.col(RECEIVED).min().alias(f"{RECEIVED}{_KEPT}"), ',
        '        pl.col(RECEIVED).max().alias(f"{RECEIVED}{_KEPT}"), ',
        f"{_W}::test_however_readings_are_divided_each_version_was_received_when_it_came_first",
    ),
    rule(
        "values that came back within a range are not just read again",
        COMPARE,
        "(pl.col(_RANK).max() > 0).alias(FLIPPED)",
        "pl.lit(False).alias(FLIPPED)",
        f"{_W}::test_however_readings_are_divided_each_version_was_received_when_it_came_first",
    ),
    rule(
        "a source of several that stopped closes the gate",
        JUDGING,
        "        if now - moment > bounds.age\n",
        "        if False\n",
        f"{_G}::test_a_bad_week_is_refused_for_its_reason",
    ),
    rule(
        "of outcomes nothing is known since one source stopped",
        FEATURES,
        "    oldest = min(steady(frames, every, quiet).values(), default=newest)\n",
        "    oldest = newest\n",
        "tests/unit/models/test_received.py::test_what_was_known_until_is_until_the_one_that_stopped",
    ),
    rule(
        "a newest cut without rows closes the gate",
        JUDGING,
        "        missing = received.newest > scored\n",
        "        missing = False\n",
        f"{_G}::test_a_bad_week_is_refused_for_its_reason",
    ),
    rule(
        "values other than a common one have a distribution of their own",
        JUDGING,
        '    if (rest := then.get("rest")) is not None:\n',
        "    if (rest := None) is not None:\n",
        "tests/unit/models/test_drift.py::test_another_unit_or_a_sentinel_is_seen_in_each_form_of_a_feature",
    ),
    rule(
        "values far outside of the champion's close the gate",
        JUDGING,
        "    _check_range(checks, name, values, then)\n",
        "",
        f"{_G}::test_a_bad_week_is_refused_for_its_reason",
    ),
    rule(
        "what fills the lowest bin has another one below it",
        TRAINING,
        "    return [float(np.nextafter(lowest, -np.inf)), *cuts] if cuts and cuts[0] <= lowest else cuts\n",
        "    return cuts\n",
        "tests/unit/models/test_drift.py::test_another_unit_or_a_sentinel_is_seen_in_each_form_of_a_feature",
    ),
    rule(
        "many values that were never there close the gate though each has few rows",
        JUDGING,
        '    said += _unseen(now["counts"], before)\n',
        "",
        "tests/unit/models/test_drift.py::test_values_of_a_large_category_that_were_renamed_are_seen",
    ),
    rule(
        "features of others under an entity's key close the gate",
        JUDGING,
        "    _check_entities(checks, frame, scored)\n",
        "",
        f"{_G}::test_a_bad_week_is_refused_for_its_reason",
    ),
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
        "an outcome that is given by a day counts when the day is over",
        FEATURES,
        "(_DAY if dated else timedelta(0))",
        "timedelta(0)",
        f"{_O}::test_when_an_outcome_counts",
        f"{_O}::test_each_outcome_of_days_is_the_target_of_one_step_alone",
    ),
    rule(
        "an outcome of the cut's own day that was known by the cut is before it",
        FEATURES,
        "        return joined.with_columns(pl.col(_FROM).fill_null(pl.col(CUT)))\n",
        "        return rows.with_columns(pl.col(CUT).alias(_FROM))\n",
        f"{_O}::test_when_an_outcome_counts",
        f"{_O}::test_a_later_outcome_counts_after_one_of_the_cuts_day_that_was_known",
    ),
    rule(
        "a feature without any value in the rows to learn from closes the gate",
        "src/headworks/models/training_checks.py",
        'checks.add(name, False, detail, kind="data")',
        "checks.warn(name, detail)",
        "tests/integration/test_champions_that_cannot_predict.py"
        "::test_a_feature_that_is_null_in_each_row_closes_the_gate_until_a_person_lets_it_through",
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
        "    if not is_named(data, file):\n        raise ObjectLost(",
        "    if False:\n        raise ObjectLost(",
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
