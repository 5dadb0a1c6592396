"""A product into a schema of Postgres, in one transaction that readers see whole or not at all.

Tables are changed row by row where rows differ, never dropped or truncated: grants, views and indexes stay, readers
are not blocked, and a publication that changes little writes little. The product's sequence is recorded in the same
transaction under a row lock, so a repeated publication does nothing and an older one is refused.

Which rows differ follows from two versions of gold, the one that is shown and the new one (``changes.py``). All rows
are sent and compared in the database where that does not do: the first time, on a schedule, after anything unusual.

Only tables that the product made are written (``owned.py``), and only values that Postgres shows as they are
(``columns.py``). Both are also asked before the lake's product moves, by `refuse_unpublishable`, so that the lake and
Postgres show the same or neither shows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl
import psycopg
from psycopg import sql

from headworks.errors import (
    AccountMismatch,
    ConcurrentRun,
    CredentialsRefused,
    PublicationRefused,
    SettingsError,
)
from headworks.gold.holding import forget_made_hold, published_name, with_published_hold
from headworks.gold.products import ProductVersion
from headworks.gold.table import Staged, read_staged, staged_batches, staged_schema
from headworks.ports import Clock, system_clock
from headworks.publish.changes import Change, apply_change, changes_of, copy_into
from headworks.publish.columns import holds, postgres_types, refuse_names, refuse_rows, refuse_values
from headworks.publish.owned import (
    LEDGER,
    Found,
    Owned,
    make_ledger,
    owned_table,
    record_table,
    relation_exists,
    schema_exists,
    table_now,
)
from headworks.publish.shown import SHOWN, Shown, mark_of, note_shown, now, shown_by
from headworks.publish.tables import PublishedTable
from headworks.quality.gate import decide
from headworks.quality.postgres_contracts import run_postgres_contract
from headworks.reports import GateReport, PublishedRows, PublishReport
from headworks.settings import DatabaseSettings
from headworks.sources.sql.address import describe
from headworks.sources.sql.connect import Connection, connected
from headworks.sources.sql.states import first_line
from headworks.storage.delta import Table
from headworks.storage.groups import batches
from headworks.storage.store import Lake
from headworks.storage.translating import collected

_LEDGER = "_headworks_products"
_ALTER_LOCK_S = 5
"""How long a change of columns waits for readers: while it waits, newer readers wait behind it."""


@dataclass(frozen=True)
class _Target:
    """A table in Postgres that a frame goes to: what is on record of it once it is prepared, and what to say of it."""

    owned: Owned
    key_changes: bool = False
    warnings: tuple[str, ...] = ()
    made: bool = False
    """It was made just now: no row, no trigger and no rule of anybody is in it."""
    altered: bool = False
    """Its columns or its key changed just now."""


@dataclass(frozen=True)
class _Rows:
    """The rows that a table is to show: their columns, and the rows a few at a time or all at once."""

    schema: pl.Schema
    batches: Callable[[], Iterable[pl.DataFrame]]
    whole: Callable[[], pl.DataFrame]

    @classmethod
    def of(cls, gold: Table) -> _Rows:
        """Return the rows of a version of a gold table."""
        return cls(gold.schema, lambda: batches(gold), lambda: collected(gold.scan(), gold.name))


def publish_postgres(
    lake: Lake,
    database: DatabaseSettings,
    schema: str,
    product: ProductVersion,
    tables: tuple[PublishedTable, ...],
    run_id: str = "",
    clock: Clock = system_clock,
) -> PublishReport:
    """Make ``schema`` show exactly the named versions of a product's tables.

    Raises `ConcurrentRun` where a later publication is there already, `PublicationRefused` where a table is not ours or
    cannot take the new rows, `AccountMismatch` where the rows that would be visible are not those of gold; in each case
    nothing changed. A contract that does not hold is reported by a closed gate, and nothing changed either.
    """
    target = f"{describe(database)} schema {schema}"
    _check_tables(product, schema, tables, target)
    report = PublishReport(target=target, product=product.product, sequence=product.sequence)
    golds = {table.dataset: _gold(lake, product, table) for table in tables}
    with _publishing(database) as connection:
        # Before anything is locked: who waits for the row of the product must not wait for the reading of gold.
        changes = [
            changes_of(
                lake, shown_by(connection, schema, table.name), golds[table.dataset], table, now(connection)
            )
            for table in tables
        ]
        connection.rollback()
        recorded = _lock(connection, schema, product, target)
        if recorded > product.sequence:
            raise ConcurrentRun(
                f"Publication {recorded} is there already, which is later than {product.sequence}.",
                where=target,
                do="nothing: the later one stays.",
            )
        upgraded = _open_ledger(connection, schema, recorded)
        known = [_known(connection, schema, product.product, table, upgraded) for table in tables]
        shown = recorded == product.sequence and all(known)
        warnings: list[str] = []
        if shown:
            rows = [_unchanged(connection, schema, table) for table in tables]
            # Another text of a contract is a question that was not asked of these rows.
            asked = tuple(
                table
                for table, owned in zip(tables, known, strict=True)
                if owned and owned.contract != _text_of(table)
            )
        else:
            rows, asked = [], tables
            for table, change in zip(tables, changes, strict=True):
                made = _replace(
                    connection, schema, table, golds[table.dataset], product.product, upgraded, change
                )
                rows.append(made)
                warnings += made.warnings
        gates = tuple(
            with_published_hold(
                lake,
                gate,
                published_name(schema, table.name),
                _text_of(table),
                golds[table.dataset].version,
                run_id,
                clock(),
            )
            for table, gate in _audit(connection, schema, asked)
        )
        report = report.model_copy(update={"gates": gates, "warnings": tuple(warnings)})
        if not all(gate.open for gate in gates):
            connection.rollback()
            return report
        for table in asked:
            _note_contract(connection, schema, table)
        if not shown:
            _record(connection, schema, product)
        report = report.model_copy(update={"tables": tuple(rows), "changed": not shown})
        connection.commit()
        for table in asked:
            forget_made_hold(lake, published_name(schema, table.name))
    return report


def refuse_unpublishable(
    lake: Lake,
    database: DatabaseSettings,
    schema: str,
    product: str,
    tables: tuple[PublishedTable, ...],
    staged: Sequence[Staged],
    run_id: str = "",
    clock: Clock = system_clock,
    *,
    dry_run: bool = False,
) -> tuple[GateReport, ...]:
    """Raise what a publication of staged candidates would be refused for, before any of them is committed to the lake.

    The tables are prepared as for a publication, in a transaction that is rolled back. Where one of them has a
    contract, the rows are sent as well and the contracts are asked, and what they say is returned; else rows are looked
    at where they are, and none is sent. Candidates that change nothing are not asked about.
    """
    changed = {candidate.dataset: candidate for candidate in staged if candidate.fresh and candidate.changed}
    asked = [table for table in tables if table.dataset in changed]
    if not asked:
        return ()
    candidates = {table.dataset: _candidate(lake, changed[table.dataset]) for table in asked}
    counts = {table.dataset: _refuse_rows(schema, table, candidates[table.dataset]) for table in asked}
    with _publishing(database) as connection:
        recorded = _lock_product(connection, schema, product, None, describe(database))
        upgraded = _open_ledger(connection, schema, recorded)
        # A query of a contract may look into any table of the product.
        audited = [
            table for table in tables if table in asked or _is_current(connection, lake, schema, table)
        ]
        sends = any(table.contract is not None for table in audited)
        for table in asked:
            rows = candidates[table.dataset]
            prepared = _prepare(connection, schema, table, rows.schema, product, upgraded)
            if sends:
                where = f"{schema}.{table.name}"
                target = sql.Identifier(schema, table.name)
                with _refused(where):
                    _replace_all(connection, table, target, rows, prepared, counts[table.dataset], where)
        found = _audit(connection, schema, tuple(audited)) if sends else []
        connection.rollback()
    return tuple(
        with_published_hold(
            lake,
            gate,
            published_name(schema, table.name),
            _text_of(table),
            _version_then(lake, table, changed.get(table.dataset)),
            run_id,
            clock(),
            dry_run=dry_run,
        )
        for table, gate in found
    )


def _version_then(lake: Lake, table: PublishedTable, staged: Staged | None) -> int:
    """Return the version that a gold table has when it is published: a candidate makes the next one."""
    return lake.must_open("gold", table.dataset).version if staged is None else staged.base_version + 1


def _is_current(connection: Connection, lake: Lake, schema: str, table: PublishedTable) -> bool:
    """Return whether Postgres shows the version of a table that the lake has now."""
    shown = shown_by(connection, schema, table.name)
    gold = None if shown is None else lake.open("gold", table.dataset)
    if shown is None or gold is None or not relation_exists(connection, schema, table.name):
        return False
    return (shown.gold_id, shown.version) == (gold.id, gold.version)


def _candidate(lake: Lake, staged: Staged) -> _Rows:
    named = lake, staged.dataset, staged.staging_id
    return _Rows(staged_schema(*named), lambda: staged_batches(*named), lambda: read_staged(*named))


@contextmanager
def _publishing(database: DatabaseSettings) -> Iterator[Connection]:
    with connected(
        database, application="headworks publish", idle_timeout_s=database.idle_timeout_s
    ) as connection:
        yield connection


def _check_tables(
    product: ProductVersion, schema: str, tables: tuple[PublishedTable, ...], where: str
) -> None:
    for table in tables:
        refuse_names(schema, table.name, ())
    published = [reference.table.removeprefix("gold.") for reference in product.tables]
    if unknown := [table.dataset for table in tables if table.dataset not in published]:
        raise SettingsError(
            f"The product {product.product} has no table {', '.join(unknown)}; it has {', '.join(published)}.",
            where=where,
            do="publish tables of the product.",
        )
    names = [table.name for table in tables]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(
            f"Two tables are published under one name: {', '.join(twice)}.", where=where, do="rename one."
        )


def _lock(connection: Connection, schema: str, product: ProductVersion, target: str) -> int:
    """Make schema and ledger where they are missing, lock the product's row, and return the recorded sequence."""
    return _lock_product(connection, schema, product.product, product.lake_id, target)


def _lock_product(connection: Connection, schema: str, product: str, lake_id: str | None, target: str) -> int:
    name = sql.Identifier(schema, _LEDGER)
    # Two first publications at once would both create; these locks, held to the end of the transaction, order them.
    for lock in (f"headworks {schema}", f"headworks {schema} {product}"):
        if lock != f"headworks {schema}" or not relation_exists(connection, schema, LEDGER):
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (lock,))
    # Looked for first: a role that may not create needs no such right once everything is there.
    if not schema_exists(connection, schema):
        with _granted(
            target, f"GRANT CREATE ON DATABASE {connection.info.dbname}, or make the schema for it"
        ):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    if not relation_exists(connection, schema, _LEDGER):
        with _granted(target, f"GRANT USAGE, CREATE ON SCHEMA {schema}"):
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {} (product text PRIMARY KEY, sequence bigint NOT NULL,"
                    " lake_id text NOT NULL, run_id text NOT NULL, published_at timestamptz NOT NULL)"
                ).format(name)
            )
    with _granted(target, f"GRANT SELECT, INSERT, UPDATE ON {schema}.{_LEDGER}"):
        connection.execute(
            sql.SQL("INSERT INTO {} VALUES ({}, 0, {}, '', now()) ON CONFLICT DO NOTHING").format(
                name, sql.Literal(product), sql.Literal(lake_id or "")
            )
        )
        sequence, recorded_id = connection.execute(
            sql.SQL("SELECT sequence, lake_id FROM {} WHERE product = {} FOR UPDATE").format(
                name, sql.Literal(product)
            )
        ).fetchone() or (0, lake_id)
    if lake_id is not None and recorded_id != lake_id:
        # Sequences of two lakes cannot be compared, and whoever comes second must not win by accident.
        raise PublicationRefused(
            f"The schema shows publication {sequence} of {product} from another lake.",
            where=target,
            do=f"publish to another schema, or let this lake take over: delete the row of {product} "
            f"from {schema}.{_LEDGER}.",
        )
    return int(sequence)


def _open_ledger(connection: Connection, schema: str, recorded: int) -> bool:
    """Make the record of tables where there is none; says whether the product was published before there was one."""
    if relation_exists(connection, schema, LEDGER):
        return False
    with _granted(f"schema {schema}", f"GRANT USAGE, CREATE ON SCHEMA {schema}"):
        return make_ledger(connection, schema) and recorded > 0


def _record(connection: Connection, schema: str, product: ProductVersion) -> None:
    connection.execute(
        sql.SQL("UPDATE {} SET sequence = {}, run_id = {}, published_at = {} WHERE product = {}").format(
            sql.Identifier(schema, _LEDGER),
            sql.Literal(product.sequence),
            sql.Literal(product.run_id),
            sql.Literal(product.published_at),
            sql.Literal(product.product),
        )
    )


def _known(
    connection: Connection, schema: str, product: str, table: PublishedTable, upgraded: bool
) -> Owned | None:
    """Return what is on record of a table; None where it has to be written although the product did not change."""
    found, owned = owned_table(connection, schema, table.name, product, table.key, upgraded=upgraded)
    return owned if found is not None and owned is not None and owned.key == table.key else None


def _gold(lake: Lake, product: ProductVersion, table: PublishedTable) -> Table:
    return lake.must_open("gold", table.dataset, product.table(table.dataset).version)


def _refuse_columns_of(schema: str, table: PublishedTable, columns: pl.Schema) -> None:
    refuse_names(schema, table.name, list(columns))
    postgres_types(columns, f"{schema}.{table.name}")


def _refuse_rows(schema: str, table: PublishedTable, rows: _Rows) -> int:
    """Raise `PublicationRefused` for what cannot be shown; return how many rows there are."""
    _refuse_columns_of(schema, table, rows.schema)
    return refuse_rows(rows.batches(), rows.whole, table.key, f"{schema}.{table.name}")


def _replace(
    connection: Connection,
    schema: str,
    table: PublishedTable,
    gold: Table,
    product: str,
    upgraded: bool,
    change: Change,
) -> PublishedRows:
    """Make a table show gold's rows: by what differs where that is known, else by comparing all of them."""
    where = f"{schema}.{table.name}"
    rows = _Rows.of(gold)
    differing = change.differences
    if differing is None:
        count = _refuse_rows(schema, table, rows)
    else:
        # All others were looked at when they were published.
        _refuse_columns_of(schema, table, rows.schema)
        refuse_values(differing.came, table.key, where)
        count = differing.rows
    prepared = _prepare(connection, schema, table, rows.schema, product, upgraded)
    target = sql.Identifier(schema, table.name)
    shown = shown_by(connection, schema, table.name)
    why, inserted, removed = "it is new" if prepared.made else change.why, 0, 0
    if differing is not None:
        is_as_known = shown is not None and shown == change.shown and shown.table_id == prepared.owned.oid
        if prepared.altered or prepared.made or not is_as_known:
            differing, why = None, "its columns, its key or what is on record of it changed"
    mark = None
    if shown is not None and differing is not None:
        with _refused(where):
            applied = apply_change(connection, target, table.key, differing, shown.mark)
        inserted, removed = applied.inserted, applied.removed
        mark, why = applied.mark, "" if applied.mark else applied.why
    if mark is not None and shown is not None:
        noted = shown.followed(gold.version, mark)
    else:
        if why and change.differences is not None:
            count = _refuse_rows(schema, table, rows)
        with _refused(where):
            more, fewer = _replace_all(connection, table, target, rows, prepared, count, where)
        inserted, removed = inserted + more, removed + fewer
        mark = mark_of(connection, target)
        noted = Shown(prepared.owned.oid, gold.id, gold.version, mark, now(connection))
    record_table(connection, schema, table.name, product, table.dataset, prepared.owned)
    kept = note_shown(connection, schema, table.name, noted)
    warnings = prepared.warnings if kept else (*prepared.warnings, _cannot_note(schema, where))
    return PublishedRows(
        table=where,
        dataset=table.dataset,
        rows=count,
        inserted=inserted,
        removed=removed,
        compared=why,
        warnings=warnings,
    )


def _cannot_note(schema: str, where: str) -> str:
    return (
        f"{where}: the role may not note what is shown, so each publication compares all rows. Publish once with a "
        f"role that may create tables in {schema}, and grant this one SELECT, INSERT, UPDATE and DELETE on "
        f"{schema}.{SHOWN}"
    )


def _replace_all(
    connection: Connection,
    table: PublishedTable,
    target: sql.Identifier,
    rows: _Rows,
    prepared: _Target,
    count: int,
    where: str,
) -> tuple[int, int]:
    """Send all rows; delete those that differ or are gone, insert those that are new, and check what is visible then.

    Returns how many were inserted and removed.
    """
    names = list(rows.schema)
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in names)
    if prepared.made:
        # Into a table that nobody has seen yet they go straight, and nothing is there to change them.
        copy_into(connection, target, names, rows.batches())
        visible = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(target)).fetchone()
        _refuse_other_rows(int(visible[0]) if visible else 0, 0, count, where)
        return count, 0
    # Named after no table: names are cut at 63 bytes, and two could be cut to one.
    incoming = sql.Identifier("pg_temp", "headworks_incoming")
    key = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
    parts = {"target": target, "incoming": incoming, "columns": columns, "key": key}
    connection.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE headworks_incoming ON COMMIT DROP AS"
            " SELECT {columns} FROM {target} WITH NO DATA"
        ).format(**parts)
    )
    copy_into(connection, incoming, names, rows.batches())
    # Under another key old rows may have it twice, or not at all.
    differing = (
        ""
        if prepared.key_changes
        else " WHERE ({key}) IN (SELECT {key} FROM"
        " (SELECT {columns} FROM {target} EXCEPT SELECT {columns} FROM {incoming}) AS gone)"
    )
    removed = connection.execute(sql.SQL("DELETE FROM {target}" + differing).format(**parts)).rowcount
    inserted = connection.execute(
        sql.SQL(
            "INSERT INTO {target} ({columns})"
            " SELECT {columns} FROM {incoming} EXCEPT SELECT {columns} FROM {target}"
        ).format(**parts)
    ).rowcount
    if prepared.key_changes:
        connection.execute(sql.SQL("ALTER TABLE {target} ADD PRIMARY KEY ({key})").format(**parts))
    _check_visible(connection, parts, count, where)
    connection.execute("DROP TABLE pg_temp.headworks_incoming")
    return inserted, removed


def _prepare(
    connection: Connection,
    schema: str,
    table: PublishedTable,
    columns_of_gold: pl.Schema,
    product: str,
    upgraded: bool,
) -> _Target:
    """Make the table, or let it follow gold's columns and key; raises `PublicationRefused` where it cannot."""
    where = f"{schema}.{table.name}"
    wanted = postgres_types(columns_of_gold, where)
    found, owned = owned_table(connection, schema, table.name, product, table.key, upgraded=upgraded)
    target = sql.Identifier(schema, table.name)
    if found is None:
        columns = [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in wanted.items()
        ]
        key = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
        with _granted(where, f"GRANT USAGE, CREATE ON SCHEMA {schema}"), _refused(where):
            connection.execute(
                sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(
                    target, sql.SQL(", ").join(columns), key
                )
            )
        made = table_now(connection, schema, table.name)
        return _Target(Owned(made.oid, tuple(wanted), (), table.key, ""), made=True)
    ours = owned or Owned(found.oid, (), (), table.key, "")
    _refuse_columns(found, wanted, where)
    changes = [*_added(found, wanted), *_widened(found, wanted)]
    gone = [name for name in ours.columns if name not in wanted and name in found.columns]
    if gone and table.gone == "refuse":
        raise PublicationRefused(
            f"Gold no longer has {', '.join(gone)}.",
            where=where,
            do="bring the columns back, or let the declaration say what becomes of them (gone).",
        )
    if table.gone == "drop":
        changes += [sql.SQL("DROP COLUMN {}").format(sql.Identifier(name)) for name in gone]
    key_changes = found.key != table.key
    if key_changes and found.key_name:
        changes.append(sql.SQL("DROP CONSTRAINT IF EXISTS {}").format(sql.Identifier(found.key_name)))
        left = [name for name in found.key if name not in table.key and name not in gone]
        left += gone if table.gone == "null" else []
        loose = [name for name in left if name in ours.columns and found.columns[name].not_null]
        changes += [sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(sql.Identifier(name)) for name in loose]
    _alter(connection, target, changes, where)
    if table.gone == "null" and gone:
        _empty(connection, target, gone, where)
    _refuse_ungranted(connection, found.oid, where)
    emptied = tuple(dict.fromkeys((*ours.emptied, *gone))) if table.gone == "null" else ours.emptied
    kept = Owned(
        found.oid,
        tuple(wanted),
        tuple(name for name in emptied if name not in wanted),
        table.key,
        ours.contract,
    )
    warnings = _warnings(found, wanted, table, gone, emptied, where)
    return _Target(kept, key_changes, warnings, altered=bool(changes or gone or key_changes))


def _refuse_columns(found: Found, wanted: Mapping[str, str], where: str) -> None:
    for name, kind in wanted.items():
        there = found.columns.get(name)
        if there is None:
            continue
        if there.generated:
            raise PublicationRefused(
                f"Column {name!r} is generated by the database, and gold gives it.",
                where=where,
                do="give it another name in the gold transform.",
            )
        if not holds(there.kind, kind) and not holds(kind, there.kind):
            raise PublicationRefused(
                f"Column {name!r} is {there.kind} in the database and {kind} in gold.",
                where=where,
                do=f"change the column to {kind} with your views in mind, or publish under another name.",
            )
    blocking = [name for name, there in found.columns.items() if name not in wanted and there.must_be_given]
    blocking = [name for name in blocking if name not in found.key]
    if blocking:
        raise PublicationRefused(
            f"These columns must have a value, and gold has none for them: {', '.join(blocking)}.",
            where=where,
            do="give them a default, or allow null.",
        )


def _added(found: Found, wanted: Mapping[str, str]) -> list[sql.Composable]:
    return [
        sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in wanted.items()
        if name not in found.columns
    ]


def _widened(found: Found, wanted: Mapping[str, str]) -> list[sql.Composable]:
    """Return the changes to types that hold every value of the ones before."""
    return [
        sql.SQL("ALTER COLUMN {} TYPE {}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in wanted.items()
        if name in found.columns and not holds(found.columns[name].kind, kind)
    ]


def _alter(
    connection: Connection, target: sql.Identifier, changes: Sequence[sql.Composable], where: str
) -> None:
    if not changes:
        return
    text = "; ".join(change.as_string(connection) for change in changes)
    with _granted(where, f"let the role own {where}"), _refused(where, text):
        # Before the longer wait of the publication: who waits for a table lets newer readers wait behind it.
        connection.execute(f"SET LOCAL lock_timeout = '{_ALTER_LOCK_S}s'")
        connection.execute(sql.SQL("ALTER TABLE {} {}").format(target, sql.SQL(", ").join(changes)))
        connection.execute("RESET lock_timeout")


def _empty(connection: Connection, target: sql.Identifier, gone: Sequence[str], where: str) -> None:
    """Let columns that gold no longer has show nothing: old values would be taken for today's."""
    emptied = sql.SQL(", ").join(sql.SQL("{} = NULL").format(sql.Identifier(name)) for name in gone)
    full = sql.SQL(" OR ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(name)) for name in gone)
    with _granted(where, f"GRANT UPDATE ON {where}"), _refused(where):
        connection.execute(sql.SQL("UPDATE {} SET {} WHERE {}").format(target, emptied, full))


def _refuse_ungranted(connection: Connection, oid: int, where: str) -> None:
    missing = [
        right
        for right in ("SELECT", "INSERT", "DELETE")
        if connection.execute("SELECT has_table_privilege(%s::oid, %s)", (oid, right)).fetchone() != (True,)
    ]
    if missing:
        raise CredentialsRefused(
            f"The role may not {', '.join(missing)}.",
            where=where,
            do=f"GRANT {', '.join(missing)} ON {where}.",
        )


def _warnings(
    found: Found,
    wanted: Mapping[str, str],
    table: PublishedTable,
    gone: Sequence[str],
    emptied: Sequence[str],
    where: str,
) -> tuple[str, ...]:
    text = []
    if gone:
        what = "dropped" if table.gone == "drop" else "empty now, and may be dropped"
        text.append(f"{where}: gold no longer has {', '.join(gone)}: {what}")
    strange = [name for name in found.columns if name not in wanted and name not in {*gone, *emptied}]
    if strange:
        text.append(f"{where}: {', '.join(strange)} is not of gold, and is left as it is")
    return tuple(text)


@contextmanager
def _granted(where: str, grant: str) -> Iterator[None]:
    """Say which right is missing, where one is."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as problem:
        raise CredentialsRefused(
            f"The database refuses: {first_line(problem)}.",
            where=where,
            do=f"for the publishing role: {grant}.",
        ) from problem


@contextmanager
def _refused(where: str, what: str = "") -> Iterator[None]:
    """Turn what Postgres does not take into a refusal that names the table, without values, which may be personal."""
    try:
        yield
    except (
        psycopg.errors.DataError,
        psycopg.errors.IntegrityError,
        psycopg.errors.ProgramLimitExceeded,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.DependentObjectsStillExist,
        psycopg.errors.InvalidTableDefinition,
    ) as problem:
        names = [
            problem.diag.constraint_name,
            problem.diag.column_name,
            problem.diag.message_detail if what else None,
        ]
        text = ", ".join(name for name in names if name)
        raise PublicationRefused(
            f"Postgres does not take it: {first_line(problem)}{f' ({text})' if text else ''}.",
            where=where,
            do=f"change what depends on it: {what}."
            if what
            else "change gold, or what the table demands of its rows.",
        ) from problem


def _check_visible(
    connection: Connection,
    parts: dict[str, sql.Composable],
    count: int,
    where: str,
) -> None:
    row = connection.execute(
        sql.SQL(
            "SELECT (SELECT count(*) FROM {target}),"
            " (SELECT count(*) FROM"
            " (SELECT {columns} FROM {incoming} EXCEPT SELECT {columns} FROM {target}) AS missing)"
        ).format(**parts)
    ).fetchone()
    visible, missing = row if row else (0, count)
    _refuse_other_rows(visible, missing, count, where)


def _refuse_other_rows(visible: int, missing: int, count: int, where: str) -> None:
    if visible != count or missing:
        raise AccountMismatch(
            f"{visible} rows would be visible and {missing} of gold's {count} rows would be missing.",
            where=where,
            do="look for triggers or rules on the table that change what is inserted; nothing was published.",
        )


def _audit(
    connection: Connection, schema: str, tables: tuple[PublishedTable, ...]
) -> list[tuple[PublishedTable, GateReport]]:
    """Check the tables that have a contract, as they would be seen: inside the transaction, before its commit."""
    gates = []
    for table in tables:
        if table.contract is not None:
            scope = f"postgres.{schema}.{table.name}"
            checks = run_postgres_contract(table.contract, connection, schema, table.name, scope)
            gates.append((table, decide(scope, checks, contract_required=True)))
    return gates


def _text_of(table: PublishedTable) -> str:
    """Return what distinguishes one text of a contract from another."""
    if table.contract is None or not table.contract.exists():
        return ""
    return hashlib.blake2b(table.contract.read_bytes(), digest_size=8).hexdigest()


def _note_contract(connection: Connection, schema: str, table: PublishedTable) -> None:
    """Put on record which text of the contract the rows have passed."""
    connection.execute(
        sql.SQL("UPDATE {} SET contract = {} WHERE name = {}").format(
            sql.Identifier(schema, LEDGER), sql.Literal(_text_of(table)), sql.Literal(table.name)
        )
    )


def _unchanged(connection: Connection, schema: str, table: PublishedTable) -> PublishedRows:
    name = sql.Identifier(schema, table.name)
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
    return PublishedRows(
        table=f"{schema}.{table.name}", dataset=table.dataset, rows=int(row[0]) if row else 0
    )
