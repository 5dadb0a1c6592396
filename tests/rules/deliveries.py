"""The rules of deliveries: where each is in the code, and the tests that fail without it."""

from __future__ import annotations

from tests.rules.base import rule

ARRIVALS, HOLDING, DECISIONS = (
    "src/headworks/silver/arrivals.py",
    "src/headworks/silver/holding.py",
    "src/headworks/silver/decisions.py",
)
CONCLUDING, TABLE, QUARANTINE = (
    "src/headworks/silver/concluding.py",
    "src/headworks/silver/table.py",
    "src/headworks/silver/quarantine.py",
)
HELD = "src/headworks/quality/deliveries.py"
LANDING = "src/headworks/bronze/landing.py"
_H, _T = "tests/integration/test_held_deliveries.py", "tests/integration/test_taking_back.py"
_STAYS = f"{_H}::test_a_held_delivery_stays_held_whatever_comes_and_however_often_somebody_runs"
_BACK = f"{_T}::test_what_is_taken_back_was_never_there_and_undone_it_was"

RULES = (
    rule(
        "what each run landed is judged alone",
        ARRIVALS,
        "    if len({each.whose for each in pieces}) <= 1:",
        "    if True:",
        f"{_H}::test_deliveries_that_were_not_refined_in_their_time_are_judged_each_alone",
    ),
    rule(
        "what a killed run left is judged with what continues it",
        ARRIVALS,
        "        if not open_ones:\n",
        "        if True:\n",
        f"{_H}::test_what_a_killed_run_left_is_judged_with_what_continues_it",
    ),
    rule(
        "a checkpoint says whether its run came to the end of its source",
        LANDING,
        "        if not head.ended:\n",
        "        if False:\n",
        f"{_H}::test_deliveries_that_were_not_refined_in_their_time_are_judged_each_alone",
    ),
    rule(
        "a delivery that the gate objects to is held",
        CONCLUDING,
        "    if delivery.arrival is not None and objects and not isinstance(silver, FromNothing):",
        "    if False:",
        _STAYS,
    ),
    rule(
        "the commit that passes a held delivery lists it",
        TABLE,
        "    transactions |= holds or {}\n",
        "",
        _STAYS,
    ),
    rule(
        "the gate stays closed while anything is held",
        HELD,
        '        outcome="warned" if passes else "failed",',
        '        outcome="warned",',
        _STAYS,
    ),
    rule(
        "rejected rows of a held delivery do not count",
        QUARANTINE,
        "HELD = 2**62",
        "HELD = 0",
        _STAYS,
    ),
    rule(
        "a held delivery is superseded by newer versions alone",
        HOLDING,
        '        | (pl.col(f"{CURSOR}_there") >= pl.col(CURSOR))',
        "        | pl.lit(value=True)",
        f"{_H}::test_older_versions_do_not_supersede_what_is_held",
    ),
    rule(
        "a held delivery is judged again only where something but time changed",
        HOLDING,
        "    return waits or one.judged_by != judged_by(work, dataset)",
        "    return False",
        f"{_H}::test_a_rule_that_is_corrected_lets_the_held_delivery_through_and_time_does_not",
    ),
    rule(
        "what is taken back is not among the versions that its keys are made of",
        DECISIONS,
        "    seen = Without(bronze, (span for one in entries for span in one.spans))",
        "    seen = Without(bronze, ())",
        _BACK,
    ),
)
