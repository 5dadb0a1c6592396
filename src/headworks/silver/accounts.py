"""The account of each silver commit, kept as an object before it, under the number and the token of its try.

A run can be killed just after silver's commit, or find its commit reported as failed: tried again, it finds nothing to
consume. Silver names the try that was committed, and so the account that counts; tried again under the same run, a
refinement begins with it. An object that no silver names means nothing.
"""

from __future__ import annotations

from pydantic import ValidationError

from headworks.errors import ObjectLost
from headworks.names import dataset_folder
from headworks.reports import GateReport, RefineReport, Report
from headworks.silver.quarantine import TRY, WRITER, Try
from headworks.storage.delta import Table
from headworks.storage.store import Lake


class Account(Report):
    """What a run's refinement came to, and what the gate said to it."""

    run_id: str
    report: RefineReport
    gate: GateReport


def keep_account(lake: Lake, dataset: str, attempt: Try, account: Account) -> None:
    """Keep the account of a try; it counts once silver names the try."""
    lake.put_object(_path(dataset, attempt.writer, attempt.token), account.model_dump(mode="json"))


def account_of(lake: Lake, dataset: str, silver: Table, run_id: str) -> Account | None:
    """Return the account of silver's last commit if ``run_id`` made it; None where another run did, or none is kept."""
    writer, token = silver.transaction(WRITER), silver.transaction(TRY)
    if not writer:
        return None
    try:
        account = Account.model_validate(lake.get_object(_path(dataset, writer, token)))
    except (ObjectLost, ValidationError):
        return None
    return account if account.run_id == run_id else None


def accounts_folder(dataset: str) -> str:
    """Return the folder below the lake's root with the accounts of a dataset."""
    return f"_headworks/accounts/{dataset_folder(dataset)}"


def is_named(silver: Table | None, name: str) -> bool:
    """Return whether an account's object, by its name, is that of silver's last commit."""
    return silver is not None and name == f"{silver.transaction(WRITER)}-{silver.transaction(TRY)}.json"


def _path(dataset: str, writer: int, token: int) -> str:
    return f"{accounts_folder(dataset)}/{writer}-{token}.json"
