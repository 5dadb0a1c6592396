"""Every state of the target × every shape of gold: published exactly, or refused before the lake moves, with names.

What somebody else put into the schema is untouched in each case. The same decision is made by the question before the
lake's product moves and by the publication itself.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    PublicationRefused,
    SettingsError,
    SourceUnavailable,
)
from headworks.gold.table import Staged, write_staged
from headworks.publish import postgres as publishing
from headworks.publish.postgres import publish_postgres, refuse_unpublishable
from headworks.publish.tables import PublishedTable
from headworks.reports import PublishReport
from headworks.settings import DatabaseSettings
from headworks.storage.store import Lake
from tests.conftest import PostgresServer
from tests.support.published import single
from tests.support.turns import Alongside

FRAME = pl.DataFrame({"id": [1, 2], "v": ["a", None]})
TABLE = PublishedTable("t.one", "one", ("id",))
_numbers = itertools.count()


@dataclass
class Place:
    """A schema of a database, and one gold table that is published to it."""

    lake: Lake
    database: DatabaseSettings
    connection: psycopg.Connection
    schema: str = "analytics"
    table: PublishedTable = TABLE

    def asks(self, frame: pl.DataFrame) -> None:
        """Ask whether a candidate could be published, as a flow does before the lake moves."""
        name = f"candidate{next(_numbers)}"
        write_staged(self.lake, "t.one", name, frame)
        staged = Staged(
            dataset="t.one",
            staging_id=name,
            base_version=0,
            inputs={},
            code=1,
            rows=frame.height,
            fresh=True,
            changed=True,
        )
        refuse_unpublishable(self.lake, self.database, self.schema, "p", (self.table,), (staged,))

    def publishes(self, frame: pl.DataFrame) -> PublishReport:
        """Ask, and then publish; both must say the same."""
        asked = caught(lambda: self.asks(frame))
        version = single(self.lake, frame)
        published = caught(
            lambda: publish_postgres(self.lake, self.database, self.schema, version, (self.table,))
        )
        if isinstance(asked, HeadworksError) or isinstance(published, HeadworksError):
            assert str(asked) == str(published), "one decision for both"
            assert isinstance(published, HeadworksError)
            raise published
        assert isinstance(published, PublishReport)
        return published

    def rows(self, columns: str = "*") -> list[tuple[Any, ...]]:
        query = sql.SQL("SELECT {} FROM {} ORDER BY 1").format(
            sql.SQL(columns), sql.Identifier(self.schema, self.table.name)
        )
        return self.connection.execute(query).fetchall()

    def does(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement.encode())


def caught(done: Callable[[], Any]) -> Any:
    try:
        return done()
    except HeadworksError as problem:
        return problem


@pytest.fixture
def place(lake: Lake, database: DatabaseSettings, connection: psycopg.Connection) -> Place:
    return Place(lake, database, connection)


PRECIOUS = ("CREATE SCHEMA analytics", "CREATE TABLE analytics.precious (id bigint, v text)")
FILLED = "INSERT INTO analytics.{} VALUES (77, 'precious'), (78, 'precious')"
THEIRS: dict[str, tuple[tuple[str, ...], str]] = {
    "a table with the same columns": (
        (
            "CREATE SCHEMA analytics",
            "CREATE TABLE analytics.one (id bigint, v text)",
            FILLED.format("one"),
        ),
        "headworks did not make",
    ),
    "a table with the same key": (
        (
            "CREATE SCHEMA analytics",
            "CREATE TABLE analytics.one (id bigint PRIMARY KEY, v text)",
            FILLED.format("one"),
        ),
        "headworks did not make",
    ),
    "an empty table": (
        ("CREATE SCHEMA analytics", "CREATE TABLE analytics.one (id bigint, v text)"),
        "did not make",
    ),
    "a table with other columns": (
        ("CREATE SCHEMA analytics", "CREATE TABLE analytics.one (k int, other text NOT NULL)"),
        "did not make",
    ),
    "a view": (
        (
            *PRECIOUS,
            FILLED.format("precious"),
            "CREATE VIEW analytics.one AS SELECT * FROM analytics.precious",
        ),
        "a view of",
    ),
    "a materialized view": (
        (*PRECIOUS, "CREATE MATERIALIZED VIEW analytics.one AS SELECT * FROM analytics.precious"),
        "a materialized view of",
    ),
    "a partitioned table": (
        ("CREATE SCHEMA analytics", "CREATE TABLE analytics.one (id bigint, v text) PARTITION BY RANGE (id)"),
        "a partitioned table of",
    ),
    "a sequence": (("CREATE SCHEMA analytics", "CREATE SEQUENCE analytics.one"), "a sequence of"),
    "a type": (("CREATE SCHEMA analytics", "CREATE TYPE analytics.one AS (id bigint)"), "a type of"),
    "a foreign table": (
        (
            "CREATE SCHEMA analytics",
            "CREATE FOREIGN DATA WRAPPER nowhere",
            "CREATE SERVER nobody FOREIGN DATA WRAPPER nowhere",
            "CREATE FOREIGN TABLE analytics.one (id bigint, v text) SERVER nobody",
        ),
        "a foreign table of",
    ),
}


def contents(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Return everything of the schema: what there is, and the rows of its tables."""
    found = connection.execute(
        "SELECT c.relname::text, c.relkind::text, c.oid::bigint FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE n.nspname = 'analytics' ORDER BY 1"
    ).fetchall()
    tables = [name for name, kind, _ in found if kind == "r"]
    rows = [
        connection.execute(f"SELECT * FROM analytics.{name} ORDER BY 1".encode()).fetchall()
        for name in tables
    ]
    return [*found, *((name, kept) for name, kept in zip(tables, rows, strict=True))]


@pytest.mark.parametrize("theirs", THEIRS)
def test_what_somebody_else_has_under_that_name_is_refused_by_name_and_untouched(
    place: Place, theirs: str
) -> None:
    statements, said = THEIRS[theirs]
    place.does(*statements)
    before = contents(place.connection)
    for _ in range(2):
        with pytest.raises(PublicationRefused, match=said) as caught:
            place.publishes(FRAME)
        assert caught.value.where == "analytics.one"
        assert "under another name" in caught.value.do
    assert contents(place.connection) == before


def test_a_table_of_ours_that_somebody_made_again_is_not_ours_and_one_that_is_gone_is_made_again(
    place: Place,
) -> None:
    place.publishes(FRAME)
    place.does(
        "DROP TABLE analytics.one",
        "CREATE TABLE analytics.one (id bigint PRIMARY KEY, v text)",
        FILLED.format("one"),
    )
    with pytest.raises(PublicationRefused, match="is gone, and another one"):
        place.publishes(FRAME.head(1))
    assert place.rows() == [(77, "precious"), (78, "precious")]
    place.does("DROP TABLE analytics.one")
    place.publishes(FRAME)
    assert place.rows() == FRAME.rows()


def test_a_schema_that_was_restored_from_a_dump_is_still_ours(place: Place) -> None:
    """Every table has another number then, that of the record as well."""
    place.publishes(FRAME)
    place.does(
        "ALTER SCHEMA analytics RENAME TO dumped",
        "CREATE SCHEMA analytics",
        *(
            f"CREATE TABLE analytics.{name} (LIKE dumped.{name} INCLUDING ALL)"
            for name in ("one", "_headworks_products", "_headworks_tables")
        ),
        *(
            f"INSERT INTO analytics.{name} SELECT * FROM dumped.{name}"
            for name in ("one", "_headworks_products", "_headworks_tables")
        ),
    )
    for last in (1, 2):
        place.publishes(FRAME.head(last))
        assert place.rows() == FRAME.head(last).rows()


def test_tables_published_before_there_was_a_record_are_taken_over_and_others_are_not(place: Place) -> None:
    place.publishes(FRAME)
    place.does(
        "DROP TABLE analytics._headworks_tables",
        "ALTER TABLE analytics.one ADD COLUMN note text DEFAULT 'kept'",
    )
    report = place.publishes(FRAME.head(1))
    assert place.rows() == [(1, "a", "kept")]
    assert report.warnings == ("analytics.one: note is not of gold, and is left as it is",)
    place.does(
        "DROP TABLE analytics._headworks_tables",
        "CREATE TABLE analytics.two (id bigint, v text)",
        FILLED.format("two"),
    )
    place.table = replace(TABLE, name="two")
    with pytest.raises(PublicationRefused, match="did not make"):
        place.publishes(FRAME)


def test_two_products_do_not_share_a_table(place: Place) -> None:
    place.publishes(FRAME)
    with pytest.raises(PublicationRefused, match="The product p publishes this table"):
        publish_postgres(place.lake, place.database, "analytics", single(place.lake, FRAME, "q"), (TABLE,))
    assert place.rows() == FRAME.rows()


MICRO = datetime(2026, 3, 29, 1, 30, 0, 123456)
EXTREMES: dict[str, tuple[pl.DataType, list[Any], str]] = {
    "boolean": (pl.Boolean(), [True, False], "boolean"),
    "int8": (pl.Int8(), [-128, 127, 0], "smallint"),
    "int16": (pl.Int16(), [-(2**15), 2**15 - 1], "smallint"),
    "int32": (pl.Int32(), [-(2**31), 2**31 - 1], "integer"),
    "int64": (pl.Int64(), [-(2**63), 2**63 - 1], "bigint"),
    "float32": (
        pl.Float32(),
        [0.5, -1.0 / 3, 3.4028234663852886e38, 1e-45, float("inf"), float("nan")],
        "real",
    ),
    "float64": (
        pl.Float64(),
        [0.1 + 0.2, 1.7976931348623157e308, 5e-324, float("-inf"), float("nan"), -0.0],
        "double precision",
    ),
    "decimal": (
        pl.Decimal(38, 10),
        [Decimal("9" * 28 + ".0123456789"), Decimal("-0.0000000001")],
        "numeric(38,10)",
    ),
    "text": (pl.String(), ["", " ", "tab\t\\N \n'\"%s", "é😀\ufffd\ue000", "x" * 100_000], "text"),
    "date": (pl.Date(), [date(1, 1, 1), date(1582, 10, 4), date(9999, 12, 31)], "date"),
    "moment": (
        pl.Datetime("us", "UTC"),
        [
            MICRO.replace(tzinfo=UTC),
            datetime(1, 1, 2, tzinfo=UTC),
            datetime(9999, 12, 30, 23, 59, 59, 999999, tzinfo=UTC),
        ],
        "timestamp with time zone",
    ),
    "local moment": (
        pl.Datetime("us"),
        [MICRO, datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)],
        "timestamp without time zone",
    ),
    "binary": (pl.Binary(), [b"", b"\x00\xff\\x41", bytes(range(256))], "bytea"),
    "list of numbers": (pl.List(pl.Int64()), [[], [1, None, -(2**63)], [2] * 50], "bigint[]"),
    "list of texts": (pl.List(pl.String()), [["", "NULL", '"', "{,}", None, "\\"], ["é"]], "text[]"),
    "list of moments": (pl.List(pl.Datetime("us")), [[MICRO, None]], "timestamp without time zone[]"),
    "struct": (
        pl.Struct({"a": pl.Int64(), "b": pl.List(pl.Struct({"c": pl.String()}))}),
        [{"a": 1, "b": [{"c": 'x"\\'}, {"c": None}]}, {"a": None, "b": []}],
        "jsonb",
    ),
}


def plain(rows: list[tuple[Any, ...]], dtype: pl.DataType) -> str:
    """Return rows as text: NaN is equal to itself, floats of 32 bits have no more digits, UTC has one name."""

    def one(value: Any) -> Any:
        if isinstance(value, float) and dtype == pl.Float32():
            return struct.pack("f", value)
        return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value

    return repr([tuple(one(value) for value in row) for row in rows]).replace("-0.0", "0.0")


@pytest.mark.parametrize("kind", EXTREMES)
def test_every_type_is_published_exactly_also_when_it_changes_run_after_run(place: Place, kind: str) -> None:
    """Four runs: all values, in another order of rows, null in each place, and all again."""
    dtype, values, in_postgres = EXTREMES[kind]
    place.connection.execute("SET timezone = 'UTC'")
    for moved in (values, values[::-1], [None, *values[1:]], values):
        frame = pl.DataFrame({"id": range(len(moved)), "v": pl.Series(moved, dtype=dtype)})
        place.publishes(frame)
        assert plain(place.rows(), dtype) == plain(frame.rows(), dtype)
    assert place.connection.execute(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'analytics.one'::regclass"
        " AND attname = 'v'"
    ).fetchall() == [(in_postgres,)]


BAD: dict[str, tuple[pl.Series, str]] = {
    "a NUL in a text": (pl.Series(["a", "b\0c"]), "NUL"),
    "a NUL in a list": (pl.Series([["a"], ["b", "c\0"]]), "NUL"),
    "a NUL in a struct": (pl.Series([{"x": "a"}, {"x": "\0"}]), "NUL"),
    "the year 0": (pl.Series([0, -719_529], dtype=pl.Int32).cast(pl.Date), "year"),
    "the year 10000": (pl.Series([0, 2_932_897], dtype=pl.Int32).cast(pl.Date), "year"),
    "a moment of the year -1": (pl.Series([0, -62_200_000_000_000_000]).cast(pl.Datetime("us")), "year"),
    "a moment of the year 12000": (
        pl.Series([0, 316_516_204_800_000_000]).cast(pl.Datetime("us", "UTC")),
        "year",
    ),
    "NaN in a struct": (pl.Series([{"x": 1.0}, {"x": float("nan")}]), "NaN"),
}

_PLAIN, _POISONS = (
    {
        "NaN": (pl.Float64(), 1.5),
        "infinity": (pl.Float64(), 1.5),
        "minus infinity of 32 bits": (pl.Float32(), 1.5),
        "NUL": (pl.String(), "a"),
        "year": (pl.Date(), date(2026, 1, 5)),
        "year of a moment": (pl.Datetime("us", "UTC"), datetime(2026, 1, 5, tzinfo=UTC)),
    },
    {
        "NaN": (float("nan"), "NaN"),
        "infinity": (float("inf"), "infinity"),
        "minus infinity of 32 bits": (float("-inf"), "infinity"),
        "NUL": ("b\0", "NUL"),
        "year": (pl.Series([-719_529], dtype=pl.Int32).cast(pl.Date), "year"),
        "year of a moment": (pl.Series([-62_200_000_000_000_000]).cast(pl.Datetime("us", "UTC")), "year"),
    },
)
_NESTED: dict[str, tuple[str, ...]] = {
    "a list": ("list",),
    "a list of lists": ("list", "list"),
    "a struct": ("struct",),
    "a struct in a struct": ("struct", "struct"),
    "structs in a list": ("list", "struct"),
    "a list in a struct": ("struct", "list"),
    "lists of structs of lists": ("list", "struct", "list"),
}


def _nested(value: pl.Series, around: tuple[str, ...]) -> pl.Series:
    """Put each value of a series into lists and structs, the innermost first."""
    for kind in reversed(around):
        if kind == "struct":
            value = pl.DataFrame({"other": [1] * len(value), "x": value}).to_struct()
        else:
            numbered = pl.DataFrame({"n": range(len(value)), "x": value})
            value = numbered.group_by("n", maintain_order=True).agg("x").get_column("x")
    return value.alias("v")


@pytest.mark.sampled(12)
@pytest.mark.parametrize("around", _NESTED)
@pytest.mark.parametrize("poison", _POISONS)
def test_a_value_that_cannot_be_shown_is_named_however_deep_it_lies(
    place: Place, poison: str, around: str
) -> None:
    """JSON has neither NaN nor infinity; an array of Postgres' own floats has them, and gets them."""
    dtype, plain = _PLAIN[poison]
    bad, said = _POISONS[poison]
    odd = bad if isinstance(bad, pl.Series) else pl.Series([bad], dtype=dtype)
    values = _nested(
        pl.concat([pl.Series([plain], dtype=dtype), odd, pl.Series([None], dtype=dtype)]), _NESTED[around]
    )
    frame = pl.DataFrame({"id": [41, 42, 43]}).with_columns(values)
    for _ in range(2):
        if dtype.is_float() and around == "a list":
            place.publishes(frame)
            assert place.rows("id") == [(41,), (42,), (43,)]
            continue
        with pytest.raises(PublicationRefused, match=said) as caught:
            place.publishes(frame)
        assert "'v'" in caught.value.what
        assert "id=42" in caught.value.what
    place.publishes(frame.filter(pl.col("id") != 42))
    assert place.rows("id") == [(41,), (43,)]


@pytest.mark.parametrize("bad", BAD)
def test_a_value_that_cannot_be_shown_is_named_by_table_column_and_row(place: Place, bad: str) -> None:
    values, said = BAD[bad]
    good = pl.DataFrame({"id": [40], "v": values.head(1)})
    place.publishes(good)
    before = place.rows("id")
    with pytest.raises(PublicationRefused, match=said) as caught:
        place.publishes(pl.DataFrame({"id": [41, 42], "v": values}))
    assert caught.value.where == "analytics.one"
    assert "'v'" in caught.value.what
    assert "id=42" in caught.value.what
    assert place.rows("id") == before
    place.publishes(good.with_columns(id=pl.lit(43, pl.Int64)))
    assert place.rows("id") == [(43,)]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pl.DataFrame({"id": [1, 1, 2], "v": ["a", "a", "b"]}), "more than once.*id=1"),
        (pl.DataFrame({"id": [1, None], "v": ["a", "b"]}), "'id'.*null.*id=None"),
        (pl.DataFrame({"v": ["a"]}), "no column id, which the key names; it has v"),
    ],
)
def test_a_key_that_tells_no_rows_apart_is_named(place: Place, frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(PublicationRefused, match=said):
        place.publishes(frame)
    assert place.connection.execute("SELECT to_regclass('analytics.one')").fetchone() == (None,)


LONGEST = "ü" * 31 + "x"
NAMES = ["50%", "%s", "a b", 'quo"ted', "semi;colon", "Ünïcode", "order", "1", "a.b", "{x}", LONGEST]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_names_like_any_other_run_after_run(place: Place, name: str) -> None:
    place.schema, place.table = name, replace(TABLE, name=name, key=(name,))
    frame = pl.DataFrame({name: [1, 2], f"{name[:20]}%": ["a", None]})
    for shown in (
        frame,
        frame.head(1),
        frame.with_columns(pl.lit(True).alias("more")),
        frame.drop(frame.columns[1]),
    ):
        place.publishes(shown)
        kept = ", ".join('"{}"'.format(column.replace('"', '""')) for column in shown.columns)
        assert place.rows(kept) == shown.rows()


def test_names_that_postgres_would_cut_or_keeps_for_itself_are_refused(place: Place) -> None:
    for columns, said in (
        ({"id": [1], "y" * 64: [1]}, "longer: y"),
        ({"id": [1], "y" * 70 + "a": [1], "y" * 70 + "b": [2]}, "longer: y"),
        ({"id": [1], "ctid": [1]}, "keeps these names of columns for itself: ctid"),
        ({"id": [1], **{f"c{n}": [n] for n in range(1600)}}, "1600 at most"),
    ):
        with pytest.raises(PublicationRefused, match=said):
            place.publishes(pl.DataFrame(columns))
    place.schema = "s" * 64
    with pytest.raises(PublicationRefused, match="longer: s"):
        place.publishes(FRAME)
    for name in ("x" * 64, "", "a\0"):
        with pytest.raises(SettingsError, match="not a valid name of a table"):
            replace(TABLE, name=name)


def test_two_tables_whose_names_begin_alike_are_two_tables(place: Place) -> None:
    for name in ("n" * 62 + "a", "n" * 62 + "b"):
        place.table = replace(TABLE, name=name)
        publish_postgres(
            place.lake, place.database, "analytics", single(place.lake, FRAME, f"p{name[-1]}"), (place.table,)
        )
        assert place.rows() == FRAME.rows()


WIDE = pl.DataFrame({"id": [1, 2], "v": ["a", "b"], "x": [1.5, 2.5]})


def test_a_column_that_gold_no_longer_has_never_shows_old_values(place: Place) -> None:
    """Five runs: there, gone with a changed row, gone still, under another name, there again."""
    place.publishes(WIDE)
    report = place.publishes(WIDE.drop("x").with_columns(v=pl.Series(["changed", "b"])))
    assert report.warnings == ("analytics.one: gold no longer has x: empty now, and may be dropped",)
    assert place.rows("id, v, x") == [(1, "changed", None), (2, "b", None)]
    assert place.publishes(WIDE.drop("x").with_columns(v=pl.Series(["c", "b"]))).warnings == ()
    assert place.rows("id, v, x") == [(1, "c", None), (2, "b", None)]
    place.publishes(WIDE.rename({"x": "amount"}))
    assert place.rows("id, amount, x") == [(1, 1.5, None), (2, 2.5, None)]
    place.publishes(WIDE)
    assert place.rows("id, v, x, amount") == [(1, "a", 1.5, None), (2, "b", 2.5, None)]


def test_a_column_that_gold_no_longer_has_is_dropped_or_refused_where_that_is_declared(place: Place) -> None:
    place.table = replace(TABLE, gone="refuse")
    place.publishes(WIDE)
    with pytest.raises(PublicationRefused, match="Gold no longer has x"):
        place.publishes(WIDE.drop("x"))
    place.table = replace(TABLE, gone="drop")
    place.does("CREATE VIEW analytics.seen AS SELECT x FROM analytics.one")
    with pytest.raises(PublicationRefused, match="view"):
        place.publishes(WIDE.drop("x"))
    place.does("DROP VIEW analytics.seen")
    place.publishes(WIDE.drop("x"))
    assert place.rows() == WIDE.drop("x").rows()


WIDENED: dict[str, tuple[pl.Series, pl.Series]] = {
    "integers": (pl.Series([1, 2], dtype=pl.Int32), pl.Series([2**40, 2])),
    "floats": (pl.Series([0.5, 2], dtype=pl.Float32), pl.Series([0.1, 2.0])),
    "digits": (
        pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(6, 2)),
        pl.Series([Decimal("123456.5678"), None], dtype=pl.Decimal(12, 4)),
    ),
    "whole numbers to decimals": (
        pl.Series([1, 2]),
        pl.Series([Decimal(2**70), Decimal(2)], dtype=pl.Decimal(38, 2)),
    ),
}


@pytest.mark.parametrize("kind", WIDENED)
def test_a_wider_type_widens_and_a_narrower_one_stays_and_a_view_that_is_in_the_way_is_named(
    place: Place, kind: str
) -> None:
    narrow, wide = (pl.DataFrame({"id": [1, 2], "v": values}) for values in WIDENED[kind])
    place.publishes(narrow)
    place.does("CREATE VIEW analytics.seen AS SELECT v FROM analytics.one")
    with pytest.raises(PublicationRefused, match="view") as caught:
        place.publishes(wide)
    assert 'ALTER COLUMN "v" TYPE' in caught.value.do
    assert place.rows() == narrow.rows()
    place.does("DROP VIEW analytics.seen")
    for frame in (wide, narrow, wide):
        place.publishes(frame)
        assert place.rows() == frame.rows()


@pytest.mark.parametrize(
    "other",
    [
        pl.Series(["x", "y"]),
        pl.Series([1.5, 2.5]),
        pl.Series([True, False]),
        pl.Series([date(2026, 1, 1)] * 2),
    ],
)
def test_another_type_is_refused_before_the_lake_moves_and_changes_nothing(
    place: Place, other: pl.Series
) -> None:
    first = pl.DataFrame({"id": [1, 2], "v": [1, 2]})
    place.publishes(first)
    with pytest.raises(PublicationRefused, match="'v' is bigint in the database and"):
        place.publishes(first.with_columns(v=other))
    assert place.rows() == first.rows()


def test_another_key_is_followed_and_a_foreign_key_that_is_in_the_way_is_named(place: Place) -> None:
    """Four runs: one column, two, another one, and the first again; rows would be duplicates under the old key."""
    frame = pl.DataFrame({"id": [1, 2], "v": ["a", "b"]})
    place.publishes(frame)
    place.does("CREATE TABLE analytics.theirs (one bigint REFERENCES analytics.one (id))")
    place.table = replace(TABLE, key=("id", "v"))
    duplicated = pl.DataFrame({"id": [1, 1], "v": ["a", "b"]})
    with pytest.raises(PublicationRefused, match="depend"):
        place.publishes(duplicated)
    place.does("DROP TABLE analytics.theirs")
    place.publishes(duplicated)
    assert sorted(place.rows()) == duplicated.rows()
    place.table = replace(TABLE, key=("v",))
    place.publishes(duplicated.with_columns(id=pl.lit(None, pl.Int64)))
    assert sorted(place.rows("v, id")) == [("a", None), ("b", None)]
    place.table = TABLE
    place.publishes(frame)
    assert place.rows() == frame.rows()
    assert place.connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'analytics.one'::regclass AND contype = 'p'"
    ).fetchall() == [("PRIMARY KEY (id)",)]


def test_another_key_is_followed_although_no_row_changed(place: Place) -> None:
    version = single(place.lake, FRAME.fill_null("n"))
    publish_postgres(place.lake, place.database, "analytics", version, (TABLE,))
    report = publish_postgres(place.lake, place.database, "analytics", version, (replace(TABLE, key=("v",)),))
    assert report.changed


DEMANDS: dict[str, tuple[str, str]] = {
    "a check": ("ADD CONSTRAINT few CHECK (id < 10)", "few"),
    "a unique index": ("ADD CONSTRAINT once UNIQUE (v)", "once"),
    "a column that must be given": (
        "ADD COLUMN theirs text NOT NULL DEFAULT ''; ALTER TABLE analytics.one ALTER theirs DROP DEFAULT",
        "theirs",
    ),
}


@pytest.mark.parametrize("demand", DEMANDS)
def test_what_somebody_demands_of_our_table_is_named(place: Place, demand: str) -> None:
    place.publishes(FRAME)
    statement, said = DEMANDS[demand]
    place.does(f"ALTER TABLE analytics.one {statement}")
    before = place.rows()
    with pytest.raises(PublicationRefused, match=said) as caught:
        publish_postgres(
            place.lake,
            place.database,
            "analytics",
            single(place.lake, pl.DataFrame({"id": [1, 20], "v": ["a", "a"]})),
            (TABLE,),
        )
    assert caught.value.where == "analytics.one"
    assert place.rows() == before


def test_a_new_table_of_the_product_is_published_although_the_product_did_not_change(place: Place) -> None:
    version = single(place.lake, FRAME)
    publish_postgres(place.lake, place.database, "analytics", version, (TABLE,))
    both = (TABLE, replace(TABLE, name="two"))
    assert publish_postgres(place.lake, place.database, "analytics", version, both).changed
    assert not publish_postgres(place.lake, place.database, "analytics", version, both).changed
    place.table = both[1]
    assert place.rows() == FRAME.rows()


def test_a_table_that_the_product_does_not_have_and_a_name_that_is_given_twice_are_refused(
    place: Place,
) -> None:
    version = single(place.lake, FRAME)
    for tables, said in (
        ((replace(TABLE, dataset="t.none"),), "no table t.none; it has t.one"),
        ((TABLE, TABLE), "under one name: one"),
    ):
        with pytest.raises(SettingsError, match=said):
            publish_postgres(place.lake, place.database, "analytics", version, tables)


def test_the_question_alone_changes_nothing(place: Place) -> None:
    place.asks(FRAME)
    assert place.connection.execute("SELECT to_regnamespace('analytics')").fetchone() == (None,)
    place.publishes(WIDE)
    before = contents(place.connection)
    for frame in (
        WIDE.drop("x"),
        WIDE.with_columns(more=1),
        WIDE.with_columns(v=pl.lit("other")),
        WIDE.head(1),
    ):
        place.asks(frame)
        assert contents(place.connection) == before


@pytest.fixture
def analytics(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    """A database of just the name that the documentation has."""
    with psycopg.connect(postgres.dsn, autocommit=True) as server:
        server.execute("CREATE DATABASE analytics")
        parts = psycopg.conninfo.conninfo_to_dict(postgres.dsn)
        url = f"postgresql://{parts['user']}@/analytics?host={parts['host']}"
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                yield connection
        finally:
            server.execute("DROP DATABASE analytics WITH (FORCE)")
            server.execute("DROP ROLE IF EXISTS headworks_publisher, headworks_writer")


def test_the_grants_of_the_documentation_are_enough_word_for_word(
    lake: Lake, analytics: psycopg.Connection
) -> None:
    from tests.rules.out import CHECKOUT

    blocks = (CHECKOUT / "docs" / "operations.md").read_text().split("```sql\n")[1:]
    first, later = (block.partition("```")[0] for block in blocks[:2])

    def as_role(role: str) -> Place:
        host = analytics.info.host
        url = SecretStr(f"postgresql://{role}@/analytics?host={host}")
        return Place(lake, DatabaseSettings(url=url), analytics)

    analytics.execute(first.encode())
    publisher = as_role("headworks_publisher")
    shapes = (FRAME, FRAME.with_columns(n=pl.lit(1, pl.Int32)), FRAME.with_columns(n=pl.lit(2**40)), FRAME)
    for frame in shapes:
        publisher.publishes(frame)
        assert publisher.rows("id, v") == frame.select("id", "v").rows()
    analytics.execute(later.encode())
    writer = as_role("headworks_writer")
    for frame in (FRAME.head(1), FRAME, FRAME.tail(1)):
        writer.publishes(frame)
        assert writer.rows("id, v") == frame.rows()
    with pytest.raises(CredentialsRefused, match="must be owner") as caught:
        writer.publishes(FRAME.with_columns(fresh=pl.lit(1)))
    assert caught.value.where == "analytics.one"
    analytics.execute(b"REVOKE DELETE ON analytics.one FROM headworks_writer")
    with pytest.raises(CredentialsRefused, match="may not DELETE") as caught:
        writer.publishes(FRAME)
    assert caught.value.do == "GRANT DELETE ON analytics.one."


def test_a_publisher_that_stands_still_is_ended_and_holds_nobody_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped in its transaction, with a column changed; the server ends it, and another one goes through."""
    place.publishes(FRAME)
    patient = place.database.model_copy(update={"idle_timeout_s": 1})
    real, still = publishing._record, Alongside(lambda: None)

    def standing(*arguments: Any) -> None:
        gone = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'headworks publish' AND datname = current_database()"
        )
        for _ in range(4_000):
            if place.connection.execute(gone.encode()).fetchone() == (0,):
                break
            still.ended.wait_a_little()
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "_record", standing)
        version = single(place.lake, FRAME.with_columns(n=pl.lit(1)))
        with pytest.raises(SourceUnavailable):
            publish_postgres(place.lake, patient, "analytics", version, (TABLE,))
    assert place.rows() == FRAME.rows()
    place.publishes(FRAME.with_columns(n=pl.lit(1)))
    assert place.rows("id, n") == [(1, 1), (2, 1)]
