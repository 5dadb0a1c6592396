"""Kinds of corruption for any company: each looks for columns that it fits, and has three variants.

A strength is the share of the rows that are touched, unless the kind says otherwise. ``critical`` must be held before
gold, or held back row by row; ``warning`` must be noticed. Kinds, variants and strengths are decided here and nowhere
else, and none of them knows a column's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from tests.corruption.company import Company, Frames
from tests.corruption.shapes import SMALL, Shape, closed, opened, shape_of

Severity = Literal["critical", "warning"]
STRENGTHS = {"weak": 0.08, "middle": 0.25, "strong": 0.7}
VARIANTS = 3
_FAR = 50_000_000


@dataclass(frozen=True)
class Ground:
    """A delivery's rows, those of the deliveries before it (newest first), and how to change them."""

    rows: pl.DataFrame
    earlier: tuple[pl.DataFrame, ...]
    shape: Shape
    share: float
    seed: int

    @property
    def chosen(self) -> pl.Expr:
        """The rows that are touched; never none."""
        return pl.int_range(pl.len()).hash(self.seed).rank("ordinal") <= self.many

    @property
    def many(self) -> int:
        """How many rows are touched."""
        return max(1, round(self.rows.height * self.share))

    def set(self, column: str, value: pl.Expr) -> pl.DataFrame:
        """Give a column another value in the rows that are touched."""
        dtype = self.rows.schema[column]
        new = value.round(2) if dtype.is_decimal() else value
        return self.rows.with_columns(
            pl.when(self.chosen).then(new.cast(dtype, strict=False)).otherwise(pl.col(column)).alias(column)
        )

    @property
    def past(self) -> pl.DataFrame:
        """The rows of the earlier deliveries."""
        return pl.concat(self.earlier) if self.earlier else self.rows.clear()

    def fresh_keys(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows under keys that nobody has."""
        name = self.shape.key[-1]
        new = pl.col(name) + _FAR if rows.schema[name].is_numeric() else pl.col(name) + "-2"
        return rows.with_columns(new.cast(rows.schema[name]))


Change = Callable[[Ground, Any], pl.DataFrame]
Targets = Callable[[Shape], Sequence[Any]]


@dataclass(frozen=True)
class Form:
    """A kind of corruption: which columns it fits, how bad it is there, and one change a variant."""

    name: str
    severity: Severity | Callable[[Shape, Any], Severity]
    targets: Targets
    changes: tuple[Change, ...]
    small: bool = False
    once: bool = False
    """What is touched is decided by the rows and not by a strength: it is played once, as a weak one."""

    @property
    def strengths(self) -> tuple[str, ...]:
        """The strengths at which it is played."""
        return ("weak",) if self.once else tuple(STRENGTHS)

    def of(self, shape: Shape, target: Any) -> Severity:
        """Return how bad it is for a target."""
        return self.severity(shape, target) if callable(self.severity) else self.severity


@dataclass(frozen=True)
class Fault:
    """One variant of a form for one dataset of a company."""

    form: Form
    shape: Shape
    target: Any
    variant: int

    @property
    def dataset(self) -> str:
        """Whose rows are touched."""
        return self.shape.dataset.name

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.form.of(self.shape, self.target)

    @property
    def name(self) -> str:
        """The form, what it touches, and which variant it is."""
        target = "+".join(self.target) if isinstance(self.target, tuple) else self.target
        return f"{self.form.name}/{self.dataset}/{target or 'rows'}/{self.variant}"

    def corrupted(
        self, frames: Frames, earlier: Sequence[Frames], share: float, seed: int
    ) -> tuple[Frames, frozenset[int]]:
        """Return a delivery with the fault in it, and the places of the rows that are not the source's own."""
        dataset = self.shape.dataset
        before = frames[self.dataset]
        past = [one[self.dataset] for one in earlier if one[self.dataset].height]
        ground = Ground(
            opened(dataset, before), tuple(opened(dataset, one) for one in past), self.shape, share, seed
        )
        change = self.form.changes[self.variant % len(self.form.changes)]
        changed = change(ground, self.target)
        after = closed(dataset, pl.concat([before, *past]), changed)
        own = before.unique()
        foreign = after.with_row_index("_at").join(own, on=before.columns, how="anti", nulls_equal=True)
        return {**frames, self.dataset: after}, frozenset(foreign.get_column("_at").to_list())


def faults_of(company: Company, clean: Sequence[Frames]) -> tuple[Fault, ...]:
    """Return the faults of a company, three variants of each kind for each dataset that it fits."""
    return tuple(_faults(company, clean))


def _faults(company: Company, clean: Sequence[Frames]) -> Iterator[Fault]:
    for dataset in company.datasets:
        there = [one[dataset.name] for one in clean if one[dataset.name].height]
        if not there:
            continue
        shape = shape_of(dataset, there)
        usual = sorted(one.height for one in there)[len(there) // 2]
        for form in FORMS:
            targets = form.targets(shape) if form.small == (usual <= SMALL) else ()
            for variant in range(VARIANTS if targets else 0):
                yield Fault(form, shape, targets[variant % len(targets)], variant)


def _amounts(shape: Shape) -> Sequence[str]:
    return shape.amounts


def _rows(shape: Shape) -> Sequence[str]:
    return ("",)


def _with_past(shape: Shape) -> Sequence[str]:
    return ("",) if shape.key and not shape.listed else ()


def _if_not_listed(shape: Shape, _: Any) -> Severity:
    return "warning" if shape.listed else "critical"


def _pairs(names: Sequence[str]) -> Sequence[tuple[str, str]]:
    return tuple((one, other) for place, one in enumerate(names) for other in names[place + 1 :])


def _by_nullable(shape: Shape, target: str) -> Severity:
    return "critical" if target in shape.amounts or not shape.may_be_null(target) else "warning"


def _null(ground: Ground, column: str) -> pl.DataFrame:
    return ground.set(column, pl.lit(None, dtype=ground.rows.schema[column]))


def _text(make: Callable[[pl.Expr], pl.Expr]) -> Change:
    return lambda ground, column: ground.set(column, make(pl.col(column)))


def _number(make: Callable[[pl.Expr], pl.Expr]) -> Change:
    return lambda ground, column: ground.set(column, make(pl.col(column).cast(pl.Float64)))


def _commonest(ground: Ground, column: str) -> pl.DataFrame:
    return ground.set(column, pl.lit(_by_count(ground, column)[0]))


def _rarest(ground: Ground, column: str) -> pl.DataFrame:
    return ground.set(column, pl.lit(_by_count(ground, column)[-1]))


def _by_count(ground: Ground, column: str) -> list[Any]:
    counted = (
        ground.rows.drop_nulls(column).group_by(column).len().sort(["len", column], descending=[True, False])
    )
    return counted.get_column(column).to_list() or [None]


def _swap(ground: Ground, pair: tuple[str, str]) -> pl.DataFrame:
    one, other = pair
    rows = ground.set(one, pl.col(other))
    return rows.with_columns(ground.set(other, pl.col(one)).get_column(other))


def _rotate(ground: Ground, names: tuple[str, ...]) -> pl.DataFrame:
    moved = zip(names, (names[-1], *names[:-1]), strict=True)
    return ground.rows.with_columns(ground.set(go, pl.col(come)).get_column(go) for go, come in moved)


def _triples(shape: Shape) -> Sequence[tuple[str, ...]]:
    numbers = (*shape.amounts, *shape.number_references)
    return tuple(zip(numbers, numbers[1:], numbers[2:], strict=False))


def _earlier_by(hours: float) -> Change:
    def change(ground: Ground, column: str) -> pl.DataFrame:
        days = ground.rows.schema[column] == pl.Date
        apart = pl.duration(days=max(1, round(hours))) if days else pl.duration(minutes=round(hours * 60))
        return ground.set(column, pl.col(column) - apart)

    return change


def _moment_in(year: int) -> Change:
    def change(ground: Ground, column: str) -> pl.DataFrame:
        date = pl.date(year, 1, 1)
        dtype = ground.rows.schema[column]
        value = (
            date if dtype == pl.Date else pl.datetime(year, 1, 1, time_zone=getattr(dtype, "time_zone", None))
        )
        return ground.set(column, value)

    return change


def _lost(ground: Ground, _: Any) -> pl.DataFrame:
    return ground.rows.filter(~ground.chosen)


def _cut_off(ground: Ground, _: Any) -> pl.DataFrame:
    return ground.rows.head(ground.rows.height - ground.many)


def _group_lost(ground: Ground, column: str) -> pl.DataFrame:
    """Lose the rows of some values of a column, about as many as the strength says, and one value's at least."""
    counts = ground.rows.group_by(column).len().sort(["len", column])
    before = pl.col("len").cum_sum().shift(1).fill_null(0)
    within = (pl.col("len").cum_sum() <= ground.many) | (before == 0)
    gone = counts.filter(within).get_column(column)
    return ground.rows.filter(~pl.col(column).is_in(gone.implode()))


def _cursor_too(ground: Ground, rows: pl.DataFrame) -> pl.DataFrame:
    """Give foreign rows the cursors of the delivery's own."""
    cursor = ground.shape.cursor
    if cursor is None or cursor not in rows.columns or rows.is_empty():
        return rows
    own = ground.rows.get_column(cursor)
    places = pl.int_range(rows.height, eager=True) % own.len()
    return rows.with_columns(own.gather(places).alias(cursor))


def _again(ago: int, *, new: bool) -> Change:
    def change(ground: Ground, _: Any) -> pl.DataFrame:
        past = ground.earlier[min(ago, len(ground.earlier) - 1)] if ground.earlier else ground.rows.clear()
        came = past.head(ground.many)
        return pl.concat([ground.rows.filter(~ground.chosen), _cursor_too(ground, came) if new else came])

    return change


def _copied(ground: Ground, _: Any) -> pl.DataFrame:
    return pl.concat([ground.rows, ground.fresh_keys(ground.rows.filter(ground.chosen))])


def _copied_later(ground: Ground, _: Any) -> pl.DataFrame:
    copies = ground.fresh_keys(ground.rows.filter(ground.chosen))
    return pl.concat([ground.rows, _cursor_too(ground, copies.reverse())])


def _old_copied(ground: Ground, _: Any) -> pl.DataFrame:
    copies = ground.fresh_keys(ground.past.head(ground.many))
    return pl.concat([ground.rows, _cursor_too(ground, copies)])


def _recycled(ago: int) -> Change:
    def change(ground: Ground, _: Any) -> pl.DataFrame:
        past = ground.earlier[min(ago, len(ground.earlier) - 1)] if ground.earlier else ground.rows
        keys = past.select(ground.shape.key).unique(maintain_order=True).head(ground.many)
        touched = ground.rows.filter(ground.chosen).head(keys.height)
        kept = ground.rows.filter(~ground.chosen)
        return pl.concat([kept, touched.with_columns(keys.head(touched.height))])

    return change


def _keys_rotated(ground: Ground, _: Any) -> pl.DataFrame:
    touched = ground.rows.filter(ground.chosen)
    keys = touched.select(pl.col(ground.shape.key).shift(1).fill_null(strategy="backward"))
    first = touched.select(pl.col(ground.shape.key).last())
    rotated = pl.concat([first, keys.slice(1)])
    return pl.concat([ground.rows.filter(~ground.chosen), touched.with_columns(rotated)])


def _identifiers(shape: Shape) -> Sequence[str]:
    return (*shape.references, *shape.key)


def _elsewhere(make: Callable[[pl.Expr], pl.Expr], suffix: str) -> Change:
    def change(ground: Ground, column: str) -> pl.DataFrame:
        numeric = ground.rows.schema[column].is_numeric()
        return ground.set(
            column, make(pl.col(column)) if numeric else pl.col(column).cast(pl.String) + suffix
        )

    return change


def _parents_lost(order: str) -> Change:
    """Lose all rows of some parents: any, the largest of them, or those with the largest ids."""

    def change(ground: Ground, column: str) -> pl.DataFrame:
        by = {
            "any": pl.col(column).hash(ground.seed),
            "large": -pl.col("len").cast(pl.Int64),
            "new": pl.col(column),
        }
        counted = (
            ground.rows.drop_nulls(column)
            .group_by(column)
            .len()
            .sort([by[order], column], descending=order == "new")
        )
        gone = counted.filter(pl.col("len").cum_sum().shift(1).fill_null(0) < ground.many).get_column(column)
        return ground.rows.filter(~pl.col(column).is_in(gone.implode()).fill_null(value=False))

    return change


def _one_parent(place: float) -> Change:
    def change(ground: Ground, column: str) -> pl.DataFrame:
        there = _by_count(ground, column)
        return ground.set(column, pl.lit(there[int(place * (len(there) - 1))]))

    return change


def _sum_broken(ground: Ground, triple: tuple[str, str, str]) -> pl.DataFrame:
    return ground.set(triple[0], pl.col(triple[1]).cast(pl.Float64))


def _part_zero(ground: Ground, triple: tuple[str, str, str]) -> pl.DataFrame:
    return ground.set(triple[2], pl.lit(0))


def _part_off(ground: Ground, triple: tuple[str, str, str]) -> pl.DataFrame:
    return ground.set(triple[1], pl.col(triple[1]).cast(pl.Float64) * 1.05)


def _undetermined(ground: Ground, pair: tuple[str, str]) -> pl.DataFrame:
    values = ground.rows.get_column(pair[1]).drop_nulls().unique().sort()
    other = values.to_list()[1:] + values.to_list()[:1]
    return ground.set(pair[1], pl.col(pair[1]).replace_strict(values, other, default=None))


def _time_turned(shape: Shape) -> Sequence[tuple[str, str]]:
    moments = [*shape.moments, *([shape.cursor] if shape.cursor else [])]
    return _pairs(moments)


def _vanished(how: str) -> Change:
    """Let a value vanish: that whose share is nearest to the strength. Its rows go, or say something else."""

    def change(ground: Ground, column: str) -> pl.DataFrame:
        counted = ground.rows.drop_nulls(column).group_by(column).len().sort(["len", column])
        nearest = counted.sort((pl.col("len").cast(pl.Float64) - ground.many).abs(), maintain_order=True)
        if nearest.is_empty() or nearest.get_column("len")[0] > 2 * ground.many:
            return ground.rows
        value = nearest.get_column(column)[0]
        there = pl.col(column).eq_missing(pl.lit(value))
        if how == "rows":
            return ground.rows.filter(~there)
        new = (
            pl.lit(None)
            if how == "null"
            else pl.lit(_by_count(ground, column)[0 if counted.height > 1 else -1])
        )
        other = pl.when(there).then(new).otherwise(pl.col(column))
        return ground.rows.with_columns(other.cast(ground.rows.schema[column]).alias(column))

    return change


def _with_negatives(shape: Shape) -> Sequence[str]:
    return shape.amounts


def _negatives_gone(how: str) -> Change:
    def change(ground: Ground, column: str) -> pl.DataFrame:
        negative = pl.col(column) < 0
        if how == "rows":
            return ground.rows.filter(~negative.fill_null(value=False))
        new = pl.col(column).abs() if how == "positive" else pl.lit(0)
        other = pl.when(negative).then(new.cast(ground.rows.schema[column])).otherwise(pl.col(column))
        return ground.rows.with_columns(other.alias(column))

    return change


def _few(factor: float) -> Change:
    """Touch 1, 3 or a hundredth of the rows, by strength."""

    def change(ground: Ground, column: str) -> pl.DataFrame:
        rows = ground.rows.height
        many = 1 if ground.share < 0.1 else 3 if ground.share < 0.5 else max(5, rows // 100)
        few = Ground(ground.rows, ground.earlier, ground.shape, many / max(rows, 1), ground.seed)
        return few.set(column, pl.col(column).cast(pl.Float64) * factor)

    return change


def _upside_down(ground: Ground, column: str) -> pl.DataFrame:
    return ground.set(column, 1 / pl.col(column).cast(pl.Float64))


def _traded(ground: Ground, column: str) -> pl.DataFrame:
    values = ground.rows.get_column(column)
    return ground.rows.with_columns(
        pl.when(ground.chosen).then(values.reverse()).otherwise(pl.col(column)).alias(column)
    )


def _mojibake(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all("[aeo]", "Ã¤")


FORMS: tuple[Form, ...] = (
    Form("nulls", _by_nullable, Shape.values, (_null,)),
    Form("key or reference is null", "critical", _identifiers, (_null,)),
    Form(
        "categories misspelt",
        "critical",
        lambda shape: shape.categories,
        (
            _text(
                lambda text: (
                    pl.when(text == text.str.to_lowercase())
                    .then(text.str.to_uppercase())
                    .otherwise(text.str.to_lowercase())
                )
            ),
            _text(lambda text: text + " "),
            _text(lambda text: text + "x"),
        ),
    ),
    Form(
        "one value for all",
        "critical",
        lambda shape: (*shape.categories, *shape.amounts),
        (_commonest, _rarest, _commonest),
    ),
    Form(
        "another unit",
        "critical",
        _amounts,
        (_number(lambda one: one * 100), _number(lambda one: one / 100), _number(lambda one: one * 12)),
    ),
    Form(
        "amounts somewhat off",
        "warning",
        _amounts,
        (_number(lambda one: one * 1.3), _number(lambda one: one * 0.7), _number(lambda one: one * 1.2)),
    ),
    Form(
        "sign",
        "critical",
        _amounts,
        (_number(lambda one: -one), _number(lambda one: -one / 10), _number(lambda one: -one.abs() - 1)),
    ),
    Form(
        "amounts near zero",
        "critical",
        _amounts,
        (_number(lambda one: one * 0), _number(lambda one: one * 0.001), _number(lambda one: one * 0 + 0.01)),
    ),
    Form(
        "columns swapped",
        "critical",
        lambda shape: (*_pairs(shape.amounts), *_pairs((*shape.categories, *shape.texts))),
        (_swap,),
    ),
    Form("columns shifted", "critical", _triples, (_rotate,)),
    Form(
        "moments moved",
        "warning",
        lambda shape: shape.moments,
        (_earlier_by(3), _earlier_by(-12), _earlier_by(24)),
    ),
    Form(
        "moments impossible",
        "critical",
        lambda shape: shape.moments,
        (_moment_in(1970), _moment_in(2999), _moment_in(1900)),
    ),
    Form("rows lost", _if_not_listed, _rows, (_lost, _cut_off, _lost)),
    Form(
        "a group lost", _if_not_listed, lambda shape: (*shape.categories, *shape.references), (_group_lost,)
    ),
    Form(
        "earlier rows in place of new ones",
        "critical",
        _with_past,
        (_again(0, new=False), _again(1, new=False), _again(0, new=True)),
    ),
    Form("copies under new keys", "critical", _rows, (_copied, _copied_later, _old_copied)),
    Form("ids recycled", "critical", _with_past, (_recycled(0), _recycled(2), _keys_rotated)),
    Form(
        "text damaged",
        "warning",
        lambda shape: (*shape.texts, *shape.categories),
        (_text(_mojibake), _text(lambda text: text.str.head(3)), _text(lambda _: pl.lit("unknown"))),
    ),
    Form(
        "parents that do not exist",
        "critical",
        lambda shape: shape.references,
        (
            _elsewhere(lambda one: one + 8_000_000, "9"),
            _elsewhere(lambda one: -one, "x"),
            _elsewhere(lambda one: one * 1000, "000"),
        ),
    ),
    Form(
        "one parent for many",
        "critical",
        lambda shape: shape.references,
        (_one_parent(0), _one_parent(0.5), _one_parent(1)),
    ),
    Form(
        "children of some parents missing",
        "critical",
        lambda shape: shape.references,
        (_parents_lost("any"), _parents_lost("large"), _parents_lost("new")),
    ),
    Form(
        "keys of another magnitude",
        "warning",
        lambda shape: shape.key,
        (
            _elsewhere(lambda one: one + 10**9, "000"),
            _elsewhere(lambda one: one * 1000, "-x"),
            _elsewhere(lambda one: -one, "-"),
        ),
    ),
    Form(
        "sums that do not add up", "critical", lambda shape: shape.sums, (_sum_broken, _part_zero, _part_off)
    ),
    Form(
        "what one column says of another broken", "critical", lambda shape: shape.determined, (_undetermined,)
    ),
    Form("moments in the wrong order", "warning", _time_turned, (_swap,)),
    Form(
        "a value vanishes",
        "warning",
        lambda shape: shape.categories,
        (_vanished("rows"), _vanished("other"), _vanished("null")),
    ),
    Form(
        "negatives vanish",
        "critical",
        _with_negatives,
        (_negatives_gone("rows"), _negatives_gone("positive"), _negatives_gone("zero")),
        once=True,
    ),
    Form("single rows far out", "critical", _amounts, (_few(1000), _few(-100), _few(10_000))),
    Form(
        "a small table's values off",
        "critical",
        _amounts,
        (_number(lambda one: one * 100), _number(lambda one: one * 1.25), _number(lambda one: one / 10)),
        small=True,
    ),
    Form(
        "a small table's values upside down",
        "critical",
        _amounts,
        (_upside_down, _traded, _number(lambda one: one * 0 + 1)),
        small=True,
    ),
    Form("a small table's rows lost", _if_not_listed, _rows, (_lost, _cut_off, _lost), small=True),
    Form(
        "a small table's categories misspelt",
        "critical",
        lambda shape: (*shape.categories, *shape.text_keys),
        (
            _text(lambda text: text + " "),
            _text(lambda text: text + "x"),
            _text(lambda text: text.str.head(1)),
        ),
        small=True,
    ),
)
