"""Which columns the log and the files keep bounds of: those by which files are left out of a reading, and no others.

Delta's log is clear JSON, and a bound is a value: with its defaults the log says the least and the greatest name,
address and day of birth of each file, and whole records of a raw column. So bounds are kept of headworks' own numbers
and moments, and of a silver key where it is a whole number, by which a merge leaves out files. Files' footers have the
same bounds as the log.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import polars as pl
from deltalake import ColumnProperties, WriterProperties

BOUNDED: Final = "delta.dataSkippingStatsColumns"
_OWN_NUMBERS = ("_row", "_sequence", "_ingested_at")
_TIMES = ("at", "checked_at", "finished_at", "rejected_at", "resolved_at", "started_at", "published_at")


def bounded(schema: Mapping[str, pl.DataType], key: Collection[str] = ()) -> tuple[str, ...]:
    """Return the columns of a table that bounds are kept of."""
    return tuple(
        name
        for name, dtype in schema.items()
        if (dtype.is_integer() and (name.startswith("_") or name in key))
        or (isinstance(dtype, pl.Datetime) and (name.startswith("_") or name in _TIMES))
    )


def as_property(names: Collection[str]) -> dict[str, str]:
    """Return the property of a table that says so; a name with another sign than a letter is quoted as Delta asks."""
    return {BOUNDED: ",".join(name if name.replace("_", "").isalnum() else f"`{name}`" for name in names)}


def from_property(properties: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the columns that a table keeps bounds of; None where it does not say, and Delta keeps them of most."""
    said = properties.get(BOUNDED)
    return None if said is None else tuple(name.strip("`") for name in said.split(",") if name)


def writing(names: Collection[str], columns: Collection[str]) -> WriterProperties:
    """Return how delta-rs writes files with bounds of ``names`` alone."""
    numbers = {name for name in _OWN_NUMBERS if name in columns}
    properties = {name: ColumnProperties(statistics_enabled="CHUNK") for name in names}
    for name in numbers:
        properties[name] = ColumnProperties(
            dictionary_enabled=False,
            encoding="DELTA_BINARY_PACKED",
            statistics_enabled="CHUNK" if name in names else "NONE",
        )
    return WriterProperties(
        compression="SNAPPY",
        default_column_properties=ColumnProperties(statistics_enabled="NONE"),
        column_properties=properties or None,
    )
