"""What a row's value depends on in the expressions of a plan: the row alone, a group of rows, or rows elsewhere.

Only what is known to depend on no other row counts as such: each function is in a list here, and what is not in it is
`NotFollowed`. What depends on the order of rows is not followed either: silver's order is that of its files, and a run
that changes other rows changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headworks.gold.plans import NotFollowed

Windows = list[frozenset[str]]
"""By which columns each window of an expression is divided."""

_OF_THE_ROW = frozenset(
    {
        *("Abs", "AsStruct", "Cbrt", "Ceil", "Clip", "Coalesce", "Exp", "FillNull", "Floor", "Hash", "Log"),
        *("Log1p", "MaxHorizontal", "MeanHorizontal", "MinHorizontal", "Negate", "Pow", "Replace"),
        *("ReplaceStrict", "Round", "RoundSF", "Sign", "Sqrt", "SumHorizontal", "Trigonometry", "Truncate"),
        *("StructExpr", "TemporalExpr", "StringExpr"),
    }
)
_FLAGS_OF_THE_ROW = frozenset(
    {
        *(
            "AllHorizontal",
            "AnyHorizontal",
            "IsBetween",
            "IsClose",
            "IsFinite",
            "IsIn",
            "IsInfinite",
            "IsNan",
        ),
        *("IsNotNan", "IsNotNull", "IsNull", "Not"),
    }
)
_LISTS_OF_THE_ROW = frozenset(
    {
        *(
            "All",
            "Any",
            "Concat",
            "Contains",
            "CountMatches",
            "DropNulls",
            "Get",
            "Join",
            "Length",
            "Max",
            "Mean",
        ),
        *("Median", "Min", "NUnique", "Reverse", "Slice", "Sort", "Std", "Sum", "Var"),
    }
)
_OF_OTHER_ROWS = frozenset({"ConcatVertical", "ToDecimal", "ToDecimalInfer"})
"""Functions of text that look at more than one: they join all, or find out a scale from them."""
_AGGREGATES = frozenset({"Sum", "Min", "Max", "Mean", "Median", "NUnique", "Count", "Std", "Var"})
_AGGREGATING_FUNCTIONS = frozenset({"NullCount", "Product", "Quantile"})
_AGGREGATING_FLAGS = frozenset({"Any", "All"})
_RANKS = frozenset({"Average", "Min", "Max", "Dense"})


def windows_of(bodies: Sequence[Any]) -> Windows:
    """Return by what the windows of expressions are divided, which otherwise depend on their row alone."""
    found: Windows = []
    for body in bodies:
        _of_the_row(body, found)
    return found


def check_aggregates(bodies: Sequence[Any]) -> None:
    """Raise `NotFollowed` unless expressions depend on the rows of their group, in whatever order they are."""
    for body in bodies:
        _of_the_group(body)


def _of_the_row(body: Any, windows: Windows | None) -> None:
    """Go through an expression of one row; windows are put down in ``windows``, where they may be."""
    kind, inside = _kind(body)
    match kind:
        case "Column" | "Selector":
            return
        case "Literal":
            _check_literal(inside)
        case "Over":
            _check_window(inside, windows)
        case "Function":
            _check_function(inside, lambda each: _of_the_row(each, windows))
        case _:
            _around(kind, inside, lambda each: _of_the_row(each, windows))


def _of_the_group(body: Any) -> None:
    kind, inside = _kind(body)
    match kind:
        case "Len":
            return
        case "Literal":
            _check_literal(inside)
        case "Agg":
            ((name, each),) = inside.items()
            if name not in _AGGREGATES:
                raise NotFollowed(f"{name}, which depends on the order of rows, is not followed")
            _of_rows(each[0] if isinstance(each, list) else each.get("input", each))
        case "Function":
            name, flag, _ = _function(inside)
            if name in _AGGREGATING_FUNCTIONS or (name == "Boolean" and flag in _AGGREGATING_FLAGS):
                _of_rows(inside["input"][0])
                return
            _check_function(inside, _of_the_group)
        case "Column" | "Selector":
            raise NotFollowed("a list of values, which depends on the order of rows, is not followed")
        case _:
            _around(kind, inside, _of_the_group)


def _of_rows(body: Any) -> None:
    """Go through what is aggregated: values of rows, or of some of them."""
    kind, inside = _kind(body)
    if kind == "Filter":
        _of_rows(inside["input"])
        _of_the_row(inside["by"], None)
        return
    _of_the_row(body, None)


def _around(kind: str, inside: Any, look: Callable[[Any], None]) -> None:
    """Go through what only combines other expressions."""
    match kind:
        case "Alias":
            look(inside[0])
        case "RenameAlias" | "Cast":
            look(inside["expr"])
        case "BinaryExpr":
            look(inside["left"])
            look(inside["right"])
        case "Ternary":
            for name in ("predicate", "truthy", "falsy"):
                look(inside[name])
        case "Agg":
            raise NotFollowed("an aggregate of all rows is not followed")
        case _:
            raise NotFollowed(f"{_NAMED.get(kind, kind)} is not followed")


_NAMED = {"AnonymousFunction": "a function of Python over values", "SortBy": "sorting inside an expression"}


def _check_window(inside: Mapping[str, Any], windows: Windows | None) -> None:
    if windows is None:
        raise NotFollowed("a window inside an aggregate is not followed")
    if inside["mapping"] != "GroupsToRows":
        raise NotFollowed("a window that does not keep to its rows is not followed")
    columns = [_kind(each) for each in inside["partition_by"]]
    if any(kind != "Column" for kind, _ in columns):
        raise NotFollowed("a window over anything but columns is not followed")
    function = inside["function"]
    kind, what = _kind(function)
    if kind == "Function" and _function(what)[0] == "Rank":
        options = what["function"]["Rank"]["options"]
        if options["method"] not in _RANKS:
            raise NotFollowed("a rank that depends on the order of rows is not followed")
        _of_the_row(what["input"][0], None)
    else:
        _of_the_group(function)
    windows.append(frozenset(str(name) for _, name in columns))


def _check_function(inside: Mapping[str, Any], look: Callable[[Any], None]) -> None:
    name, flag, options = _function(inside)
    of_families = {"Boolean": _FLAGS_OF_THE_ROW, "ListExpr": _LISTS_OF_THE_ROW}
    known = flag in of_families[name] if name in of_families else name in _OF_THE_ROW
    if not known or flag in _OF_OTHER_ROWS:
        raise NotFollowed(f"{flag or name}, which may depend on other rows, is not followed")
    if flag == "Strptime" and not options[1]["format"]:
        raise NotFollowed("reading text in a form that is found out from it is not followed")
    for each in inside["input"]:
        look(each)


def _function(inside: Mapping[str, Any]) -> tuple[str, str, Any]:
    """Return the name of a function, its name within a family of functions, and its options."""
    said = inside["function"]
    if isinstance(said, str):
        return said, "", None
    ((name, more),) = said.items()
    if isinstance(more, str):
        return name, more, None
    if (
        isinstance(more, Mapping)
        and len(more) == 1
        and name in {"Boolean", "StringExpr", "TemporalExpr", "ListExpr"}
    ):
        ((flag, options),) = more.items()
        return name, flag, options
    return name, "", more


def _check_literal(inside: Any) -> None:
    if not isinstance(inside, Mapping) or not {*inside} <= {"Scalar", "Dyn"}:
        raise NotFollowed("a column of constants is not followed")


def _kind(body: Any) -> tuple[str, Any]:
    if isinstance(body, str):
        return body, None
    if not isinstance(body, Mapping) or len(body) != 1:
        raise NotFollowed("an expression of a form that is not known here is not followed")
    ((kind, inside),) = body.items()
    return str(kind), inside
