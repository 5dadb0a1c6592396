"""Looks for secrets in everything that is kept or shown: the server's tables, files, and the tables of a lake."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from deltalake import DeltaTable

from tests.support.held import Operated

_PAGE = 200
LISTED = (
    "flows",
    "flow_runs",
    "task_runs",
    "flow_run_states",
    "task_run_states",
    "logs",
    "artifacts",
    "variables",
    "deployments",
    "work_pools",
    "work_queues",
    "automations",
    "block_documents",
    "v2/concurrency_limits",
)
"""All that the server lists to whoever may read it. Blocks are among them, as they are shown: without their secrets."""


def server_texts(server: Operated) -> Iterator[tuple[str, str]]:
    """Walk over all that a server shows, one text for each thing of each kind."""
    for kind in LISTED:
        if kind.endswith("_states"):
            continue
        for one in _all(server, kind):
            yield f"{kind} {one.get('id', '')}", json.dumps(one)
    for run in _all(server, "flow_runs"):
        yield f"states of {run['id']}", json.dumps(server.get(f"flow_run_states/?flow_run_id={run['id']}"))
    for run in _all(server, "task_runs"):
        yield f"states of {run['id']}", json.dumps(server.get(f"task_run_states/?task_run_id={run['id']}"))
    for event in server.post("events/filter", {"limit": 50})["events"]:
        yield f"event {event['id']}", json.dumps(event)


def file_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Walk over all files below a folder, as they are."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path), path.read_bytes().decode("utf-8", errors="replace")


def table_texts(lake: Path) -> Iterator[tuple[str, str]]:
    """Walk over all rows of all tables of a lake, in every column: Parquet compresses, so files report nothing."""
    for log in sorted(lake.rglob("_delta_log")):
        table = DeltaTable(str(log.parent))
        frame = pl.scan_delta(table).collect()
        yield f"table {log.parent}", "\n".join(map(str, frame.iter_rows()))


def log_texts(root: Path) -> Iterator[tuple[str, str]]:
    """Walk over the logs of all tables: commits, which are JSON, and checkpoints, which are Parquet."""
    for log in sorted(root.rglob("_delta_log")):
        for path in sorted(log.iterdir()):
            if path.suffix == ".json":
                yield f"log {path.relative_to(root)}", path.read_text()
            elif path.suffix == ".parquet":
                rows = pq.read_table(path).to_pylist()
                yield f"log {path.relative_to(root)}", json.dumps(rows, default=str)


def footer_texts(root: Path) -> Iterator[tuple[str, str]]:
    """Walk over the footers of all data files: their bounds of each column are in clear."""
    for path in sorted(root.rglob("*.parquet")):
        if "_delta_log" in path.parts:
            continue
        footer = pq.ParquetFile(path).metadata
        bounds = [
            f"{statistics.min} {statistics.max}"
            for group in range(footer.num_row_groups)
            for column in range(footer.num_columns)
            if (statistics := footer.row_group(group).column(column).statistics) is not None
            and statistics.has_min_max
        ]
        yield f"footer {path.relative_to(root)}", f"{bounds} {footer.metadata}"


def seen(texts: Iterator[tuple[str, str]], secrets: Sequence[str]) -> list[str]:
    """Return where one of the secrets is seen, each place once; fails where nothing was looked at."""
    looked, found = 0, []
    for where, text in texts:
        looked += 1
        if any(secret in text for secret in secrets):
            found.append(where)
    assert looked, "nothing was looked at, so this would pass whatever is shown"
    return found


def _all(server: Operated, kind: str) -> Iterator[Mapping[str, Any]]:
    offset = 0
    while True:
        found: list[Mapping[str, Any]] = server.post(f"{kind}/filter", {"limit": _PAGE, "offset": offset})
        yield from found
        if len(found) < _PAGE:
            return
        offset += _PAGE
