"""A contract held against its table before it is scanned: what would pass without having checked anything is refused.

Soda executes a contract's SQL as it is and leaves the rest to the database. So several statements count by their last
one, a statement that is no query counts as no failed rows, a check of another table says nothing about this one,
one unknown column leaves every check of the table unevaluated, a check in a scope is not run at all, and NaN, which
databases take for larger than every number, satisfies any ``valid_min``. Each of these is found here, and named in one
sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from headworks.errors import ContractRefused
from headworks.quality.sql_words import compared_with_null, names_in
from headworks.reports import CheckReport

MAY_TEST_NO_ROW = "may_test_no_row"
"""The attribute of a check that may pass although its filter leaves no row."""

_QUERIES = ("query", "rows_tested_query", "keys_query")
_FLOATS = {"float", "double", "real", "double precision", "float4", "float8"}
_NAMES_SHOWN = 20
_VARIABLE = re.compile(r"\$\{\s*var\.(\w+)\s*\}")


class Engine(Protocol):
    """The database that a contract is scanned on, and the one table that it is about."""

    @property
    def table(self) -> str:
        """The table's name, quoted for the database."""
        ...

    def columns(self) -> Mapping[str, str]:
        """Return the type of each column."""

    def problem(self, query: str) -> str | None:
        """Return why one query cannot be evaluated, without running it; None where it can."""

    def is_empty_always(self, query: str) -> bool:
        """Return whether a query that can be evaluated gives no row, whatever is in the table, as far as is seen."""

    def number(self, query: str) -> int:
        """Return the one number that a query gives."""


@dataclass(frozen=True)
class Check:
    """One check as it is written in a contract."""

    kind: str
    body: dict[str, Any]
    column: str | None

    @property
    def name(self) -> str:
        """Return what people call it."""
        given = str(self.body.get("name") or f"{self.kind} check")
        return f"{self.column}: {given}" if self.column else given

    def fragments(self) -> Iterator[tuple[str, str]]:
        """Return the pieces of SQL that stand inside Soda's own query, by the key that each is written under."""
        for key in ("filter", "expression"):
            if self.body.get(key):
                yield key, str(self.body[key])

    def queries(self) -> Iterator[tuple[str, str]]:
        """Return the queries of its own, by the key that each is written under."""
        for key in _QUERIES:
            if self.body.get(key):
                yield key, str(self.body[key])


def checks_of(content: Mapping[str, Any]) -> list[Check]:
    """Return every check of a contract."""
    found = [*_checks(content.get("checks"), None)]
    for column in content.get("columns") or ():
        found += _checks(column.get("checks"), str(column["name"]))
    return found


def refuse_what_checks_nothing(content: Mapping[str, Any], table: str, engine: Engine) -> None:
    """Raise `ContractRefused` for a contract that does not fit its table; one message names everything."""
    checks = checks_of(content)
    there = engine.columns()
    faults = [*_scopes(content, checks), *_thresholds(checks), *_unknown_columns(content, checks, there)]
    if not faults:
        faults += _sql(content, checks, table, there, engine)
    if faults:
        raise ContractRefused("; ".join(faults))


def found_before(content: Mapping[str, Any], engine: Engine, scope: str) -> list[CheckReport]:
    """Return what the scan itself does not notice: values that are no number and pass every comparison."""
    there = engine.columns()
    floats = [name for name, kind in there.items() if kind.lower() in _FLOATS]
    return [
        CheckReport(scope=scope, name=check.name, kind="contract", outcome=outcome, detail=detail)
        for check in checks_of(content)
        for outcome, detail in _not_numbers(content, check, floats, engine)
    ]


def refuse_another_table(named: tuple[str, str], scope: str, dataset: str) -> None:
    """Raise `ContractRefused` where a contract of the lake names another table than the one that it is scanned on.

    The table of ``silver.shop.orders`` is ``silver/shop_orders``; its last word alone, ``silver/orders``, is accepted.
    """
    layer, _, name = scope.partition(".")
    if named[0] != layer or named[1] not in {name.replace(".", "_"), name, name.rpartition(".")[2]}:
        raise ContractRefused(
            f"the contract is about {dataset}, and this is lake/{layer}/{name.replace('.', '_')}"
        )


def one_query(query: str) -> str:
    """Return a query without the semicolon at its end."""
    return query.strip().rstrip(";").rstrip()


def _checks(listed: Any, column: str | None) -> Iterator[Check]:
    for item in listed or ():
        for kind, body in item.items():
            yield Check(str(kind), body or {}, column)


def _scopes(content: Mapping[str, Any], checks: Iterable[Check]) -> Iterator[str]:
    scoped = [check.name for check in checks if check.body.get("scope")]
    if content.get("scopes") or scoped:
        yield (
            "checks in a scope are not run by a scan of the whole contract: "
            f"{', '.join(scoped) or 'scopes'}; use a filter"
        )


def _thresholds(checks: Iterable[Check]) -> Iterator[str]:
    for check in checks:
        if check.body.get("threshold") == {}:
            yield (
                f"the threshold of {check.name!r} is empty, and would be what Soda takes where there is none: "
                "write a bound, such as must_be: 0 or must_be_greater_than: 100, or take the threshold out"
            )


def _unknown_columns(
    content: Mapping[str, Any], checks: Iterable[Check], there: Mapping[str, str]
) -> Iterator[str]:
    named = [
        str(column["name"])
        for column in content.get("columns") or ()
        if column.get("checks") or not column.get("optional")
    ]
    for check in checks:
        named += [str(check.body["column"])] if check.body.get("column") else []
        named += [str(name) for name in check.body.get("columns") or ()]
    unknown = [name for name in dict.fromkeys(named) if name not in there]
    if unknown:
        meant = {name: _meant(name, there) for name in unknown}
        text = ", ".join(f"{name} (meant is {meant[name]}?)" if meant[name] else name for name in unknown)
        shown = ", ".join([*there][:_NAMES_SHOWN]) + (" …" if len(there) > _NAMES_SHOWN else "")
        yield f"the contract names columns that the table does not have: {text}; it has {shown}"


def _meant(name: str, there: Iterable[str]) -> str:
    by_lower = {each.lower(): each for each in there}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.75)
    return by_lower[close[0]] if close else ""


def _sql(
    content: Mapping[str, Any], checks: Iterable[Check], table: str, there: Iterable[str], engine: Engine
) -> Iterator[str]:
    def of(text: str) -> str | None:
        """Return SQL with its variables in it; None where one has no value here: Soda decides about these."""
        given = content.get("variables") or {}
        defaults = {name: (value or {}).get("default") for name, value in given.items()}
        if any(defaults.get(name) is None for name in _VARIABLE.findall(text)):
            return None
        text = _VARIABLE.sub(lambda found: str(defaults[found[1]]), text)
        return None if "${" in text else text

    def problem(what: str, sql: str | None, wrapped: str, selects: bool = True) -> Iterator[str]:
        """Say why SQL cannot be evaluated, or why what it selects can be no row of any table."""
        if sql is None:
            return
        query = wrapped.format(sql)
        if text := engine.problem(query):
            yield f"{what} cannot be evaluated: {text}"
        elif compared := compared_with_null(sql):
            yield f"{what} has {compared}, which is true of no value: write IS NULL or IS NOT NULL"
        elif selects and engine.is_empty_always(query):
            yield f"{what} can be true of no row of {table}, whatever is in it"

    condition = f"SELECT 1 FROM {_braced(engine.table)} WHERE (\n{{}}\n)"
    figure = f"SELECT (\n{{}}\n) FROM {_braced(engine.table)}"
    if content.get("filter"):
        yield from problem("the contract's filter", of(str(content["filter"])), condition)
    for check in checks:
        for key, text in check.fragments():
            is_figure = check.kind == "metric" and key == "expression"
            what, wrapped = f"{key} of {check.name!r}", figure if is_figure else condition
            problems = list(problem(what, of(text), wrapped, selects=False))
            if check.kind == "failed_rows" and not problems and not _depends_on(of(text), there):
                problems = [f"{what} names no column, so it is the same for each row of {table}"]
            yield from problems or problem(what, of(text), wrapped, selects=not is_figure)
        for key, text in check.queries():
            query = of(text)
            if query is None:
                continue
            what = f"{key} of {check.name!r}"
            problems = list(problem(what, one_query(query), "{}", selects=False))
            if not problems and table.lower() not in names_in(query):
                problems = [f"{what} does not look at {table}, which the contract is about"]
            yield from problems or problem(what, one_query(query), "{}", selects=check.kind == "failed_rows")
        reference = check.body.get("valid_reference_data") or {}
        # What is compared with itself is always found there.
        if str(reference.get("dataset", "")) == str(content["dataset"]) and check.column == reference.get(
            "column"
        ):
            yield f"{check.name!r} looks the column up in itself"


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _depends_on(condition: str | None, columns: Iterable[str]) -> bool:
    """Return whether a condition can differ from row to row; one that is not known yet, or has a query in it, may."""
    if condition is None:
        return True
    return not names_in(condition).isdisjoint(
        {"select", "columns", *(name.lower().replace('"', '""') for name in columns)}
    )


def _not_numbers(
    content: Mapping[str, Any], check: Check, floats: Iterable[str], engine: Engine
) -> Iterator[tuple[Any, str]]:
    """Find NaN where a check compares values: it is larger than every number, so no lower bound catches it."""
    texts = " ".join(text for _, text in (*check.fragments(), *check.queries()))
    words = names_in(texts)
    decided = "isnan" in words or "'nan'" in texts.lower()
    for column in floats:
        compared = check.kind in {"invalid", "aggregate"} and check.column == column
        if not compared and (column.lower() not in words or decided):
            continue
        quoted = column.replace('"', '""')
        conditions = [f"\"{quoted}\" = 'NaN'"]
        conditions += [f"({content['filter']})"] if content.get("filter") else []
        conditions += [f"({check.body['filter']})"] if compared and check.body.get("filter") else []
        if "${" in " ".join(conditions):
            continue
        count = engine.number(f"SELECT count(*) FROM {engine.table} WHERE {' AND '.join(conditions)}")
        if count and compared:
            yield "failed", f"{count} values of {column} are not a number (NaN), which no bound would catch"
        elif count:
            yield (
                "not evaluated",
                f"{count} values of {column} are not a number (NaN), which compares as larger than all: "
                "say in its SQL what becomes of them, by isnan or = 'NaN'",
            )
