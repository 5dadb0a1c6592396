"""The rules of what a small change costs: what is left out of a reading, and that nothing is lost by it."""

from __future__ import annotations

from tests.rules.base import rule

_NEAR = "tests/unit/storage/test_near.py::test_rows_with_one_of_some_keys_are_those_of_a_join"

_NOTED = "tests/integration/test_noted.py"

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
)
