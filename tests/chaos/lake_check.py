"""Silver, quarantine, gold, products and Postgres alongside what the shop's own database says they must be."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import polars as pl
import psycopg
from psycopg import sql

from headworks.gold.products import open_product, read_product
from headworks.quality.rules import judge
from headworks.silver.dataset import ORIGIN, Dataset
from headworks.silver.parse import UNREADABLE, parse
from headworks.silver.quarantine import SCHEMA, rejected_rows
from headworks.silver.references import split_orphans
from headworks.storage.delta import Table
from shop import datasets, gold, vocabulary
from shop.database import read_sql
from shop.truth import truth
from tests.chaos.comparing import Compared, Witness, compared, summed

_NEWEST_VALID: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    datasets.CUSTOMERS.name: (
        ("customer_id", "updated_at"),
        "SELECT customer_id, updated_at FROM valid_customers",
    ),
    datasets.ORDERS.name: (("order_id", "updated_at"), "SELECT order_id, updated_at FROM valid_orders"),
    datasets.ORDER_LINES.name: (
        ("order_id", "line_no", "updated_at"),
        "SELECT order_id, line_no, updated_at FROM valid_lines",
    ),
    datasets.PRODUCTS.name: (
        ("product_id", "category"),
        "SELECT product_id::bigint, category FROM valid_products",
    ),
    datasets.RATES.name: (
        ("day", "currency", "eur_per_unit"),
        "SELECT day, currency, eur_per_unit FROM valid_rates",
    ),
}
"""What shows silver's live rows apart, and the shop's own statement of what they must be."""

_DATASETS = tuple(dataset for independent in datasets.IN_ORDER for dataset in independent)


def compare_lake(witness: Witness) -> list[Compared]:
    """Compare every table behind bronze; the shop must not have changed since the last pass came to its end."""
    with psycopg.connect(witness.shop.dsn) as connection:
        return [
            *(_compare_silver(witness, connection, dataset) for dataset in _DATASETS),
            *(_compare_quarantine(witness, dataset) for dataset in _DATASETS),
            *_compare_gold(witness, connection),
        ]


def _compare_silver(witness: Witness, connection: psycopg.Connection[Any], dataset: Dataset) -> Compared:
    columns, statement = _NEWEST_VALID[dataset.name]
    valid = connection.execute(f"{read_sql('valid')} {statement}", _vocabulary()).fetchall()
    rows = witness.lake.must_open("silver", dataset.name).scan().collect()
    expected = Counter(valid)
    live = compared(
        f"silver.{dataset.name}",
        Counter(rows.filter(~pl.col("_deleted")).select(columns).rows()),
        expected,
        expected,
    )
    # A tombstone alongside a live row, or alongside another, doubles the key as well.
    duplicated = rows.height - rows.select(dataset.key).n_unique()
    return Compared(live.table, live.found, live.missing, max(live.duplicated, duplicated))


def _compare_quarantine(witness: Witness, dataset: Dataset) -> Compared:
    """Compare the rejected rows that count with what the rules and references say about every row of bronze.

    A row that breaks a rule, or whose parent silver does not have, is there once. A row that waited for its parent
    and was released later stays there, as a row that once waited.
    """
    lake, name = witness.lake, dataset.name
    bronze, silver = lake.must_open("bronze", name), lake.must_open("silver", name)
    counted = rejected_rows(lake, name, silver)
    kept = counted.collect() if counted is not None else pl.DataFrame(schema=SCHEMA)
    verdict = judge(parse(bronze.scan().collect(), dataset), dataset.schema, UNREADABLE)
    orphans = split_orphans(lake, dataset, verdict.good).rejected
    # A parent that was deleted with its children leaves them without it in bronze, but they had been accepted.
    orphans = orphans.join(silver.scan().collect(), on=list(dataset.key), how="anti")
    broken = Counter(verdict.rejected.select(ORIGIN).rows())
    waiting = Counter(orphans.select(ORIGIN).rows())
    has_waited = pl.col("reasons").list.eval(pl.element().is_in(dataset.waiting_reasons)).list.all()
    parts = [
        compared(name, Counter(kept.filter(~has_waited).select(ORIGIN).rows()), broken, broken),
        compared(
            name,
            Counter(kept.filter(has_waited).select(ORIGIN).rows()),
            waiting,
            Counter(verdict.good.select(ORIGIN).rows()),
        ),
    ]
    total = summed(f"quarantine.{name}", parts)
    return Compared(total.table, total.found, total.missing + _unread(bronze, silver), total.duplicated)


def _unread(bronze: Table, silver: Table) -> int:
    """Count the rows of bronze that silver has not consumed."""
    behind = [
        (pl.col("_stream") == stream) & (pl.col("_sequence") > silver.transaction(stream))
        for stream in bronze.streams()
    ]
    return bronze.scan().filter(pl.any_horizontal(behind)).collect().height if behind else 0


def _compare_gold(witness: Witness, connection: psycopg.Connection[Any]) -> list[Compared]:
    """Compare gold with the shop's truth to the cent, and Postgres with gold, and both ledgers with each other."""
    output = truth(connection)
    truths = {gold.DAILY.name: output.daily, gold.CUSTOMER_VALUE.name: output.customer_value}
    published = open_product(witness.lake, gold.PRODUCT)
    found = []
    for table in gold.PUBLISHED:
        columns = published[table.dataset].collect_schema().names()
        true = Counter(tuple(getattr(row, column) for column in columns) for row in truths[table.dataset])
        shown = Counter(published[table.dataset].collect().rows())
        newest = Counter(witness.lake.must_open("gold", table.dataset).scan().collect().rows())
        found.append(compared(f"gold.{table.dataset}", shown, true | newest, true & newest))
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        where = sql.Identifier(gold.SCHEMA, table.name)
        rows = connection.execute(sql.SQL("SELECT {} FROM {}").format(names, where)).fetchall()
        found.append(compared(f"postgres.{table.name}", Counter(rows), true, true))
    return [*found, _compare_ledger(witness, connection)]


def _compare_ledger(witness: Witness, connection: psycopg.Connection[Any]) -> Compared:
    """Compare the product's row in the lake with the one in Postgres: the same publication, once in each."""
    product = read_product(witness.lake, gold.PRODUCT)
    named = Counter({(product.product, product.sequence, product.lake_id): 1} if product else {})
    table = witness.lake.open_products()
    rows = table.scan().select("product", "sequence").collect().rows() if table else []
    ledger = sql.Identifier(gold.SCHEMA, "_headworks_products")
    recorded = connection.execute(
        sql.SQL("SELECT product, sequence, lake_id FROM {}").format(ledger)
    ).fetchall()
    parts = [
        compared("", Counter(recorded), named, named),
        compared("", Counter(rows), Counter(key[:2] for key in named), Counter(key[:2] for key in named)),
    ]
    return summed("products", parts)


def _vocabulary() -> dict[str, object]:
    """Return the words that the shop's statement of what is valid is written with."""
    return {
        "email": vocabulary.EMAIL_PATTERN,
        "countries": list(vocabulary.COUNTRIES),
        "segments": list(vocabulary.SEGMENTS),
        "iso_date": vocabulary.ISO_DATE_PATTERN,
        "earliest_birth": vocabulary.EARLIEST_BIRTH,
        "latest_birth": vocabulary.LATEST_BIRTH,
        "categories": list(vocabulary.CATEGORIES),
        "price": vocabulary.PRICE_PATTERN,
        "currencies": list(vocabulary.CURRENCIES),
        "statuses": list(vocabulary.STATUSES),
        "earliest_order": vocabulary.EARLIEST_ORDER,
        "clock_skew": vocabulary.ORDER_CLOCK_SKEW,
        "uncounted": vocabulary.UNCOUNTED_STATUS,
    }
