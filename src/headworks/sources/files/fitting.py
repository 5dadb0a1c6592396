"""The columns of files held against those that bronze has: a file that does not fit is refused before it is landed.

Bronze is widened for a column that needs it, where a type of a table holds all values of both. Else nothing of the file
is landed: its values would have to be changed to fit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl

from headworks.sources.base import Wider
from headworks.sources.files.content import FileDamaged
from headworks.sources.files.header import HEADER, RESERVED, clashing
from headworks.storage.drift import typeless
from headworks.storage.exact import fits

TYPE = "file|type"
_NO_TYPE = (
    "column {} is {} in the file, which does not say what its values are, and bronze does not know it yet: write it "
    "with a type, or land a file that has such values first and take this one again"
)
_PARTS = (
    "column {} is {} in the file and {} in bronze, which does not hold all of its values: write every part of it "
    "with a type, as it is in bronze"
)


def _same(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    return other if one in (other, pl.Null()) else None


@dataclass
class Columns:
    """The columns that bronze has, or will have with the batches that were read before."""

    known: dict[str, pl.DataType] = field(default_factory=dict)
    wider: Wider = _same

    def fitted(self, frame: pl.DataFrame, declared: Collection[str] | None = None) -> pl.DataFrame:
        """Return a file's rows in columns that the table can have, and note these.

        Raises `FileDamaged` where the file has a column of another kind than bronze's, or one that differs from
        another by case alone. ``declared`` are columns whose type a person has declared, None where the file says it.
        """
        frame = self._without_empty(frame)
        own = {name: dtype for name, dtype in frame.schema.items() if name not in RESERVED}
        types = {name: self._type(name, dtype, declared) for name, dtype in own.items()}
        self.known.update(types)
        nested = {name: dtype for name, dtype in own.items() if types[name] != dtype and dtype.is_nested()}
        _check_nested(frame, nested, types)
        # What is nested is made by the landing, which compares what comes of it.
        grown = [name for name, dtype in own.items() if types[name] != dtype and not types[name].is_nested()]
        return frame.with_columns(pl.col(name).cast(types[name]) for name in grown) if grown else frame

    def _without_empty(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows whose columns of lists or structs without a type are nulls, where bronze has no type for them.

        Raises `FileDamaged` where such a column has an empty list, or one of nulls: what it is a list of is not known.
        """
        unknown = [
            name
            for name, dtype in frame.schema.items()
            if dtype != pl.Null() and typeless(dtype) and self.known.get(name, pl.Null()) == pl.Null()
        ]
        for name in unknown:
            if frame.get_column(name).null_count() < frame.height:
                raise FileDamaged(TYPE, _NO_TYPE.format(name, frame.schema[name]))
        return frame.with_columns(pl.lit(None).alias(name) for name in unknown) if unknown else frame

    def _type(self, name: str, dtype: pl.DataType, declared: Collection[str] | None) -> pl.DataType:
        before = self.known.get(name)
        if before == dtype:
            return dtype
        if before is None:
            other = clashing(name, self.known)
            if other is not None:
                raise FileDamaged(
                    HEADER,
                    f"column {name} differs from bronze's {other} by case alone, and a Delta table does not "
                    f"distinguish them: write it as {other}, or land the files in another dataset",
                )
            return self._checked(name, None, self.wider(pl.Null(), dtype), dtype, "")
        do = "write it as before, or land the files in another dataset"
        if declared is not None:
            change = "declare it in" if isinstance(dtype, pl.String) else "change or take out its type in"
            do = f"{change} csv.columns so that it is as before, {do}"
        return self._checked(name, before, self.wider(before, dtype), dtype, do)

    @staticmethod
    def _checked(
        name: str, before: pl.DataType | None, common: pl.DataType | None, dtype: pl.DataType, do: str
    ) -> pl.DataType:
        if common is not None:
            return common
        if before is None:
            raise FileDamaged(
                TYPE, f"column {name} is {dtype}, which no Delta table holds: write it with another type"
            )
        raise FileDamaged(
            TYPE,
            f"column {name} is {before} in bronze and {dtype} in the file, and no type holds both exactly: {do}",
        )


def _check_nested(
    frame: pl.DataFrame, nested: Mapping[str, pl.DataType], types: Mapping[str, pl.DataType]
) -> None:
    """Raise `FileDamaged` for the first nested column with a value that its type in bronze does not hold."""
    for name, dtype in nested.items():
        if types[name] != pl.Null() and not frame.select(fits(pl.col(name), dtype, types[name]).all()).item():
            raise FileDamaged(TYPE, _PARTS.format(name, dtype, types[name]))
