"""Takes a page's body apart: the exact bytes of each record, and the few fields of the envelope that are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec

from headworks.errors import PageUnreadable
from headworks.redaction import excerpt
from headworks.sources.api import splitting
from headworks.sources.api.failing import says_error
from headworks.sources.api.paths import EACH, EACH_VALUE, MISSING, Chosen, followed, parts
from headworks.sources.api.splitting import Unbalanced

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder()

_VACANT = (b"null", b"{}", b"[]", b"false", b'""')
"""What APIs write in the place of records where there are none."""
_SHORTEST_HELD = 64
_SMALL = 64 * 1024
_DEEPEST = 3
_raws = msgspec.json.Decoder(list[msgspec.Raw])

_STRICT = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)

NOT_UTF8, NOT_JSON, TOO_DEEP = "record|encoding", "record|json", "record|nesting"
"""Why a record is refused; the others of its page are landed."""


@dataclass(frozen=True)
class Envelope:
    """How a body is taken apart.

    ``records`` is the path of the records, ``fields`` those that are looked at, ``errors`` those that say that the
    answer is an error in spite of its status. ``lone``: an object where the records should be is the one record.
    """

    records: str
    fields: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    lone: bool = False


@dataclass(frozen=True)
class Body:
    """A body taken apart: its records as bytes, and those of the fields asked for that are there.

    ``faults`` has, by the places of those records that nobody could read, why not. ``vacant`` says what is in the
    records' place where it is no array: null, an empty object; ``absent`` is true where nothing is there at all.
    ``doubt`` says why there may have been more.
    """

    records: list[bytes]
    fields: dict[str, Any]
    faults: Mapping[int, str] = field(default_factory=dict)
    vacant: str = ""
    absent: bool = False
    doubt: str = ""


def split(body: bytes, envelope: Envelope) -> Body:
    """Take a body apart; raises `PageUnreadable` where it is damaged, is an error, or holds no records at the path."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    quick = _quick(envelope)
    if quick is not None:
        try:
            return _checked(quick.split(body), body)
        except (*_STRICT, _NotThere):
            # Something is not as it should be: the slow way finds out what.
            pass
    return _checked(_split(body, envelope), body)


def _checked(found: Body, body: bytes) -> Body:
    """Return a body with the faults of its records; the strict way has looked at all but their encoding."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return replace(found, faults=_faults(found.records))
    return found


def _faults(records: Sequence[bytes]) -> dict[int, str]:
    found = ((place, fault(record)) for place, record in enumerate(records))
    return {place: why for place, why in found if why is not None}


def fault(record: bytes) -> str | None:
    """Return why a record cannot be read by anybody, None where it can."""
    try:
        record.decode()
        _raws.decode(b"[%b]" % record)
    except UnicodeDecodeError:
        return NOT_UTF8
    except RecursionError:
        return TOO_DEEP
    except msgspec.MsgspecError:
        return NOT_JSON
    return None


def _split(body: bytes, envelope: Envelope) -> Body:
    try:
        return _slow(body, envelope)
    except PageUnreadable as problem:
        at = f"records at {envelope.records or 'the top'}"
        raise PageUnreadable(f"{problem.what} Looked for {at}.", do=problem.do) from problem.__cause__


def _slow(body: bytes, envelope: Envelope) -> Body:
    if body.lstrip()[:1] not in (b"{", b"["):
        raise _damaged("it is not JSON" if body.strip() else "it is empty", body)
    fields: dict[str, Any] = {}
    try:
        fields = _fields(body, envelope)
        records = _strict(body, parts(envelope.records), envelope.lone)
    except _Vacant as vacant:
        return Body([], fields, vacant=str(vacant), absent=vacant.absent)
    except _Strange as strange:
        return Body(strange.elements, fields, vacant=str(strange), absent=True)
    except _STRICT as problem:
        try:
            return _tolerant(body, envelope)
        except Unbalanced as worse:
            raise _damaged(f"{problem}; {worse}", body) from problem
    except _NotThere as problem:
        raise _damaged(str(problem), body) from problem
    return Body(records, fields)


class _Quick:
    """Takes a body apart in one pass, by a decoder made for its envelope; for plain paths only."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._wanted = (*envelope.fields, *envelope.errors)
        tree: dict[str, Any] = {}
        plain = {path: _plain(parts(path)) for path in self._wanted}
        for steps in dict.fromkeys((*plain.values(), parts(envelope.records))):
            self._grow(tree, steps, list[msgspec.Raw] if steps == parts(envelope.records) else Any)
        self._decoder = msgspec.json.Decoder(_struct(tree))
        self._records = self._way(tree, parts(envelope.records))
        self._ways = {path: self._way(tree, steps) for path, steps in plain.items()}
        self._rest = {path: parts(path)[len(plain[path]) :] for path in self._wanted}
        self._deep = any(self._rest.values())

    def split(self, body: bytes) -> Body:
        """Take a body apart; raises what msgspec raises, and `_NotThere`."""
        top = self._decoder.decode(body)
        records = _walk(top, self._records)
        if records is None or records is msgspec.UNSET:
            raise _NotThere
        found = ((path, _walk(top, way)) for path, way in self._ways.items())
        if self._deep:
            found = ((path, _further(value, self._rest[path])) for path, value in found)
        fields = {path: value for path, value in found if value is not msgspec.UNSET}
        if any(fields.get(path) for path in self._envelope.errors):
            raise _NotThere
        return Body(list(map(bytes, records)), fields)

    def _grow(self, tree: dict[str, Any], steps: Sequence[str], leaf: Any) -> None:
        if not steps:
            # The number of an element at the very beginning.
            raise _NotThere
        for step in steps[:-1]:
            tree = tree.setdefault(step, {})
            if not isinstance(tree, dict):
                raise _NotThere
        if steps[-1] in tree:
            raise _NotThere
        tree[steps[-1]] = leaf

    def _way(self, tree: dict[str, Any], steps: Sequence[str]) -> tuple[str, ...]:
        way = []
        for step in steps:
            way.append(f"f{list(tree).index(step)}")
            tree = tree[step]
        return tuple(way)


def _plain(steps: Sequence[str]) -> tuple[str, ...]:
    """Return a path as far as it leads through objects alone."""
    deep = (place for place, step in enumerate(steps) if isinstance(step, Chosen) or step.isdigit())
    return tuple(steps[: next(deep, len(steps))])


def _further(value: Any, steps: Sequence[str]) -> Any:
    if not steps or value is msgspec.UNSET:
        return value
    found = followed(value, steps)
    return msgspec.UNSET if found is MISSING else found


def _struct(tree: dict[str, Any]) -> Any:
    members = [
        (
            f"f{i}",
            (_struct(below) | None | msgspec.UnsetType)
            if isinstance(below, dict)
            else (below | None | msgspec.UnsetType if below is not Any else Any),
            msgspec.field(default=msgspec.UNSET, name=name),
        )
        for i, (name, below) in enumerate(tree.items())
    ]
    return msgspec.defstruct("Envelope", members, gc=False)


def _walk(held: Any, way: Sequence[str]) -> Any:
    for name in way:
        if held is None or held is msgspec.UNSET:
            return held
        held = getattr(held, name)
    return held


@cache
def _quick(envelope: Envelope) -> _Quick | None:
    """Return the quick way for an envelope, or None where its paths are not plain or cross each other."""
    steps = parts(envelope.records)
    if not steps or EACH in steps or EACH_VALUE in steps or envelope.lone:
        return None
    try:
        return _Quick(envelope)
    except _NotThere:
        return None


class _NotThere(Exception):
    """Nothing is at the path, or something else than was expected."""


class _Strange(_NotThere):
    """None of the elements has what lies in each of them: the path is wrong, or each of them is odd."""

    def __init__(self, elements: list[bytes], said: str) -> None:
        self.elements = elements
        super().__init__(said)


class _Vacant(_NotThere):
    """Nothing is at the path; ``absent``: not even a null."""

    def __init__(self, said: str, *, absent: bool) -> None:
        self.absent = absent
        super().__init__(said)


def _fields(body: bytes, envelope: Envelope) -> dict[str, Any]:
    """Return those of the envelope's fields that are there; raises `PageUnreadable` where one says that it failed."""
    wanted = dict.fromkeys((*envelope.fields, *envelope.errors))
    if not wanted or body.lstrip()[:1] != b"{":
        return {}
    top = _object.decode(body)
    found = {path: value for path in wanted if (value := _field(top, path)) is not msgspec.UNSET}
    for path in envelope.errors:
        if says_error(found.get(path)):
            raise _damaged(f"its {path} says {excerpt(str(found[path]))}", body)
    return found


def _field(top: dict[str, msgspec.Raw], path: str) -> Any:
    """Return the value of a field, UNSET where there is none: a null on the way to it counts as one that is null."""
    first, *rest = parts(path)
    if first not in top:
        return msgspec.UNSET
    raw = top[first]
    # Step by step, since what lies alongside may be a record that nobody can read.
    while (
        rest
        and not isinstance(rest[0], Chosen)
        and bytes(memoryview(raw)[:_SHORTEST_HELD]).lstrip()[:1] == b"{"
    ):
        held = _object.decode(raw)
        step, *rest = rest
        if step not in held:
            return msgspec.UNSET
        raw = held[step]
    return _further(_decoded(raw), rest)


def _decoded(raw: msgspec.Raw | bytes) -> Any:
    try:
        return _any.decode(raw)
    except (*_STRICT, ValueError):
        # Such as a number that no machine holds: it is what is written there.
        return bytes(raw).decode("utf-8", "replace")


def array_at(body: bytes, path: str) -> list[bytes] | None:
    """Return the elements of another array of a body, None where there is none; raises `PageUnreadable`."""
    try:
        return _strict(body, parts(path), lone=False)
    except _Vacant as vacant:
        return None if vacant.absent else []
    except (*_STRICT, _NotThere) as problem:
        raise _damaged(f"{path}: {problem}", body) from problem


def outline(body: bytes) -> dict[str, Any]:
    """Return what a body has alongside its records: its small members, decoded; empty where it is no object."""
    found = _outlined(body.removeprefix(b"\xef\xbb\xbf"), 0)
    return found if isinstance(found, dict) else {}


def _outlined(raw: bytes, depth: int) -> Any:
    """Return a value, of one that cannot be read as a whole what can: a record that is odd hides nothing else."""
    if depth and len(raw) <= _SMALL:
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            return _any.decode(raw)
    if raw.lstrip()[:1] != b"{" or depth > _DEEPEST:
        return _decoded(raw) if len(raw) <= _SMALL else None
    try:
        held = {name: bytes(inner) for name, inner in _object.decode(raw).items()}
    except _STRICT:
        try:
            cut = splitting.members(raw)
        except Unbalanced:
            return {}
        held = {name.decode("utf-8", "replace"): raw[start:stop] for name, (start, stop) in cut.items()}
    return {
        name: _outlined(inner, depth + 1)
        for name, inner in held.items()
        if len(inner) <= _SMALL or inner.lstrip()[:1] == b"{"
    }


def _strict(raw: Any, steps: Sequence[str], lone: bool) -> list[bytes]:
    """Return the records at a path below ``raw``; raises what msgspec raises, `_NotThere` and `_Vacant`."""
    for place, step in enumerate(steps):
        if step == EACH:
            return _below(_array.decode(_held(raw, b"[", steps[:place])), steps[place + 1 :])
        if step == EACH_VALUE:
            return _below(_keyed(_held(raw, b"{", steps[:place])), steps[place + 1 :])
        held = _object.decode(_held(raw, b"{", steps[:place]))
        if step not in held:
            raise _Vacant(f"there is no {'.'.join(steps[: place + 1])} in it", absent=True)
        raw = held[step]
    if lone and bytes(raw).lstrip()[:1] == b"{" and (not steps or bytes(raw).strip(b"{} \t\r\n")):
        return [bytes(raw).strip()]
    return [bytes(record) for record in _array.decode(_held(raw, b"[", steps))]


def _keyed(raw: Any) -> list[bytes]:
    """Return the values of an object, each with the key that it had: what it is may be said there alone."""
    found = []
    for name, value in _object.decode(raw).items():
        key, plain = msgspec.json.encode(name), bytes(value).strip()
        inside = plain[1:].lstrip() if plain.startswith(b"{") else b""
        if not inside:
            found.append(b'{"_key":%b,"_value":%b}' % (key, plain))
        else:
            found.append(b'{"_key":%b%b%b' % (key, b"" if inside.startswith(b"}") else b",", inside))
    return found


def _below(held: Sequence[Any], steps: Sequence[str]) -> list[bytes]:
    """Return what is at a path in each element: an element without it is a record as it is, and is rejected later."""
    if not steps:
        return [bytes(element) for element in held]
    if EACH not in steps and EACH_VALUE not in steps:
        inner = [_inner(element, steps) for element in held]
        if held and all(
            len(found) == len(memoryview(element)) for found, element in zip(inner, held, strict=True)
        ):
            raise _Strange(inner, f"no element has {'.'.join(steps)} in it")
        return inner
    found: list[bytes] = []
    lacking: _Vacant | None = None
    there = False
    for element in held:
        try:
            found += _strict(element, steps, lone=False)
            there = True
        except _Vacant as vacant:
            # One element without records is no reason against the others.
            lacking, there = (vacant, there) if vacant.absent else (lacking, True)
    if lacking is not None and not there:
        raise lacking
    return found


def _inner(element: Any, steps: Sequence[str]) -> bytes:
    raw = element
    for step in steps:
        try:
            raw = _object.decode(raw)[step]
        except (*_STRICT, KeyError):
            return bytes(element)
    return bytes(raw)


def _held(raw: Any, opening: bytes, steps: Sequence[str]) -> Any:
    """Return raw JSON that begins as it should; raises `_Vacant` for what means that nothing is there."""
    short = (
        bytes(raw).translate(None, b" \t\r\n") if steps and len(memoryview(raw)) <= _SHORTEST_HELD else b""
    )
    if short in _VACANT and not short.startswith(opening):
        raise _Vacant(f"{'.'.join(steps)} is {short.decode()}", absent=False)
    return _expect(raw, opening, steps)


def _expect(raw: Any, opening: bytes, steps: Sequence[str]) -> Any:
    first = bytes(memoryview(raw)[:64]).lstrip()[:1]
    if first != opening and first not in (b"", b" "):
        kind = {b"{": "an object", b"[": "an array", b"n": "null"}.get(first, "something else")
        wanted = "an object" if opening == b"{" else "an array"
        raise _NotThere(f"{'.'.join(steps) or 'the body'} is {kind} and should be {wanted}")
    return raw


def _tolerant(body: bytes, envelope: Envelope) -> Body:
    """Cut the records out by brackets, and read the rest strictly; raises `Unbalanced` and `PageUnreadable`."""
    steps = parts(envelope.records)
    start, stop, place = 0, len(body), 0
    for step in steps:
        if step in (EACH, EACH_VALUE):
            break
        inside = splitting.members(body[start:stop])
        span = inside.get(step.encode()) or inside.get(msgspec.json.encode(step)[1:-1])
        if span is None:
            raise _damaged(f"there is no {step} in it", body)
        start, stop, place = start + span[0], start + span[1], place + 1
    rest = steps[place:]
    if EACH_VALUE in rest or rest.count(EACH) > 1:
        raise Unbalanced("its records lie too deep to be cut out")
    cut = splitting.elements(body[start:stop])
    try:
        skeleton = body[:start] + b"[]" + body[stop:]
        _raws.decode(b"[%b]" % skeleton)
        fields = _fields(skeleton, envelope)
    except _STRICT as problem:
        raise Unbalanced(f"not even its envelope is JSON: {problem}") from problem
    records = [_cut_inner(record, rest[1:]) for record in cut]
    return Body(records, fields, _faults(records))


def _cut_inner(element: bytes, steps: Sequence[str]) -> bytes:
    """Return what is at a path of an element that need not be JSON, or the element where nothing is."""
    found = element
    for step in steps:
        try:
            start, stop = splitting.members(found)[step.encode()]
        except (Unbalanced, KeyError):
            return element
        found = found[start:stop].strip()
    return found


def _damaged(why: str, body: bytes) -> PageUnreadable:
    return PageUnreadable(
        f"A page is not what was expected ({len(body)} bytes): {why}.",
        do="check the resource's paths against an answer of the API, if it stays so.",
    )


class FieldReader:
    """Reads a few fields out of records, skipping all else: each value as raw JSON, None where it is absent."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = [parts(path) for path in paths]
        names = list(dict.fromkeys(steps[0] for steps in self._paths))
        self._places = [names.index(steps[0]) for steps in self._paths]
        self._flat = all(len(steps) == 1 for steps in self._paths) and len(names) == len(self._paths)
        absent = msgspec.Raw(b"")
        struct = msgspec.defstruct(
            "Fields",
            [
                (f"f{i}", msgspec.Raw, msgspec.field(default=absent, name=name))
                for i, name in enumerate(names)
            ],
            gc=False,
        )
        self._one = msgspec.json.Decoder(struct)
        self._many: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[struct])  # type: ignore[valid-type]

    def read(self, records: Sequence[bytes]) -> list[tuple[bytes | None, ...]]:
        """Return the raw JSON of each field of each record; all None where a record is no JSON object."""
        try:
            return [self._of(held) for held in self._many.decode(_joined(records))]
        except _STRICT:
            return [self._alone(record) for record in records]

    def columns(self, records: Sequence[bytes]) -> list[list[bytes | None]]:
        """Return the same by field: of each the raw JSON of all records."""
        if self._flat:
            try:
                found = self._many.decode(_joined(records))
            except _STRICT:
                found = None
            if found is not None:
                return [self._column(found, at) for at in range(len(self._paths))]
        rows = self.read(records)
        return [[row[at] for row in rows] for at in range(len(self._paths))]

    def _column(self, found: Sequence[Any], at: int) -> list[bytes | None]:
        # No loop in Python: this is done for every record.
        raws: list[Any] = list(map(bytes, map(attrgetter(f"f{at}"), found)))
        return [raw or None for raw in raws] if b"" in raws else raws

    def _alone(self, record: bytes) -> tuple[bytes | None, ...]:
        try:
            return self._of(self._one.decode(record))
        except _STRICT:
            return tuple(_cut_out(record, steps) for steps in self._paths)

    def _of(self, held: Any) -> tuple[bytes | None, ...]:
        raws = msgspec.structs.astuple(held)
        if self._flat:
            return tuple([bytes(raw) or None for raw in raws])
        return tuple(
            [_down(raws[at], steps[1:]) for at, steps in zip(self._places, self._paths, strict=True)]
        )


def _cut_out(record: bytes, steps: Sequence[str]) -> bytes | None:
    """Return the raw JSON at a path of a record that is no JSON as a whole, or None where it cannot be known."""
    found = record
    for step in steps:
        try:
            start, stop = splitting.members(found)[step.encode()]
        except (Unbalanced, KeyError):
            return None
        found = found[start:stop].strip()
    return found if fault(found) is None else None


def _joined(records: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(records) + b"]"


def _down(raw: Any, steps: Sequence[str]) -> bytes | None:
    for step in steps:
        if bytes(raw)[:1] != b"{":
            return None
        raw = _object.decode(raw).get(step, b"")
    return bytes(raw) or None


def value_of(raw: bytes | None) -> Any:
    """Return the value of raw JSON, or None where there is none or it cannot be read."""
    if raw is None:
        return None
    try:
        return _any.decode(raw)
    except (*_STRICT, ValueError):
        return None
