"""The plan of a transform: which operations lead from silver to gold, each as one that can be run on other rows.

A transform is asked once, with frames that have columns and no rows, what it would do. Polars gives the plan as JSON;
here it becomes nodes. Each node is made again from its JSON by Polars' own methods, and the plan is used only where
what was made again says, word for word, what the transform said. So an operation, an option or a later version of
Polars that is not known here is never guessed at: `NotFollowed` says what it was, and the table is made whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

Json = dict[str, Any]
Frames = Sequence[pl.LazyFrame]


class NotFollowed(Exception):
    """A plan cannot be followed from rows of silver to rows of gold; its text says why."""


class LookedAt(Exception):
    """A transform looks at rows while its plan is made."""


@dataclass(frozen=True)
class Node:
    """One operation of a plan: what it is, the nodes that it takes rows from, and how it is made of their frames.

    ``source`` is the silver dataset that it reads, where it reads one.
    """

    kind: str
    body: Json
    inputs: tuple[Node, ...]
    make: Callable[[Frames], pl.LazyFrame] = field(repr=False)
    source: str = ""

    @cached_property
    def schema(self) -> pl.Schema:
        """The columns that it gives, and their types."""
        return self.make([one.empty for one in self.inputs]).collect_schema()

    @cached_property
    def empty(self) -> pl.LazyFrame:
        """A frame of its columns without rows."""
        return pl.LazyFrame(schema=self.schema)

    def all_nodes(self) -> Iterator[Node]:
        """Yield the node and all that lead to it."""
        yield self
        for one in self.inputs:
            yield from one.all_nodes()


_MARK = re.compile(rb"headworks-input<([a-z0-9_.]+)>")


class _Source:
    """Represents the rows of a silver dataset while a plan is made; its name is found in what Polars says of it."""

    def __init__(self, dataset: str) -> None:
        self.dataset = f"headworks-input<{dataset}>"

    def __call__(self, *_: object) -> Iterator[pl.DataFrame]:
        raise LookedAt(self.dataset)


Transform = Callable[[Mapping[str, pl.LazyFrame]], Any]


@dataclass(frozen=True)
class Plan:
    """What a transform says that it does, asked once: a number for it, and the plan or why it is not followed.

    The number has 62 bits and is at least 1, or 0 where nothing was said that can be compared. A transform that has
    today's date in it says something else tomorrow, of parts that nothing touched too.
    """

    number: int = 0
    root: Node | None = None
    why: str = ""

    def followed(self) -> Node:
        """Return the plan; raises `NotFollowed`."""
        if self.root is None:
            raise NotFollowed(self.why)
        return self.root


def ask(transform: Transform, schemas: Mapping[str, pl.Schema]) -> Plan:
    """Ask a transform for its plan over frames with these columns."""
    frames = _frames(schemas)
    try:
        said = _said(transform, frames)
    except NotFollowed as problem:
        return Plan(why=str(problem))
    text = json.dumps(_bare(said), sort_keys=True)
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2 or 1
    try:
        return Plan(number, _followed(said, schemas, frames))
    except NotFollowed as problem:
        return Plan(number, why=str(problem))


def plan_of(transform: Transform, schemas: Mapping[str, pl.Schema]) -> Node:
    """Return the plan of a transform of frames with these columns; raises `NotFollowed`."""
    return ask(transform, schemas).followed()


def _followed(said: Json, schemas: Mapping[str, pl.Schema], frames: Mapping[str, pl.LazyFrame]) -> Node:
    try:
        root = _read(said, schemas)
        again = _json(_again(root, frames))
    except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as problem:
        raise NotFollowed(_UNKNOWN) from problem
    if _bare(again) != _bare(said):
        raise NotFollowed(_UNKNOWN)
    return root


def schemas_of(frames: Mapping[str, pl.LazyFrame]) -> dict[str, pl.Schema]:
    """Return the columns of frames."""
    return {name: frame.collect_schema() for name, frame in frames.items()}


def _frames(schemas: Mapping[str, pl.Schema]) -> dict[str, pl.LazyFrame]:
    """Return frames that have columns, and no rows that could be looked at."""
    return {
        name: register_io_source(_Source(name), schema=schema, is_pure=True)
        for name, schema in schemas.items()
    }


def _said(transform: Transform, frames: Mapping[str, pl.LazyFrame]) -> Json:
    """Return what Polars says of a transform's plan."""
    try:
        made = transform(frames)
    except Exception as problem:
        # Polars wraps what a source raises. What else a transform raises, it raises again with rows, and is explained.
        looked = LookedAt.__name__ in f"{type(problem).__name__}: {problem}"
        what = "looks at rows while its plan is made" if looked else f"raised {type(problem).__name__}"
        raise NotFollowed(f"the transform {what}") from problem
    if not isinstance(made, pl.LazyFrame):
        raise NotFollowed(f"the transform gives a {type(made).__name__}, which has no plan")
    return _json(made)


_UNKNOWN = "Polars says its plan in a form that is not known here"


def expression(body: Any) -> pl.Expr:
    """Return the expression that a plan's JSON says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.Expr.deserialize(io.BytesIO(json.dumps(body).encode()), format="json")


def _again(node: Node, frames: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    if node.source:
        return frames[node.source]
    return node.make([_again(one, frames) for one in node.inputs])


def _json(frame: pl.LazyFrame) -> Json:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Json = json.loads(frame.serialize(format="json"))
    except Exception as problem:
        raise NotFollowed(f"Polars cannot say its plan: {str(problem).partition(chr(10))[0]}") from problem
    return found


def _bare(body: Any) -> Any:
    """Return a plan's JSON without what differs each time that the same is said, and what changes no row."""
    if isinstance(body, list):
        return [_bare(each) for each in body]
    if not isinstance(body, dict):
        return body
    if (source := _source(body)) is not None:
        return source
    if {*body} == {"IR"}:
        return _bare(body["IR"]["dsl"])
    if {*body} == {"Cache"}:
        return _bare(body["Cache"]["input"])
    return {name: _bare(value) for name, value in body.items() if name not in _OF_NO_ROW}


_OF_NO_ROW = {
    "run_parallel",
    "parallel",
    "rechunk",
    "allow_parallel",
    "force_parallel",
    "build_side",
    "multithreaded",
}
"""Options of Polars that say how something is computed, and not what."""


def _source(body: Json) -> str | None:
    """Return the dataset that a node of a plan reads, if it is one of ours."""
    if {*body} != {"PythonScan"}:
        return None
    found = {*_MARK.findall(bytes(body["PythonScan"]["options"]["scan_fn"]))}
    return found.pop().decode() if len(found) == 1 else None


def _read(said: Json, schemas: Mapping[str, pl.Schema]) -> Node:
    if (source := _source(said)) is not None:
        columns = pl.LazyFrame(schema=schemas[source])
        return Node("Source", {}, (), lambda _: columns, source)
    ((kind, body),) = said.items()
    if kind in {"IR", "Cache"}:
        return _read(body["dsl" if kind == "IR" else "input"], schemas)
    if kind == "DataFrameScan":
        constant = _deserialized(said)
        return Node(kind, {}, (), lambda _: constant)
    if kind not in _MAKERS:
        raise NotFollowed(f"{_called(kind)} is not followed")
    children = [body[name] for name in ("input", "input_left", "input_right") if name in body]
    children += body.get("inputs", [])
    inputs = tuple(_read(child, schemas) for child in children)
    own = {
        name: value
        for name, value in body.items()
        if name not in {"input", "input_left", "input_right", "inputs"}
    }
    return Node(kind, own, inputs, _MAKERS[kind](own))


def _deserialized(said: Json) -> pl.LazyFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.LazyFrame.deserialize(io.BytesIO(json.dumps(said).encode()), format="json")


def _called(kind: str) -> str:
    return {
        "Slice": "taking the first or the last rows",
        "PythonScan": "reading something that is no input",
        "Scan": "reading something that is no input",
        "HConcat": "putting frames side by side",
    }.get(kind, kind)


def _expressions(bodies: Sequence[Any]) -> list[pl.Expr]:
    return [expression(body) for body in bodies]


def _select(own: Json) -> Callable[[Frames], pl.LazyFrame]:
    if own["options"].get("maintain_dataframe_height"):
        # drop() says that its rows stay as many as they are.
        (selector,) = own["expr"]
        names = selector["Selector"]["Difference"][1]["ByName"]
        return lambda frames: frames[0].drop(names["names"], strict=names["strict"])
    made = _expressions(own["expr"])
    return lambda frames: frames[0].select(made)


def _with_columns(own: Json) -> Callable[[Frames], pl.LazyFrame]:
    made = _expressions(own["exprs"])
    return lambda frames: frames[0].with_columns(made)


def _filter(own: Json) -> Callable[[Frames], pl.LazyFrame]:
    made = expression(own["predicate"])
    return lambda frames: frames[0].filter(made)


def _sort(own: Json) -> Callable[[Frames], pl.LazyFrame]:
    made, options = _expressions(own["by_column"]), own["sort_options"]
    return lambda frames: frames[0].sort(
        made,
        descending=options["descending"],
        nulls_last=options["nulls_last"],
        maintain_order=options["maintain_order"],
    )


def _group_by(own: Json) -> Callable[[Frames], pl.LazyFrame]:
    options = own["options"]
    if own["apply"] is not None or any(options[name] is not None for name in options):
        raise NotFollowed("grouping by moving windows, or by a function of Python, is not followed")
    keys, aggregates, having = (_expressions(own[name]) for name in ("keys", "aggs", "predicates"))

    def made(frames: Frames) -> pl.LazyFrame:
        grouped = frames[0].group_by(keys, maintain_order=own["maintain_order"])
        return (grouped.having(having) if having else grouped).agg(aggregates)

    return made


_JOINS: Mapping[str, Any] = {
    "Inner": "inner",
    "Left": "left",
    "Right": "right",
    "Full": "full",
    "Semi": "semi",
    "Anti": "anti",
    "Cross": "cross",
}
_ORDERS: Mapping[str, Any] = {
    "None": "none",
    "Left": "left",
    "Right": "right",
    "LeftRight": "left_right",
    "RightLeft": "right_left",
}
_COALESCE = {"JoinSpecific": None, "CoalesceColumns": True, "KeepColumns": False}


def _join(own: Json) -> Callable[[Frames], pl.LazyFrame]:
    arguments = own["options"]["args"]
    if "Equi" not in own["condition"] or arguments["validation"] != "ManyToMany":
        raise NotFollowed("a join by inequalities, or one that is validated, is not followed")
    left, right = (_expressions(own["condition"]["Equi"][side]) for side in ("left_on", "right_on"))
    how = arguments["how"]
    if isinstance(how, dict):
        return _join_asof(how, arguments, left, right)
    named: dict[str, Any] = {} if how == "Cross" else {"left_on": left, "right_on": right}
    return lambda frames: frames[0].join(
        frames[1],
        how=_JOINS[how],
        suffix=arguments["suffix"],
        nulls_equal=arguments["nulls_equal"],
        coalesce=_COALESCE[arguments["coalesce"]],
        maintain_order=_ORDERS[arguments["maintain_order"]],
        **named,
    )


def _join_asof(
    how: Json, arguments: Json, left: Sequence[pl.Expr], right: Sequence[pl.Expr]
) -> Callable[[Frames], pl.LazyFrame]:
    (kind, options), *more = how.items()
    if kind != "AsOf" or more or options["tolerance"] is not None or options["tolerance_str"] is not None:
        raise NotFollowed(f"a join of the kind {kind}, or with a tolerance, is not followed")
    strategies: Mapping[str, Any] = {"Backward": "backward", "Forward": "forward", "Nearest": "nearest"}
    return lambda frames: frames[0].join_asof(
        frames[1],
        left_on=left[0],
        right_on=right[0],
        by_left=options["left_by"],
        by_right=options["right_by"],
        strategy=strategies[options["strategy"]],
        suffix=arguments["suffix"],
        allow_exact_matches=options["allow_eq"],
        check_sortedness=options["check_sortedness"],
        coalesce=_COALESCE[arguments["coalesce"]] is not False,
    )


def _union(own: Json) -> Callable[[Frames], pl.LazyFrame]:
    arguments = own["args"]
    how: Any = ("diagonal" if arguments["diagonal"] else "vertical") + (
        "_relaxed" if arguments["to_supertypes"] else ""
    )
    return lambda frames: pl.concat(frames, how=how)


def _distinct(own: Json) -> Callable[[Frames], pl.LazyFrame]:
    options = own["options"]
    subset = None if options["subset"] is None else _expressions(options["subset"])
    kept: Any = str(options["keep_strategy"]).lower()
    return lambda frames: frames[0].unique(subset, keep=kept, maintain_order=options["maintain_order"])


def _map(own: Json) -> Callable[[Frames], pl.LazyFrame]:
    ((kind, options),) = own["function"].items()
    if kind == "Rename":
        mapping = dict(zip(options["existing"], options["new"], strict=True))
        return lambda frames: frames[0].rename(mapping, strict=options["strict"])
    if kind == "Explode":
        names = _names(options["columns"])
        given = options["options"]
        return lambda frames: frames[0].explode(
            names, empty_as_null=given["empty_as_null"], keep_nulls=given["keep_nulls"]
        )
    if kind == "Unnest":
        names = _names(options["columns"])
        return lambda frames: frames[0].unnest(names, separator=options["separator"])
    raise NotFollowed(f"{_MAPS.get(kind, kind)} is not followed")


_MAPS = {"OpaquePython": "a function of Python over rows", "RowIndex": "numbering rows"}


def _names(selector: Json) -> list[str]:
    """Return the columns that explode() and unnest() name, as they say them."""
    try:
        first, second = selector["Union"]
        names: list[str] = [*first["ByName"]["names"], *second["ByName"]["names"]]
    except (KeyError, TypeError, ValueError) as problem:
        raise NotFollowed("columns chosen by a selector are not followed there") from problem
    return names


_MAKERS: Mapping[str, Callable[[Json], Callable[[Frames], pl.LazyFrame]]] = {
    "Select": _select,
    "HStack": _with_columns,
    "Filter": _filter,
    "Sort": _sort,
    "GroupBy": _group_by,
    "Join": _join,
    "Union": _union,
    "Distinct": _distinct,
    "MapFunction": _map,
}
