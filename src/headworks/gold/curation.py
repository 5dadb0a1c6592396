"""Gold tables: declared as transforms of silver, staged, audited, and only then committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from headworks.errors import GateClosed, HeadworksError, LakeUnusable, SettingsError, TransformFailed
from headworks.gold.code import fingerprint
from headworks.gold.holding import forget_hold, hold_gold, with_hold
from headworks.gold.parts import Made, differing, made_again, with_parts
from headworks.gold.plans import NotFollowed, Plan, ask, schemas_of
from headworks.gold.sql import Sql
from headworks.gold.table import (
    CODE,
    WHOLE,
    Pins,
    Staged,
    commit_gold,
    is_current,
    pinned_inputs,
    read_staged,
    staged_uri,
    staging_id,
    write_staged,
    writer_id,
)
from headworks.gold.totals import Totals, check_totals, declared_totals
from headworks.names import check_dataset
from headworks.ports import Clock, system_clock
from headworks.quality.contracts import run_contract
from headworks.quality.deliveries import held, held_check
from headworks.quality.gate import decide
from headworks.quality.limits import AnomalyLimits
from headworks.reports import CheckReport, CurateReport, GateReport, Parts
from headworks.silver.dataset import check_contract
from headworks.silver.screening import screen_gold
from headworks.storage.delta import AT, Table
from headworks.storage.drift import storable, wider
from headworks.storage.exact import exactly, fits
from headworks.storage.rehearsal import has_changes
from headworks.storage.store import Lake
from headworks.storage.translating import is_of_a_store, reading, storage_error

_ROWS_SHOWN = 3

Inputs = Mapping[str, pl.LazyFrame]


@dataclass(frozen=True)
class GoldTable:
    """Declares a gold table.

    ``transform`` makes it from the silver frames named in ``inputs``. ``totals`` computes from the same frames, by
    a way of its own, one row of sums; a column of the same name in gold must add up to the same. Whole numbers and
    decimals do so to the last digit, floats within what rounding can do, or within what ``tolerances`` says of a
    column.

    A column's type is a promise to whoever reads the table. One that widens is let through; another type closes the
    gate, unless ``retyped`` names the column.

    With ``receipts`` the transform gets all that was received: tombstones too, marked ``_deleted``, and the moment in
    which bronze got each row, ``_ingested_at``. So it can say what was known at an earlier moment.

    With ``by``, such as ``("day",)``, the table has parts, the different values of these columns, and a run makes only
    those again that the changes of silver touch. Where the transform cannot be followed from rows of silver to parts,
    the table is made whole, and the run reports why. Once in ``verify_every``, and with ``mode: full``, it is made both
    ways, and a difference of one row ends the run.

    Args:
        name: its table is ``gold.<name>``.
        key: the columns that identify a row.
        contract: the file with the checks of every candidate, in Soda's words.
        anomalies: how far a candidate may be from the good ones before it.

    Raises `NameRefused` for a name, and `SettingsError` for a table without inputs or key, or with parts that are none.

    Example:
        >>> def daily(inputs):
        ...     return inputs["shop.orders"].group_by("day").agg(pl.len().alias("orders"))
        >>> GoldTable("sales.daily", ("shop.orders",), daily, key=("day",), contract=contract).by
        ()
    """

    name: str
    inputs: tuple[str, ...]
    transform: Callable[[Inputs], pl.LazyFrame]
    key: tuple[str, ...]
    contract: Path
    totals: Callable[[Inputs], pl.LazyFrame] | None = None
    anomalies: AnomalyLimits = field(default_factory=AnomalyLimits)
    tolerances: Mapping[str, float] = field(default_factory=dict)
    retyped: tuple[str, ...] = ()
    receipts: bool = False
    by: tuple[str, ...] = ()
    verify_every: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        """Check the declaration, so that a slip shows at import and not in the night."""
        check_dataset(self.name)
        for name in self.inputs:
            check_dataset(name)
        if not self.inputs or not self.key or len({*self.key}) != len(self.key):
            raise SettingsError(
                "A gold table is made of inputs, and has a key of different columns.",
                where=self.name,
                do="name the silver datasets as inputs, and the columns that name one row as key.",
            )
        by: object = self.by
        if not isinstance(by, tuple) or len({*self.by}) != len(self.by) or self.verify_every < timedelta(0):
            raise SettingsError(
                "The parts of a gold table are those of different columns, made whole again after some time.",
                where=self.name,
                do='give by as columns that gold has, such as by=("day",), and verify_every as a time.',
            )
        check_contract(self.contract, self.name)

    @classmethod
    def from_sql(
        cls,
        name: str,
        file: Path,
        key: tuple[str, ...],
        contract: Path,
        totals: Path | None = None,
        **more: Any,
    ) -> GoldTable:
        """Declare a gold table by the file of a SELECT; what it reads is found in the query.

        ``totals`` is the file of a query of one row, and ``more`` are further fields. Raises `SettingsError` for a
        query that cannot be read, is no SELECT, or would give something else tomorrow from the same silver.
        """
        query, sums = Sql.read(file), None if totals is None else Sql.read(totals)
        inputs = (*query.inputs, *(sums.inputs if sums is not None else ()))
        return cls(name, tuple(dict.fromkeys(inputs)), query, key, contract, totals=sums, **more)

    def code(self) -> int:
        """Return a number of 62 bits that changes with what the table is made and checked by.

        That is the transform and the totals with all that they use, the contract's text, the key, the limits, and the
        version of Polars.
        """
        contract = self.contract.read_text(encoding="utf-8") if self.contract.exists() else None
        checked = (
            *(self.key, self.anomalies, self.tolerances, self.retyped),
            *(("receipts",) if self.receipts else ()),
            *((("by", self.by),) if self.by else ()),
        )
        return fingerprint(self.transform, self.totals, contract, checked, pl.__version__)


def stage(
    lake: Lake, gold: GoldTable, pins: Pins, *, whole: bool = False, clock: Clock = system_clock
) -> Staged:
    """Make the candidate of a gold table from pinned silver, unless the table was made from just that already.

    A table with ``by`` is made by parts where it can be; with ``whole`` it is made whole too, and compared.
    """
    inputs = {name: pins.input_of(name) for name in gold.inputs}
    code = gold.code()
    table = lake.open("gold", gold.name)
    changes = any(has_changes(lake, name) for name in gold.inputs)
    current = table is not None and not changes and is_current(table, inputs, code)
    rows = _row_count(table) if table is not None and current and not (whole and gold.by) else None
    if table is not None and rows is not None:
        return Staged(
            dataset=gold.name,
            staging_id=staging_id(pins, gold.inputs, code, table.version),
            base_version=table.version,
            inputs=inputs,
            code=code,
            rows=rows,
        )
    frames = pinned_inputs(lake, pins, gold.inputs, receipts=gold.receipts)
    # A table without parts is compared once its candidate is made: both and what makes it need not be in memory.
    there = _rows(table) if table is not None and gold.by else None
    plan = _plan(gold, frames)
    candidate, parts = _candidate(lake, gold, pins, table, there, frames, plan, whole=whole, moment=clock())
    totals = _totals(gold, frames)
    if table is None:
        table = lake.ensure("gold", gold.name, candidate.schema)
    candidate_id = staging_id(pins, gold.inputs, code, table.version)
    write_staged(lake, gold.name, candidate_id, candidate)
    return Staged(
        dataset=gold.name,
        staging_id=candidate_id,
        base_version=table.version,
        inputs=inputs,
        code=code,
        rows=candidate.height,
        fresh=True,
        writers={name: pins.writers[name] for name in gold.inputs if name in pins.writers},
        versions={name: pins.version_of(name).version for name in gold.inputs} if gold.by else {},
        changed=not _holds(table, there, candidate, gold.key),
        totals=totals.values,
        rounded=totals.rounded,
        parts=parts,
        plan=plan.number,
        whole_at=int(clock().timestamp()) if parts is not None and (parts.whole or parts.compared) else 0,
    )


def _plan(gold: GoldTable, frames: Inputs) -> Plan:
    """Return what the transform of a table that has parts says."""
    if not gold.by or isinstance(gold.transform, Sql):
        return Plan(why="the plan of a query in SQL is not followed")
    return ask(gold.transform, schemas_of(frames))


def _candidate(
    lake: Lake,
    gold: GoldTable,
    pins: Pins,
    table: Table | None,
    there: pl.DataFrame | None,
    frames: Inputs,
    plan: Plan,
    *,
    whole: bool,
    moment: datetime,
) -> tuple[pl.DataFrame, Parts | None]:
    """Make a candidate, of a table with ``by`` by parts where that is right, and say how much was made again."""
    if not gold.by:
        return _made(gold, frames), None
    try:
        candidate, parts = _by_parts(lake, gold, pins, table, there, plan)
    except NotFollowed as problem:
        made = _made(gold, frames)
        _check_by(gold, made)
        return made, Parts(
            of=made.select(gold.by).n_unique(),
            rows=made.height,
            touched=made.select(gold.by).n_unique(),
            whole=str(problem),
        )
    last = datetime.fromtimestamp(table.transaction(WHOLE) if table is not None else 0, tz=UTC)
    if whole or not timedelta(0) <= moment - last < gold.verify_every:
        made = _made(gold, frames)
        _require_equal(gold, candidate, made)
        return made, parts.model_copy(update={"compared": True})
    return candidate, parts


def _by_parts(
    lake: Lake, gold: GoldTable, pins: Pins, table: Table | None, there: pl.DataFrame | None, plan: Plan
) -> tuple[pl.DataFrame, Parts]:
    """Make the touched parts of a table again, and return all of its rows with them; raises `NotFollowed`."""
    if table is None or not table.transaction(CODE) or there is None:
        raise NotFollowed(
            "there is no table yet" if there is not None or table is None else "its files are lost"
        )
    if table.transaction(CODE) != gold.code():
        raise NotFollowed("it was made by another code, contract or declaration")
    if table.restored_since(table.transaction(AT)) is not None:
        raise NotFollowed("the table was restored")
    if any(has_changes(lake, name) for name in gold.inputs):
        raise NotFollowed("a dry run makes it from rows that are not in silver")
    if isinstance(gold.transform, Sql):
        raise NotFollowed(plan.why)
    made = Made(gold.transform, gold.inputs, gold.by, gold.receipts, plan)
    again = made_again(lake, made, table.transaction, pins)
    shaped = replace(again, rows=_shaped(gold, again.rows))
    candidate = with_parts(there, shaped, gold.by).sort(gold.key)
    parts = Parts(
        touched=again.values.height, of=candidate.select(gold.by).n_unique(), rows=again.rows.height
    )
    return candidate, parts


def _check_by(gold: GoldTable, made: pl.DataFrame) -> None:
    if missing := [name for name in gold.by if name not in made.columns]:
        raise TransformFailed(
            f"The transform gives no column {', '.join(missing)}, which by names; it gives {', '.join(made.columns)}.",
            where=f"gold.{gold.name}",
            do="correct by, or let the transform give these columns.",
        )
    odd = [name for name in gold.by if made.schema[name].is_float() or made.schema[name].is_nested()]
    if odd:
        raise TransformFailed(
            f"The table cannot have parts by {', '.join(odd)}: {made.schema[odd[0]]} has no values that are equal "
            "or not for certain.",
            where=f"gold.{gold.name}",
            do="name columns of dates, whole numbers or text as by.",
        )


def _require_equal(gold: GoldTable, by_parts: pl.DataFrame, whole: pl.DataFrame) -> None:
    """End the run where a table that was made by parts is another than the one that was made whole."""
    only_parts, only_whole = differing(by_parts, whole)
    if only_parts.is_empty() and only_whole.is_empty():
        return
    pieces = [
        f"{rows.height} rows are {where} alone, such as {key_shown(rows, gold.key)}"
        for rows, where in ((only_parts, "in the table by parts"), (only_whole, "in the whole one"))
        if rows.height
    ]
    raise TransformFailed(
        f"Made by parts, it differs from what it is when it is made whole: {'; '.join(pieces)}.",
        where=f"gold.{gold.name}",
        do="take by out of its declaration, which makes it whole from the next run on, and report the transform; or "
        "correct the transform, if it gives something else each time. Nothing was committed.",
    )


def _made(gold: GoldTable, frames: Inputs) -> pl.DataFrame:
    """Make the candidate, in types that a table of the lake holds, sorted by its key."""
    with _explained(gold, "transform", frames):
        made = gold.transform(frames)
        candidate = made.collect() if isinstance(made, pl.LazyFrame) else made
    if not isinstance(candidate, pl.DataFrame):
        raise TransformFailed(
            f"The transform gave a {type(candidate).__name__}.",
            where=f"gold.{gold.name}",
            do="let it return a LazyFrame.",
        )
    return _shaped(gold, candidate).sort(gold.key)


def _shaped(gold: GoldTable, candidate: pl.DataFrame) -> pl.DataFrame:
    """Return rows of a candidate in types that a table of the lake holds."""
    if missing := [name for name in gold.key if name not in candidate.columns]:
        raise TransformFailed(
            f"The transform gives no column {', '.join(missing)}, which the key names; it gives "
            f"{', '.join(candidate.columns)}.",
            where=f"gold.{gold.name}",
            do="correct the key, or let the transform give these columns.",
        )
    held = storable({name: dtype for name, dtype in candidate.schema.items()}, f"gold.{gold.name}")
    nothing = [name for name in candidate.columns if name not in held]
    if nothing:
        raise TransformFailed(
            f"The transform gives columns of nothing but nulls, which have no type: {', '.join(nothing)}.",
            where=f"gold.{gold.name}",
            do="cast them to the type that they shall have.",
        )
    for name, dtype in held.items():
        if candidate.schema[name] == dtype:
            continue
        lost = candidate.filter(~fits(pl.col(name), candidate.schema[name], dtype))
        if lost.height:
            raise TransformFailed(
                f"{lost.height} values of {name}, a {candidate.schema[name]}, do not fit the {dtype} that the lake "
                f"keeps, such as that of {key_shown(lost, gold.key)}.",
                where=f"gold.{gold.name}",
                do=f"let the transform round them, or cast the column to {dtype}.",
            )
    kept = [exactly(pl.col(name), candidate.schema[name], dtype).alias(name) for name, dtype in held.items()]
    return candidate.select(kept)


def _totals(gold: GoldTable, frames: Inputs) -> Totals:
    if gold.totals is None:
        return Totals()
    with _explained(gold, "totals", frames):
        made = gold.totals(frames)
        totals = made.collect() if isinstance(made, pl.LazyFrame) else made
        return declared_totals(totals, frames, f"gold.{gold.name}")


@contextmanager
def _explained(gold: GoldTable, what: str, frames: Inputs) -> Iterator[None]:
    """Say of which table a function is that raised, and what it had to work with."""
    try:
        yield
    except HeadworksError:
        raise
    except Exception as problem:
        if is_of_a_store(problem):
            raise storage_error(problem, f"gold.{gold.name}") from problem
        has = "; ".join(f"{name} has {', '.join(frame.collect_schema())}" for name, frame in frames.items())
        # Polars appends the plan, which is long and says no more.
        said = " ".join(str(problem).partition("\n\n")[0].split())[:300]
        raise TransformFailed(
            f"Its {what} raised {type(problem).__name__}: {said}.",
            where=f"gold.{gold.name}",
            do=f"correct {_called(getattr(gold, what), what)}; nothing was made. {has}.",
        ) from problem


def _called(function: object, what: str) -> str:
    """Return what people know a transform by: its name, or its file."""
    return str(getattr(function, "name", None) or getattr(function, "__qualname__", what))


def audit(
    lake: Lake, gold: GoldTable, staged: Staged, run_id: str = "", clock: Clock = system_clock
) -> GateReport | None:
    """Check a staged candidate and decide about it; None where nothing new was staged.

    With a ``run_id`` the candidate's profile is kept; a dry run gives none.
    """
    if not staged.fresh:
        return None
    scope = f"gold.{gold.name}"
    candidate = read_staged(lake, gold.name, staged.staging_id)
    uri = staged_uri(lake, gold.name, staged.staging_id)
    checks = [
        _check_key(scope, candidate, gold.key),
        _check_types(scope, lake.must_open("gold", gold.name, staged.base_version), candidate, gold.retyped),
        *(held_check(scope, one, clock()) for name in gold.inputs for one in held(lake, name)),
        *check_totals(
            scope, candidate, Totals(values=staged.totals, rounded=staged.rounded), gold.tolerances
        ),
    ]
    of_contract = run_contract(
        gold.contract, Path(uri) if lake.drafts.settings.is_local else candidate, scope
    )
    # Before what the contract says of no row: that it tested none is not what is wrong.
    checks += _check_rows(lake, gold, staged, of_contract)
    checks += of_contract
    screened = screen_gold(lake, gold.name, candidate, gold.key, run_id, clock(), gold.anomalies)
    gate = decide(scope, [*checks, *screened.checks], contract_required=True)
    gate, held_by = with_hold(lake, gold.name, staged.code, gate, clock())
    if run_id:
        screened.keep(lake, gate)
        # Of no rows nothing could be thinned by later ones: the next candidate is judged by itself.
        if held_by is None and not gate.open and staged.rows:
            before = lake.must_open("gold", gold.name, staged.base_version)
            since = {name: before.transaction(writer_id(name)) for name in gold.inputs}
            hold_gold(lake, gold.name, gate, staged.code, since, run_id, clock())
    return gate


def curate(lake: Lake, staged: Staged, gate: GateReport | None) -> CurateReport:
    """Commit an audited candidate; raises `GateClosed` where the gate did not open for it."""
    if staged.fresh and (gate is None or not gate.open or gate.scope != f"gold.{staged.dataset}"):
        raise GateClosed(
            "The candidate was not let through.",
            where=f"gold.{staged.dataset}",
            do="read the gate's reasons; the table keeps its last good version.",
        )
    reference = commit_gold(lake, staged)
    if staged.fresh:
        forget_hold(lake, staged.dataset)
    return CurateReport(
        table=reference, rows=staged.rows, changed=staged.changed, totals=staged.totals, parts=staged.parts
    )


def _rows(table: Table) -> pl.DataFrame | None:
    """Return the rows of a gold table; None where its files are lost, for it can be made again from silver."""
    try:
        with reading(table.name):
            return table.scan().collect()
    except LakeUnusable:
        return None


def _row_count(table: Table) -> int | None:
    """Return how many rows a gold table has; None where its files are lost."""
    try:
        with reading(table.name):
            return table.row_count()
    except LakeUnusable:
        return None


def _holds(table: Table, there: pl.DataFrame | None, candidate: pl.DataFrame, key: tuple[str, ...]) -> bool:
    """Return whether a table has the rows of a candidate, which is sorted by the key; it is read where it may."""
    if table.schema != candidate.schema or _row_count(table) != candidate.height:
        return False
    rows = _rows(table) if there is None else there
    if rows is None:
        return False
    if not rows.select(key).equals(candidate.select(key)):
        rows = rows.sort(key)
    return rows.equals(candidate)


def _check_rows(
    lake: Lake, gold: GoldTable, staged: Staged, of_contract: Sequence[CheckReport]
) -> list[CheckReport]:
    """Say where the rows were lost of a candidate that has none, where its contract wants some."""
    if staged.rows or all(check.outcome in {"passed", "warned"} for check in of_contract):
        return []
    counts = {}
    for name in gold.inputs:
        table = lake.must_open("silver", name, staged.versions.get(name))
        with reading(table.name):
            rows = table.scan().filter(~pl.col("_deleted"))
            counts[name] = int(rows.select(pl.len()).collect().item())
    has = ", ".join(f"{name} has {count} rows" for name, count in sorted(counts.items()))
    empty = sorted(name for name, count in counts.items() if not count)
    do = (
        f"look why nothing of {', '.join(empty)} is in silver, in the reports of its landing and of its refinement"
        if empty
        else f"correct what {_called(gold.transform, 'transform')} joins and filters by"
    )
    return [
        CheckReport(
            scope=f"gold.{gold.name}",
            name="the transform gives rows",
            kind="account",
            outcome="failed",
            detail=f"it gave none; {has}; {do}",
            value=0,
        )
    ]


def _check_key(scope: str, candidate: pl.DataFrame, key: tuple[str, ...]) -> CheckReport:
    """Check that every row has a key, and one of its own."""
    surplus = candidate.height - candidate.select(key).n_unique() if candidate.height else 0
    duplicates = candidate.filter(pl.struct(key).is_duplicated()) if surplus else candidate.clear()
    nulls = candidate.filter(pl.any_horizontal(pl.col(name).is_null() for name in key))
    pieces = [
        f"{count} {what}, such as {key_shown(rows, key)}" if count else ""
        for count, what, rows in (
            (surplus, "duplicate keys", duplicates),
            (nulls.height, "keys with a null", nulls),
        )
    ]
    return CheckReport(
        scope=scope,
        name="key is unique",
        kind="key",
        outcome="failed" if surplus or nulls.height else "passed",
        detail="; ".join(part for part in pieces if part),
    )


def key_shown(rows: pl.DataFrame, key: tuple[str, ...]) -> str:
    """Return the keys of some rows as people read them."""
    shown = rows.select(key).unique(maintain_order=True).head(_ROWS_SHOWN)
    texts = (
        "/".join(f"{name}={printable(value)}" for name, value in row.items())
        for row in shown.iter_rows(named=True)
    )
    return ", ".join(texts)


def printable(value: Any) -> str:
    """Return a value as text without characters that a terminal or a log would take for its own."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(value))


def _check_types(scope: str, there: Table, candidate: pl.DataFrame, retyped: tuple[str, ...]) -> CheckReport:
    """Check that no column of the table is of a type that does not hold what its readers know it to hold."""
    before = there.schema if there.transaction(CODE) else pl.Schema()
    changed = [
        f"{name} was {before[name]} and is {dtype}"
        for name, dtype in candidate.schema.items()
        if name in before and name not in retyped and not _follows(before[name], dtype)
    ]
    return CheckReport(
        scope=scope,
        name="columns keep their types",
        kind="type",
        outcome="failed" if changed else "passed",
        detail=f"{'; '.join(changed)}: cast it back, give the column a new name, or name it in retyped"
        if changed
        else "",
    )


def _follows(before: pl.DataType, after: pl.DataType) -> bool:
    """Return whether a type holds whatever one of the same meaning did: the wider one, or one that is held by it."""
    return wider(before, after) is not None
