"""The gate opens only if something was checked, everything passed, and nothing was left unchecked."""

from __future__ import annotations

from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks.quality.gate import check_account, check_rejects, decide
from headworks.reports import CheckReport, RefineReport, TableRef
from headworks.settings import RejectLimits

Outcome = Literal["passed", "failed", "warned", "not evaluated", "error"]


def check(outcome: Outcome, kind: str = "contract", name: str = "c") -> CheckReport:
    return CheckReport(scope="s", name=name, kind=kind, outcome=outcome)


checks = st.builds(
    check,
    st.sampled_from(get_args(Outcome)),
    st.sampled_from(["contract", "limit", "key", "account", "total"]),
)


@given(st.lists(checks, max_size=6), st.booleans())
def test_it_is_open_exactly_if_all_passed_and_one_of_the_contract_was_evaluated(
    made: list[CheckReport], contract_required: bool
) -> None:
    gate = decide("s", made, contract_required=contract_required)
    all_fine = all(one.outcome in {"passed", "warned"} for one in made)
    of_the_contract = any(one.kind == "contract" for one in made)
    assert gate.open == (bool(made) and all_fine and (of_the_contract or not contract_required))
    assert bool(gate.reasons) != gate.open
    assert gate.checks == tuple(made)


def test_nothing_checked_is_a_reason_of_its_own() -> None:
    assert decide("s", [], contract_required=False).reasons == ("nothing was checked",)


def test_checks_of_another_kind_do_not_stand_in_for_the_contract() -> None:
    gate = decide("s", [check("passed", "key"), check("passed", "total")], contract_required=True)
    assert gate.reasons == ("no check of the contract was evaluated",)


def test_each_check_that_did_not_pass_is_named_in_the_reasons() -> None:
    made = [check("failed", name="a"), check("passed", name="b"), check("error", name="c")]
    assert decide("s", made, contract_required=True).reasons == ("a: failed", "c: error")


@pytest.mark.parametrize(
    ("rejected", "rows", "outcome"),
    [
        (0, 0, "passed"),
        (25, 100, "passed"),
        (26, 100, "failed"),
        (9, 9, "passed"),
        (48, 49, "passed"),
        (10, 10, "failed"),
        (49, 49, "failed"),
        (50, 50, "failed"),
        (1001, 10_000, "failed"),
        (1000, 10_000, "passed"),
    ],
)
def test_rejects_are_limited_by_share_and_by_number(rejected: int, rows: int, outcome: str) -> None:
    limits = RejectLimits(share=0.25, rows=1000, from_rows=50)
    assert check_rejects("s", rejected, rows, limits).outcome == outcome


def report(**counts: Any) -> RefineReport:
    return RefineReport(dataset="t.x", table=TableRef(table="silver.t.x", version=1), **counts)


counts = st.integers(0, 100)


@given(counts, counts, counts, counts, counts, st.integers(-3, 3))
def test_the_account_passes_exactly_if_as_many_rows_went_as_came(
    inserted: int, updated: int, rejected: int, superseded: int, unchanged: int, off: int
) -> None:
    went = inserted + updated + rejected + superseded + unchanged
    made = report(
        landed=went + off,
        inserted=inserted,
        updated=updated,
        rejected=rejected,
        superseded=superseded,
        unchanged=unchanged,
    )
    assert check_account("s", made).outcome == ("failed" if off else "passed")


def test_released_rows_came_too() -> None:
    assert check_account("s", report(landed=2, released=1, inserted=3)).outcome == "passed"
    assert check_account("s", report(landed=3, released=1, inserted=3)).outcome == "failed"
