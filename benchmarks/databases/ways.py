"""Our way: a table to committed Delta bronze, through the whole landing protocol."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pydantic import SecretStr

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.readers import TableIngest
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake


def main(dsn: str, table: str, lake: str, report: str, ranges: str) -> None:
    """Take a table in whole, and write how long it took."""
    database = DatabaseSettings(url=SecretStr(dsn))
    intake = TableIngest(PostgresTable(database, Table(name=table, ranges=int(ranges))))
    began = time.monotonic()
    ingest(IngestRequest(Lake(LakeSettings(root=lake)), f"tpch.{table}", "bench", mode="full"), intake)
    Path(report).write_text(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
