"""Which code a gold table is made by: a number that changes with whatever the transform uses.

The functions themselves are walked, as they are in memory: the bytecode of the transform and of each function that it
names, constants, defaults and closures, what is taken out of other modules, classes with their methods, the parts of a
`partial`. So a changed helper three modules away makes the table again, and a changed comment, or a function that
nobody calls, does not. A file that changed while the process runs is not what made the table, and is not looked at.

Of libraries the names and versions count. The project is whatever is not installed, what lies in the same package as
the transform, and headworks. What a transform reads from a file, or finds by a name that it computes, is not seen.
"""

from __future__ import annotations

import builtins
import dataclasses
import dis
import enum
import functools
import hashlib
import importlib
import inspect
import itertools
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

import polars as pl
from pydantic import BaseModel

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_IN_CLASSES = (
    types.FunctionType, type, functools.partial, pl.Expr, tuple, list, dict, str, bytes, int, float, complex,
)  # fmt: skip
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))


def fingerprint(*parts: Any) -> int:
    """Return a number of 62 bits that changes with what functions do and with what values are."""
    walk = _Walk({_package(part) for part in parts if callable(part)})
    for part in parts:
        walk.add(part)
    return int.from_bytes(walk.digest.digest()) >> 2


class _Walk:
    """One walk over everything that is used, each thing once."""

    def __init__(self, packages: Iterable[str]) -> None:
        self.digest = hashlib.blake2b(digest_size=8)
        self._own = {*packages, "headworks"} - {""}
        self._seen: dict[int, int] = {}
        # What was seen is held, or another object could get its number.
        self._held: list[Any] = []

    def add(self, value: Any) -> None:
        """Add one thing and what it uses."""
        if isinstance(value, _PLAIN):
            self._put(type(value).__name__, repr(value))
            return
        if id(value) in self._seen:
            self._put("again", str(self._seen[id(value)]))
            return
        self._seen[id(value)] = len(self._seen)
        self._held.append(value)
        self._put(type(value).__name__)
        self._walk(value)

    def _walk(self, value: Any) -> None:
        if isinstance(value, functools.partial):
            self._each((value.func, value.args, value.keywords))
        elif isinstance(value, types.MethodType):
            self._each((value.__func__, value.__self__))
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.CodeType):
            self._code(value)
        elif isinstance(value, types.ModuleType):
            self._module(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, pl.Expr):
            self._put(_expression(value))
        elif isinstance(value, pl.DataFrame | pl.Series | pl.LazyFrame | pl.DataType):
            self._put(str(value) if isinstance(value, pl.DataType) else _frame(value))
        elif isinstance(value, Mapping):
            self._each(item for pair in value.items() for item in pair)
        elif isinstance(value, set | frozenset):
            self._put(*sorted(_ADDRESS.sub("", repr(each)) for each in value))
        elif isinstance(value, list | tuple):
            self._each(value)
        else:
            self._object(value)

    def _object(self, value: Any) -> None:
        if isinstance(value, enum.Enum):
            self._put(str(value), repr(value.value))
        elif isinstance(value, PurePath):
            # Where a checkout lies is no part of what it does.
            self._put(value.name)
        elif isinstance(value, BaseModel):
            self._put(value.model_dump_json())
        elif dataclasses.is_dataclass(value):
            self._each(getattr(value, field.name, None) for field in dataclasses.fields(value))
        elif callable(getattr(value, "__wrapped__", None)):
            self.add(value.__wrapped__)
        elif self._is_own(type(value).__module__):
            self.add(type(value))
            self.add(getattr(value, "__dict__", {}))
        else:
            # Of other libraries' objects it is their text that says what they are, and their address that does not.
            self._put(
                type(value).__qualname__, _ADDRESS.sub("", repr(value)), _version(type(value).__module__)
            )

    def _function(self, function: types.FunctionType) -> None:
        self._put(function.__qualname__)
        if not self._is_own(function.__module__):
            self._put(function.__module__, _version(function.__module__))
            return
        self._code(function.__code__)
        self._each((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents)
            except ValueError:  # not filled yet
                self._put("empty")
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self.add(wrapped)
        self._uses(function)

    def _code(self, code: types.CodeType) -> None:
        self._put(code.co_code.hex(), *code.co_names, *code.co_freevars)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant)
            elif isinstance(constant, frozenset):
                self._put(*sorted(map(repr, constant)))
            else:
                self._put(repr(constant))

    def _uses(self, function: types.FunctionType) -> None:
        """Add what a function, and those that it makes, take out of their module and out of others."""
        for use in _used(function.__code__):
            if use.imported:
                self._imported(use, function.__globals__)
            elif use.path[0] in function.__globals__:
                self._reached(function.__globals__[use.path[0]], use.path)
            elif not hasattr(builtins, use.path[0]):
                self._put(use.path[0])

    def _reached(self, value: Any, path: tuple[str, ...]) -> None:
        """Add what a path of attributes leads to; all of a thing that is not asked for an attribute of its own."""
        self._put(*path)
        for name in path[1:]:
            if not (isinstance(value, types.ModuleType) or dataclasses.is_dataclass(value)):
                break
            if isinstance(value, types.ModuleType) and not self._is_own(value.__name__):
                break
            if not hasattr(value, name) or isinstance(getattr(value, name), types.MethodType):
                break
            value = getattr(value, name)
        self.add(value)

    def _imported(self, use: _Use, its_globals: Mapping[str, Any]) -> None:
        """Add what is imported when the function runs; its module is imported here as there."""
        name = use.path[0]
        try:
            module = importlib.import_module(
                "." * use.level + name, str(its_globals.get("__package__") or "")
            )
        except ImportError:
            self._put("not there", name)
            return
        for attribute in use.path[1:] or ("",):
            self._reached(module, (name, attribute) if attribute else (name,))

    def _module(self, module: types.ModuleType) -> None:
        self._put(module.__name__)
        if not self._is_own(module.__name__):
            self._put(_version(module.__name__))
            return
        for name, value in sorted(vars(module).items()):
            if not name.startswith("__"):
                self._put(name)
                self.add(value)

    def _class(self, kind: type) -> None:
        self._put(kind.__qualname__)
        if not self._is_own(kind.__module__):
            self._put(kind.__module__, _version(kind.__module__))
            return
        self._each(kind.__bases__)
        for name, value in sorted(vars(kind).items()):
            if name in {"__doc__", "__dict__", "__weakref__", "__module__", "__annotations__"}:
                continue
            plain = value.__func__ if isinstance(value, staticmethod | classmethod) else value
            if isinstance(plain, property):
                self._put(name)
                self._each((plain.fget, plain.fset))
            elif isinstance(plain, _IN_CLASSES):
                self._put(name)
                self.add(plain)

    def _each(self, values: Iterable[Any]) -> None:
        for value in values:
            self.add(value)
        self._put("end")

    def _put(self, *texts: str) -> None:
        for text in texts:
            raw = text.encode(errors="surrogatepass")
            self.digest.update(len(raw).to_bytes(8))
            self.digest.update(raw)

    def _is_own(self, module: str) -> bool:
        top = (module or "").partition(".")[0]
        return top in self._own or top == "__main__" or not _is_installed(top)


@dataclasses.dataclass(frozen=True)
class _Use:
    """A global name with the attributes that are asked of it, or a module with the names that are imported from it."""

    path: tuple[str, ...]
    imported: bool = False
    level: int = 0


def _used(code: types.CodeType) -> list[_Use]:
    """Return what code looks up outside of it, in it and in the functions that it makes."""
    steps = list(dis.get_instructions(code))
    found: list[_Use] = []
    for place, step in enumerate(steps):
        if step.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            found.append(_Use((str(step.argval), *_following(steps, place, {"LOAD_ATTR", "LOAD_METHOD"}))))
        elif step.opname == "IMPORT_NAME":
            level = steps[place - 2].argval if place > 1 else 0
            names = (
                str(one.argval)
                for one in itertools.takewhile(
                    lambda one: one.opname.startswith(("IMPORT_FROM", "STORE_")), steps[place + 1 :]
                )
                if one.opname == "IMPORT_FROM"
            )
            found.append(_Use((str(step.argval), *names), True, level if isinstance(level, int) else 0))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += _used(constant)
    return list(dict.fromkeys(found))


def _following(steps: list[dis.Instruction], place: int, names: set[str]) -> tuple[str, ...]:
    """Return what is asked of a value as soon as it is there, one attribute of the other."""
    after = itertools.takewhile(lambda step: step.opname in names, steps[place + 1 :])
    return tuple(str(step.argval) for step in after)


def _package(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    module = inspect.getmodule(function)
    return "" if module is None else module.__name__.partition(".")[0]


def _expression(expression: pl.Expr) -> str:
    try:
        return expression.meta.serialize().hex()
    except pl.exceptions.PolarsError:  # a function of Python's in it
        return _ADDRESS.sub("", str(expression))


def _frame(frame: pl.DataFrame | pl.Series | pl.LazyFrame) -> str:
    frame = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    rows = frame.hash_rows(seed=0) if isinstance(frame, pl.DataFrame) else frame.hash(seed=0)
    return f"{frame.schema if isinstance(frame, pl.DataFrame) else frame.dtype} {hash(tuple(rows.to_list()))}"


@functools.cache
def _is_installed(top: str) -> bool:
    """Return whether a package is one of Python's own or lies among the installed ones."""
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return True
    module = sys.modules.get(top)
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), None)
    return file is not None and bool({"site-packages", "dist-packages"} & {*Path(file).parts})


@functools.cache
def _version(module: str) -> str:
    try:
        return metadata.version((module or "").partition(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return ""
