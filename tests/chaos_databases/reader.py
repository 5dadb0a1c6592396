"""A process that takes one table in, and says each batch that it committed."""

from __future__ import annotations

import sys
from typing import cast

from pydantic import SecretStr

from headworks.bronze.ingest import IngestRequest, Mode, ingest
from headworks.bronze.readers import TableIngest
from headworks.errors import RetryError
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake

BATCH_ROWS = 150
HEALS = 7
"""The exit code for an error after which the same may be tried again."""


def main(root: str, dsn: str, mode: str) -> int:
    """Take the table in; `HEALS` where the database failed in a way that heals."""
    print("ready", flush=True)
    sys.stdin.readline()
    table = Table(name="rows", cursor="at", commit_lag_s=0, batch_rows=BATCH_ROWS, ranges=2)
    intake = TableIngest(PostgresTable(DatabaseSettings(url=SecretStr(dsn)), table))
    request = IngestRequest(Lake(LakeSettings(root=root)), "t.rows", "chaos", cast(Mode, mode))
    try:
        ingest(request, intake, lambda report: print(report.stream, report.last_sequence, flush=True))
    except RetryError as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        return HEALS
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
