"""Remembers which records came already, so that what a scan gives twice is landed once.

Three memories: digests of a few records that the next request is expected to give again (an overlap, the ties of a
watermark), kept in the position; where records have a key, the last version of the latest keys of this reading; and the
last version of each key, kept in the position, where all comes again with every run or with a scan that is begun again.
A record is left out only when the version of its key that came last has the very same bytes. One whose key is null is
known from run to run by its bytes alone, as often as they are there.

What was asked for and came is remembered too, so that a scan which goes round in circles is noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import repeat
from typing import Any, cast

from headworks.sources.api.request import Request

MOST_KEYS = 100_000
"""Keys that are remembered at most, some 20 MB: always the last half of them, and some that came before."""

_MOST_SCANS = 2**24
"""More scans than one reading makes, whatever windows it has to split: two of one number would be one."""

MOST_EXPECTED = 20_000
"""Digests that are kept in a position, 400 kB; more make checkpoints large, and cost only that rows come twice."""

MOST_HELD = 10_000
"""Records whose last version is kept by key from run to run, 400 kB: a hundredth of the time of a long reading."""

Key = bytes | None
"""A record's key as raw JSON, its parts separated by commas; None where it is null or absent, and so is no key."""


def digest(record: bytes) -> str:
    """Return a short text that represents a record's bytes."""
    return blake2b(record, digest_size=9).hexdigest()


@dataclass(frozen=True)
class Recognised:
    """What of a page is new: which records are to be landed, and how many the scan had not given before."""

    landing: list[bool]
    fresh: int


Pages = list[tuple[Sequence[bytes], Sequence[bytes]]]


class Held:
    """The version of each key that landed last, and the keys that this pass has met: digests, as kept in a position.

    ``pages`` are keys and records that came since, of which the first ``count`` belong to it: nobody needs their
    digests before a position is really kept, which is once in some hundred pages.
    """

    def __init__(
        self, versions: Mapping[str, str], met: Iterable[str] = (), pages: Pages | None = None, count: int = 0
    ) -> None:
        self._versions, self._met, self._pages, self._count = versions, met, pages or [], count

    def settled(self) -> tuple[dict[str, str], set[str]]:
        """Return the digests of versions by those of their keys, and those of the keys that were met."""
        versions, met = dict(self._versions), set(self._met)
        for keys, records in self._pages[: self._count]:
            came = {digest(key): digest(record) for key, record in zip(keys, records, strict=True)}
            versions.update(came)
            met.update(came)
        return versions, met


class Memory:
    """What one reading remembers; ``held`` where versions are kept from run to run."""

    def __init__(self, expected: Iterable[str], held: Held | None = None) -> None:
        self._held: dict[str, str] | None = None
        self._met: set[str] = set()
        if held is not None:
            self._held, self._met = held.settled()
        # Where nothing is held from earlier runs, this reading's own keys say what comes again.
        self._compares = bool(self._held)
        self._pages: Pages = []
        self._paged = 0
        self._expected = Counter(expected)
        self._before: Counter[bytes] = Counter()
        # Plain bytes and numbers, which the garbage collector does not walk through: there are very many.
        # Two halves, the older dropped whole: taking single keys from the front of a dictionary lets it grow.
        self._latest: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}
        self._refused: dict[int, int] = {}
        self._keyless: Counter[bytes] = Counter()
        self._scan = 1

    def begin_scan(self) -> None:
        """Restart the count of what a scan gives; what was landed stays known."""
        self._scan += 1
        self._before.clear()
        self._keyless.clear()

    def forget(self, keys: Sequence[Key] | None) -> None:
        """Forget the keys of a page that is not landed after all."""
        for key in filter(None, keys or ()):
            self._latest.pop(key, None)
            self._older.pop(key, None)
            self.release(key)

    def release(self, key: Key) -> None:
        """Forget which version of a key landed last: it did not land."""
        if self._held is not None and key is not None:
            self._settle()
            self._held.pop(digest(key), None)

    def held(self) -> Held | None:
        """Return which versions landed last, and which keys this pass has met, None where they are not kept.

        A position is that after its page, and the next pages are recognised meanwhile: what it has is never changed.
        """
        if self._held is None:
            return None
        return Held(self._held, self._met, self._pages, len(self._pages))

    def held_now(self) -> Held | None:
        """Return which versions of the keys landed last that this pass has met: the others are gone."""
        if self._held is None:
            return None
        self._settle()
        return Held({key: self._held[key] for key in self._met if key in self._held})

    def _settle(self) -> None:
        """Make digests of what came, in copies that positions do not share."""
        assert self._held is not None, "asked where versions are held"
        self._held, self._met = Held(self._held, self._met, self._pages, len(self._pages)).settled()
        self._pages, self._paged = [], 0

    def _hold(self, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        """Hold a page of versions, each of a key that did not come before."""
        if self._held is None:
            return
        self._pages.append((keys, records))
        self._paged += len(keys)
        if len(self._met) + self._paged > MOST_HELD:
            self._let_go()

    def _name_of(self, record: bytes) -> bytes:
        """Name a record without a key by its bytes and by how often this scan gave them: it may be there twice."""
        self._keyless[record] += 1
        return b"\0%d\0%s" % (self._keyless[record], record)

    def _is_held(self, key: bytes, record: bytes) -> bool:
        """Return whether a record is the version of its key that landed last, and hold it."""
        assert self._held is not None, "asked where versions are held"
        short, version = digest(key), digest(record)
        known = self._held.get(short) == version
        self._held[short] = version
        self._met.add(short)
        if len(self._met) > MOST_HELD:
            self._let_go()
        return known

    def _let_go(self) -> None:
        self._held, self._pages, self._paged, self._compares = None, [], 0, False

    def expect_page(self, records: Sequence[bytes]) -> None:
        """Expect the next page to begin with some of these records."""
        self._before = Counter(records)

    def expected(self) -> list[str]:
        """Return what is still expected, for the position."""
        return sorted(self._expected.elements())

    def recognise_refused(self, record: bytes) -> bool:
        """Return whether a record that nobody can read came in an earlier scan of this reading, and remember it."""
        version, known = hash(record), self._refused
        return known.setdefault(version, self._scan) != self._scan

    def recognise(self, records: Sequence[bytes], keys: Sequence[Key] | None) -> Recognised:
        """Return which records of a page are new; ``keys`` are theirs, None where records have no key."""
        if not self._expected and not self._before and keys is None:
            return Recognised([True] * len(records), len(records))
        if keys is not None and self._all_new(records, keys):
            return Recognised([True] * len(records), len(records))
        if keys is not None and self._held is not None:
            self._settle()
        landing, fresh = [], 0
        for record, key in zip(records, keys or repeat(None), strict=False):
            again = bool(self._before) and self._before[record] > 0
            known = again or (bool(self._expected) and self._is_expected(record))
            if again:
                self._before[record] -= 1
            if self._held is not None and keys is not None:
                known = self._is_held(self._name_of(record) if key is None else key, record) or known
            if key is not None:
                version = self._version(record)
                found = self._latest.get(key, self._older.get(key))
                self._latest[key] = version
                if found is not None:
                    known = known or found // _MOST_SCANS == version // _MOST_SCANS
                    again = again or found == version
            landing.append(not known)
            fresh += not again
        self._forget()
        return Recognised(landing, fresh)

    def _all_new(self, records: Sequence[bytes], keys: Sequence[Key]) -> bool:
        """Remember a page at once where each record has a key that did not come before, as most pages' have."""
        if self._expected or self._before or self._compares or None in keys:
            return False
        if not (self._latest.keys().isdisjoint(keys) and self._older.keys().isdisjoint(keys)):
            return False
        new: dict[Any, int] = dict(zip(keys, map(self._version, records), strict=True))
        if len(new) != len(records):
            return False
        self._latest.update(new)
        self._hold(cast("Sequence[bytes]", keys), records)
        self._forget()
        return True

    def _version(self, record: bytes) -> int:
        """Return a number that represents a record's bytes, and in its last digits for the scan."""
        return hash(record) * _MOST_SCANS + self._scan % _MOST_SCANS

    def _is_expected(self, record: bytes) -> bool:
        short = digest(record)
        if short not in self._expected:
            return False
        self._expected[short] -= 1
        if self._expected[short] <= 0:
            del self._expected[short]
        return True

    def _forget(self) -> None:
        """Forget the keys that came longest ago, where they are too many."""
        if len(self._latest) > MOST_KEYS // 2:
            self._latest, self._older = {}, self._latest


class LoopGuard:
    """What one scan asked for and got so far.

    Requests at the powers of two are kept in the position, so that a circle is noticed by a later run too.
    """

    def __init__(self, anchors: Iterable[str], *, identical_pages: bool) -> None:
        self.anchors = list(anchors)
        self._anchored = set(self.anchors)
        self._identical = identical_pages
        self._asked: set[int] = set()
        self._pages: set[int] = set()
        self._last: int | None = None

    def asked(self, request: Request, number: int) -> None:
        """Remember a request, which was the scan's so-and-so-many-th."""
        self._asked.add(hash(request))
        if number & (number - 1) == 0:
            self.anchors.append(_anchor(request))

    def got(self, records: Sequence[bytes]) -> None:
        """Remember a page."""
        if records:
            self._last = hash(tuple(records))
            self._pages.add(self._last)

    def was_asked(self, request: Request) -> bool:
        """Return whether a request was made before, by this run."""
        return hash(request) in self._asked

    def was_anchored(self, request: Request) -> bool:
        """Return whether a request was made before, by an earlier run in the same scan."""
        return bool(self._anchored) and _anchor(request) in self._anchored

    def is_last(self, records: Sequence[bytes]) -> bool:
        """Return whether a page has the records of the one before it."""
        return bool(records) and hash(tuple(records)) == self._last

    def seen_page(self, records: Sequence[bytes]) -> bool:
        """Return whether a page has the records of one before, where that means a circle."""
        return not self._identical and bool(records) and hash(tuple(records)) in self._pages


def _anchor(request: Request) -> str:
    part = () if request.part is None else (request.part,)
    return digest(repr((request.method, request.url, request.headers, request.content, *part)).encode())
