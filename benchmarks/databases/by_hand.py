"""The shortest way by hand: asyncpg's COPY through a pipe into Arrow's CSV reader, and on to one Delta commit.

It is what the same libraries take on a machine without any of what headworks adds: one snapshot for parts, batches and
positions to continue from, values that no type holds, columns that report where a row came from. Its schema is
headworks'.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from io import BufferedReader
from pathlib import Path

import asyncpg
import pyarrow as pa
import uvloop
from deltalake import write_deltalake
from psycopg import sql
from pyarrow import csv
from pydantic import SecretStr

from headworks.settings import DatabaseSettings
from headworks.sources.sql.columns import Column, describe_columns
from headworks.sources.sql.connect import connected

_BLOCK = 4 * 2**20


def main(dsn: str, table: str, lake: str, report: str) -> None:
    """Read a table whole, and write how long it took."""
    settings = DatabaseSettings(url=SecretStr(dsn))
    began = time.monotonic()
    with connected(settings, application="by hand", read_only=True) as connection:
        columns = describe_columns(connection, sql.Identifier(table), table)
    receiving, sending = os.pipe()
    thread = threading.Thread(target=lambda: uvloop.run(_send(dsn, table, sending)))
    thread.start()
    with os.fdopen(receiving, "rb") as lines:
        write_deltalake(lake, _reader(lines, columns))
    thread.join()
    Path(report).write_text(json.dumps({"seconds": time.monotonic() - began}))


async def _send(dsn: str, table: str, sending: int) -> None:
    with os.fdopen(sending, "wb", buffering=_BLOCK) as pipe:

        async def take(data: bytes) -> None:
            pipe.write(data)

        connection = await asyncpg.connect(dsn)
        await connection.copy_from_query(f"SELECT * FROM {table}", output=take)
        await connection.close()


def _reader(lines: BufferedReader, columns: list[Column]) -> csv.CSVStreamingReader:
    return csv.open_csv(
        lines,
        read_options=csv.ReadOptions(
            column_names=[column.name for column in columns], block_size=_BLOCK, use_threads=False
        ),
        parse_options=csv.ParseOptions(
            delimiter="\t", quote_char=False, double_quote=False, escape_char=False
        ),
        convert_options=csv.ConvertOptions(
            column_types={column.name: _type(column) for column in columns},
            null_values=["\\N"],
            strings_can_be_null=True,
        ),
    )


def _type(column: Column) -> pa.DataType:
    """Return a type that Arrow reads from text by itself."""
    kind = column.arrow
    return pa.decimal128(kind.precision, kind.scale) if pa.types.is_decimal64(kind) else kind


if __name__ == "__main__":
    main(*sys.argv[1:])
