"""Schema drift: a source's columns alongside those that bronze has.

New, dropped, widened and changed columns are distinguished, and the dataset's policy says what happens. Bronze never
holds a value that was cut to fit: a wider type widens the table first, and delta-rs, which would put infinity in place
of a double that does not fit a float, never sees the two types meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from headworks.errors import SchemaChanged

Policy = Literal["evolve", "freeze", "ignore"]
Change = tuple[str, pl.DataType | None, pl.DataType | None]
"""A column with its type before, None where it is new, and after, None where it is gone."""

CHANGE_THE_QUERY = (
    "nothing was landed, and nothing is lost. Cast the column back in a query of the table, or read it under "
    "a new name, or land in a new dataset"
)

_WHOLE = (pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64())
_DIGITS: dict[pl.DataType, int] = {pl.Int8(): 3, pl.Int16(): 5, pl.Int32(): 10, pl.Int64(): 19}
_KEPT = {*_WHOLE, pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Binary(), pl.Date()}
_MADE: dict[pl.DataType, pl.DataType] = {
    pl.UInt8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
    pl.UInt64(): pl.Decimal(20, 0),
    pl.Float16(): pl.Float32(),
}


@dataclass(frozen=True)
class Drift:
    """How a source's columns differ from bronze's: types by the names of the columns.

    ``narrowed`` columns hold values that fit into bronze's wider type as they are.
    """

    new: Mapping[str, pl.DataType] = field(default_factory=dict)
    dropped: Mapping[str, pl.DataType] = field(default_factory=dict)
    widened: Mapping[str, tuple[pl.DataType, pl.DataType]] = field(default_factory=dict)
    changed: Mapping[str, tuple[pl.DataType, pl.DataType]] = field(default_factory=dict)

    def all(self) -> list[Change]:
        """Return every difference."""
        found: list[Change] = [(name, None, after) for name, after in self.new.items()]
        found += [(name, before, None) for name, before in self.dropped.items()]
        found += [(name, *types) for name, types in {**self.widened, **self.changed}.items()]
        return found


def drift_of(source: pl.Schema, bronze: pl.Schema) -> Drift:
    """Compare a source's columns with those that bronze has of it, its own metadata left out."""
    both = [(name, bronze[name], dtype) for name, dtype in source.items() if name in bronze]
    widened, changed = {}, {}
    for name, before, after in both:
        common = wider(before, after)
        if common is None:
            changed[name] = (before, after)
        elif common != before:
            widened[name] = (before, common)
    return Drift(
        new={name: dtype for name, dtype in source.items() if name not in bronze and not typeless(dtype)},
        dropped={name: dtype for name, dtype in bronze.items() if name not in source},
        widened=widened,
        changed=changed,
    )


def check(drift: Drift, policy: Policy, where: str) -> None:
    """Raise `SchemaChanged` for what the policy does not let through, with every such column named."""
    refused: list[Change] = [(name, *types) for name, types in drift.changed.items()]
    if policy == "freeze":
        refused = drift.all()
    if not refused:
        return
    listing = "; ".join(
        f"{name} was {before or 'not there'} and is {after or 'gone'}" for name, before, after in refused
    )
    raise SchemaChanged(
        f"The source's columns changed: {listing}.",
        where=where,
        do=CHANGE_THE_QUERY
        + (', or set the drift policy to "evolve".' if policy == "freeze" and not drift.changed else "."),
    )


def storable(columns: Mapping[str, pl.DataType], where: str) -> pl.Schema:
    """Return columns in the types in which a table holds them; those of nothing but nulls have none yet.

    Raises `SchemaChanged` with every column that no type of a table holds.
    """
    check_names(columns, columns, where)
    types = {name: stored(dtype) for name, dtype in columns.items() if not typeless(dtype)}
    if unheld := [f"{name} is {columns[name]}" for name, dtype in types.items() if dtype is None]:
        raise SchemaChanged(
            f"No table of the lake has a type for these columns: {'; '.join(unheld)}.",
            where=where,
            do="nothing was landed. Cast them where they are selected, for example to text, or leave them out.",
        )
    return pl.Schema({name: dtype for name, dtype in types.items() if dtype is not None})


def check_names(columns: Iterable[str], others: Iterable[str], where: str) -> None:
    """Raise `SchemaChanged` for columns whose names differ from others' in nothing but case: no table has both."""
    by_fold: dict[str, list[str]] = {}
    for name in dict.fromkeys((*others, *columns)):
        by_fold.setdefault(name.casefold(), []).append(name)
    if alike := [" and ".join(names) for names in by_fold.values() if len(names) > 1]:
        raise SchemaChanged(
            f"Names of columns differ in nothing but upper and lower case: {'; '.join(alike)}.",
            where=where,
            do="nothing was landed. Name the columns apart where they are selected.",
        )


def wider(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return the type of a table that holds every value of both exactly, or None where none of the same meaning does.

    Whole numbers go into floats only where each of them has one (32 bits into a double, 64 into none), and into
    decimals of as many digits. A date is no moment, a moment without a zone none with one, and text is not made of
    anything else: between these a person has to decide. Lists and structs are compared by what they hold; a field that
    one of two structs lacks is empty there. A column of nothing but nulls goes with any type. Moments are those of a
    table, see `stored`.
    """
    if one == other:
        return one
    if isinstance(one, pl.Null) or isinstance(other, pl.Null):
        return stored(other if isinstance(one, pl.Null) else one)
    if isinstance(one, pl.List | pl.Array) and isinstance(other, pl.List | pl.Array):
        inner = wider(_inner(one), _inner(other))
        return None if inner is None else stored(pl.List(inner))
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        both = _wider_struct(one, other)
        return None if both is None else stored(both)
    here, there = stored(one), stored(other)
    if here is None or there is None or here == there:
        return here and there
    return _wider_number(here, there) if here.is_numeric() and there.is_numeric() else None


def typeless(dtype: pl.DataType) -> bool:
    """Return whether a type says nothing of its values: that of nulls alone, and lists and structs of these."""
    if isinstance(dtype, pl.List | pl.Array):
        return typeless(_inner(dtype))
    if isinstance(dtype, pl.Struct):
        return all(typeless(as_instance(each.dtype)) for each in dtype.fields)
    return isinstance(dtype, pl.Null)


def stored(dtype: pl.DataType) -> pl.DataType | None:
    """Return the narrowest type of a Delta table that holds what ``dtype`` holds, or None where no type does.

    A struct is kept without the fields that have no type yet, see `typeless`.

    Moments are kept in microseconds, and in UTC where they have a zone. Of nanoseconds those fit that are whole
    microseconds; the others are refused one by one when they are written.
    """
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", "UTC" if dtype.time_zone else None)
    if isinstance(dtype, pl.List | pl.Array):
        inner = stored(_inner(dtype))
        return None if inner is None else pl.List(inner)
    if isinstance(dtype, pl.Struct):
        typed = [each for each in dtype.fields if not typeless(as_instance(each.dtype))]
        fields = {each.name: stored(as_instance(each.dtype)) for each in typed}
        held = {name: kind for name, kind in fields.items() if kind is not None}
        return pl.Struct(held) if held and len(held) == len(fields) else None
    if isinstance(dtype, pl.Decimal) or dtype in _KEPT:
        return dtype
    return _MADE.get(dtype, pl.String() if isinstance(dtype, pl.Categorical | pl.Enum) else None)


def _wider_number(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return the number type that holds every number of both; both are types of a Delta table."""
    if one in _WHOLE and other in _WHOLE:
        return max(one, other, key=_WHOLE.index)
    if isinstance(one, pl.Decimal) or isinstance(other, pl.Decimal):
        exact = _as_decimal(one), _as_decimal(other)
        return None if exact[0] is None or exact[1] is None else _wider_decimal(exact[0], exact[1])
    # A float has 24 bits for a whole number, and a double 53.
    kinds = {one, other}
    if pl.Int64() in kinds:
        return None
    return pl.Float64() if kinds & {pl.Float64(), pl.Int32()} else pl.Float32()


def _as_decimal(dtype: pl.DataType) -> pl.Decimal | None:
    """Return the decimals that hold every number of a type: of a float there are none."""
    digits = _DIGITS.get(dtype)
    return dtype if isinstance(dtype, pl.Decimal) else None if digits is None else pl.Decimal(digits, 0)


def _wider_decimal(one: pl.Decimal, other: pl.Decimal) -> pl.Decimal | None:
    scale = max(one.scale, other.scale)
    digits = max(one.precision - one.scale, other.precision - other.scale)
    return pl.Decimal(digits + scale, scale) if digits + scale <= 38 else None


def _wider_struct(one: pl.Struct, other: pl.Struct) -> pl.Struct | None:
    """Return the struct of all fields of both, those of ``one`` first."""
    here, there = ({each.name: as_instance(each.dtype) for each in struct.fields} for struct in (one, other))
    common = {
        name: wider(here.get(name, kind), there.get(name, kind)) for name, kind in {**there, **here}.items()
    }
    ordered = {name: kind for name in (*here, *there) if (kind := common[name]) is not None}
    return pl.Struct(ordered) if len(ordered) == len(common) else None


def _inner(dtype: pl.List | pl.Array) -> pl.DataType:
    return as_instance(dtype.inner)


def as_instance(dtype: Any) -> pl.DataType:
    """Return a type as an object: Polars takes `pl.Int64` for `pl.Int64()` and gives either."""
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made
