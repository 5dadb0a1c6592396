"""The rules of what a small change costs: what is left out of a reading, and that nothing is lost by it."""

from __future__ import annotations

from tests.rules.base import rule

_NEAR = "tests/unit/storage/test_near.py::test_rows_with_one_of_some_keys_are_those_of_a_join"

_NOTED = "tests/integration/test_noted.py"
_WAITING = "src/headworks/silver/waiting.py"
_WAITS = "tests/integration/test_waiting.py"

RULES = (
    rule(
        "only after a commit that was followed up are the changed keys enough",
        "src/headworks/silver/noted.py",
        "    return is_mine and _says(_kept(lake, dataset), before)",
        "    return is_mine",
        f"{_NOTED}::test_notes_of_a_killed_run_are_made_by_the_next_commit_whatever_it_changes",
    ),
    rule(
        "the mark is kept once the notes are there",
        "src/headworks/silver/replaced.py",
        "    _note(work, dataset, bronze, silver, collected(",
        "    from headworks.silver.noted import put_noted\n\n"
        "    put_noted(work.lake, dataset, noted(work.lake, dataset, silver))\n"
        "    _note(work, dataset, bronze, silver, collected(",
        f"{_NOTED}::test_notes_of_a_killed_run_are_made_by_the_next_commit_whatever_it_changes",
    ),
    rule(
        "lost notes are made again",
        "src/headworks/silver/noted.py",
        "    if kept is None or kept.resolutions > mark.resolutions:",
        "    if kept is None:",
        f"{_NOTED}::test_whatever_was_lost_the_next_refinement_looks_at_all_rows",
    ),
    rule(
        "bounds leave out no row that is asked for",
        "src/headworks/storage/near.py",
        "for value in (values.min(), values.max()))",
        "for value in (values.min(), values.min()))",
        _NEAR,
    ),
    rule(
        "a list of keys has all of them",
        "src/headworks/storage/near.py",
        "pl.col(name).is_in(listed.implode())",
        "pl.col(name).is_in(listed.head(1).implode())",
        _NEAR,
    ),
    rule(
        "a row that waits is looked at when its parent's table changed",
        _WAITING,
        "        if reference.parent in changed and known.asleep.height:",
        "        if False:",
        f"{_WAITS}::test_only_what_a_parent_came_for_is_judged_again",
    ),
    rule(
        "of several rows of a key that wait the newest counts",
        "src/headworks/silver/judged.py",
        "    siblings = index.with_siblings(good, dataset)",
        "    siblings = index",
        f"{_WAITS}::test_a_row_of_a_key_that_waits_is_judged_with_what_waited",
    ),
    rule(
        "what rows wait for holds for one declaration, and for what was decided then",
        _WAITING,
        "    return before.model_copy(update=same) == now.model_copy(update=same)",
        "    return before.writer == now.writer",
        f"{_WAITS}::test_where_anything_is_another_all_waiting_rows_are_judged_again",
    ),
    rule(
        "which rows wait is kept for the commit that it was seen with",
        _WAITING,
        "    after = before if changed is None else (changed.attempt.writer, changed.attempt.token)",
        '    there = work.lake.must_open("silver", dataset.name)\n'
        "    after = (there.transaction(WRITER), there.transaction(TRY))",
        f"{_WAITS}::test_what_another_run_commits_meanwhile_is_not_in_the_index",
    ),
    rule(
        "a key that comes twice is left to a merge, which refuses it",
        "src/headworks/storage/delta.py",
        " or keys.is_duplicated().any():",
        ":",
        "tests/unit/storage/test_merging.py::test_a_key_that_comes_twice_is_refused_as_ever",
    ),
    rule(
        "keys that go are named with those that come",
        "src/headworks/storage/delta.py",
        "    keys = pl.concat([mine, goes])",
        "    keys = mine",
        "tests/unit/storage/test_merging.py::test_a_merge_by_values_is_a_merge_by_a_join",
    ),
    rule(
        "rows that differ are in memory of their own",
        "src/headworks/gold/differences.py",
        "        came.append(_alone(made))",
        "        came.append(made)",
        "tests/unit/gold/test_differences.py::test_rows_that_differ_keep_no_batch_in_memory",
    ),
)
