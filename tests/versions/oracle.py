"""What silver has to hold, and its records' lines: plain Python over the rows in the order in which they were landed.

It knows nothing of frames, tables or commits, and shares no code with the engine. A row's ``arrival`` is its place in
the order in which bronze got the rows; a deletion without a cursor ends what arrived before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Element:
    """A line in a record's array."""

    sku: str | None
    w: int | None

    @property
    def readable(self) -> bool:
        """Whether its key can be read."""
        return self.sku is not None and self.sku.isdecimal()


@dataclass(frozen=True)
class Told:
    """A row as a source gives it: ``cursor`` is a number that represents the cursor's value, None for none."""

    key: str | None
    value: int | None
    cursor: int | None
    parent: int | None = None
    gone: bool = False
    arrival: int = -1
    stream: str = ""
    lines: tuple[Element, ...] | None = None
    """Its array; None where the record says nothing about its lines."""
    form: str = ""
    """How the array is written, or what is in its place; empty where the record has no such field."""

    @property
    def readable(self) -> bool:
        """Whether its key can be read."""
        return self.key is not None and self.key.isdecimal()

    @property
    def content(self) -> tuple[object, ...]:
        """What the source gives, wherever and whenever it came."""
        return (self.key, self.value, self.cursor, self.parent, self.gone, self.lines, self.form)

    @property
    def number(self) -> int:
        """Its key."""
        assert self.key is not None
        return int(self.key)


@dataclass
class Key:
    """What is known of one key. ``best`` is the version that counts, ``versions`` are those of a history by cursor."""

    best: Told | None = None
    alive: bool = False
    void: int = -1
    inferred: bool = False
    values: tuple[int | None, int | None] | None = None
    versions: dict[int, Told] = field(default_factory=dict)
    end: tuple[int | None, int, bool] | None = None
    """Of a history: the version that a deletion without a cursor ended, when it arrived, and whether it is inferred."""
    floated: bool = False
    """Whether a deletion without a cursor ever came."""


@dataclass
class Oracle:
    """Silver and its quarantine, as one dataset keeps them."""

    keeps: str
    ordered: bool
    """Whether the dataset has a cursor."""
    parents: set[int] | None = None
    keys: dict[int, Key] = field(default_factory=dict)
    waiting: list[Told] = field(default_factory=list)
    rejected: list[Told] = field(default_factory=list)
    discarded: set[str | None] = field(default_factory=set)
    unwanted: set[tuple[object, ...]] = field(default_factory=set)
    """What was discarded: the same record is not asked about again."""

    # Judging

    def reason(self, row: Told, *, loose: bool = False) -> str | None:
        """Return why a row is rejected: ``key``, ``rule``, ``cursor`` or ``parent``; None where it is good."""
        if not row.readable:
            return "key"
        if row.gone:
            return None
        if self.keeps == "history" and row.cursor is None:
            return "cursor"
        if row.value is None or (row.value < 0 and not loose):
            return "rule"
        if self.parents is not None and row.parent is not None and row.parent not in self.parents:
            return "parent"
        return None

    def refine(self, rows: Iterable[Told]) -> None:
        """Take rows in: those that are good, and of those that wait the ones that may go."""
        released, settled = self._released()
        good = list(released)
        for row in rows:
            why = self.reason(row)
            if why is None:
                good.append(row)
            elif row.content in self.unwanted:
                continue
            elif why == "parent":
                self.waiting.append(row)
            else:
                self.rejected.append(row)
        self.waiting = [row for row in self.waiting if row not in settled and row not in released]
        self.take(good)

    def replay(self, *, loose: bool, key: str | None = None, least: int | None = None) -> None:
        """Judge kept rows again, all or those of a key, by rules that may be looser.

        Nothing changes where that would leave a value below ``least``.
        """
        kept = [row for row in (*self.waiting, *self.rejected) if key is None or row.key == key]
        passed = [row for row in kept if self.reason(row, loose=loose) is None]
        if least is not None:
            trial = Oracle(
                self.keeps,
                self.ordered,
                self.parents,
                {one: _copy(known) for one, known in self.keys.items()},
            )
            trial.take(passed)
            if any(value is None or value < least for value, _ in trial.rows().values()):
                return
        self.waiting = [row for row in self.waiting if row not in passed]
        self.rejected = [row for row in self.rejected if row not in passed]
        self.take(passed)

    def discard(self, chosen: Callable[[Told], bool]) -> None:
        """Let kept rows never be looked at again."""
        self.discarded |= {row.key for row in self.rejected if chosen(row)}
        self.unwanted |= {row.content for row in [*self.waiting, *self.rejected] if chosen(row)}
        self.waiting = [row for row in self.waiting if not chosen(row)]
        self.rejected = [row for row in self.rejected if not chosen(row)]

    def _released(self) -> tuple[list[Told], list[Told]]:
        """Return the waiting rows that silver takes now, and those that it needs no longer."""
        groups: dict[tuple[int, int | None], list[Told]] = {}
        for row in self.waiting:
            name = (row.number, row.cursor) if self.keeps == "history" else (row.number, None)
            groups.setdefault(name, []).append(row)
        released, settled = [], []
        for rows in groups.values():
            first = self.keeps == "first"
            one = min(rows, key=lambda row: row.arrival) if first else max(rows, key=self._order)
            if not self._fresh(one):
                settled.append(one)
            elif self.reason(one) is None:
                released.append(one)
        return released, settled

    def _fresh(self, row: Told) -> bool:
        trial = Oracle(self.keeps, self.ordered, self.parents, {row.number: _copy(self.key(row.number))})
        before = trial.shown(row.number)
        trial.take([row])
        return trial.shown(row.number) != before

    # Versions

    def key(self, number: int) -> Key:
        """Return what is known of a key."""
        return self.keys.setdefault(number, Key())

    def take(self, rows: Iterable[Told]) -> None:
        """Take good rows in, in the order of their arrival."""
        for row in sorted(rows, key=lambda row: row.arrival):
            known = self.key(row.number)
            {"newest": self._newest, "first": self._first, "history": self._history}[self.keeps](known, row)

    def _order(self, row: Told) -> tuple[bool, int, int]:
        cursor = row.cursor if self.ordered else None
        return (cursor is not None, cursor or 0, row.arrival)

    def _floats(self, row: Told) -> bool:
        return row.gone and (not self.ordered or row.cursor is None)

    def _newest(self, known: Key, row: Told) -> None:
        if self._floats(row):
            known.void = max(known.void, row.arrival)
            known.alive = known.alive and known.best is not None and known.best.arrival > known.void
            if known.best is None or self._order(row) > self._order(known.best):
                known.best = row
            return
        if row.arrival <= known.void or (known.best and self._order(row) < self._order(known.best)):
            return
        known.best, known.alive = row, not row.gone
        if not row.gone:
            known.values = (row.value, row.cursor)

    def _first(self, known: Key, row: Told) -> None:
        arrived = known.best.arrival if known.best else -1
        if row.gone:
            if row.arrival > known.void and (arrived <= row.arrival):
                known.alive, known.inferred = False, False if known.alive else known.inferred
            known.void = max(known.void, row.arrival)
            if known.best is None:
                known.best = row
            return
        if known.alive or row.arrival <= max(known.void, arrived):
            return
        if not (known.inferred and known.values):
            known.values = (row.value, row.cursor)
        known.best, known.alive, known.inferred = row, True, False

    def _history(self, known: Key, row: Told) -> None:
        base = known.end[0] if known.end else None
        if self._floats(row):
            known.floated = True
            before = [cursor for cursor, one in known.versions.items() if one.arrival <= row.arrival]
            last = max(before, default=None)
            if last is not None and any(one.arrival > row.arrival for one in (known.versions[last],)):
                return
            if known.end is None or row.arrival > known.end[1]:
                known.end = (last, row.arrival, False)
            return
        assert row.cursor is not None
        there = known.versions.get(row.cursor)
        if known.end and row.arrival <= known.end[1] and (base is None or row.cursor > base):
            known.end = (row.cursor, *known.end[1:])
        elif known.end and row.arrival > known.end[1] and row.cursor == base:
            known.end = None
        if there is None or row.arrival > there.arrival:
            known.versions[row.cursor] = row

    # Full reads

    def full_read(self, begun: int, shown: set[int], unidentified: Iterable[Told]) -> None:
        """Take a complete full read in: ``begun`` is the last arrival before it, ``shown`` is what was seen since."""
        held = [row for row in unidentified if row.key not in self.discarded]
        for number, known in list(self.keys.items()):
            if number in shown:
                self._back(known, begun)
            elif not held and self.shown(number) is not None and self._seen(known) <= begun:
                self._infer(known, begun)
        if held:
            return
        for row in [*self.waiting, *self.rejected]:
            if row.readable and row.number not in shown and row.arrival <= begun:
                known = self.key(row.number)
                if self.shown(row.number) is None:
                    self._keep_out(known, begun)

    def _seen(self, known: Key) -> int:
        if self.keeps == "history":
            return known.versions[max(known.versions)].arrival
        assert known.best is not None
        return known.best.arrival

    def _infer(self, known: Key, begun: int) -> None:
        known.floated = True
        if self.keeps == "history":
            known.end = (max(known.versions), begun, True)
            return
        known.void, known.alive, known.inferred = max(known.void, begun), False, True

    def _keep_out(self, known: Key, begun: int) -> None:
        known.floated = True
        if self.keeps == "history":
            if known.end is None or known.end[1] < begun:
                known.end = (
                    known.end[0] if known.end else None,
                    begun,
                    True if known.end is None else known.end[2],
                )
                if known.end[0] is None and known.versions:
                    known.end = (max(known.versions), begun, known.end[2])
            return
        known.void = max(known.void, begun)
        if known.best is None:
            known.inferred = True

    def _back(self, known: Key, begun: int) -> None:
        if self.keeps == "history":
            if known.end and known.end[2]:
                known.end = None
            return
        if not known.alive and known.inferred and known.best is not None:
            known.alive, known.inferred = True, False
            known.best = replace(known.best, arrival=begun)

    # What is seen

    def shown(self, number: int) -> tuple[int | None, int | None] | None:
        """Return the value and the cursor of a key that is alive."""
        known = self.key(number)
        if self.keeps != "history":
            return known.values if known.alive else None
        if not known.versions:
            return None
        last = max(known.versions)
        one = known.versions[last]
        return None if one.gone or (known.end and known.end[0] == last) else (one.value, one.cursor)

    def is_referred_to(self, number: int) -> bool:
        """Return whether what refers to a key is accepted: it is alive, or a history has a version of it.

        Of a thing that is gone a history tells when it was there, and what belonged to it then; whatever was read of
        it before it went is accepted, and so is the same when it is read later.
        """
        if self.keeps == "history":
            return any(not one.gone for one in self.key(number).versions.values())
        return self.shown(number) is not None

    def rows(self) -> dict[int, tuple[int | None, int | None]]:
        """Return all keys that are alive."""
        return {number: one for number in list(self.keys) if (one := self.shown(number)) is not None}

    def until(self, number: int, cursor: int) -> tuple[int | None, bool]:
        """Return which version follows one of a history, and whether a deletion without a cursor may lie before it."""
        known = self.key(number)
        return min((one for one in known.versions if one > cursor), default=None), known.floated

    def all_versions(self) -> dict[tuple[int, int], int | None]:
        """Return the versions of a history that are no tombstones."""
        return {
            (number, cursor): one.value
            for number, known in self.keys.items()
            for cursor, one in known.versions.items()
            if not one.gone
        }


LACKS = "lacks"
"""What an array says about a line that it has not."""

Line = tuple[int, int]
"""A line's key: its thing, and its number."""

Place = tuple[bool, int, int]
"""Where an array is in the order of its thing's arrays."""


@dataclass
class Life:
    """A line whose first values are kept: since it was last gone, or ever."""

    w: int | None = None
    shown: Place | None = None
    """The newest array that has it, None where it is gone."""
    lacking: Place | None = None
    """The newest array that lacks it."""
    void: int = -1
    """When an empty array without a cursor came."""


@dataclass
class Past:
    """A line with all its versions."""

    readings: list[tuple[int, int, int]] = field(default_factory=list)
    """The cursor, the arrival and the value of each."""
    lacking: list[tuple[int, int]] = field(default_factory=list)
    """The cursor and the arrival of each array without it."""
    voids: list[int] = field(default_factory=list)
    """When empty arrays without a cursor came."""
    orphaned: dict[int, int] = field(default_factory=dict)
    """The versions that ended with their thing, and the newest reading of each by then."""


@dataclass
class Lines:
    """The lines of things: those of the newest array of each thing that is there.

    A line is what the newest good version of it says, and is gone where a newer array of its thing lacks it, or where
    its thing is gone. An array with a line whose key cannot be read may have any line, and ends none.

    Where the first version is kept, a line has the values with which it came, or came back after an array without it;
    the arrays count in the order in which they arrived, and one that is older than the newest that has the line ends
    nothing. In a history each array says of each line whether it is there from then on.
    """

    ordered: bool
    """Whether they have their thing's cursor; else the array that arrived later is the newer one."""
    things: Oracle
    referring: bool
    """Whether a line waits for its thing."""
    keeps: str = "newest"
    records: list[Told] = field(default_factory=list)
    raised: set[tuple[int, int]] = field(default_factory=set)
    """Lines that a looser rule has let in: the arrival of their record, and their place in it."""
    lives: dict[Line, Life] = field(default_factory=dict)
    pasts: dict[Line, Past] = field(default_factory=dict)
    taken: set[tuple[int, int]] = field(default_factory=set)
    """What was taken of arrays: their arrival, and the line's number."""

    def take(self, records: Iterable[Told]) -> None:
        """Take all records that have arrived."""
        self.records = list(records)
        if self.keeps == "newest":
            return
        skus = {int(one.sku or "") for each in self._arrays() for one in each.lines or () if one.readable}
        for record in sorted(self._arrays(), key=lambda one: one.arrival):
            for sku in sorted(skus):
                self._take(record, sku)
        if self.keeps == "history":
            for line, past in self.pasts.items():
                self._follow_thing(line[0], past)

    def raise_rejected(self) -> None:
        """Let in what is rejected for its value, of things that are there."""
        for record in self._arrays():
            if not self.referring or self.things.is_referred_to(record.number):
                self.raised |= {
                    (record.arrival, place)
                    for place, one in enumerate(record.lines or ())
                    if one.w is not None and one.w < 0
                }
        self.take(self.records)

    @property
    def refused(self) -> int:
        """How many records have something in the place of their array that is none."""
        return sum(record.lines is None and bool(record.form) for record in self.records)

    def rows(self) -> dict[Line, int]:
        """Return the lines that are there."""
        if self.keeps == "first":
            alive = {line: life.w for line, life in self.lives.items() if life.shown is not None}
            return {line: w for line, w in alive.items() if w is not None and not self._is_gone(line[0])}
        if self.keeps == "history":
            ends = [(line, one) for line, past in self.pasts.items() for one in _versions(past)[-1:]]
            return {line: one.w for line, one in ends if one.until is None and not one.ended}
        by_thing: dict[int, list[Told]] = {}
        for record in self._arrays():
            by_thing.setdefault(record.number, []).append(record)
        found: dict[Line, int] = {}
        for number, arrays in by_thing.items():
            if self._is_gone(number):
                continue
            for sku, (record, w) in self._newest(arrays).items():
                if not any(self._ends(array, record, sku) for array in arrays):
                    found[number, sku] = w
        return found

    def all_versions(self) -> dict[tuple[int, int, int], Version]:
        """Return the versions of a history."""
        return {(*line, one.cursor): one for line, past in self.pasts.items() for one in _versions(past)}

    # What an array says of a line

    def _take(self, record: Told, sku: int) -> None:
        """Take what an array says of a line, once; of a line that waits for its thing when that is there."""
        said, number = self._said(record, sku), record.number
        if said is None or (record.arrival, sku) in self.taken:
            return
        if said != LACKS and self.referring and not self.things.is_referred_to(number):
            return
        self.taken.add((record.arrival, sku))
        floats = said == LACKS and not record.lines and (not self.ordered or record.cursor is None)
        if self.keeps == "first":
            life = self.lives.setdefault((number, sku), Life())
            _live(life, said, self._order(record), record.arrival, floats=floats)
            return
        past = self.pasts.setdefault((number, sku), Past())
        if floats:
            past.voids.append(record.arrival)
        elif record.cursor is not None and isinstance(said, int):
            past.readings.append((record.cursor, record.arrival, said))
        elif record.cursor is not None:
            past.lacking.append((record.cursor, record.arrival))

    def _said(self, record: Told, sku: int) -> int | str | None:
        """Return a line's value by an array, that it lacks the line, or None where it does not say."""
        lines = record.lines or ()
        for place, one in enumerate(lines):
            if one.readable and int(one.sku or "") == sku:
                good = one.w is not None and (one.w >= 0 or (record.arrival, place) in self.raised)
                return one.w if good and not (self.keeps == "history" and record.cursor is None) else None
        return LACKS if all(one.readable for one in lines) else None

    def _follow_thing(self, number: int, past: Past) -> None:
        """End the version that there is with its thing, or take that back."""
        found = _versions(past)
        if found and found[-1].until is None:
            last = found[-1].cursor
            newest = max(arrival for cursor, arrival, _ in past.readings if cursor == last)
            if not self._is_gone(number):
                past.orphaned.pop(last, None)
            elif not found[-1].ended:
                past.orphaned[last] = newest

    def _arrays(self) -> list[Told]:
        return [record for record in self.records if record.readable and record.lines is not None]

    def _is_gone(self, number: int) -> bool:
        if self.things.shown(number) is not None:
            return False
        return self.referring or self.things.key(number) != Key()

    def _newest(self, arrays: list[Told]) -> dict[int, tuple[Told, int]]:
        newest: dict[int, tuple[Told, int]] = {}
        for record in sorted(arrays, key=self._order):
            for place, one in enumerate(record.lines or ()):
                good = one.w is not None and (one.w >= 0 or (record.arrival, place) in self.raised)
                if good and one.w is not None and one.readable:
                    newest[int(one.sku or "")] = (record, one.w)
        return newest

    def _order(self, record: Told) -> Place:
        cursor = record.cursor if self.ordered else None
        return (cursor is not None, cursor or 0, record.arrival)

    def _ends(self, array: Told, record: Told, sku: int) -> bool:
        """Return whether an array says that a line of another record is there no longer."""
        lines = array.lines or ()
        if any(not one.readable or int(one.sku or "") == sku for one in lines):
            return False
        if not lines and (not self.ordered or array.cursor is None):
            return array.arrival > record.arrival
        return self._order(array) > self._order(record)


@dataclass(frozen=True)
class Version:
    """A version of a line: until which version, or which array without it, it holds.

    ``ended`` where something without a cursor ended it: an empty array, or the end of its thing.
    """

    cursor: int
    w: int
    until: int | None
    ended: bool = False


def _live(life: Life, said: int | str, place: Place, arrival: int, *, floats: bool) -> None:
    """Let a line that keeps its first values get what an array says of it."""
    if isinstance(said, int):
        if life.shown is not None:
            life.shown = max(life.shown, place)
        elif arrival > life.void and (life.lacking is None or place > life.lacking):
            life.w, life.shown = said, place
    elif floats:
        life.void, life.shown = arrival, None
    else:
        life.lacking = place if life.lacking is None else max(life.lacking, place)
        if life.shown is not None and place > life.shown:
            life.shown = None


def _versions(past: Past) -> list[Version]:
    """Return the versions of a line in their order, each with its end."""
    said: dict[int, tuple[int, int | None]] = {}
    events = [*past.readings, *((cursor, arrival, None) for cursor, arrival in past.lacking)]
    for cursor, arrival, w in sorted(events, key=lambda one: one[1]):
        said[cursor] = (arrival, w)
    cursors = sorted(said)
    found = []
    for cursor, until in zip(cursors, [*cursors[1:], None], strict=False):
        w = said[cursor][1]
        if w is not None:
            found.append(Version(cursor, w, until, cursor in _ended(past, events)))
    return found


def _ended(past: Past, events: list[tuple[int, int, int | None]]) -> set[int]:
    """Return the versions that something without a cursor has ended, and that nobody has shown again since."""
    ends: list[tuple[int | None, int]] = [
        (max((cursor for cursor, arrival, _ in events if arrival <= void), default=None), void)
        for void in past.voids
    ]
    ends += past.orphaned.items()
    return {
        base
        for base, since in ends
        if base is not None and not any(cursor == base and arrival > since for cursor, arrival, _ in events)
    }


def _copy(known: Key) -> Key:
    return replace(known, versions=dict(known.versions))
