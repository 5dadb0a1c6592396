"""One column through all layers while its type changes: bronze, silver mirrored and declared, gold, Postgres."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import psycopg

from headworks.bronze.landing import Landing, land
from headworks.errors import HeadworksError, PublicationRefused, SchemaChanged, SettingsError, ValueRefused
from headworks.gold.curation import GoldTable, Inputs, audit, curate, stage
from headworks.gold.products import publish_product, read_product
from headworks.gold.table import pin
from headworks.publish.postgres import publish_postgres
from headworks.publish.tables import PublishedTable
from headworks.quality.limits import AnomalyLimits
from headworks.settings import DatabaseSettings, LakeSettings, RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.mirror import mirror
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.sources.base import Batch, Position
from headworks.storage.drift import stored
from headworks.storage.store import Lake
from tests.support.types import extremes, held

MIRRORED, DECLARED, GOLD = "t.mirrored", "t.declared", "t.gold"
RUNS = 4
"""The first with one type, and three further ones: the other type, the first again, the other again."""

_QUIET = AnomalyLimits(enabled=False)
_CONTRACT = """\
dataset: lake/gold/gold
columns:
- name: id
  checks:
  - missing:
"""


@dataclass
class Newest:
    """A source that has one frame now, and gives it once."""

    frame: pl.DataFrame
    run: int

    @property
    def schema(self) -> pl.Schema:
        """The columns as they are now."""
        return self.frame.schema

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the frame, unless it was landed."""
        if (position or {"run": -1})["run"] < self.run:
            yield Batch(self.frame, {"run": self.run}, read=self.frame.height)


@dataclass
class Layer:
    """What a layer must hold: the value of each id, those that it rejected, and what it has not seen yet."""

    values: dict[int, Any] = field(default_factory=dict)
    rejected: set[int] = field(default_factory=set)
    pending: list[tuple[int, Any]] = field(default_factory=list)


@dataclass
class PairPlay:
    """What became of a pair of types: the layers that refused it, with their messages."""

    before: pl.DataType
    after: pl.DataType
    refused: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def plain(value: Any) -> Any:
    """Return a value as it is compared: moments without their zone, empty fields left out, NaN equal to itself."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if each is not None}
    return bytes(value) if isinstance(value, memoryview) else value


def as_json(value: Any) -> Any:
    """Return a nested value as JSON shows it."""
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, dict):
        return {name: as_json(each) for name, each in value.items()}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def values_of(dtype: pl.DataType, chance: random.Random) -> list[Any]:
    """Return the hardest values of a type, some by chance, and null."""
    return [*extremes(dtype), *(_random(dtype, chance) for _ in range(3)), None]


def _random(dtype: pl.DataType, chance: random.Random) -> Any:
    if isinstance(dtype, pl.Decimal):
        digits = tuple(chance.randrange(10) for _ in range(chance.randint(1, dtype.precision)))
        return Decimal((chance.randrange(2), digits, -dtype.scale))
    if dtype.is_integer():
        few = [value for value in extremes(dtype) if value is not None]
        return chance.randint(min(few), max(few))
    if dtype.is_float():
        value = chance.choice([chance.uniform(-1e6, 1e6), chance.gauss(0, 1e30), math.nan])
        return pl.Series([value], dtype=dtype).cast(pl.Float64)[0]
    moment = datetime(1, 1, 2) + timedelta(
        days=chance.randrange(3_652_000), milliseconds=chance.randrange(86_400_000)
    )
    return {
        pl.Datetime: moment,
        pl.Date: date(moment.year, moment.month, moment.day),
        pl.String: f"{chance.randrange(10**6):08}",
        pl.Binary: chance.randbytes(5),
        pl.Boolean: chance.random() < 0.5,
    }.get(dtype.base_type())


def play(
    folder: Path, before: pl.DataType, after: pl.DataType, seed: int, database: DatabaseSettings | None
) -> PairPlay:
    """Play the runs of a pair of types through all layers."""
    chance, story = random.Random(f"{seed} {before} {after}"), PairPlay(before, after)
    lake = Lake(LakeSettings(root=str(folder / "lake")))
    contract = folder / "gold.yml"
    contract.write_text(_CONTRACT)
    layers = {name: Layer() for name in (MIRRORED, DECLARED, GOLD, "postgres")}
    for run in range(RUNS):
        dtype = after if run % 2 else before
        values = values_of(dtype, chance)
        # The first id gets another version in each run, the others come once.
        rows = [(1, values[0]), *((100 * (run + 1) + place, value) for place, value in enumerate(values))]
        frame = pl.DataFrame(
            {"id": [row[0] for row in rows], "at": [run] * len(rows)}, schema={"id": pl.Int64, "at": pl.Int64}
        ).with_columns(v=pl.Series([row[1] for row in rows], dtype=dtype))
        landed = _attempt(story, "bronze", run, lambda frame=frame, run=run: _land(lake, frame, run))
        if landed:
            for name in (MIRRORED, DECLARED):
                layers[name].pending += rows
        have = lake.must_open("bronze", MIRRORED).schema if lake.open("bronze", MIRRORED) else pl.Schema()
        if "v" not in have:
            continue
        source = pl.Schema({name: kind for name, kind in have.items() if not name.startswith("_")})
        mirrored = replace(mirror(MIRRORED, ("id",), source, "at"), anomalies=_QUIET)
        if _attempt(story, "silver mirrored", run, lambda d=mirrored: _refine(lake, d)):
            _taken(layers[MIRRORED], source["v"])
        kind = stored(dtype)
        if kind is not None and (column := _column(kind)) is not None:
            declared = _declared(column)
            if _attempt(story, "silver declared", run, lambda d=declared: _refine(lake, d)):
                _taken(layers[DECLARED], kind)
        _compare(story, lake, MIRRORED, layers[MIRRORED], run)
        _compare(story, lake, DECLARED, layers[DECLARED], run)
        _downstream(story, lake, contract, layers, run, database)
    return story


def _downstream(
    story: PairPlay,
    lake: Lake,
    contract: Path,
    layers: dict[str, Layer],
    run: int,
    database: DatabaseSettings | None,
) -> None:
    silver = lake.open("silver", MIRRORED)
    if silver is None or silver.version == 0:
        return
    gold = GoldTable(GOLD, (MIRRORED,), _transform, ("id",), contract, anomalies=_QUIET)

    def made() -> None:
        candidate = stage(lake, gold, pin(lake, [MIRRORED]))
        reference = curate(lake, candidate, audit(lake, gold, candidate)).table
        publish_product(lake, "p", [reference], f"run {run}")

    if not _attempt(story, "gold", run, made):
        return
    layers[GOLD].values = dict(layers[MIRRORED].values)
    frame = lake.must_open("gold", GOLD).scan().select("id", "v").collect()
    _same(story, GOLD, run, layers[GOLD].values, dict(frame.iter_rows()))
    if database is not None and _attempt(story, "postgres", run, lambda: _publish(lake, database)):
        with psycopg.connect(database.libpq_url(), options="-c timezone=UTC") as connection:
            # A float of four bytes is not its text.
            shown = "v::float8" if frame.schema["v"] == pl.Float32() else "v"
            found: dict[int, object] = dict(
                connection.execute(f"SELECT id, {shown} FROM drift.gold".encode()).fetchall()
            )
        wanted = layers[GOLD].values
        if "Struct" in str(frame.schema["v"]):
            # Published as JSON, of what gold holds: numbers as doubles are read, decimals and dates as texts.
            held_there: dict[int, Any] = dict(frame.iter_rows())
            wanted, found = (
                {key: as_json(value) for key, value in each.items()} for each in (held_there, found)
            )
        _same(story, "postgres", run, wanted, found)


def _transform(inputs: Inputs) -> pl.LazyFrame:
    return inputs[MIRRORED].select("id", "v")


def _publish(lake: Lake, database: DatabaseSettings) -> None:
    version = read_product(lake, "p")
    assert version is not None
    publish_postgres(lake, database, "drift", version, (PublishedTable(GOLD, "gold", ("id",)),))


def _land(lake: Lake, frame: pl.DataFrame, run: int) -> None:
    for name in (MIRRORED, DECLARED):
        land(Landing(lake, name, name, f"run {run}"), Newest(frame, run))


def _refine(lake: Lake, dataset: Dataset) -> None:
    outcome = refine(Refinement(lake, "run"), dataset)
    assert outcome.gate is None or outcome.gate.open, outcome.gate


def _column(dtype: pl.DataType) -> dy.Column | None:
    """Return how a type is declared in code; None for those that no rule can be about."""
    made = mirror("t.any", ("id",), pl.Schema({"id": pl.Int64(), "v": dtype}), None)
    return made.schema.columns()["v"]


def _declared(column: dy.Column) -> Dataset:
    made = {"id": dy.Int64(nullable=False), "at": dy.Int64(nullable=False), "v": column}
    return Dataset(
        name=DECLARED,
        key=("id",),
        schema=type("Declared", (dy.Schema,), dict(made)),
        columns={name: pl.col(name) for name in made},
        cursor="at",
        limits=RejectLimits(share=1.0),
        anomalies=_QUIET,
    )


def _attempt(story: PairPlay, layer: str, run: int, step: Any) -> bool:
    """Take a step; a refusal is noted, and is wrong where it does not name column, before, after and what to do."""
    try:
        step()
    except (SchemaChanged, ValueRefused, SettingsError, PublicationRefused) as refusal:
        text = str(refusal)
        story.refused.setdefault(layer, text)
        if "v" not in text.split() and "'v'" not in text:
            story.wrong.append(f"{layer}, run {run}: the column is not named: {text}")
        names = {str(kind) for kind in (story.before, story.after, stored(story.before), stored(story.after))}
        if layer != "postgres" and sum(name in text for name in names) < 2:
            story.wrong.append(f"{layer}, run {run}: both types are not named: {text}")
        if not refusal.do:
            story.wrong.append(f"{layer}, run {run}: nothing says what to do: {text}")
        if run == 0 and layer != "postgres" and "No table" not in text:
            story.wrong.append(f"{layer}: the first run is refused: {text}")
        return False
    except HeadworksError as problem:
        story.wrong.append(f"{layer}, run {run}: {type(problem).__name__}: {problem}")
        return False
    return True


def _taken(layer: Layer, dtype: pl.DataType) -> None:
    """Say what a layer holds once it took what was pending, as a type that may not hold all of it."""
    for number, value in layer.pending:
        if held(plain_for_type(value), dtype):
            layer.values[number] = value
            layer.rejected.discard(number)
        else:
            layer.rejected.add(number)
    layer.pending.clear()


def plain_for_type(value: Any) -> Any:
    """Return a value as it is asked whether a type holds it."""
    return (
        value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
    )


def _compare(story: PairPlay, lake: Lake, name: str, layer: Layer, run: int) -> None:
    silver = lake.open("silver", name)
    if silver is None:
        return
    frame = silver.scan().filter(~pl.col("_deleted")).select("id", "v").collect()
    _same(story, name, run, layer.values, dict(frame.iter_rows()))
    kept = rejected_rows(lake, name, silver)
    found = set() if kept is None else {int(key) for key in kept.select("key").collect().to_series()}
    if missing := layer.rejected - found:
        story.wrong.append(f"{name}, run {run}: neither taken nor rejected: {sorted(missing)}")


def _same(story: PairPlay, where: str, run: int, wanted: dict[int, Any], found: dict[int, Any]) -> None:
    differ = {
        number: (wanted.get(number, "no row"), found.get(number, "no row"))
        for number in {*wanted, *found}
        if not _equal(wanted.get(number, "no row"), found.get(number, "no row"))
    }
    if differ:
        number, (one, other) = min(differ.items())
        story.wrong.append(f"{where}, run {run}: {len(differ)} differ, as {number}: {one!r} became {other!r}")


def _equal(one: Any, other: Any) -> bool:
    here, there = plain(one), plain(other)
    numbers = isinstance(here, int | float | Decimal) and isinstance(there, int | float | Decimal)
    # Python compares numbers of different types exactly; true is no 1.
    return (
        bool(here == there)
        and (numbers or type(here) is type(there))
        and isinstance(here, bool) == isinstance(there, bool)
    )


def output(stories: Sequence[PairPlay]) -> str:
    """Return what was wrong, for people."""
    return "\n".join(f"{one.before} then {one.after}: {text}" for one in stories for text in one.wrong)
