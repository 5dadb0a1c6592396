"""The rules of what a user meets: the state of a project, new sources, the command line, a lake of 0.1."""

from __future__ import annotations

from tests.rules.base import rule

STATUS, ADDING, QUERY = (
    "src/headworks/status.py",
    "src/headworks/adding.py",
    "src/headworks/ops/query.py",
)
CONSOLE, VANISHING = "src/headworks/prefect/console.py", "src/headworks/silver/vanishing.py"

_S, _A = "tests/integration/test_status_of_holds.py", "tests/integration/test_add_api.py"
_N, _U = "tests/integration/test_near_names.py", "tests/integration/test_upgrade_from_0_1.py"
_R = "tests/flows/test_run_command.py"

RULES = (
    rule(
        "a full read of 0.1 deletes for good what it did not show",
        VANISHING,
        "    if generation.landed is None:\n        return stamped_before(generation.started_at)\n",
        "    if generation.landed is None:\n        return -(2**63)\n",
        f"{_U}::test_care_and_a_rebuild_take_nothing_away",
        f"{_U}::test_silver_that_is_lost_is_made_again_from_what_0_1_landed_deletions_included",
    ),
    rule(
        "a delivery that waits for a decision is not good",
        STATUS,
        '        elif waiting and state != "failed":',
        "        elif False:",
        f"{_S}::test_a_held_delivery_is_held_until_somebody_decides_through_all_later_runs",
    ),
    rule(
        "rejected records that cannot be counted are not known, and that is not good",
        STATUS,
        '        if state == "ok" and (problem or unread):',
        "        if False:",
        f"{_S}::test_a_quarantine_that_cannot_be_read_is_not_known_and_not_good",
    ),
    rule(
        "a record that comes with each run is one",
        STATUS,
        'rows = as_records(open_rejects(lake, dataset, lake.open("silver", dataset)))',
        'rows = open_rejects(lake, dataset, lake.open("silver", dataset))',
        f"{_S}::test_rejected_records_are_counted_once_however_often_they_come",
    ),
    rule(
        "no dataset without a key is written",
        ADDING,
        "    if not found.key:\n        raise SettingsError(",
        "    if False:\n        raise SettingsError(",
        f"{_A}::test_what_has_no_key_is_refused_until_a_person_names_one_and_nothing_is_written",
    ),
    rule(
        "what nobody knows of an API is written down",
        ADDING,
        "(*found.evidence, *found.notes)",
        "found.evidence",
        f"{_A}::test_an_api_is_added_as_it_pages_and_all_that_was_not_known_is_written_down",
    ),
    rule(
        "a column that there is not names the one that is near",
        QUERY,
        "there is no column {name}.{did_you_mean(name, columns)}",
        "there is no column {name}.",
        f"{_N}::test_a_column_that_is_near_is_named_with_those_that_there_are",
    ),
    rule(
        "text that looks like a number stays text where the parameter is text",
        CONSOLE,
        "    if _is_text(about) and not isinstance(read, str):\n        return given\n",
        "",
        f"{_R}::test_a_value_is_what_the_parameter_says",
    ),
)
