"""The worker's side of the markers: each step and each commit says when it begins and when it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from headworks.publish import postgres
from headworks.silver import concluding
from headworks.silver.quarantine import put_rejected
from headworks.storage.delta import Table
from tests.chaos.steps import Place, begins, ends, layer_of

Call = Callable[..., Any]


class Voice:
    """Says the marker lines; at the line ``hold`` it stops for good, and waits there to be killed."""

    def __init__(self, hold: str | None = None) -> None:
        self._hold = hold

    def say(self, line: str) -> None:
        """Write a line at once, in one piece."""
        os.write(sys.stdout.fileno(), f"{line}\n".encode())
        if line == self._hold:
            sys.stdin.readline()

    @contextmanager
    def within(self, place: Place) -> Iterator[None]:
        """Say that a place is entered and left; a place that is left by an error is not said to be left."""
        self.say(begins(place))
        yield
        self.say(ends(place))


def mark_engine(voice: Voice) -> None:
    """Wrap the engine's commits, its quarantine step and its last statement before Postgres commits."""
    for name in ("append", "append_part", "overwrite", "merge", "delete"):
        setattr(Table, name, _marked_commit(voice, getattr(Table, name)))
    setattr(concluding, "put_rejected", _marked_quarantine(voice, put_rejected))  # noqa: B010
    setattr(postgres, "_record", _marked_record(voice, getattr(postgres, "_record")))  # noqa: B009, B010


def _marked_commit(voice: Voice, commit: Call) -> Call:
    def marked(table: Table, *arguments: Any, **named: Any) -> Any:
        kind, name = layer_of(table.name)
        with voice.within(Place(kind, "commit", name)):
            return commit(table, *arguments, **named)

    return marked


def _marked_quarantine(voice: Voice, put: Call) -> Call:
    def marked(lake: Any, dataset: str, *arguments: Any) -> Any:
        with voice.within(Place("quarantine", "step", dataset)):
            return put(lake, dataset, *arguments)

    return marked


def _marked_record(voice: Voice, record: Call) -> Call:
    def marked(connection: Any, schema: str, product: Any) -> Any:
        # Left open: the commit comes next, and the end of the step ends this too.
        voice.say(begins(Place("postgres", "commit", product.product)))
        return record(connection, schema, product)

    return marked
