"""Rows with a value that no type holds: refused one by one, each kept with its text, and counted by column.

Readers leave such a value empty and put its text into a column of its own alongside it, `misfit_column`, which exists
only in the blocks that have one, so that all other blocks cost nothing. Such a row keeps its cursor and its key until
the position was moved behind it, and is then made what bronze keeps of a refused record: the reason, and the row as
JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl
import pyarrow as pa

from headworks.errors import ValueRefused
from headworks.sources.base import RAW, REFUSED, Batch, Rows

_MARK = "\1misfit of "
# As no column of a database is named; a NUL would end the name where tables go from Arrow to Polars.
_MOST = 100
"""If so many rows are the first that a source ever gives, and none of them fits, its types are declared wrongly."""


def misfit_column(name: str) -> str:
    """Return the name of the column that has the texts of another one's values which do not fit."""
    return f"{_MARK}{name}"


@dataclass
class Misfits:
    """Those of one reading: how many by column, and an example of each with the key of its row.

    ``texts`` are the columns of text, which have no other column for what does not fit.
    """

    key: Sequence[str]
    types: Mapping[str, str]
    where: str
    texts: Collection[str] = ()
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    _begun: bool = False

    def batch(self, rows: Rows, *, first: bool = False, **about: Any) -> Batch:
        """Return a batch of rows, those that do not fit as refused records; ``about`` is what else a batch has.

        ``first`` is true where nothing of the source was ever read before. Raises `ValueRefused` if then no row fits.
        """
        names = rows.columns if isinstance(rows, pl.DataFrame) else rows.column_names
        texts = _texts_in(names)
        if not texts:
            self._begun = True
            return Batch(rows, **about)
        frame = rows if isinstance(rows, pl.DataFrame) else cast(pl.DataFrame, pl.from_arrow(rows))
        reasons = pl.coalesce(
            pl.when(pl.col(text).is_not_null()).then(pl.lit(f"{name}|unreadable"))
            for name, text in texts.items()
        )
        checked = frame.with_columns(reasons.alias(REFUSED))
        bad = checked.filter(pl.col(REFUSED).is_not_null())
        self._note(bad, texts)
        if first and not self._begun and bad.height == frame.height >= _MOST:
            raise self._nothing_fits()
        self._begun = self._begun or bad.height < frame.height
        return Batch(_as_refused(checked, bad, texts), refused=bad.height, **about)

    def keys(self, rows: pa.Table) -> Batch:
        """Return a batch of keys, without those that do not fit: no row of theirs has ever landed."""
        found = self.batch(rows, position={}, read=rows.num_rows)
        if not found.refused:
            return found
        frame = cast(pl.DataFrame, found.frame)
        good = frame.filter(pl.col(REFUSED).is_null()).drop(REFUSED, RAW)
        return Batch(good, {}, read=rows.num_rows)

    def warnings(self) -> tuple[str, ...]:
        """Say of each column how many rows were refused for it, and what to do."""
        return tuple(
            f"{count} rows were refused, since column {name} ({self.types[name]}) has values that its type here does "
            f"not hold, such as {self.examples[name]}. They are kept in bronze as refused rows, and all others have "
            f"landed. Correct them at the source, or {self._other_way(name)} and read them again (a full read, or a "
            "window)"
            for name, count in sorted(self.counts.items())
        )

    def _other_way(self, name: str) -> str:
        if name in self.texts:
            return f"select hex({name}) in a query or a view"
        return 'set the table\'s extremes to "beside"'

    def _note(self, bad: pl.DataFrame, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            of_column = bad.filter(pl.col(text).is_not_null())
            if of_column.is_empty():
                continue
            # By its reason, so that a row is counted once.
            self.counts[name] += bad.filter(pl.col(REFUSED) == f"{name}|unreadable").height
            if name not in self.examples:
                row = of_column.row(0, named=True)
                at = ", ".join(f"{part} {row.get(texts.get(part, part)) or row[part]}" for part in self.key)
                self.examples[name] = f"{_shortened(row[text])}{f' in the row of {at}' if at else ''}"
        self.counts += Counter()  # without those that are nought

    def _nothing_fits(self) -> ValueRefused:
        name = next(iter(self.counts))
        return ValueRefused(
            f"Column {name} ({self.types[name]}) has a value that its type does not hold in each of the first rows, "
            f"such as {self.examples[name]}.",
            where=f"{name} of {self.where}",
            do="declare it with another type, select it otherwise in a query or a view, or set the table's extremes to "
            f'"beside": such values then land as text in {name}_text.',
        )


def _texts_in(names: Sequence[str]) -> dict[str, str]:
    """Return the columns of texts that there are, by the columns that these belong to."""
    return {name.removeprefix(_MARK): name for name in names if name.startswith(_MARK)}


def _as_refused(checked: pl.DataFrame, bad: pl.DataFrame, texts: Mapping[str, str]) -> pl.DataFrame:
    """Return rows in which the bad ones are refused records: a reason, the row as JSON, and nothing else."""
    names = [name for name in checked.columns if not name.startswith(_MARK) and name != REFUSED]
    raws: list[bytes | None] = [None] * checked.height
    places = checked.get_column(REFUSED).is_not_null().arg_true()
    for place, row in zip(places, bad.iter_rows(named=True), strict=True):
        whole = {
            name: row[name] if (text := row.get(texts.get(name, ""))) is None else text for name in names
        }
        raws[place] = json.dumps(whole, default=_plain, ensure_ascii=False).encode()
    good = [pl.when(pl.col(REFUSED).is_null()).then(pl.col(name)).alias(name) for name in names]
    return checked.select(*good, REFUSED, pl.Series(RAW, raws, dtype=pl.Binary))


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"
