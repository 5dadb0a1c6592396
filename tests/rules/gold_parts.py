"""The rules by which gold is made again by parts, and what finds a part that was passed over."""

from __future__ import annotations

from tests.rules.base import rule

FOLLOWING, EXPRESSIONS, PLANS, PARTS, CURATION = (
    f"src/headworks/gold/{name}.py" for name in ("following", "expressions", "plans", "parts", "curation")
)
_F, _G = "tests/unit/gold/test_following.py", "tests/integration/test_gold_parts.py"
_KINDS = f"{_F}::test_a_kind_of_transform_that_is_followed_gives_what_it_gives_whole"
_NOT = f"{_F}::test_what_depends_on_more_than_is_followed_is_not_followed_and_says_why"

RULES = (
    rule(
        "a transform that says something else than the last time is made whole",
        "src/headworks/gold/parts.py",
        "    if plan.number != transactions(PLAN):\n",
        "    if False:\n",
        "tests/integration/test_gold_parts.py::test_a_transform_with_todays_date_is_made_whole_each_day",
    ),
    rule(
        "rows that go touch their part as rows that come do",
        FOLLOWING,
        "        return pl.concat([self.gone, self.came])",
        "        return self.came",
        _KINDS,
    ),
    rule(
        "a row that looks up a changed one changes with it",
        FOLLOWING,
        "        if not other.is_empty:",
        "        if False:",
        _KINDS,
    ),
    rule(
        "the rows of a window change together",
        FOLLOWING,
        "        if windows := _windows(node):",
        "        if windows := list[frozenset[str]]():",
        _KINDS,
    ),
    rule(
        "a rate touches what comes after it until the next one",
        FOLLOWING,
        '{"Backward": moments.min(), "Forward": moments.max(), "Nearest": None}',
        '{"Backward": moments.max(), "Forward": moments.min(), "Nearest": None}',
        f"{_F}::test_of_two_rates_that_change_both_touch_what_is_nearest_to_them",
    ),
    rule(
        "the nearest of rows with equal moments is not followed",
        FOLLOWING,
        ".is_duplicated().any():",
        ".is_duplicated().any() and False:",
        f"{_F}::test_rates_of_equal_moments_are_not_followed",
    ),
    rule(
        "one of rows with equal keys is not followed",
        FOLLOWING,
        'if options["subset"] is not None and options["keep_strategy"] != "None":',
        "if False:",
        _NOT,
    ),
    rule(
        "what depends on the order of rows of a group is not followed",
        FOLLOWING,
        '            check_aggregates([*node.body["aggs"], *node.body["predicates"]])',
        "            pass",
        _NOT,
    ),
    rule(
        "windows have a column in common, or are not followed",
        FOLLOWING,
        "    if windows and not frozenset.intersection(*windows):",
        "    if False:",
        _NOT,
    ),
    rule(
        "a function that is not known to look at one row is not followed",
        EXPRESSIONS,
        "    if not known or flag in _OF_OTHER_ROWS:",
        "    if False:",
        _NOT,
    ),
    rule(
        "a plan is used if it is made again word for word",
        PLANS,
        "    if _bare(again) != _bare(said):",
        "    if False:",
        f"{_F}::test_a_plan_that_is_not_made_again_word_for_word_is_not_followed",
    ),
    rule(
        "a plan is made without rows",
        PLANS,
        "        raise LookedAt(self.dataset)",
        "        yield from ()",
        _NOT,
    ),
    rule(
        "silver is compared with what the table was made from",
        PARTS,
        "    if other := [name for name in inputs if before.input_of(name) != transactions(input_id(name))]:",
        "    if other := list[str]():",
        f"{_G}::test_versions_that_are_not_what_the_table_was_made_from_are_not_compared_with",
    ),
    rule(
        "by another code the table is made whole",
        CURATION,
        "    if table.transaction(CODE) != gold.code():",
        "    if False:",
        f"{_G}::test_where_parts_cannot_be_shown_to_be_right_it_is_made_whole_and_says_why",
    ),
    rule(
        "a table by parts is made whole too on a schedule",
        CURATION,
        "    if whole or not timedelta(0) <= moment - last < gold.verify_every:",
        "    if whole:",
        f"{_G}::test_once_in_a_while_and_when_asked_it_is_made_both_ways_and_compared",
        f"{_G}::test_a_difference_of_one_row_ends_the_run_names_it_and_commits_nothing",
    ),
    rule(
        "a difference between parts and whole ends the run",
        CURATION,
        "        _require_equal(gold, candidate, made)\n",
        "",
        f"{_G}::test_a_difference_of_one_row_ends_the_run_names_it_and_commits_nothing",
    ),
)
