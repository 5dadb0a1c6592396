"""What silver remembers of the bronze that it consumed, so that a bronze which was set back is refused.

A sequence alone does not say which rows it represents: a bronze that is restored alone lands other rows under sequences
that silver has consumed already, and they would be passed by. So silver's commit keeps, of the bronze that it read, the
table's id and version, and of each stream the token of the last consumed commit and the number of rows landed by then.
Landing, resetting, full reads and refinement compare these before anything else. Tables of 0.1.0 lack them: there the
sequences alone are compared until silver's next commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from headworks.errors import LakeUnusable
from headworks.storage.delta import AT, Table
from headworks.storage.store import Lake

BRONZE = "#bronze"
BRONZE_ID = "#bronze-id"


def checkpoint_id(stream: str) -> str:
    """Name the transaction that carries the token of a stream's last commit."""
    return f"{stream}#checkpoint"


def rows_id(stream: str) -> str:
    """Name the transaction that carries how many rows a stream has landed in all, plus one."""
    return f"{stream}#rows"


def set_back_id(stream: str) -> str:
    """Name the transaction that carries the sequence by which a stream was last set back, to be read again."""
    return f"{stream}#set-back"


def consumed_id(stream: str) -> str:
    """Name the transaction that carries, in silver, the token of the last commit of a stream that was consumed."""
    return f"{stream}#consumed"


def id_number(table_id: str) -> int:
    """Return a table's id as a number of 62 bits, at least 1, which fits a transaction."""
    return int.from_bytes(hashlib.blake2b(table_id.encode(), digest_size=8).digest()) >> 2 or 1


def remembered(bronze: Table, streams: Iterable[str]) -> dict[str, int]:
    """Return what silver's commit keeps of the bronze that it consumed, of the named streams to their ends."""
    kept = {BRONZE: bronze.version, BRONZE_ID: id_number(bronze.id)}
    for stream in streams:
        kept[consumed_id(stream)] = bronze.transaction(checkpoint_id(stream))
        kept[rows_id(stream)] = bronze.transaction(rows_id(stream))
    return kept


def check_not_set_back(lake: Lake, dataset: str, bronze: Table) -> None:
    """Raise `LakeUnusable` where bronze is not the table, or older than the version, that silver consumed."""
    silver = lake.open("silver", dataset)
    if silver is not None:
        check_bronze(dataset, bronze, silver)


def check_bronze(dataset: str, bronze: Table, silver: Table) -> None:
    """Compare bronze with what a silver version remembers of it; raises `LakeUnusable` for a bronze set back."""
    known = silver.transaction(BRONZE_ID)
    if known and known != id_number(bronze.id):
        raise _set_back(dataset, "it is another table than the one that silver was made of, made again since")
    if silver.transaction(BRONZE) > bronze.version:
        raise _set_back(
            dataset,
            f"it ends at version {bronze.version}, and silver consumed version {silver.transaction(BRONZE)}",
        )
    for stream in sorted({dataset, *bronze.streams()}):
        consumed, token = silver.transaction(stream), silver.transaction(consumed_id(stream))
        landed = bronze.transaction(stream)
        if landed < consumed:
            raise _set_back(
                dataset, f"stream {stream} ends at sequence {landed}, and silver consumed sequence {consumed}"
            )
        if landed == consumed and token and token != bronze.transaction(checkpoint_id(stream)):
            raise _set_back(
                dataset,
                f"sequence {consumed} of stream {stream} is another batch than the one that silver consumed",
            )


def check_not_restored(table: Table) -> None:
    """Raise `LakeUnusable` where somebody set a table back by RESTORE, which leaves its transactions as they are."""
    at = table.transaction(AT)
    to = table.restored_since(at)
    if to is not None and to < at:
        layer, _, dataset = table.name.partition(".")
        raise LakeUnusable(
            f"The table was set back to version {to} by RESTORE, and its transactions still say what {at} held.",
            where=table.name,
            do=f"restore version {at}, or move the folders {layer} and quarantine of {dataset} away: the next run "
            "makes silver again from bronze.",
        )


def _set_back(dataset: str, why: str) -> LakeUnusable:
    return LakeUnusable(
        f"Bronze is older than silver, as after a partial restore: {why}. Rows would be passed by, so none was read.",
        where=f"bronze.{dataset}",
        do="restore bronze and _headworks/checkpoints from the moment of silver or a later one. If they are lost, move "
        f"silver and quarantine of {dataset} away, which are then made again from bronze, and read the source in full.",
    )
