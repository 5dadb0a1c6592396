"""The kinds of corruption: what is done to a day's frames, how bad that is, and how strongly.

Everything that decides what the campaign reports is here: kinds, severities and strengths. A strength is the share
of rows that are touched, unless the kind says otherwise. ``critical`` must be stopped before gold, or held back row by
row; ``warning`` must be reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import polars as pl

from tests.corruption.company import Frames

Severity = Literal["critical", "warning"]
Change = Callable[[pl.DataFrame, float, int], pl.DataFrame]


@dataclass(frozen=True)
class Kind:
    """One kind of corruption of one dataset."""

    name: str
    dataset: str
    severity: Severity
    change: Change
    strengths: tuple[float, ...] = (0.1, 0.3, 0.9)

    def corrupted(
        self, frames: Frames, yesterday: Frames, strength: float, seed: int
    ) -> tuple[Frames, frozenset[int]]:
        """Return a day's frames with this corruption in them, and which rows of the dataset's frame are touched."""
        before = frames[self.dataset]
        again = self.change is _yesterdays
        after = yesterday[self.dataset] if again else self.change(before, strength, seed)
        out = {**frames, self.dataset: after}
        if self.change is _twice_with_new_keys:
            out["shop.order_lines"] = _twice_with_new_keys(frames["shop.order_lines"], strength, seed)
        same_rows = before.height == after.height and not again
        pairs = zip(before.rows(), after.rows(), strict=True) if same_rows else ()
        return out, frozenset(place for place, (a, b) in enumerate(pairs) if a != b)


def _share(strength: float, seed: int) -> pl.Expr:
    return (pl.int_range(pl.len()).hash(seed) % 10_000) < int(strength * 10_000)


def _set(column: str, value: Any) -> Change:
    """Make a change that gives a column a value, or an expression's, in a share of the rows."""

    def change(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
        new = value if isinstance(value, pl.Expr) else pl.lit(value)
        chosen = pl.when(_share(strength, seed)).then(new.cast(rows.schema[column], strict=False))
        return rows.with_columns(chosen.otherwise(pl.col(column)).alias(column))

    return change


def _times(column: str, factor: float) -> Change:
    """Make a change that multiplies a decimal or whole number."""
    return _set(column, (pl.col(column).cast(pl.Float64) * factor).round(2))


def _swapped(one: str, other: str) -> Change:
    """Make a change that puts each of two columns in the place of the other."""

    def change(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
        chosen, types = _share(strength, seed), rows.schema
        return rows.with_columns(
            pl.when(chosen)
            .then(pl.col(other).cast(types[one], strict=False))
            .otherwise(pl.col(one))
            .alias(one),
            pl.when(chosen)
            .then(pl.col(one).cast(types[other], strict=False))
            .otherwise(pl.col(other))
            .alias(other),
        )

    return change


def _shifted(columns: tuple[str, ...]) -> Change:
    """Make a change that moves each value one column to the right, as a stray comma in a file does."""

    def change(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
        chosen, types = _share(strength, seed), rows.schema
        moved = zip(columns, (columns[-1], *columns[:-1]), strict=True)
        return rows.with_columns(
            pl.when(chosen).then(pl.col(come).cast(types[go], strict=False)).otherwise(pl.col(go)).alias(go)
            for go, come in moved
        )

    return change


def _lost(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
    """Lose a share of the rows."""
    return rows.filter(~_share(strength, seed))


def _cut_off(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
    """Lose the latest share of the rows, as a load that was cut short does."""
    return rows.sort("updated_at").head(int(rows.height * (1 - strength)))


def _none(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
    """Lose the whole day."""
    return rows.head(0)


def _yesterdays(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
    """Give yesterday's rows again in place of today's; made by `Kind.corrupted`, which has them."""
    raise AssertionError("yesterday's rows are not known here")


def _twice_with_new_keys(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
    """Give a share of the rows twice, the second time under keys of their own."""
    again = rows.filter(_share_of_orders(strength, seed)).with_columns(pl.col("order_id") + 50_000_000)
    return pl.concat([rows, again])


def _twice_with_new_ids(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
    """Give a share of flights twice, the second time under ids of their own."""
    again = rows.filter(_share(strength, seed)).with_columns(pl.col("id") + 50_000_000)
    return pl.concat([rows, again])


def _share_of_orders(strength: float, seed: int) -> pl.Expr:
    return (pl.col("order_id").hash(seed) % 10_000) < int(strength * 10_000)


def _mojibake(column: str) -> Change:
    """Make a change that reads UTF-8 as Latin-1."""
    spoilt = pl.col(column).map_elements(
        lambda text: text.replace("a", "ä").encode().decode("latin-1"), return_dtype=pl.String
    )
    return _set(column, spoilt)


def _each(edit: Callable[[dict[str, Any], Random], Any]) -> Change:
    """Make a change of API records, one by one; text that comes back is the record as it is."""

    def change(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
        chance, out = Random(seed), []
        for record in rows.get_column("record"):
            if chance.random() >= strength:
                out.append(record)
                continue
            edited = edit(json.loads(record), chance)
            text = edited if isinstance(edited, str) else json.dumps(edited, ensure_ascii=False)
            out.append(text.encode())
        return pl.DataFrame({"record": out}, schema=rows.schema)

    return change


def _with(**values: Callable[[Any], Any]) -> Callable[[dict[str, Any], Random], Any]:
    return lambda record, _: {**record, **{name: edit(record.get(name)) for name, edit in values.items()}}


def _without(name: str) -> Callable[[dict[str, Any], Random], Any]:
    return lambda record, _: {field: value for field, value in record.items() if field != name}


def _scaled(factor: float) -> Callable[[Any], Any]:
    def scaled(value: Any) -> Any:
        try:
            return f"{float(value) * factor:.2f}"
        except (TypeError, ValueError):
            return value

    return scaled


def _later(hours: float) -> pl.Expr:
    return pl.duration(minutes=int(hours * 60))


def _moved(*columns: str) -> Change:
    """Make a change that moves moments by ``strength`` hours in all rows, as a wrong time zone does."""

    def change(rows: pl.DataFrame, strength: float, seed: int) -> pl.DataFrame:
        return rows.with_columns(pl.col(column) - _later(strength) for column in columns)

    return change


_F = "nyc.flights"
_O, _L, _C, _P, _R = "shop.orders", "shop.order_lines", "shop.customers", "shop.products", "shop.rates"
_HOURS = (3.0, 6.0, 9.0)
_MUCH = (0.5, 0.7, 0.9)
_ALL = (1.0,)

KINDS: tuple[Kind, ...] = (
    # Orders
    Kind("null customer", _O, "critical", _set("customer_id", None)),
    Kind("null key", _O, "critical", _set("order_id", None)),
    Kind("null order date", _O, "critical", _set("ordered_at", None)),
    Kind("currency in lower case", _O, "critical", _set("currency", pl.col("currency").str.to_lowercase())),
    Kind("status misspelt", _O, "critical", _set("status", pl.col("status").str.to_titlecase())),
    Kind("shipping cut off", _O, "critical", _set("shipping", pl.col("shipping").str.head(12))),
    Kind("order date in 2999", _O, "critical", _set("ordered_at", pl.datetime(2999, 1, 1, time_zone="UTC"))),
    Kind("order date 1970", _O, "critical", _set("ordered_at", pl.datetime(1970, 1, 1, time_zone="UTC"))),
    Kind("cursor in 2999", _O, "critical", _set("updated_at", pl.datetime(2999, 1, 1, time_zone="UTC"))),
    Kind("order date in another time zone", _O, "warning", _moved("ordered_at"), _HOURS),
    Kind("all moments in another time zone", _O, "warning", _moved("ordered_at", "updated_at"), _HOURS),
    Kind("customer and order swapped", _O, "critical", _swapped("customer_id", "order_id")),
    Kind("one customer for all", _O, "critical", _set("customer_id", 7), _MUCH),
    Kind("one currency for all", _O, "critical", _set("currency", "PLN"), _MUCH),
    Kind("one status for all", _O, "critical", _set("status", "cancelled"), _MUCH),
    Kind("currencies drift", _O, "warning", _set("currency", "USD"), (0.3, 0.4, 0.5)),
    Kind("rows lost", _O, "critical", _lost, _MUCH),
    Kind("load cut short", _O, "critical", _cut_off, _MUCH),
    Kind("day dropped", _O, "warning", _none, _ALL),
    Kind("yesterday again", _O, "critical", _yesterdays, _ALL),
    Kind("day doubled under new keys", _O, "critical", _twice_with_new_keys, (0.6, 0.8, 1.0)),
    # Lines
    Kind("price × 100", _L, "critical", _times("unit_price", 100), (0.05, 0.3, 1.0)),
    Kind("price ÷ 100", _L, "critical", _times("unit_price", 0.01), (0.3, 0.6, 1.0)),
    Kind("quantity in dozens", _L, "critical", _times("quantity", 12), (0.2, 0.5, 1.0)),
    Kind("price negative", _L, "critical", _times("unit_price", -1)),
    Kind("discount in percent", _L, "critical", _set("discount", 5), (0.1, 0.3, 1.0)),
    Kind("everything nearly free", _L, "critical", _set("discount", 0.99), (0.3, 0.6, 1.0)),
    Kind("null product", _L, "critical", _set("product_id", None)),
    Kind("line and product swapped", _L, "critical", _swapped("line_no", "product_id"), (0.3, 0.6, 1.0)),
    Kind("columns shifted", _L, "critical", _shifted(("line_no", "product_id", "quantity")), (0.3, 0.6, 1.0)),
    Kind("lines lost", _L, "critical", _lost, _MUCH),
    Kind("one product for all", _L, "critical", _set("product_id", 3), _MUCH),
    Kind("one quantity for all", _L, "warning", _set("quantity", 1), _MUCH),
    Kind("products that do not exist", _L, "critical", _set("product_id", pl.col("product_id") + 8_000_000)),
    # Customers
    Kind("names as mojibake", _C, "warning", _mojibake("name"), (0.3, 0.6, 1.0)),
    Kind("one country for all", _C, "critical", _set("country", "SE"), _MUCH),
    Kind("addresses masked", _C, "critical", _set("email", "***")),
    Kind("unknown segment", _C, "critical", _set("segment", "vip")),
    Kind("name and address swapped", _C, "critical", _swapped("name", "email")),
    Kind("birth dates missing", _C, "warning", _set("birth_date", None), _MUCH),
    Kind("birth dates 1970-01-01", _C, "warning", _set("birth_date", "1970-01-01"), _MUCH),
    Kind("names unknown", _C, "warning", _set("name", "unknown"), (0.2, 0.5, 1.0)),
    Kind("names cut off", _C, "warning", _set("name", pl.col("name").str.head(3)), _MUCH),
    # Products
    Kind("catalogue × 100", _P, "critical", _each(_with(price=_scaled(100))), (0.1, 0.3, 1.0)),
    Kind("prices with a comma", _P, "critical", _each(_with(price=lambda v: str(v).replace(".", ",")))),
    Kind("one category for all", _P, "critical", _each(_with(category=lambda _: "toys")), _MUCH),
    Kind("records cut off", _P, "critical", _each(lambda record, _: json.dumps(record)[:40])),
    Kind("currency gone", _P, "warning", _each(_without("currency")), (0.3, 0.6, 1.0)),
    Kind("a new field", _P, "warning", _each(_with(colour=lambda _: "red")), (0.3, 0.6, 1.0)),
    Kind("catalogue cut short", _P, "critical", _lost, _MUCH),
    Kind("ids moved by one", _P, "critical", _each(_with(product_id=lambda v: (v or 0) + 1)), _ALL),
    # Rates
    Kind(
        "rates upside down", _R, "critical", _each(_with(eur_per_unit=lambda v: f"{1 / float(v):.8f}")), _ALL
    ),
    Kind("rates × 100", _R, "critical", _each(_with(eur_per_unit=_scaled(100))), _ALL),
    Kind("one rate for all", _R, "critical", _each(_with(eur_per_unit=lambda _: "1.00000000")), _ALL),
)

FLIGHT_KINDS: tuple[Kind, ...] = (
    Kind("null carrier", _F, "critical", _set("carrier", None)),
    Kind("null id", _F, "critical", _set("id", None)),
    Kind("origin and destination swapped", _F, "critical", _swapped("origin", "dest")),
    Kind("destination as mojibake", _F, "critical", _set("dest", pl.col("dest") + "Ã¤")),
    Kind("scheduled in 2999", _F, "critical", _set("scheduled_at", pl.datetime(2999, 1, 1, time_zone="UTC"))),
    Kind("scheduled in another time zone", _F, "warning", _moved("scheduled_at"), _HOURS),
    Kind("air time in seconds", _F, "critical", _times("air_time", 60)),
    Kind("distance × 100", _F, "critical", _times("distance", 100), (0.05, 0.3, 1.0)),
    Kind("distance in kilometres", _F, "warning", _times("distance", 1.609), (0.6, 0.8, 1.0)),
    Kind("delays in seconds", _F, "critical", _times("dep_delay", 60), (0.3, 0.6, 1.0)),
    Kind("delays missing", _F, "warning", _set("dep_delay", None), _MUCH),
    Kind(
        "columns of numbers shifted",
        _F,
        "critical",
        _shifted(("dep_delay", "air_time", "distance")),
        (0.3, 0.6, 1.0),
    ),
    Kind("one carrier for all", _F, "critical", _set("carrier", "AA"), _MUCH),
    Kind("one origin for all", _F, "critical", _set("origin", "JFK"), _MUCH),
    Kind("aeroplanes unknown", _F, "warning", _set("tailnum", "unknown"), (0.2, 0.5, 1.0)),
    Kind("flights lost", _F, "critical", _lost, _MUCH),
    Kind("flights cut short", _F, "critical", _cut_off, _MUCH),
    Kind("flights of yesterday again", _F, "critical", _yesterdays, _ALL),
    Kind("flights doubled under new ids", _F, "critical", _twice_with_new_ids, (0.6, 0.8, 1.0)),
)
