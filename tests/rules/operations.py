"""The rules of operating: what is shown to people, what looking makes, and who may decide."""

from __future__ import annotations

from tests.rules.base import rule

_ESCAPING, _ALERTS = "src/headworks/ops/escaping.py", "src/headworks/ops/alerts.py"
_STREAMS = "src/headworks/bronze/streams.py"
_TEXTS, _S = "tests/unit/ops/test_hostile_texts.py", "tests/integration/test_streams.py"

RULES = (
    rule(
        "an artifact makes no mark-up of data",
        _ESCAPING,
        'parted = _ESCAPES.sub(lambda found: f"{found[0]}{JOINER}", one_line(text)).translate(_LIKE)',
        "parted = one_line(text)",
        f"{_TEXTS}::test_an_artifact_shows_it_and_makes_nothing_of_it",
    ),
    rule(
        "a table artifact is made of inert texts",
        "src/headworks/prefect/steps/care.py",
        "table_cells(rows)",
        "rows",
        f"{_TEXTS}::test_every_table_artifact_is_made_of_such_cells",
    ),
    rule(
        "a password file is read as libpq reads it",
        "src/headworks/sources/sql/connect.py",
        '            "password": found.password,\n',
        "",
        "tests/integration/databases/test_password_files.py::test_the_password_comes_from_a_password_file",
    ),
    rule(
        "a chat's block is not left",
        _ESCAPING,
        '">": "&gt;", "`": "ˋ"}',
        '">": "&gt;"}',
        f"{_TEXTS}::test_a_chat_shows_it_in_a_block_that_it_cannot_leave",
    ),
    rule(
        "a terminal obeys nothing of data",
        _ESCAPING,
        'in {"Cc", "Cf", "Cs"}',
        "in set()",
        f"{_TEXTS}::test_a_terminal_obeys_nothing_of_it",
    ),
    rule(
        "a sheet computes nothing",
        _ESCAPING,
        'return f"\'{text}" if _FORMULA.search(text) else text',
        "return text",
        f"{_TEXTS}::test_a_sheet_computes_nothing_and_numbers_stay_numbers",
    ),
    rule(
        "an example shows no value",
        _ALERTS,
        '"x" if sign.isalpha() else "9" if sign.isdigit() else sign for',
        "sign for",
        f"{_TEXTS}::test_an_example_names_dataset_rule_and_field_and_no_value",
    ),
    rule(
        "a position has the form of its source",
        _STREAMS,
        "    if fault:\n",
        "    if not fault:\n        return\n    if False:\n",
        f"{_S}::test_what_is_no_position_of_the_source_or_lies_ahead_is_refused",
    ),
    rule(
        "a stream is not set ahead",
        _STREAMS,
        "    return _ahead(position, present)\n",
        '    return ""\n',
        f"{_S}::test_what_is_no_position_of_the_source_or_lies_ahead_is_refused",
    ),
    rule(
        "a product whose run failed before it landed anything is failed",
        "src/headworks/status.py",
        "    for_it = run.on == product or ",
        "    for_it = ",
        "tests/flows/test_status.py"
        "::test_a_run_that_failed_before_anything_was_landed_is_failed_and_no_longer_once_it_is_well",
    ),
)
