"""The rules of what deliveries are compared with, and of what is held after silver."""

from __future__ import annotations

from tests.rules.base import rule

_PROFILES = "tests/integration/test_profiles_of_deliveries.py"
_MEASURE = f"{_PROFILES}::test_what_became_of_a_delivery_decides_whether_it_is_a_measure"
_ODD = "tests/unit/quality/test_odd_days.py"

RULES = (
    rule(
        "in a cold start a range too short to say its length is held against its like alone",
        "src/headworks/quality/coldstart.py",
        "alike = [one for one in seen if (one.days is None) == (here.days is None)]",
        "alike = seen",
        "tests/unit/quality/test_anomalies.py"
        "::test_in_a_cold_start_a_run_right_after_another_is_not_held_against_runs_of_hours",
    ),
    rule(
        "nothing is compared with a delivery that silver does not have",
        "src/headworks/quality/baselines.py",
        ' & ~pl.col("of").is_in(list(without))',
        "",
        _MEASURE,
    ),
    rule(
        "what a person released is no measure unless it is vouched for",
        "src/headworks/silver/screening.py",
        "        if released and gate.open:\n",
        "        if False:\n",
        _MEASURE,
    ),
    rule(
        "what is read again after a stream was set back is no news",
        "src/headworks/silver/table.py",
        "    return any(0 < one.after <= bronze.transaction(set_back_id(one.stream)) for one in ranges)\n",
        "    return False\n",
        "tests/integration/test_screening.py"
        "::test_what_is_read_again_after_a_stream_was_set_back_is_no_unusual_volume",
    ),
    rule(
        "a publication whose contract failed in Postgres is held",
        "src/headworks/gold/holding.py",
        "    if one is not None and not judged and not corrected:\n",
        "    if False:\n",
        "tests/integration/test_published_hold.py::test_later_rows_do_not_thin_what_the_contract_found",
    ),
    rule(
        "what was pending is held against what was taken, held and left",
        "src/headworks/reconcile.py",
        "        if refined.pending is not None:\n",
        "        if False:\n",
        "tests/unit/ops/test_report_and_account.py"
        "::test_what_was_pending_balances_exactly_with_what_was_taken_held_and_left",
    ),
    rule(
        "copies of earlier rows are looked for with their times",
        "src/headworks/quality/copies.py",
        "        sketch = sketch or tuple(",
        "        sketch = tuple(",
        f"{_ODD}::test_what_is_paid_each_month_is_no_copy_of_the_month_before_and_what_is_copied_is",
    ),
    rule(
        "parents that are few are looked at for the commonest, too",
        "src/headworks/quality/columns.py",
        "        shares = here.categories is not None and not here.identifier\n",
        "        shares = here.categories is not None\n",
        f"{_ODD}::test_one_parent_for_many_is_held_whether_parents_are_few_or_many",
    ),
)
