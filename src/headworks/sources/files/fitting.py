"""The columns of files held against those that bronze has: a file that does not fit is refused before it is landed.

Bronze is widened for a column that needs it, where a type of a table holds all values of both. Else nothing of the file
is landed: its values would have to be changed to fit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import polars as pl

from headworks.sources.base import Wider
from headworks.sources.files.content import FileDamaged
from headworks.sources.files.header import HEADER, RESERVED, clashing

TYPE = "file|type"


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
        own = {name: dtype for name, dtype in frame.schema.items() if name not in RESERVED}
        types = {name: self._type(name, dtype, declared) for name, dtype in own.items()}
        self.known.update(types)
        # What is nested is left to the landing, which compares what comes of it.
        grown = [name for name, dtype in own.items() if types[name] != dtype and not types[name].is_nested()]
        return frame.with_columns(pl.col(name).cast(types[name]) for name in grown) if grown else frame

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
