"""Remembers which records came already, so that what a scan gives twice is landed once.

Two memories: digests of a few records that the next request is expected to give again (an overlap, the ties of a
watermark), kept in the position; and, where records have a key, the last version of the latest keys of this reading.
A record is left out only when the version of its key that came last has the very same bytes.

What belongs here: that. What does not: which records to expect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice, repeat

MOST_KEYS = 100_000
"""Keys that are remembered, the latest ones: some 20 MB."""

MOST_EXPECTED = 1_000
"""Digests that are kept in a position; more would make checkpoints large, and cost only that rows come twice."""

Key = tuple[bytes | None, ...]

_NULL = b"null"


def digest(record: bytes) -> str:
    """Return a short text that stands for a record's bytes."""
    return blake2b(record, digest_size=9).hexdigest()


@dataclass(frozen=True)
class Recognised:
    """What of a page is new: which records are to be landed, and how many the scan had not given before."""

    landing: list[bool]
    fresh: int


class Memory:
    """What one reading remembers."""

    def __init__(self, expected: Iterable[str]) -> None:
        self._expected = Counter(expected)
        self._before: Counter[bytes] = Counter()
        self._latest: dict[Key, tuple[int, int]] = {}
        self._scan = 1

    def begin_scan(self) -> None:
        """Begin to count anew what a scan gives; what was landed stays known."""
        self._scan += 1
        self._before.clear()

    def expect_page(self, records: Sequence[bytes]) -> None:
        """Expect the next page to begin with some of these records."""
        self._before = Counter(records)

    def expected(self) -> list[str]:
        """Return what is still expected, for the position."""
        return sorted(self._expected.elements())

    def recognise(self, records: Sequence[bytes], keys: Sequence[Key] | None) -> Recognised:
        """Tell which records of a page are new; ``keys`` are theirs, None where records have no key."""
        if not self._expected and not self._before and keys is None:
            return Recognised([True] * len(records), len(records))
        landing, fresh = [], 0
        for record, key in zip(records, keys or repeat(None), strict=False):
            again = bool(self._before) and self._before[record] > 0
            known = again or (bool(self._expected) and self._is_expected(record))
            if again:
                self._before[record] -= 1
            if key is not None and None not in key and _NULL not in key:
                version, latest = (hash(record), self._scan), self._latest
                found = latest.pop(key, None)
                latest[key] = version
                if found is not None:
                    known, again = known or found[0] == version[0], again or found == version
            landing.append(not known)
            fresh += not again
        self._forget()
        return Recognised(landing, fresh)

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
        too_many = len(self._latest) - MOST_KEYS
        if too_many > 0:
            for key in list(islice(self._latest, too_many)):
                del self._latest[key]
