"""The gate: the decision to let a candidate through, and why not.

It is open only if something was checked, everything that was checked passed (or warned), and nothing was left
unchecked. Whatever else happens, it is closed.
"""

from __future__ import annotations

from collections.abc import Sequence

from headworks.reports import CheckReport, GateReport, RefineReport
from headworks.settings import RejectLimits

_FINE = {"passed", "warned"}
_NO_OBJECTION = _FINE | {"cold start", "accepted"}
"""Cold start: nothing to compare with yet. Accepted: a person said that this is known. Neither is a check passed."""


def decide(scope: str, checks: Sequence[CheckReport], *, contract_required: bool) -> GateReport:
    """Return the gate's decision about the candidate for ``scope``, from all checks that were made of it."""
    reasons = [
        f"{check.name}: {check.outcome}{f' ({check.detail})' if check.detail else ''}"
        for check in checks
        if check.outcome not in _NO_OBJECTION
    ]
    evaluated = [
        check for check in checks if check.kind == "contract" and check.outcome in _FINE | {"failed"}
    ]
    # What could not be scanned at all says so itself.
    unscanned = any(check.kind == "contract" and check.outcome == "error" for check in checks)
    if contract_required and not evaluated and not unscanned:
        reasons.append("no check of the contract was evaluated")
    if not checks:
        reasons.append("nothing was checked")
    return GateReport(scope=scope, open=not reasons, checks=tuple(checks), reasons=tuple(reasons))


def with_checks(gate: GateReport, checks: Sequence[CheckReport]) -> GateReport:
    """Return the decision with other checks; what it objected to apart from its checks stays."""
    of_checks = set(decide(gate.scope, gate.checks, contract_required=False).reasons)
    others = tuple(reason for reason in gate.reasons if reason not in of_checks)
    again = decide(gate.scope, checks, contract_required=False)
    reasons = (*again.reasons, *others)
    return again.model_copy(update={"reasons": reasons, "open": not reasons})


def let_through(check: CheckReport, by: str, note: str) -> CheckReport:
    """Return a check that objected as a person's release leaves it."""
    return check.model_copy(
        update={"outcome": "accepted", "detail": f"{check.detail}; released by {by}: {note}"}
    )


_FEW = 10
"""Of so many rows one at least is good, or something is wrong with all of them."""


def check_rejects(
    scope: str,
    rejected: int,
    rows: int,
    limits: RejectLimits,
    *,
    elsewhere: int = 0,
    followed: int = 0,
    waiting: int = 0,
    dry_run: bool = False,
) -> CheckReport:
    """Check the number and the share of rejected rows against the dataset's limits.

    Of a few rows the share says nothing, unless none of them is good: ``waiting`` rows may be, once their parents come.
    ``elsewhere`` of the rejected rows wait for a row that may lie in another window, or among what a dry run reads and
    does not land, and ``followed`` are versions of a history that the source has corrected by newer ones: they are
    reported, and no objection.
    """
    rejected -= elsewhere + followed
    none_good = _FEW <= rows == rejected - min(waiting, rejected) and limits.share < 1
    share = rejected / rows if rows else 0.0
    too_many = none_good or rejected > limits.rows or (rows >= limits.from_rows and share > limits.share)
    unknown = (
        "may refer to rows that this dry run does not land" if dry_run else "wait for rows of other windows"
    )
    wait = f"; {elsewhere} more {unknown}" if elsewhere else ""
    wait += f"; {followed} more are followed by newer versions that are accepted" if followed else ""
    return CheckReport(
        scope=scope,
        name="rejected rows within limits",
        kind="limit",
        outcome="failed" if too_many else "passed",
        detail=f"{rejected} of {rows} rows rejected ({share:.1%}), allowed {limits.share:.1%} and {limits.rows} rows"
        f"{wait}",
    )


def check_account(scope: str, report: RefineReport) -> CheckReport:
    """Check that each row of the range, and each released one, became exactly one thing."""
    came = report.landed + report.released
    went = report.accepted + report.rejected + report.superseded + report.unchanged
    return CheckReport(
        scope=scope,
        name="every row accounted for",
        kind="account",
        outcome="passed" if came == went else "failed",
        detail=f"{came} came, {went} went",
    )
