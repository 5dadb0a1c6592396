"""Every type and every later type, through every layer: ``python -m tests.drift.campaign --seed 1``."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import psycopg
from pydantic import SecretStr

from headworks.settings import DatabaseSettings
from tests.drift.chain import PairPlay, output, play
from tests.support.types import FLAT

NESTED: tuple[pl.DataType, ...] = (
    pl.List(pl.Int32()),
    pl.List(pl.Int64()),
    pl.Struct({"a": pl.Int64()}),
    pl.Struct({"b": pl.Date(), "a": pl.Decimal(21, 2)}),
    pl.List(pl.Struct({"a": pl.Float32()})),
    pl.List(pl.Struct({"a": pl.Float64(), "b": pl.String()})),
)
TYPES = (*(dtype for dtype in FLAT if dtype != pl.Null()), *NESTED)
_SHOWN_EVERY = 20
PAIRS = tuple((before, after) for before in TYPES for after in TYPES if before != after)


def sample(seed: int, count: int) -> list[tuple[pl.DataType, pl.DataType]]:
    """Return some of the pairs, always the same ones for a seed."""
    return random.Random(seed).sample(PAIRS, count)


def run(
    folder: Path,
    pairs: Sequence[tuple[pl.DataType, pl.DataType]],
    seed: int,
    database: DatabaseSettings | None,
) -> list[PairPlay]:
    """Play pairs one after another, each with a lake of its own."""
    stories = []
    for number, (before, after) in enumerate(pairs):
        own = folder / str(number)
        own.mkdir()
        if database is not None:
            with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
                connection.execute("DROP SCHEMA IF EXISTS drift CASCADE")
        stories.append(play(own, before, after, seed, database))
    return stories


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the chosen part of all pairs, print what was wrong and how often each layer refused; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.drift.campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many of all pairs")
    parser.add_argument("--database", help="a Postgres to publish to, as a URL")
    asked = parser.parse_args(arguments)
    database = DatabaseSettings(url=SecretStr(asked.database)) if asked.database else None
    began, refused, wrong = time.monotonic(), Counter[str](), 0
    pairs = sample(asked.seed, asked.pairs)
    for number, pair in enumerate(pairs, start=1):
        with tempfile.TemporaryDirectory() as folder:
            stories = run(Path(folder), [pair], asked.seed, database)
        refused.update(layer for story in stories for layer in story.refused)
        wrong += sum(bool(story.wrong) for story in stories)
        if text := output(stories):
            print(text, flush=True)
        if number % _SHOWN_EVERY == 0:
            print(f"{number} pairs, {wrong} wrong, {time.monotonic() - began:.0f} s", flush=True)
    took = time.monotonic() - began
    print(f"{len(pairs)} pairs in {took:.0f} s: {wrong} wrong; refused {dict(sorted(refused.items()))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
