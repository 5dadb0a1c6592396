"""Every kind of check × every way in which it can pass without having checked: the gate stays closed and says why.

The same table of ways is tried on both engines that contracts are scanned on. Each check is also tried as it should be,
and opens the gate there: so a closed one is closed for the way that is named, and not for the check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import yaml

from headworks.quality.contracts import run_contract
from headworks.quality.gate import decide
from headworks.quality.postgres_contracts import run_postgres_contract
from headworks.reports import GateReport

Body = dict[str, Any]
GOOD = pl.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "text": ["a", "b", "c", "d"],
        "price": [1.0, 2.0, 3.0, 4.0],
        "at": [datetime(2026, 1, 1, tzinfo=UTC)] * 4,
    },
    schema_overrides={"at": pl.Datetime("us", "UTC")},
)
NAN = GOOD.with_columns(pl.Series("price", [1.0, float("nan"), 3.0, 4.0]))


@dataclass(frozen=True)
class Kind:
    """A kind of check that holds for the good rows: where it is written, and what can be done to it."""

    check: str
    body: Body
    column: str | None = None
    filtered: bool = True
    """Takes a filter of its own, and says nothing where that leaves no row."""
    compares_price: bool = False
    query: str | None = None
    """The key of its query."""
    reads_columns: bool = True


def most(value: float) -> Body:
    return {"must_be_less_than": value}


KINDS = {
    "missing": Kind("missing", {}, "price"),
    "invalid by values": Kind("invalid", {"valid_values": ["a", "b", "c", "d"]}, "text"),
    "invalid by a bound": Kind("invalid", {"valid_min": 0}, "price", compares_price=True),
    "invalid by length": Kind("invalid", {"valid_max_length": 3}, "text"),
    "duplicate in a column": Kind("duplicate", {}, "id"),
    "duplicate in columns": Kind("duplicate", {"columns": ["id", "text"]}),
    "aggregate": Kind("aggregate", {"function": "min", "threshold": most(2)}, "price", compares_price=True),
    "row count": Kind("row_count", {"threshold": {"must_be": 4}}, filtered=False, reads_columns=False),
    "freshness": Kind("freshness", {"column": "at", "threshold": most(24 * 365 * 1000)}),
    "rows by expression": Kind(
        "failed_rows", {"expression": "price < 0"}, filtered=False, compares_price=True
    ),
    "rows by query": Kind(
        "failed_rows",
        {"query": "SELECT * FROM TABLE WHERE price < 0", "threshold": {"must_be": 0}},
        filtered=False,
        compares_price=True,
        query="query",
    ),
    "figure by expression": Kind(
        "metric", {"expression": "min(price)", "threshold": most(2)}, filtered=False, compares_price=True
    ),
    "figure by query": Kind(
        "metric",
        {"query": "SELECT min(price) FROM TABLE", "threshold": most(2)},
        filtered=False,
        compares_price=True,
        query="query",
    ),
    "schema": Kind("schema", {"allow_extra_columns": True}, filtered=False, reads_columns=False),
}


@dataclass(frozen=True)
class Way:
    """A way in which a check passes unchecked, and a word of the reason."""

    does: Callable[[Body, Body, Kind], None]
    said: str
    suits: Callable[[str, Kind], bool] = lambda name, kind: True
    rows: pl.DataFrame = field(default_factory=lambda: GOOD)


def to_dataset(key: str, value: Any) -> Callable[[Body, Body, Kind], None]:
    def does(contract: Body, body: Body, kind: Kind) -> None:
        contract[key] = value

    return does


def to_check(key: str, value: Any) -> Callable[[Body, Body, Kind], None]:
    def does(contract: Body, body: Body, kind: Kind) -> None:
        body[key] = value

    return does


def to_query(make: Callable[[str], str]) -> Callable[[Body, Body, Kind], None]:
    def does(contract: Body, body: Body, kind: Kind) -> None:
        body["query"] = make(body["query"])

    return does


def instead(condition: str) -> Callable[[str], str]:
    return lambda query: query.replace("price < 0", condition)


def filters_all_out(condition: str) -> Callable[[Body, Body, Kind], None]:
    def does(contract: Body, body: Body, kind: Kind) -> None:
        body.update(filter=condition, attributes={"may_test_no_row": True})

    return does


def has_expression(kind: str, of: Kind) -> bool:
    return kind == "rows by expression"


def unknown_column(contract: Body, body: Body, kind: Kind) -> None:
    if kind.column:
        next(each for each in contract["columns"] if each["name"] == kind.column)["name"] = "nope"
    elif "column" in body or "columns" in body:
        body.update({"column": "nope"} if "column" in body else {"columns": ["id", "nope"]})
    else:
        key = "query" if kind.query else "expression"
        body[key] = body[key].replace("price", "nope")


def other_case(contract: Body, body: Body, kind: Kind) -> None:
    next(each for each in contract["columns"] if each["name"] == kind.column)["name"] = str(
        kind.column
    ).upper()


NO_ROW = "id > 99"
ENDLESS = "SELECT 1 WHERE 1 = 0"
has_query = lambda name, kind: kind.query is not None  # noqa: E731 - a column of the table below
WAYS = {
    "a filter of the contract that leaves no row": Way(
        to_dataset("filter", NO_ROW),
        "no row was tested",
        lambda name, kind: name not in {"schema", "row count"},
    ),
    "a filter of its own that leaves no row": Way(
        to_check("filter", NO_ROW), "no", lambda name, kind: kind.filtered
    ),
    "not a number": Way(lambda *_: None, "NaN", lambda name, kind: kind.compares_price, NAN),
    "a column that is not there": Way(unknown_column, "nope", lambda name, kind: kind.reads_columns),
    "a column in other letters": Way(other_case, "meant is", lambda name, kind: kind.column is not None),
    "another table": Way(lambda c, b, k: c.update(dataset=c["dataset"] + "s"), "the contract is about"),
    "another layer": Way(
        lambda c, b, k: c.update(dataset=c["dataset"].replace("/silver/", "/gold/")), "the contract is about"
    ),
    "another data source": Way(to_dataset("dataset", "warehouse/silver/t_x"), "warehouse/silver/t_x"),
    "a key that nobody knows": Way(to_check("treshold", {"must_be": 0}), "treshold"),
    "a scope that is not run": Way(
        lambda c, b, k: (c.update(scopes={"late": {"name": "late"}}), b.update(scope="late"))[0], "scope"
    ),
    "a filter that is no SQL": Way(to_dataset("filter", "id >> AND"), "filter"),
    "two statements, the last without rows": Way(
        to_query(lambda query: f"{query}; {ENDLESS}"), "query", has_query
    ),
    "two statements over a comment": Way(
        to_query(lambda query: f"{query} -- first\n; /* second */ {ENDLESS}"), "query", has_query
    ),
    "two statements in brackets of their own": Way(
        to_query(lambda query: f"SELECT 1) AS a; {query}; SELECT * FROM (SELECT 1 WHERE 1 = 0"),
        "query",
        has_query,
    ),
    "a commit": Way(to_query(lambda query: "COMMIT"), "query", has_query),
    "a statement that drops": Way(
        to_query(lambda query: "DROP VIEW IF EXISTS silver.gone"), "query", has_query
    ),
    "a statement that makes": Way(to_query(lambda query: "CREATE TABLE made (id int)"), "query", has_query),
    "a statement that sets": Way(to_query(lambda query: "SET search_path = 'public'"), "query", has_query),
    "a comment and nothing else": Way(to_query(lambda query: f"-- {query}"), "query", has_query),
    "the table in a comment alone": Way(
        to_query(lambda query: f"{ENDLESS} -- {query}"), "does not look at", has_query
    ),
    "the table in a text alone": Way(
        to_query(lambda query: "SELECT 't_x' AS a WHERE 1 = 0"), "does not look at", has_query
    ),
    "another table in its query": Way(
        to_query(lambda query: "SELECT 0 AS a FROM information_schema.tables WHERE 1 = 0"),
        "does not look at",
        has_query,
    ),
    **{
        f"a condition that is the same for each row: {text}": Way(
            to_check("expression", text), "names no column", has_expression
        )
        for text in ("1 = 0", "NULL", "'price' = 'text'", "false -- price < 0")
    },
    **{
        f"a condition that is true of no row: {text}": Way(to_check("expression", text), said, has_expression)
        for text, said in (
            ("price = NULL", "IS NULL"),
            ("NULL <> price", "IS NULL"),
            ("id > 3 OR price /* none */ >= NULL::float", "IS NULL"),
            ("text NOT IN ('a', 'b''', NULL)", "IS NULL"),
            ("text IN (NULL)", "IS NULL"),
            ("price BETWEEN NULL AND 3", "no row"),
            ("text LIKE NULL", "no row"),
            ("id = 3 AND (price BETWEEN 1 AND NULL)", "no row"),
            ("1 = 0 AND price < 0", "no row"),
            ("price + NULL > 3", "IS NULL"),
        )
    },
    **{
        f"a query that gives no row: {text}": Way(
            to_query(instead(text)),
            said,
            lambda name, kind: name == "rows by query",
        )
        for text, said in (("price = NULL", "IS NULL"), ("1 = 0 AND price < 0", "no row"))
    },
    **{
        f"a filter that leaves no row of any table, and may leave none: {text}": Way(
            filters_all_out(text), said, lambda name, kind: kind.filtered
        )
        for text, said in (("price = NULL", "IS NULL"), ("1 = 0 AND id > 0", "no row"))
    },
    "a threshold with nothing in it": Way(
        to_check("threshold", {}), "is empty", lambda name, kind: name != "schema"
    ),
}
CASES = [
    pytest.param(way, kind, id=f"{kind}, {way}")
    for way, done in WAYS.items()
    for kind, of in KINDS.items()
    if done.suits(kind, of)
]
Scan = Callable[[Body, pl.DataFrame], GateReport]


@pytest.fixture(params=["duckdb", "postgres"])
def scan(request: pytest.FixtureRequest, tmp_path: Path) -> Scan:
    """Scan a contract on one of the engines, and decide."""

    def on_duckdb(content: Body, rows: pl.DataFrame) -> GateReport:
        return decide(
            "silver.t.x", run_contract(written(content, "lake"), rows, "silver.t.x"), contract_required=True
        )

    def on_postgres(content: Body, rows: pl.DataFrame) -> GateReport:
        with psycopg.connect(request.getfixturevalue("postgres").dsn) as connection:
            connection.execute("CREATE SCHEMA silver")
            connection.execute(
                "CREATE TABLE silver.t_x (id bigint, text text, price double precision, at timestamptz)"
            )
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO silver.t_x VALUES (%s, %s, %s, %s)", rows.rows())
            checks = run_postgres_contract(
                written(content, "postgres"), connection, "silver", "t_x", "silver.t.x"
            )
            assert connection.execute("SELECT count(*) FROM silver.t_x").fetchone() == (4,), (
                "it is still there"
            )
            assert connection.execute("SELECT to_regclass('made')").fetchone() == (None,)
            connection.rollback()
            assert connection.execute("SELECT to_regclass('silver.t_x')").fetchone() == (None,), (
                "it was committed"
            )
            return decide("silver.t.x", checks, contract_required=True)

    def written(content: Body, source: str) -> Path:
        path = tmp_path / "contract.yml"
        text = yaml.safe_dump(content, sort_keys=False).replace("FROM TABLE", "FROM silver.t_x")
        path.write_text(text.replace("dataset: SOURCE/", f"dataset: {source}/"))
        return path

    return on_duckdb if request.param == "duckdb" else on_postgres


def contract_of(kind: Kind) -> tuple[Body, Body]:
    body = {key: value for key, value in kind.body.items()}
    columns: list[Body] = [{"name": name} for name in GOOD.columns]
    contract: Body = {"dataset": "SOURCE/silver/t_x", "columns": columns}
    if kind.column:
        columns[GOOD.columns.index(kind.column)]["checks"] = [{kind.check: body}]
    else:
        contract["checks"] = [{kind.check: body}]
    return contract, body


@pytest.mark.parametrize("kind", KINDS)
def test_as_it_should_be_each_check_opens_the_gate(scan: Scan, kind: str) -> None:
    contract, _ = contract_of(KINDS[kind])
    assert scan(contract, GOOD).reasons == ()


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.query])
@pytest.mark.parametrize("end", [";", " ;\n", "\n-- and nothing more", " /* ; */ "])
def test_an_end_that_changes_nothing_is_allowed(scan: Scan, kind: str, end: str) -> None:
    contract, body = contract_of(KINDS[kind])
    body["query"] += end
    assert scan(contract, GOOD).reasons == ()


@pytest.mark.parametrize(("way", "kind"), CASES)
def test_a_check_that_would_pass_unchecked_keeps_the_gate_closed_and_one_reason_says_why(
    scan: Scan, way: str, kind: str
) -> None:
    contract, body = contract_of(KINDS[kind])
    WAYS[way].does(contract, body, KINDS[kind])
    gate = scan(contract, WAYS[way].rows)
    assert not gate.open
    assert any(WAYS[way].said in reason for reason in gate.reasons), gate.reasons
    errors = [check for check in gate.checks if check.outcome == "error"]
    assert len(gate.reasons) <= (1 if errors else 2), gate.reasons


@pytest.mark.parametrize(
    "kind", [name for name, kind in KINDS.items() if kind.filtered and name != "aggregate"]
)
def test_a_check_may_say_that_its_filter_may_leave_no_row(scan: Scan, kind: str) -> None:
    contract, body = contract_of(KINDS[kind])
    body.update(filter=NO_ROW, attributes={"may_test_no_row": True})
    gate = scan(contract, GOOD)
    assert gate.open or kind == "freshness", gate.reasons


@pytest.mark.parametrize(
    "expression",
    [
        "price IS NULL",
        "price IN (-1, NULL)",
        "price IS NOT DISTINCT FROM NULL",
        "text = 'price = NULL' /* = NULL */",
        "coalesce(price, NULL, 0) < 0",
        "price < -5",
        "price < CASE WHEN id > 3 THEN NULL ELSE -3 END",
        "price < (SELECT min(id) FROM silver.t_x)",
        "id NOT IN (SELECT id FROM silver.t_x WHERE id IS NOT NULL)",
    ],
)
def test_a_condition_that_some_row_may_break_is_a_check_though_no_row_breaks_it(
    scan: Scan, expression: str
) -> None:
    contract, body = contract_of(KINDS["rows by expression"])
    body["expression"] = expression
    assert scan(contract, GOOD).reasons == ()


def test_one_column_that_is_missing_is_one_sentence_however_many_checks_there_are(scan: Scan) -> None:
    contract: Body = {
        "dataset": "SOURCE/silver/t_x",
        "columns": [
            {"name": "prices", "checks": [{"missing": {}}, {"invalid": {"valid_min": 0}}]},
            {"name": "id", "checks": [{"missing": {}}, {"duplicate": {}}]},
        ],
        "checks": [{"row_count": {}}, {"duplicate": {"columns": ["id", "prices"]}}],
    }
    gate = scan(contract, GOOD)
    assert [check.outcome for check in gate.checks] == ["error"]
    (reason,) = gate.reasons
    assert "does not have: prices (meant is price?); it has id, text, price, at" in reason


def test_a_column_that_looks_itself_up_in_its_own_table_is_refused(scan: Scan) -> None:
    contract, body = contract_of(KINDS["invalid by values"])
    del body["valid_values"]
    body["valid_reference_data"] = {"dataset": "SOURCE/silver/t_x", "column": "text"}
    gate = scan(contract, GOOD)
    assert not gate.open


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd', sep = ':'), silver.t_x WHERE 1 = 0",
        "SELECT * FROM '/etc/passwd', silver.t_x WHERE 1 = 0",
        "SELECT * FROM glob('/etc/*'), silver.t_x WHERE 1 = 0",
    ],
)
def test_the_text_of_a_contract_reads_no_file_of_the_machine(tmp_path: Path, query: str) -> None:
    file, contract = tmp_path / "rows.parquet", tmp_path / "contract.yml"
    GOOD.write_parquet(file)
    for asked, is_open in ((query, False), ("SELECT * FROM silver.t_x WHERE id < 0", True)):
        content = {
            "dataset": "lake/silver/t_x",
            "columns": [{"name": "id"}],
            "checks": [{"failed_rows": {"query": asked, "threshold": {"must_be": 0}}}],
        }
        contract.write_text(yaml.safe_dump(content))
        gate = decide("s", run_contract(contract, file, "silver.t.x"), contract_required=True)
        assert gate.open is is_open, gate.reasons
