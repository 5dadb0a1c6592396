"""Who reads, and with what: the documented grants are enough, and any password connects and shows in no message."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import conninfo, sql
from pydantic import SecretStr

from headworks.errors import CredentialsRefused
from headworks.settings import DatabaseSettings
from headworks.storage.store import Lake
from tests.conftest import PostgresServer
from tests.integration.databases.test_errors import _until_refused, with_password
from tests.integration.dialects.conftest import mariadb
from tests.support import dialects
from tests.support.databases import landed, source, take
from tests.support.mariadb import MariaDb

__all__ = ["mariadb"]

DOCUMENTED = re.findall(
    r"```sql\n(.*?)```", (Path(__file__).parents[3] / "docs/databases.md").read_text(), re.DOTALL
)
POSTGRES, MARIADB = DOCUMENTED
PASSWORDS = ["a b", "p%20w", "p@ss:w/rd?x=1#y", "'\"\\;$` &", "100%", "ünïcödé", "[::1]@", "+plus+"]


def test_the_documented_grants_of_postgres_are_enough_word_for_word(
    postgres: PostgresServer, lake: Lake
) -> None:
    """For each kind of cursor, a whole read, keys, a schema, and a table that is made later."""
    dsn = postgres.new_database()
    name = conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(dsn, autocommit=True) as owner:
        for role in ("reader", "owner"):
            owner.execute(f"DROP ROLE IF EXISTS {role}")
        owner.execute("CREATE ROLE owner")
        owner.execute("CREATE SCHEMA shop AUTHORIZATION owner; REVOKE ALL ON SCHEMA public FROM public")
        owner.execute(f"REVOKE ALL ON DATABASE {name} FROM public")
        made = (
            "SET ROLE owner; CREATE TABLE shop.{0} (id bigint PRIMARY KEY, at timestamptz, day date); "
            "INSERT INTO shop.{0} SELECT n, now() - interval '1 day', now() FROM generate_series(1, 9) n; "
            "RESET ROLE"
        )
        owner.execute(made.format("before"))
        owner.execute(POSTGRES.replace("DATABASE shop", f"DATABASE {name}"))
        owner.execute(made.format("later"))
        parts = conninfo.conninfo_to_dict(dsn)
        url = f"postgresql://reader:a%20long%20one@/{parts['dbname']}?host={parts['host']}"
        reader = DatabaseSettings(url=SecretStr(url))
        for table in ("before", "later"):
            for cursor in (None, "at", "day", "id"):
                reading = source(reader, schema_name="shop", name=table, cursor=cursor)
                (report, *_) = take(lake, reading, dataset=f"t.{table}_{cursor}".lower())
                assert (report.landed, report.warnings) == (9, ())
            assert (
                sum(keys.height for keys in source(reader, schema_name="shop", name=table).read_keys()) == 9
            )
        with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(url) as connection:
            connection.execute("DELETE FROM shop.before")
        for role in ("reader", "owner"):
            owner.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_the_documented_grants_of_mariadb_are_enough_word_for_word(mariadb: MariaDb, lake: Lake) -> None:
    database = mariadb.new_database()
    dialects.make(mariadb.url(database))
    dialects.insert(mariadb.url(database), 1, 9)
    statements = MARIADB.replace("shop.*", f"{database}.*").replace("CREATE USER", "CREATE OR REPLACE USER")
    dialects.run(mariadb.url(database), *[each for each in statements.split(";") if each.strip()])
    url = mariadb.url(database, "reader", "a%20long%20one")
    for cursor in (None, "at", "id"):
        batches = list(dialects.table(url, cursor=cursor).read(None, None))
        assert sum(batch.read for batch in batches) == 9


@pytest.mark.parametrize("password", PASSWORDS)
def test_any_password_connects_to_postgres_through_both_drivers_and_shows_in_no_message(
    database: DatabaseSettings, connection: psycopg.Connection, lake: Lake, password: str
) -> None:
    parts = conninfo.conninfo_to_dict(database.libpq_url())
    connection.execute("CREATE TABLE rows (id int); INSERT INTO rows VALUES (1)")
    place = f"{parts['dbname']}?host={quote(str(parts['host']), safe='')}"
    forms = ["postgresql://keeper:{0}@/" + place, "postgresql+psycopg://keeper@/" + place + "&password={0}"]
    with with_password(connection, "keeper", "for now"):
        connection.execute(
            sql.SQL("ALTER ROLE keeper PASSWORD {}; GRANT SELECT ON rows TO keeper").format(
                sql.Literal(password)
            )
        )
        try:
            _until_refused(forms[0].format("not-this-one"))
            for number, form in enumerate(forms):
                right = DatabaseSettings(url=SecretStr(form.format(quote(password, safe=""))))
                take(lake, source(right), dataset=f"t.rows{number}")
                assert landed(lake, f"t.rows{number}").height == 1
                wrong = f"{password}canary-7f3"
                refused = DatabaseSettings(url=SecretStr(form.format(quote(wrong, safe=""))))
                with pytest.raises(CredentialsRefused) as caught:
                    _ = source(refused).schema
                output = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
                assert "canary-7f3" not in output
        finally:
            connection.execute("REVOKE ALL ON rows FROM keeper")


@pytest.mark.parametrize("password", PASSWORDS)
def test_any_password_connects_to_mariadb_and_shows_in_no_message(mariadb: MariaDb, password: str) -> None:
    database = mariadb.new_database()
    dialects.make(mariadb.url(database))
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE USER keeper IDENTIFIED BY %s", (password,))
        cursor.execute(f"GRANT SELECT ON {database}.* TO keeper")
    place = f"127.0.0.1:{mariadb.port}/{database}"
    for form in ("mysql+pymysql://keeper:{0}@" + place, "mysql+pymysql://keeper@" + place + "?password={0}"):
        assert dialects.table(form.format(quote(password, safe=""))).schema
        wrong = dialects.table(form.format(quote(f"{password}canary-7f3", safe="")))
        with pytest.raises(CredentialsRefused) as caught:
            _ = wrong.schema
        assert "canary-7f3" not in "".join(traceback.format_exception(caught.value))
