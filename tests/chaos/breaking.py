"""Engines that are wrong on purpose, so that the campaign is seen to find what it looks for.

Each does in two steps what the protocols do in one, or in the wrong order: the mistakes that they exist to avoid. What
belongs here: such mistakes. What does not: anything that the real engine does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from headworks.bronze import landing
from headworks.bronze.landing import Head, Landing
from headworks.gold.products import ProductVersion
from headworks.publish import postgres
from headworks.silver import concluding, merging, quarantine
from headworks.silver import table as silver
from headworks.storage.store import Lake
from tests.chaos.marking import Voice
from tests.chaos.steps import Place, ends

BREAKS: Final = ("position-after", "position-before", "quarantine-last", "ledger-first")
"""What a kill in between does: a stream's position written next to the data, after or before the rows, duplicates or
loses them; rejected rows that are written after silver are lost; a publication that is recorded before its rows
is never made."""


def break_engine(how: str, voice: Voice) -> None:
    """Make the engine wrong in one of the ways of `BREAKS`; it has to be marked already."""
    if how == "quarantine-last":
        _put_rejected_last()
    elif how == "ledger-first":
        _record_first(voice)
    else:
        _keep_positions_beside(before=how == "position-before")


def _keep_positions_beside(*, before: bool) -> None:
    read_head, commit = landing.read_head, _private(landing, "_commit")
    put_checkpoint = landing.put_checkpoint
    reached: dict[str, Any] = {}

    def forgetful_head(lake: Lake, table: Any, dataset: str, stream: str) -> Head:
        alongside = _alongside(lake, stream)
        position = json.loads(alongside.read_text()) if alongside.exists() else None
        return replace(read_head(lake, table, dataset, stream), position=position)

    def note_position(where: Landing, sequence: int, token: int, position: Any, *more: Any) -> None:
        reached[where.stream] = position
        put_checkpoint(where, sequence, token, position, *more)

    def two_step_commit(where: Landing, table: Any, rows: Any, *sequence_and_more: Any) -> None:
        alongside = _alongside(where.lake, where.stream)
        alongside.parent.mkdir(parents=True, exist_ok=True)
        if before:
            alongside.write_text(json.dumps(reached[where.stream]))
        commit(where, table, rows, *sequence_and_more)
        if not before:
            alongside.write_text(json.dumps(reached[where.stream]))

    _replace(landing, read_head=forgetful_head, put_checkpoint=note_position, _commit=two_step_commit)


def _put_rejected_last() -> None:
    put_rejected, commit_silver = quarantine.put_rejected, silver.commit_silver
    waiting: list[tuple[Any, ...]] = []

    def put_later(*arguments: Any) -> Any:
        waiting.append(arguments)
        return arguments[2]

    def commit_then_put(*arguments: Any) -> None:
        commit_silver(*arguments)
        put_rejected(*waiting.pop())

    # The real one refuses to come after silver; the wrong one never asks.
    _replace(quarantine, _check_last=lambda *_: None)
    _replace(concluding, put_rejected=put_later)
    _replace(merging, commit_silver=commit_then_put)


def _record_first(voice: Voice) -> None:
    lock, record = _private(postgres, "_lock"), _private(postgres, "_record")

    def lock_and_record(connection: Any, schema: str, product: ProductVersion, target: str) -> int:
        recorded: int = lock(connection, schema, product, target)
        if recorded < product.sequence:
            record(connection, schema, product)
            connection.commit()
            voice.say(ends(Place("postgres", "commit", product.product)))
        return recorded

    _replace(postgres, _lock=lock_and_record)


def _private(module: Any, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(module, name)
    return found


def _replace(module: Any, **functions: Callable[..., Any]) -> None:
    for name, function in functions.items():
        assert hasattr(module, name), f"{module.__name__} has no {name}: it would break nothing"
        setattr(module, name, function)


def _alongside(lake: Lake, stream: str) -> Path:
    return Path(lake.settings.root) / "positions" / f"{stream}.json"
