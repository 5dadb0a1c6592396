"""Publishing by what differs shows the same rows as comparing all of them, and notices whatever else happened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import polars as pl
import psycopg
import pytest

from headworks.errors import AccountMismatch, PublicationRefused
from headworks.gold.products import ProductVersion, publish_product
from headworks.publish import changes, shown
from headworks.publish import postgres as publishing
from headworks.publish.columns import postgres_types
from headworks.publish.copying import copy_text
from headworks.publish.postgres import publish_postgres
from headworks.publish.tables import PublishedTable
from headworks.reports import PublishedRows, TableRef
from headworks.settings import DatabaseSettings
from headworks.storage import groups
from headworks.storage.store import Lake
from tests.support.faults import Crash
from tests.support.published import ONE, SCHEMA, Rows, ask, single

SMALL = pl.DataFrame({"id": [1, 2, 3, 4], "v": ["a", None, "c", "d"]})
NEXT = pl.DataFrame({"id": [1, 2, 4, 5], "v": ["a", "b", "d", "e"]})
ALL = replace(ONE[0], verify_every=timedelta(0))
"""The oracle: each publication sends all rows, and compares them in the database."""


def published(
    lake: Lake,
    database: DatabaseSettings,
    frame: pl.DataFrame,
    table: PublishedTable = ONE[0],
    schema: str = SCHEMA,
) -> PublishedRows:
    return publish_postgres(lake, database, schema, single(lake, frame), (table,)).tables[0]


def rows(connection: psycopg.Connection, schema: str = SCHEMA) -> Rows:
    return ask(connection, f"SELECT * FROM {schema}.one ORDER BY id")


def value(random: Random, dtype: pl.DataType) -> Any:
    """Return any value of a type, odd ones among them."""
    if random.random() < 0.15:
        return None
    if isinstance(dtype, pl.List):
        return [value(random, dtype.inner) for _ in range(random.choice((0, 1, 3)))]  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return {each.name: value(random, each.dtype) for each in dtype.fields}  # type: ignore[arg-type]
    moment = datetime(1, 1, 2) + timedelta(
        days=random.randrange(3_652_000), microseconds=random.randrange(10**11)
    )
    made: dict[pl.DataType, Callable[[], Any]] = {
        pl.Int64(): lambda: random.choice((0, -(2**63), 2**63 - 1, random.randrange(-99, 99))),
        pl.Int16(): lambda: random.randrange(-(2**15), 2**15),
        pl.Float64(): lambda: random.choice(
            (
                0.0,
                float("nan"),
                float("inf"),
                float("-inf"),
                5e-324,
                1.7976931348623157e308,
                random.uniform(-1e30, 1e30),
                random.random(),
            )
        ),
        pl.Float32(): lambda: random.choice((0.5, 3.4028234663852886e38, 1e-45, float("nan"), -0.25)),
        pl.Boolean(): lambda: random.random() < 0.5,
        pl.String(): lambda: "".join(random.choices("aé😀\\\t\n\r\"',{}N. ", k=random.choice((0, 1, 2, 9)))),
        pl.Binary(): lambda: random.randbytes(random.choice((0, 1, 20))),
        pl.Date(): lambda: date(1, 1, 1) + timedelta(days=random.randrange(3_652_059)),
        pl.Datetime("us"): lambda: moment,
        pl.Datetime("us", "UTC"): lambda: moment.replace(tzinfo=UTC),
        pl.Decimal(38, 10): lambda: Decimal(random.randrange(-(10**37), 10**37)).scaleb(-10),
    }
    return made[dtype]()


PLAIN: list[pl.DataType] = [
    pl.Int64(), pl.Int16(), pl.Float64(), pl.Float32(), pl.Boolean(), pl.String(), pl.Binary(), pl.Date(),
    pl.Datetime("us"), pl.Datetime("us", "UTC"), pl.Decimal(38, 10),
]  # fmt: skip
KINDS = {f"c{n}": dtype for n, dtype in enumerate([*PLAIN, *(pl.List(each) for each in PLAIN)])} | {
    "json": pl.Struct({"a": pl.String(), "b": pl.List(pl.Struct({"c": pl.Int64(), "d": pl.Decimal(38, 10)}))})
}


def test_text_for_copy_is_read_back_as_the_very_same_whatever_the_value(
    connection: psycopg.Connection,
) -> None:
    """A frame with a column of every type, and of lists of each, against what psycopg reads of the same rows."""
    random = Random("copied")
    frame = pl.DataFrame(
        [[value(random, dtype) for dtype in KINDS.values()] for _ in range(400)],
        schema=pl.Schema(KINDS),
        orient="row",
    )
    types = postgres_types(frame.schema, "here")
    connection.execute("SET timezone = 'UTC'")
    connection.execute(f"CREATE TABLE t ({', '.join(f'{n} {t}' for n, t in types.items())})".encode())
    with connection.cursor().copy("COPY t FROM STDIN") as copy:
        copy.write(copy_text(frame))
    found = pl.DataFrame(ask(connection, "SELECT * FROM t"), schema=frame.schema, orient="row")
    plain = frame.with_columns(pl.col("json").map_elements(_as_json, pl.String))
    there = pl.DataFrame(
        ask(connection, "SELECT * FROM t"), schema={**KINDS, "json": pl.Object}, orient="row"
    )
    for name in KINDS:
        if name != "json":
            assert found.get_column(name).equals(frame.get_column(name), null_equal=True), name
    assert [_as_json(each) for each in there.get_column("json")] == plain.get_column("json").to_list()


def _as_json(one: Any) -> str | None:
    """Return what JSON says, with decimals as texts, as they are written."""

    def plain(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: plain(inner) for name, inner in part.items()}
        if isinstance(part, list | pl.Series):
            return [plain(inner) for inner in part]
        return str(part) if isinstance(part, Decimal) else part

    return None if one is None else repr(plain(one))


def test_random_changes_by_what_differs_show_what_comparing_all_rows_shows(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    """Two schemas follow the same versions of gold, one by what differs and one by the oracle, in every type."""
    random = Random("changes")
    kinds = dict(list(KINDS.items())[:12]) | {"json": KINDS["json"]}
    kept: dict[int, list[Any]] = {}
    wanted = pl.Schema({"id": pl.Int64(), **kinds})
    whole = 0
    for step in range(20):
        for _ in range(random.choice((0, 1, 3, 40))):
            number = random.randrange(120)
            if random.random() < 0.3:
                kept.pop(number, None)
            else:
                kept[number] = [value(random, dtype) for dtype in kinds.values()]
        frame = pl.DataFrame([[n, *kept[n]] for n in sorted(kept)], schema=wanted, orient="row")
        product = single(lake, frame)
        by_change = publish_postgres(lake, database, "changes", product, ONE)
        publish_postgres(lake, database, "oracle", product, (ALL,))
        assert repr(rows(connection, "changes")) == repr(rows(connection, "oracle")), f"step {step}"
        assert not by_change.changed or by_change.tables[0].rows == frame.height
        whole += bool(by_change.changed and by_change.tables[0].compared)
    assert whole == 1, "only the first publication sends all rows"


def test_only_what_differs_is_sent(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And parts of gold that are the same byte by byte are not even read."""
    frame = pl.DataFrame({"id": range(5_000), "v": ["x"] * 5_000})
    assert published(lake, database, frame).compared == "it is new"
    sent: list[int] = []

    def noted(part: pl.DataFrame) -> bytes:
        sent.append(part.height)
        return copy_text(part)

    monkeypatch.setattr(changes, "copy_text", noted)
    one = frame.with_columns(v=pl.when(pl.col("id") == 77).then(pl.lit("y")).otherwise("v"))
    report = published(lake, database, one)
    assert (report.compared, report.inserted, report.removed, report.rows) == ("", 1, 1, 5_000)
    assert sent == [1, 1], "the key that goes, and the row that comes"
    assert rows(connection) == one.rows()
    other = frame.with_columns(v=pl.when(pl.col("id") == 77).then(pl.lit("z")).otherwise("v"))
    report = published(lake, database, other)
    assert (report.compared, report.inserted, rows(connection)) == ("", 1, other.rows()), (
        "files of the same size"
    )
    same = single(lake, other)
    table = lake.must_open("gold", "t.one")
    assert groups.shared_groups(lake.must_open("gold", "t.one", table.version - 1), table) == {0}
    publish_postgres(lake, database, SCHEMA, same, ONE)
    assert rows(connection) == other.rows()


THEIRS: dict[str, tuple[str, ...]] = {
    "inserted": ("INSERT INTO analytics.one VALUES (99, 'x')",),
    "inserted what comes": ("INSERT INTO analytics.one VALUES (5, 'x')",),
    "updated": ("UPDATE analytics.one SET v = 'x' WHERE id = 1",),
    "updated what goes": ("UPDATE analytics.one SET v = 'x' WHERE id = 2",),
    "updated a key": ("UPDATE analytics.one SET id = 7 WHERE id = 1",),
    "deleted": ("DELETE FROM analytics.one WHERE id = 1",),
    "deleted what goes": ("DELETE FROM analytics.one WHERE id = 3",),
    "deleted and inserted": (
        "DELETE FROM analytics.one WHERE id = 1",
        "INSERT INTO analytics.one VALUES (98, 'x')",
    ),
    "truncated": ("TRUNCATE analytics.one",),
    "replaced all": (
        "DELETE FROM analytics.one",
        "INSERT INTO analytics.one SELECT n, 'x' FROM generate_series(1, 4) n",
    ),
    "rewritten": ("ALTER TABLE analytics.one ALTER COLUMN v TYPE varchar USING v || 'x'",),
    "forgotten": ("DELETE FROM analytics._headworks_shown",),
    "no record": ("DROP TABLE analytics._headworks_shown",),
    "another record": ("UPDATE analytics._headworks_shown SET rows = rows + 1",),
    "another writer": ("UPDATE analytics._headworks_shown SET written = written + 1",),
    "another table": ("UPDATE analytics._headworks_shown SET table_id = 1",),
    "another gold": ("UPDATE analytics._headworks_shown SET gold_id = 'x'",),
    "a version that is gone": ("UPDATE analytics._headworks_shown SET version = 99",),
    "due": ("UPDATE analytics._headworks_shown SET compared_at = now() - interval '25 hours'",),
    "a clock set back": ("UPDATE analytics._headworks_shown SET compared_at = now() + interval '1 hour'",),
}  # fmt: skip


@pytest.mark.parametrize("theirs", THEIRS)
def test_whatever_somebody_else_did_all_rows_are_compared_and_right(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, theirs: str
) -> None:
    """The report says why; and the publication after that is one of what differs again."""
    published(lake, database, SMALL)
    for statement in THEIRS[theirs]:
        connection.execute(statement.encode())
    report = published(lake, database, NEXT)
    assert rows(connection) == NEXT.rows()
    assert report.compared
    again = published(lake, database, SMALL)
    assert (again.compared, again.inserted, again.removed) == ("", 2, 2)
    assert rows(connection) == SMALL.rows()


GOLD: dict[str, tuple[pl.DataFrame, PublishedTable]] = {
    "another column": (NEXT.with_columns(w=pl.lit(1)), ONE[0]),
    "a column less": (NEXT.select("id"), ONE[0]),
    "another type": (NEXT.with_columns(pl.col("id").cast(pl.Int32)), ONE[0]),
    "another order": (NEXT.reverse(), ONE[0]),
    "another key": (NEXT.fill_null("-"), replace(ONE[0], key=("v",))),
}


@pytest.mark.parametrize("way", GOLD)
def test_whatever_gold_became_all_rows_are_compared_and_right(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, way: str
) -> None:
    published(lake, database, SMALL)
    frame, table = GOLD[way]
    assert published(lake, database, frame, table).compared
    columns = ", ".join(frame.columns)
    assert ask(connection, f"SELECT {columns} FROM analytics.one ORDER BY id") == frame.sort("id").rows()


def test_what_was_shown_before_a_rollback_is_what_is_compared_with(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    """A product that goes back names an older version of gold; Postgres follows by what differs."""
    first = single(lake, SMALL)
    second = single(lake, NEXT)
    for version in (first, second):
        publish_postgres(lake, database, SCHEMA, version, ONE)
    back: ProductVersion = first.model_copy(update={"sequence": 3})
    assert not publish_postgres(lake, database, SCHEMA, back, ONE).tables[0].compared
    assert rows(connection) == SMALL.rows()


TRIGGERS: dict[str, str] = {
    "swallows a row": "BEFORE INSERT|IF NEW.id = 5 THEN RETURN NULL; END IF; RETURN NEW;",
    "changes a row": "BEFORE INSERT|NEW.v := 'x'; RETURN NEW;",
    "keeps what is deleted": "BEFORE DELETE|RETURN NULL;",
    "changes another row": "AFTER INSERT|UPDATE analytics.one SET v = 'x' WHERE id = 1; RETURN NULL;",
    "takes another row": "AFTER INSERT|DELETE FROM analytics.one WHERE id = 1; RETURN NULL;",
    "adds a row": "AFTER INSERT|INSERT INTO analytics.one VALUES (50, 'x') ON CONFLICT DO NOTHING; RETURN NULL;",
}


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_trigger_that_does_anything_else_is_noticed_before_anybody_sees_it(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, trigger: str
) -> None:
    published(lake, database, SMALL)
    when, does = TRIGGERS[trigger].split("|")
    connection.execute(
        f"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {does} END$$".encode()
    )
    connection.execute(
        f"CREATE TRIGGER meddle {when} ON analytics.one FOR EACH ROW EXECUTE FUNCTION meddle()".encode()
    )
    with suppress(AccountMismatch, PublicationRefused):
        published(lake, database, NEXT)
        assert rows(connection) == NEXT.rows(), (
            "what a trigger added is taken away again, or nothing is published"
        )
        return
    assert rows(connection) == SMALL.rows()
    connection.execute("DROP TRIGGER meddle ON analytics.one")
    published(lake, database, NEXT.reverse())
    assert rows(connection) == NEXT.rows()


def test_another_publication_in_between_is_noticed(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What differs was found from what was shown before; by the time of writing another version is shown."""
    published(lake, database, SMALL)
    between, last = single(lake, NEXT), single(lake, SMALL.head(2))
    real = publishing._lock

    def late(*arguments: Any) -> int:
        monkeypatch.setattr(publishing, "_lock", real)
        publish_postgres(lake, database, SCHEMA, between, ONE)
        return real(*arguments)

    monkeypatch.setattr(publishing, "_lock", late)
    report = publish_postgres(lake, database, SCHEMA, last, ONE)
    assert report.tables[0].compared
    assert rows(connection) == SMALL.head(2).rows()


STEPS = ("copy_into", "_remove", "_insert", "mark_of", "_count")


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_leaves_the_last_publication_and_the_next_one_is_whole(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, step: str
) -> None:
    published(lake, database, SMALL)
    version = single(lake, NEXT)
    real = getattr(changes, step)

    def crash(*arguments: Any) -> Any:
        real(*arguments)
        raise Crash

    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(changes, step, crash)
            with pytest.raises(Crash):
                publish_postgres(lake, database, SCHEMA, version, ONE)
        assert rows(connection) == SMALL.rows()
    report = publish_postgres(lake, database, SCHEMA, version, ONE)
    assert (report.changed, report.tables[0].compared) == (True, "")
    assert rows(connection) == NEXT.rows()


def test_a_role_that_may_not_note_compares_all_rows_and_says_so(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "_usable", lambda *_: False)
    published(lake, database, SMALL)
    report = published(lake, database, NEXT)
    assert report.compared == "what it shows is not on record"
    assert "the role may not note" in report.warnings[0]
    assert rows(connection) == NEXT.rows()


def test_the_files_of_gold_may_be_many(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    """Rows that were appended in another order than that of the key are compared as a whole, and are right."""
    table = lake.ensure("gold", "t.one", SMALL.schema)
    for number, part in enumerate((NEXT.tail(2), SMALL.head(2))):
        table.append(part, {"writer": number + 1})
        reference = TableRef(table="gold.t.one", version=table.version, change=number + 1)
        publish_postgres(lake, database, SCHEMA, publish_product(lake, "p", [reference], "run"), ONE)
    assert rows(connection) == [(1, "a"), (2, None), (4, "d"), (5, "e")]
