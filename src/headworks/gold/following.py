"""Which rows of gold change where rows of silver do: the plan of a transform, followed from its inputs to its end.

For each operation it is known which of its rows go and which come, from those that go and come in its inputs. A row
that is filtered or computed alone is followed alone. A join looks up what belongs to the changed rows of one side, and
what looks up a changed row of the other. A group, a window or a set of equal rows is computed before and after, for the
keys that changed. Rows that go and come alike are no change. What cannot be followed like this is `NotFollowed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from headworks.gold.expressions import check_aggregates, windows_of
from headworks.gold.plans import Node, NotFollowed, expression

MOST = 1_000_000
"""Where more rows than this change, making the table whole costs no more."""

_MOST_LISTED = 20_000
_BOUNDED = {pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.Date(), pl.String(), pl.Datetime("us", "UTC")}
_LOOKUPS = {"Inner": 0, "Left": 0, "Semi": 0, "Anti": 0, "Cross": 0, "AsOf": 0, "Right": 1}
"""Joins whose rows are those of one side, each with what it finds on the other: which side it is."""
_NUMBER = "\0number"

Frames = Mapping[str, pl.LazyFrame]


@dataclass(frozen=True)
class Changes:
    """The rows that go and those that come: taken out and put in, they make the rows before those after."""

    gone: pl.DataFrame
    came: pl.DataFrame

    @property
    def is_empty(self) -> bool:
        """Return whether nothing changes."""
        return self.gone.is_empty() and self.came.is_empty()

    @property
    def rows(self) -> pl.DataFrame:
        """All of them."""
        return pl.concat([self.gone, self.came])


@dataclass
class Following:
    """The plan of a transform with its inputs before and after, and the rows of these that changed."""

    root: Node
    before: Frames
    after: Frames
    changed: Mapping[str, Changes]
    _known: dict[int, Changes] = field(default_factory=dict)

    def check(self) -> None:
        """Raise `NotFollowed` where an operation that a changed row may come to cannot be followed."""
        for node in self.root.all_nodes():
            _check(node)

    def touched(self, by: Sequence[str]) -> pl.DataFrame:
        """Return the values of columns of the result in whose rows anything can have changed, and perhaps others."""
        if missing := [name for name in by if name not in self.root.schema]:
            raise NotFollowed(f"the transform gives no column {', '.join(missing)}")
        return self._touched(self.root, list(by)).unique()

    def rows(self, by: Sequence[str], values: pl.DataFrame) -> pl.LazyFrame:
        """Return the rows of the result after the changes that have some values of columns."""
        return self._near(self.root, self.after, list(by), values)

    def _touched(self, node: Node, by: list[str]) -> pl.DataFrame:
        """Return the touched values without computing groups, where they come straight from the rows that changed."""
        if node.kind == "GroupBy" and {*by} <= {*_group_keys(node)}:
            keys = _keyed(node.inputs[0], node.body["keys"])
            changes = self._changes(node.inputs[0])
            return changes.rows.select(
                value.alias(name) for name, value in keys.items() if name in by
            ).select(by)
        if node.kind == "Union" and all({*by} <= {*one.schema} for one in node.inputs):
            return pl.concat([self._touched(one, by) for one in node.inputs], how="vertical_relaxed")
        if _leads_to_groups(node):
            inner = _names_before(node, by)
            if inner is not None and all({*inner} <= window for window in _windows(node)):
                return self._touched(node.inputs[0], inner).rename(dict(zip(inner, by, strict=True)))
        return self._changes(node).rows.select(by)

    def _changes(self, node: Node) -> Changes:
        """Return which rows of an operation's result go and which come."""
        found = self._known.get(id(node))
        if found is None:
            found = self._known[id(node)] = self._found(node)
            if found.gone.height + found.came.height > MOST:
                raise NotFollowed("too many rows change")
        return found

    def _found(self, node: Node) -> Changes:
        if node.source:
            return self.changed[node.source]
        inputs = [self._changes(one) for one in node.inputs]
        if all(one.is_empty for one in inputs):
            nothing = node.schema.to_frame()
            return Changes(nothing, nothing)
        match node.kind:
            case "Join":
                return self._joined(node, *inputs)
            case "GroupBy":
                keys = _keyed(node.inputs[0], node.body["keys"])
                return self._again(node, [*keys], _values(inputs[0].rows, [*keys.values()]))
            case "Distinct":
                names = _distinct_names(node)
                return self._again(node, names, _values(inputs[0].rows, [pl.col(name) for name in names]))
            case "Sort":
                return inputs[0]
            case "Union":
                return without_equal(
                    self._collected(node.make([one.gone.lazy() for one in inputs])),
                    self._collected(node.make([one.came.lazy() for one in inputs])),
                )
        if windows := _windows(node):
            within = sorted(frozenset.intersection(*windows))
            values = _values(inputs[0].rows, [pl.col(name) for name in within])
            return without_equal(
                *(
                    self._collected(node.make([self._near(node.inputs[0], frames, within, values)]))
                    for frames in (self.before, self.after)
                )
            )
        return without_equal(
            self._collected(node.make([inputs[0].gone.lazy()])),
            self._collected(node.make([inputs[0].came.lazy()])),
        )

    def _again(self, node: Node, names: list[str], values: pl.DataFrame) -> Changes:
        """Compute the rows with some keys before and after."""
        return without_equal(
            *(
                self._collected(self._near(node, frames, names, values))
                for frames in (self.before, self.after)
            )
        )

    def _joined(self, node: Node, left: Changes, right: Changes) -> Changes:
        how = _how(node)
        on = _join_keys(node)
        if how == "Full":
            values = pl.concat([_values(left.rows, on[0]), _values(right.rows, on[1])]).unique()
            return without_equal(
                *(
                    self._collected(
                        node.make(
                            [self._near_by(node.inputs[side], frames, on[side], values) for side in (0, 1)]
                        )
                    )
                    for frames in (self.before, self.after)
                )
            )
        main = _LOOKUPS[how]
        own, other = (left, right) if main == 0 else (right, left)
        gone, came = [], []
        if not other.is_empty:
            # As if first only the other side had changed: what finds anything else there now.
            finding = self._finding(node, other.rows, main)
            gone.append(self._looked_up(node, finding, self.before, main))
            came.append(self._looked_up(node, finding, self.after, main))
        gone.append(self._looked_up(node, own.gone, self.after, main))
        came.append(self._looked_up(node, own.came, self.after, main))
        return without_equal(pl.concat(gone), pl.concat(came))

    def _finding(self, node: Node, other: pl.DataFrame, main: int) -> pl.DataFrame:
        """Return the rows, before the changes, that may find a changed row on the other side of a join."""
        how, source, on = _how(node), node.inputs[main], _join_keys(node)
        if how == "Cross":
            return self._collected(_whole(source, self.before))
        if how != "AsOf":
            return self._collected(self._near_by(source, self.before, on[main], _values(other, on[1 - main])))
        options = node.body["options"]["args"]["how"]["AsOf"]
        rows = _whole(source, self.before)
        if options["left_by"]:
            values = _values(other, [pl.col(name) for name in options["right_by"]])
            rows = self._near(source, self.before, options["left_by"], values)
        moments = other.select(on[1][0].alias(_NUMBER)).to_series()
        bound = {"Backward": moments.min(), "Forward": moments.max(), "Nearest": None}[options["strategy"]]
        if bound is not None:
            limit = pl.lit(bound, dtype=moments.dtype)
            rows = rows.filter(on[0][0] >= limit if options["strategy"] == "Backward" else on[0][0] <= limit)
        return self._collected(rows)

    def _looked_up(self, node: Node, rows: pl.DataFrame, frames: Frames, main: int) -> pl.DataFrame:
        """Return what a join makes of some rows of its one side, with the other side as it is in ``frames``."""
        if rows.is_empty():
            return node.schema.to_frame()
        return self._collected(self._lookup(node, rows, frames, main))

    def _lookup(self, node: Node, rows: pl.DataFrame, frames: Frames, main: int) -> pl.LazyFrame:
        source, on = node.inputs[1 - main], _join_keys(node)
        how = _how(node)
        if how == "Cross":
            other = _whole(source, frames)
        elif how == "AsOf":
            return self._lookup_asof(node, rows, frames)
        else:
            other = self._near_by(source, frames, on[1 - main], _values(rows, on[main]))
        pair = [rows.lazy(), other]
        return node.make(pair if main == 0 else pair[::-1])

    def _lookup_asof(self, node: Node, rows: pl.DataFrame, frames: Frames) -> pl.LazyFrame:
        source, on = node.inputs[1], _join_keys(node)
        options = node.body["options"]["args"]["how"]["AsOf"]
        other = _whole(source, frames)
        if options["left_by"]:
            values = _values(rows, [pl.col(name) for name in options["left_by"]])
            other = self._near(source, frames, options["right_by"], values)
        there = self._collected(other)
        moment = on[1][0].alias(_NUMBER)
        if there.select(*(pl.col(name) for name in options["right_by"] or []), moment).is_duplicated().any():
            raise NotFollowed("joining the nearest of rows with equal moments depends on their order, and")
        return node.make([rows.sort(on[0][0]).lazy(), there.sort(on[1][0]).lazy()])

    def _near(self, node: Node, frames: Frames, names: list[str], values: pl.DataFrame) -> pl.LazyFrame:
        """Return the rows of an operation's result that have some values of columns, from as few rows as it can."""
        if node.kind == "Join" and _how(node) != "Full":
            found = self._near_join(node, frames, names, values)
        elif node.kind == "Union" and all({*names} <= {*one.schema} for one in node.inputs):
            found = node.make([self._near(one, frames, names, values) for one in node.inputs])
        else:
            found = self._near_one(node, frames, names, values)
        return (
            _among(_whole(node, frames), [pl.col(name) for name in names], values) if found is None else found
        )

    def _near_one(
        self, node: Node, frames: Frames, names: list[str], values: pl.DataFrame
    ) -> pl.LazyFrame | None:
        if node.kind == "GroupBy":
            keys = _keyed(node.inputs[0], node.body["keys"])
            if not {*names} <= {*keys}:
                return None
            return node.make([self._near_by(node.inputs[0], frames, [keys[name] for name in names], values)])
        if node.kind == "Distinct":
            if not {*names} <= {*_distinct_names(node)}:
                return None
            return node.make([self._near(node.inputs[0], frames, names, values)])
        if node.kind not in _OF_ROWS:
            return None
        inner = _names_before(node, names)
        if inner is not None:
            if not all({*inner} <= window for window in _windows(node)):
                return None
            return node.make([self._near(node.inputs[0], frames, inner, values)])
        made = _made_of(node, names)
        if made is None or _windows(node):
            return None
        return node.make([self._near_by(node.inputs[0], frames, made, values)])

    def _near_by(
        self, node: Node, frames: Frames, keys: Sequence[pl.Expr], values: pl.DataFrame
    ) -> pl.LazyFrame:
        """Return the rows of a result in which expressions have some values."""
        bare = [key.meta.undo_aliases() for key in keys]
        if keys and all(key.meta.is_column() for key in bare):
            return self._near(node, frames, [key.meta.output_name() for key in bare], values)
        return _among(_whole(node, frames), keys, values)

    def _near_join(
        self, node: Node, frames: Frames, names: list[str], values: pl.DataFrame
    ) -> pl.LazyFrame | None:
        how = _how(node)
        main = _LOOKUPS[how]
        left, right = node.inputs
        suffix = node.body["options"]["args"]["suffix"]
        if main == 0 and {*names} <= {*left.schema}:
            return self._near_from(node, frames, main, names, values)
        if how != "Inner":
            return None
        inner = [
            name if name in right.schema and name not in left.schema else name.removesuffix(suffix)
            for name in names
        ]
        if not {*inner} <= {*right.schema} or any(
            name not in right.schema and one not in left.schema
            for name, one in zip(names, inner, strict=True)
        ):
            return None
        if any(name in left.schema for name in names):
            return None
        return self._near_from(node, frames, 1, inner, values)

    def _near_from(
        self, node: Node, frames: Frames, main: int, names: list[str], values: pl.DataFrame
    ) -> pl.LazyFrame:
        """Join what one side has of some values with what these rows find on the other."""
        near = self._near(node.inputs[main], frames, names, values)
        rows = near.head(MOST + 1).collect()
        if rows.height <= MOST:
            return self._lookup(node, rows, frames, main)
        if _how(node) == "AsOf":
            near = near.sort(_join_keys(node)[0][0])
        pair = [near, _whole(node.inputs[1 - main], frames)]
        return node.make(pair if main == 0 else pair[::-1])

    def _collected(self, rows: pl.LazyFrame) -> pl.DataFrame:
        found = rows.head(MOST + 1).collect()
        if found.height > MOST:
            raise NotFollowed("too many rows change")
        return found


_OF_ROWS = {"Select", "HStack", "Filter", "Sort", "MapFunction"}
"""Operations with one input that look at a row, but for windows."""


def _whole(node: Node, frames: Frames) -> pl.LazyFrame:
    """Return all rows of an operation's result."""
    return frames[node.source] if node.source else node.make([_whole(one, frames) for one in node.inputs])


def _among(rows: pl.LazyFrame, keys: Sequence[pl.Expr], values: pl.DataFrame) -> pl.LazyFrame:
    """Return the rows in which expressions have some values; null is a value."""
    keys = [key.meta.undo_aliases() for key in keys]
    for key, name in zip(keys, values.columns, strict=True):
        column = values.get_column(name)
        there = column.drop_nulls().unique()
        if column.dtype not in _BOUNDED or there.is_empty():
            continue
        least, most = (pl.lit(value, dtype=column.dtype) for value in (there.min(), there.max()))
        near = key.is_between(least, most)
        if len(there) <= _MOST_LISTED:
            near &= key.is_in(there.implode())
        rows = rows.filter(near | key.is_null() if column.null_count() else near)
    if not keys:
        return rows
    return rows.join(values.lazy(), left_on=list(keys), right_on=values.columns, how="semi", nulls_equal=True)


def _values(rows: pl.DataFrame, keys: Sequence[pl.Expr]) -> pl.DataFrame:
    """Return the different values that expressions have in rows."""
    return rows.select(key.alias(f"\0key{number}") for number, key in enumerate(keys)).unique()


def without_equal(gone: pl.DataFrame, came: pl.DataFrame) -> Changes:
    """Return rows that go and rows that come, without those that do both."""
    if gone.is_empty() or came.is_empty():
        return Changes(gone, came)
    names = gone.columns
    counted = (
        pl.concat([gone.with_columns(pl.lit(-1).alias(_NUMBER)), came.with_columns(pl.lit(1).alias(_NUMBER))])
        .group_by(names)
        .agg(pl.col(_NUMBER).sum())
        .filter(pl.col(_NUMBER) != 0)
    )

    def times(rows: pl.DataFrame) -> pl.DataFrame:
        place = pl.int_range(pl.len()).repeat_by(pl.col(_NUMBER).abs()).explode()
        return rows.select(names)[rows.select(place).to_series()] if rows.height else gone.clear()

    return Changes(times(counted.filter(pl.col(_NUMBER) < 0)), times(counted.filter(pl.col(_NUMBER) > 0)))


def _check(node: Node) -> None:
    """Raise `NotFollowed` where the rows of an operation depend on more than is followed."""
    windows = _windows(node)
    if windows and not frozenset.intersection(*windows):
        raise NotFollowed("a window over all rows, or windows that share no column, cannot be followed")
    match node.kind:
        case "GroupBy":
            if not node.body["keys"] or windows_of(node.body["keys"]):
                raise NotFollowed("grouping by what depends on other rows is not followed")
            _keyed(node.inputs[0], node.body["keys"])
            check_aggregates([*node.body["aggs"], *node.body["predicates"]])
        case "Distinct":
            options = node.body["options"]
            if options["subset"] is not None and options["keep_strategy"] != "None":
                raise NotFollowed(
                    "keeping one of rows with equal keys depends on their order, and is not followed"
                )
            _distinct_names(node)
        case "Join":
            for side in _join_keys(node):
                if any(not key.meta.root_names() for key in side):
                    raise NotFollowed("a join by a constant is not followed")
        case "Select":
            if not any(
                expression(each).meta.root_names() or "Selector" in str(each) for each in node.body["expr"]
            ):
                raise NotFollowed("a row of constants is not followed")


def _windows(node: Node) -> list[frozenset[str]]:
    match node.kind:
        case "Select":
            return windows_of(node.body["expr"])
        case "HStack":
            return windows_of(node.body["exprs"])
        case "Filter":
            return windows_of([node.body["predicate"]])
    return []


def _leads_to_groups(node: Node) -> bool:
    """Return whether below operations on rows there are groups, which are not computed where their keys are enough."""
    while node.kind in _OF_ROWS:
        node = node.inputs[0]
    return node.kind in {"GroupBy", "Union"}


def _how(node: Node) -> str:
    how = node.body["options"]["args"]["how"]
    return next(iter(how)) if isinstance(how, dict) else str(how)


def _join_keys(node: Node) -> tuple[list[pl.Expr], list[pl.Expr]]:
    said = node.body["condition"]["Equi"]
    for side in ("left_on", "right_on"):
        if windows_of(said[side]):
            raise NotFollowed("a join by what depends on other rows is not followed")
    return [expression(each) for each in said["left_on"]], [expression(each) for each in said["right_on"]]


def _keyed(source: Node, bodies: Sequence[Any]) -> dict[str, pl.Expr]:
    """Return the expressions of keys by the names of the columns that they become."""
    made = [expression(each) for each in bodies]
    names = source.empty.select(made).collect_schema().names()
    if len(names) != len(made):
        return {name: pl.col(name) for name in names} if _all_selectors(bodies) else _not_one_by_one()
    return dict(zip(names, made, strict=True))


def _all_selectors(bodies: Sequence[Any]) -> bool:
    return all(isinstance(each, Mapping) and {*each} <= {"Selector", "Column"} for each in bodies)


def _not_one_by_one() -> dict[str, pl.Expr]:
    raise NotFollowed("keys that become several columns each are not followed")


def _group_keys(node: Node) -> list[str]:
    return [*_keyed(node.inputs[0], node.body["keys"])]


def _distinct_names(node: Node) -> list[str]:
    subset = node.body["options"]["subset"]
    if subset is None:
        return [*node.schema]
    if not _all_selectors(subset):
        raise NotFollowed("distinct rows by anything but columns are not followed")
    return node.inputs[0].empty.select(expression(each) for each in subset).collect_schema().names()


def _made_by(node: Node) -> dict[str, Any]:
    """Return by name what each column of a result is made by, where that is one column by one expression."""
    source = node.inputs[0]
    match node.kind:
        case "Filter" | "Sort":
            return {name: {"Column": name} for name in node.schema}
        case "Select":
            found, bodies = {}, node.body["expr"]
        case "HStack":
            found, bodies = {name: {"Column": name} for name in source.schema}, node.body["exprs"]
        case "MapFunction":
            ((kind, options),) = node.body["function"].items()
            if kind == "Rename":
                new = dict(zip(options["existing"], options["new"], strict=True))
                return {new.get(name, name): {"Column": name} for name in source.schema}
            changed = {*node.schema} - {*source.schema} | _unfolded(options)
            return {name: {"Column": name} for name in node.schema if name not in changed}
        case _:
            return {}
    for body in bodies:
        names = source.empty.select(expression(body)).collect_schema().names()
        if len(names) == 1 and _kind_of(body) != "Selector":
            found[names[0]] = body
        elif _kind_of(body) == "Selector":
            found |= {name: {"Column": name} for name in names}
        else:
            for name in names:
                found.pop(name, None)
    return found


def _unfolded(options: Mapping[str, Any]) -> set[str]:
    """Return the columns that explode() and unnest() take apart."""
    first, second = options["columns"]["Union"]
    return {*first["ByName"]["names"], *second["ByName"]["names"]}


def _kind_of(body: Any) -> str:
    return next(iter(body)) if isinstance(body, Mapping) else str(body)


def _names_before(node: Node, names: Sequence[str]) -> list[str] | None:
    """Return what columns of a result were called before, where they are the same columns."""
    made = _made_by(node)
    bare = [_without_alias(made[name]) if name in made else None for name in names]
    if any(body is None or _kind_of(body) != "Column" for body in bare):
        return None
    return [str(body["Column"]) for body in bare if body is not None]


def _made_of(node: Node, names: Sequence[str]) -> list[pl.Expr] | None:
    """Return the expressions over the input that columns of a result are made by."""
    made = _made_by(node)
    return [expression(made[name]) for name in names] if all(name in made for name in names) else None


def _without_alias(body: Any) -> Any:
    while _kind_of(body) == "Alias":
        body = body["Alias"][0]
    return body
