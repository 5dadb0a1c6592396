"""Marker lines: how a worker shows where it is, and how the killer reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

Kind = Literal["bronze", "silver", "quarantine", "gold", "products", "postgres"]
Phase = Literal["step", "commit"]
Sign = Literal[">", "<", "+", "="]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
DONE: Final = "="
"""The sign of the line that ends a pass."""


@dataclass(frozen=True)
class Place:
    """Where a worker can be: a kind of step, the whole of it or one commit in it, and the table."""

    kind: Kind
    phase: Phase
    table: str

    def __str__(self) -> str:
        return f"{self.kind} {self.phase} {self.table}"


@dataclass(frozen=True)
class Marker:
    """One line of a worker: a place begins or ends, a batch has landed, or the pass is done."""

    sign: Sign
    place: Place | None = None
    stream: str = ""
    sequence: int = 0


def begins(place: Place) -> str:
    """Return the line that says that a place is entered."""
    return f"> {place}"


def ends(place: Place) -> str:
    """Return the line that says that a place is left."""
    return f"< {place}"


def landed(stream: str, sequence: int) -> str:
    """Return the line that says that a batch of a stream is committed, as far as the worker knows."""
    return f"+ {stream} {sequence}"


def read_marker(line: str) -> Marker | None:
    """Read a line; None where it is no marker, or was cut short by the kill."""
    words = line.split()
    match words:
        case [">" | "<" as sign, kind, ("step" | "commit") as phase, table] if line.endswith("\n"):
            return Marker(cast(Sign, sign), Place(cast(Kind, kind), phase, table))
        case ["+", stream, sequence] if line.endswith("\n"):
            return Marker("+", stream=stream, sequence=int(sequence))
        case ["="]:
            return Marker("=")
        case _:
            return None


def follow(stack: Sequence[Place], marker: Marker) -> list[Place]:
    """Return the places that a worker is in after a marker, the innermost last."""
    if marker.place is None:
        return list(stack)
    if marker.sign == ">":
        return [*stack, marker.place]
    # What was begun inside and never ended is left with what it is in.
    return list(stack[: stack.index(marker.place)]) if marker.place in stack else list(stack)


def layer_of(table: str) -> tuple[Kind, str]:
    """Return the kind of step that commits to a table, and the table's name without its layer."""
    layer, _, name = table.partition(".")
    return cast(Kind, layer), name or layer
