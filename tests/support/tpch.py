"""TPC-H: its tables in a Postgres, and five of its queries twice, in SQL and as transforms of silver frames.

Decimals are cast to a wider scale before they are multiplied: Polars keeps the left one's scale.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import polars as pl
import psycopg

Frames = Mapping[str, pl.LazyFrame]

DDL = {
    "region": "r_regionkey bigint PRIMARY KEY, r_name char(25), r_comment varchar(152)",
    "nation": "n_nationkey bigint PRIMARY KEY, n_name char(25), n_regionkey bigint, n_comment varchar(152)",
    "supplier": "s_suppkey bigint PRIMARY KEY, s_name char(25), s_address varchar(40), s_nationkey bigint, "
    "s_phone char(15), s_acctbal decimal(15,2), s_comment varchar(101)",
    "customer": "c_custkey bigint PRIMARY KEY, c_name varchar(25), c_address varchar(40), c_nationkey bigint, "
    "c_phone char(15), c_acctbal decimal(15,2), c_mktsegment char(10), c_comment varchar(117)",
    "orders": "o_orderkey bigint PRIMARY KEY, o_custkey bigint, o_orderstatus char(1), o_totalprice decimal(15,2), "
    "o_orderdate date, o_orderpriority char(15), o_clerk char(15), o_shippriority int, o_comment varchar(79)",
    "lineitem": "l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber int, l_quantity decimal(15,2), "
    "l_extendedprice decimal(15,2), l_discount decimal(15,2), l_tax decimal(15,2), l_returnflag char(1), "
    "l_linestatus char(1), l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct char(25), "
    "l_shipmode char(10), l_comment varchar(44), PRIMARY KEY (l_orderkey, l_linenumber)",
}


def load(dsn: str, scale: float, tables: tuple[str, ...] = tuple(DDL)) -> None:
    """Make and fill tables of TPC-H."""
    generator = Path(sys.executable).with_name("tpchgen-cli")
    with psycopg.connect(dsn) as connection:
        for table in tables:
            connection.execute(f"CREATE UNLOGGED TABLE {table} ({DDL[table]})")
            command = [str(generator), "csv", "-s", str(scale), f"--tables={table}", "--stdout"]
            with (
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
                connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv, HEADER)") as copy,
            ):
                assert process.stdout is not None
                while data := process.stdout.read(1 << 20):
                    copy.write(data)
            assert process.returncode == 0


def _amount(*factors: pl.Expr, scale: int) -> pl.Expr:
    """Multiply decimals exactly: each is cast to the scale of the product first."""
    wide = [factor.cast(pl.Decimal(38, scale)) for factor in factors]
    product = wide[0]
    for factor in wide[1:]:
        product = product * factor
    return product


_DISCOUNTED = _amount(pl.col("l_extendedprice"), 1 - pl.col("l_discount"), scale=4)
_CHARGED = _amount(pl.col("l_extendedprice"), 1 - pl.col("l_discount"), 1 + pl.col("l_tax"), scale=6)


def _average(column: str) -> pl.Expr:
    """Return the average rounded to the cent, half up, in whole numbers all the way."""
    cents = (pl.col(column).sum().cast(pl.Decimal(38, 2)) * 100).cast(pl.Int64)
    count = pl.len().cast(pl.Int64)
    return (2 * cents + count) // (2 * count)


def q1(frames: Frames) -> pl.LazyFrame:
    """Sum up what was shipped, by return flag and line status."""
    return (
        frames["lineitem"]
        .filter(pl.col("l_shipdate") <= date(1998, 9, 2))
        .group_by("l_returnflag", "l_linestatus")
        .agg(
            pl.col("l_quantity").sum(),
            pl.col("l_extendedprice").sum(),
            _DISCOUNTED.sum().alias("disc"),
            _CHARGED.sum().alias("charge"),
            _average("l_quantity").alias("avg_qty"),
            _average("l_extendedprice").alias("avg_price"),
            _average("l_discount").alias("avg_disc"),
            pl.len(),
        )
        .sort("l_returnflag", "l_linestatus")
    )


def q3(frames: Frames) -> pl.LazyFrame:
    """Find the unshipped orders of the highest value."""
    return (
        frames["customer"]
        .filter(pl.col("c_mktsegment") == "BUILDING  ")
        .join(frames["orders"], left_on="c_custkey", right_on="o_custkey")
        .filter(pl.col("o_orderdate") < date(1995, 3, 15))
        .join(frames["lineitem"], left_on="o_orderkey", right_on="l_orderkey")
        .filter(pl.col("l_shipdate") > date(1995, 3, 15))
        .group_by("o_orderkey", "o_orderdate", "o_shippriority")
        .agg(_DISCOUNTED.sum().alias("revenue"))
        .select("o_orderkey", "revenue", "o_orderdate", "o_shippriority")
        .sort("revenue", "o_orderdate", descending=[True, False])
        .head(10)
    )


def q5(frames: Frames) -> pl.LazyFrame:
    """Sum up revenue by nation where customer and supplier are of the same."""
    return (
        frames["region"]
        .filter(pl.col("r_name").str.strip_chars_end() == "ASIA")
        .join(frames["nation"], left_on="r_regionkey", right_on="n_regionkey")
        .join(frames["customer"], left_on="n_nationkey", right_on="c_nationkey")
        .join(frames["orders"], left_on="c_custkey", right_on="o_custkey")
        .filter(pl.col("o_orderdate").is_between(date(1994, 1, 1), date(1994, 12, 31)))
        .join(frames["lineitem"], left_on="o_orderkey", right_on="l_orderkey")
        .join(frames["supplier"], left_on=["l_suppkey", "n_nationkey"], right_on=["s_suppkey", "s_nationkey"])
        .group_by("n_name")
        .agg(_DISCOUNTED.sum().alias("revenue"))
        .sort("revenue", descending=True)
    )


def q6(frames: Frames) -> pl.LazyFrame:
    """Sum up the revenue that small discounts cost."""
    return (
        frames["lineitem"]
        .filter(
            pl.col("l_shipdate").is_between(date(1994, 1, 1), date(1994, 12, 31)),
            pl.col("l_discount").is_between(
                pl.lit("0.05").cast(pl.Decimal(15, 2)), pl.lit("0.07").cast(pl.Decimal(15, 2))
            ),
            pl.col("l_quantity") < 24,
        )
        .select(_amount(pl.col("l_extendedprice"), pl.col("l_discount"), scale=4).sum().alias("revenue"))
    )


def q10(frames: Frames) -> pl.LazyFrame:
    """Find the customers who returned the most."""
    return (
        frames["customer"]
        .join(frames["orders"], left_on="c_custkey", right_on="o_custkey")
        .filter(pl.col("o_orderdate").is_between(date(1993, 10, 1), date(1993, 12, 31)))
        .join(frames["lineitem"], left_on="o_orderkey", right_on="l_orderkey")
        .filter(pl.col("l_returnflag") == "R")
        .join(frames["nation"], left_on="c_nationkey", right_on="n_nationkey")
        .group_by("c_custkey", "c_name", "c_acctbal", "n_name")
        .agg(_DISCOUNTED.sum().alias("revenue"))
        .select("c_custkey", "c_name", "revenue", "c_acctbal", "n_name")
        .sort("revenue", "c_custkey", descending=[True, False])
        .head(20)
    )


QUERIES: dict[str, tuple[Callable[[Frames], pl.LazyFrame], str]] = {
    "Q1": (
        q1,
        "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), "
        "sum(l_extendedprice * (1 - l_discount)), sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)), "
        "(round(avg(l_quantity), 2) * 100)::int8, (round(avg(l_extendedprice), 2) * 100)::int8, "
        "(round(avg(l_discount), 2) * 100)::int8, count(*) FROM lineitem "
        "WHERE l_shipdate <= date '1998-09-02' GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    "Q3": (
        q3,
        "SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority "
        "FROM customer, orders, lineitem WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey "
        "AND l_orderkey = o_orderkey AND o_orderdate < date '1995-03-15' AND l_shipdate > date '1995-03-15' "
        "GROUP BY 1, 3, 4 ORDER BY revenue DESC, o_orderdate LIMIT 10",
    ),
    "Q5": (
        q5,
        "SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue "
        "FROM customer, orders, lineitem, supplier, nation, region WHERE c_custkey = o_custkey "
        "AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey "
        "AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'ASIA' "
        "AND o_orderdate >= date '1994-01-01' AND o_orderdate < date '1995-01-01' GROUP BY 1 ORDER BY revenue DESC",
    ),
    "Q6": (
        q6,
        "SELECT sum(l_extendedprice * l_discount) FROM lineitem WHERE l_shipdate >= date '1994-01-01' "
        "AND l_shipdate < date '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
    ),
    "Q10": (
        q10,
        "SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue, c_acctbal, n_name "
        "FROM customer, orders, lineitem, nation WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey "
        "AND o_orderdate >= date '1993-10-01' AND o_orderdate < date '1994-01-01' AND l_returnflag = 'R' "
        "AND c_nationkey = n_nationkey GROUP BY 1, 2, 4, 5 ORDER BY revenue DESC, c_custkey LIMIT 20",
    ),
}
"""A transform and the SQL that must give the same rows, to the last cent. Averages are in hundredths."""
