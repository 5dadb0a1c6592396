"""Any password of printable characters works in each form of a URL, and shows in no error, text or block."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from headworks import database_urls
from headworks.database_urls import read_url
from headworks.errors import HeadworksError, SettingsError
from headworks.prefect.blocks.database import database_connector, database_settings
from headworks.settings import DatabaseSettings
from headworks.sources.sql.address import asyncpg_arguments, describe
from headworks.sources.sql.engines import address, where_is

PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("äßñ→日😀€\u00a0")
PASSWORDS = st.text(PRINTABLE, min_size=1, max_size=24) | st.text(
    st.sampled_from("@:/?#%&=+ []\\'\",;"), min_size=1
)
FORMS = {
    "in the login": "{scheme}://reader:{password}@db.example.com:5433/shop",
    "with parameters": "{scheme}://reader:{password}@db.example.com:5433/shop?application_name=x%20y",
    "without a port": "{scheme}://reader:{password}@db.example.com/shop",
    "an address of six": "{scheme}://reader:{password}@[2001:db8::7]:5433/shop",
    "as a parameter": "{scheme}://reader@db.example.com:5433/shop?password={password}",
    "as a parameter among others": "{scheme}://reader@db.example.com/shop?password={password}&application_name=x",
}
POSTGRES_FORMS = {
    "a socket": "{scheme}://reader:{password}@/shop?host=/var/run/postgresql",
    "a socket in place of the host": "{scheme}://reader:{password}@%2Fvar%2Frun%2Fpostgresql/shop",
    "several hosts": "{scheme}://reader:{password}@one:5433,two:5434/shop?target_session_attrs=read-only",
    "everything as parameters": "{scheme}:///?user=reader&password={password}&host=db&dbname=shop&port=5433",
    "a service": "{scheme}://reader:{password}@/shop?service=prod&sslmode=require",
}
EXAMPLES = int(os.environ.get("HEADWORKS_PASSWORDS", "12"))
SCHEMES = ("postgresql", "postgresql+psycopg", "postgres", "mysql+pymysql", "mariadb+pymysql", "mssql+pyodbc")


@pytest.fixture(autouse=True, scope="module")
def few_known() -> Iterator[None]:
    """Do not remember hundreds of passwords, which takes longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_urls, "know", lambda *_: None)
        yield


@pytest.mark.parametrize(
    ("scheme", "form"),
    [
        (scheme, form)
        for scheme in SCHEMES
        for form in [*FORMS, *(POSTGRES_FORMS if scheme.startswith("postgres") else ())]
    ],
)
@examples(max_examples=EXAMPLES)
@given(password=PASSWORDS)
def test_any_encoded_password_reaches_the_driver_and_shows_nowhere(
    scheme: str, form: str, password: str
) -> None:
    postgres = scheme.startswith("postgres")
    template = {**FORMS, **POSTGRES_FORMS}[form]
    url = template.format(scheme=scheme, password=quote(password, safe=""))
    connector = database_connector(SecretStr(url))
    settings = database_settings(connector)
    for made in (settings, DatabaseSettings(url=SecretStr(url))):
        parts = made.parts()
        assert (parts.user, parts.password, parts.database) == ("reader", password, "shop")
        if postgres:
            assert conninfo_to_dict(made.libpq_url())["password"] == password
            assert asyncpg_arguments(made, "x")["password"] == password
        else:
            assert address(made).password == password
    # Of one character everything holds some.
    marked = f"{password}-canary-7f3"
    connector = database_connector(SecretStr(template.format(scheme=scheme, password=quote(marked, safe=""))))
    settings = database_settings(connector)
    shown = [
        repr(connector),
        str(connector),
        connector.model_dump_json(),
        repr(settings),
        settings.model_dump_json(),
    ]
    shown += [repr(settings.parts()), describe(settings) if postgres else where_is(settings)]
    assert "canary-7f3" not in " ".join(shown)


@pytest.mark.parametrize("scheme", SCHEMES)
@examples(max_examples=5 * EXAMPLES)
@given(password=PASSWORDS)
def test_a_password_that_is_not_encoded_is_read_or_refused_and_never_shown(
    scheme: str, password: str
) -> None:
    marked = f"{password}-canary-7f3"
    url = f"{scheme}://reader:{marked}@db.example.com:5433/shop"
    try:
        settings = DatabaseSettings(url=SecretStr(url))
        place = describe(settings) if scheme.startswith("postgres") else where_is(settings)
        output = f"{place} {database_connector(SecretStr(url))!r}"
        assert settings.parts().host == "db.example.com"
    except HeadworksError as problem:
        output = "".join(traceback.format_exception(problem)) + repr(problem)
    assert "canary-7f3" not in output


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgresql://u:p@ss@h/d", ("u", "p@ss", "h", None, "d")),
        ("postgresql://u:p/w@h:1/d?sslmode=require", ("u", "p/w", "h", "1", "d")),
        ("postgresql://u:p?w=1@h/d", ("u", "p?w=1", "h", None, "d")),
        ("mysql+pymysql://u:12?x=1@h/d", ("u", "12?x=1", "h", None, "d")),
        ("postgresql://h", (None, None, "h", None, None)),
        ("postgresql:///d", (None, None, None, None, "d")),
        ("postgresql://u:@h/d", ("u", "", "h", None, "d")),
        ("sqlite:////data/a@b?c.db", (None, None, None, None, "/data/a@b")),
        ("postgresql://a:1,b:2/d", (None, None, "a,b", "1,2", "d")),
        ("mssql+pyodbc://u:a+b@h/d?driver=ODBC+Driver+18", ("u", "a+b", "h", None, "d")),
    ],
)
def test_the_parts_of_a_url(url: str, parts: tuple[str | None, ...]) -> None:
    found = read_url(url)
    assert (found.user, found.password, found.host, found.port, found.database) == parts
    assert read_url(found.written()) == found


@pytest.mark.parametrize(
    "url",
    ["", "canary", "host=h password=canary", "postgresql:/u:canary@h", "postgresql://u:canary@h:port/d"],
)
def test_what_is_no_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        database_connector(SecretStr(url), where="HEADWORKS_SHOP_DATABASE_URL")
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["sslpassword", "ssl_key_password", "access_token", "client_secret"])
def test_a_secret_that_a_block_would_show_is_refused_by_its_name(name: str) -> None:
    scheme = "postgresql" if name == "sslpassword" else "mysql+pymysql"
    with pytest.raises(SettingsError, match=f"{name} would be readable") as caught:
        database_connector(SecretStr(f"{scheme}://u:p@h/d?{name}={quote_plus('the canary')}"))
    assert "canary" not in str(caught.value)


def test_sslmode_is_a_setting_and_the_url_goes_before_it() -> None:
    plain = SecretStr("postgresql://u@h/d")
    assert "sslmode" not in conninfo_to_dict(DatabaseSettings(url=plain).libpq_url())
    required = DatabaseSettings(url=plain, sslmode="require")
    assert conninfo_to_dict(required.libpq_url())["sslmode"] == "require"
    named = DatabaseSettings(url=SecretStr("postgresql://u@h/d?sslmode=disable"), sslmode="require")
    assert conninfo_to_dict(named.libpq_url())["sslmode"] == "disable"
    block = database_settings(database_connector(plain, sslmode="verify-full"))
    assert conninfo_to_dict(block.libpq_url())["sslmode"] == "verify-full"
