"""The peers' ways to the same place: a Delta table with decimals that are exact where the tool can.

Each is imported where it is used: a peer's environment has that peer alone.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path

IMPORTED = {
    "connectorx": ("connectorx", "deltalake"),
    "adbc": ("adbc_driver_postgresql.dbapi", "deltalake"),
    "dlt": ("dlt", "dlt.sources.sql_database", "deltalake"),
}


def connectorx(dsn: str, table: str, lake: str) -> None:
    """Read with connectorx into Arrow as a stream, and write it as it comes."""
    import connectorx as cx
    from deltalake import write_deltalake

    reader = cx.read_sql(dsn, f"SELECT * FROM {table}", return_type="arrow_stream", batch_size=100_000)
    write_deltalake(lake, reader)


def adbc(dsn: str, table: str, lake: str) -> None:
    """Read with ADBC's driver as a stream, numerics as the text that it gives, and write it as it comes."""
    import adbc_driver_postgresql.dbapi as driver
    from deltalake import write_deltalake

    with driver.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        write_deltalake(lake, cursor.fetch_record_batch())


def dlt(dsn: str, table: str, lake: str, backend: str) -> None:
    """Load with dlt's own database source and file destination, in one of its backends."""
    import dlt as tool
    from dlt.sources.sql_database import sql_table

    resource = sql_table(dsn, table=table, backend=backend, chunk_size=100_000)
    pipeline = tool.pipeline(
        f"bench_{backend}",
        destination=tool.destinations.filesystem(bucket_url=f"file://{lake}"),
        dataset_name="bench",
        pipelines_dir=f"{lake}-dlt",
    )
    pipeline.run(resource, table_format="delta", write_disposition="replace").raise_on_failed_jobs()


def main(way: str, dsn: str, table: str, lake: str, report: str) -> None:
    """Take one peer's way, and write how long it took."""
    name, _, backend = way.partition("-")
    for module in IMPORTED[name]:  # not a part of reading
        import_module(module)
    began = time.monotonic()
    if name == "dlt":
        dlt(dsn, table, lake, backend)
    else:
        {"connectorx": connectorx, "adbc": adbc}[name](dsn, table, lake)
    Path(report).write_text(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
