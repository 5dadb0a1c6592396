"""Reconciliation: what each step of a run says must fit what the step before it says."""

from __future__ import annotations

from headworks.errors import AccountMismatch
from headworks.reports import RunReport


def differences(report: RunReport) -> list[str]:
    """Return each equation of the account that does not hold, with its numbers; empty where all hold."""
    found = []
    for landing in report.landings:
        if landing.read != landing.landed + landing.refused + landing.repeated + landing.would_land:
            found.append(
                f"{landing.stream}: read {landing.read}, but landed {landing.landed} + refused {landing.refused} "
                f"+ read again {landing.repeated}"
            )
    for refined in report.refinements:
        came = refined.landed + refined.released
        went = refined.accepted + refined.rejected + refined.superseded + refined.unchanged
        if came != went:
            found.append(f"{refined.dataset}: {came} rows came into silver's range, {went} went")
        if refined.pending is not None:
            taken = refined.landed if refined.committed else 0
            if refined.pending != taken + refined.newly_held + refined.behind:
                found.append(
                    f"{refined.dataset}: {refined.pending} rows were pending, but taken {taken} + held "
                    f"{refined.newly_held} + left for the next run {refined.behind}"
                )
    for replayed in report.replays:
        went = replayed.released + replayed.superseded + replayed.unchanged + replayed.still_rejected
        if replayed.judged != went:
            found.append(
                f"{replayed.dataset}: {replayed.judged} rejected rows were judged again, {went} went"
            )
    gold = {made.table.table: made.rows for made in report.gold}
    for publication in report.publications:
        # A publication may show some of the tables, and is held against just these.
        for table in publication.tables:
            rows = gold.get(f"gold.{table.dataset}")
            if rows is not None and rows != table.rows:
                found.append(
                    f"{publication.target}: gold.{table.dataset} has {rows} rows, published in {table.table} are "
                    f"{table.rows}"
                )
    return found


def reconcile(report: RunReport) -> None:
    """Raise `AccountMismatch` for the first difference of even one row."""
    found = differences(report)
    if found:
        raise AccountMismatch(
            f"The account does not balance: {'; '.join(found)}.",
            where=f"run {report.run_id}",
            do="keep the lake as it is and report this; what was published before this run is still there.",
        )
