"""Whether an API has cut a query off in silence: it gives no more than so many records, pages or days of one.

A query that was cut off ends as any other does. What shows it is asking again in parts: an API that gives no more than
so many of a query gives more of two, as long as both have records. That costs as much as the query did, so it is done
only where nothing shows it already: a query that gave less than another one has given before was not cut off.
"""

from __future__ import annotations

from headworks.sources.api.progress import Progress, Span
from headworks.sources.api.resource import Resource
from headworks.sources.api.values import Values

_ROUND = frozenset(
    {100, 200, 250, 300, 400, 500, 1000, 2000, 2500, 5000, 10_000, 20_000, 25_000, 50_000, 100_000}
)
"""Numbers of records that many APIs give at most of one query."""
_LEAST_ROUND = 1000
"""A smaller number is round by chance too often to speak against a reading that cannot be compared."""
_CAPPED_TOTAL = 10_000
"""Elasticsearch counts no further, so what it announces then is no number of records."""
_NEARLY_ALL = 15, 16
"""The share of its span that a query must have reached to show that spans of this length are not cut."""


class Cap:
    """What queries of a resource have given, and whether one may have been cut off."""

    def __init__(self, resource: Resource, values: Values | None, progress: Progress) -> None:
        self._resource, self._values = resource, values
        self.most, self.reach = progress.most, progress.reach

    def see(self, progress: Progress, span: Span) -> None:
        """Look at a scan that has ended."""
        self.most = max(self.most[0], progress.count), max(self.most[1], progress.pages)
        if progress.extent is not None and isinstance(span.since, int) and span.until_us is not None:
            low, high, _ = progress.extent
            self.reach = max(self.reach[0], high - span.since), max(self.reach[1], span.until_us - low)

    def is_suspect(self, progress: Progress, span: Span, total: int | None) -> bool:
        """Return whether a scan that has ended may have been cut off."""
        count, spec = progress.count, self._resource.incremental
        if self._resource.export is not None or self._resource.delta is not None:
            return False
        windowed = spec is not None and spec.window_s is not None
        if windowed and not self._reaches(span):
            return True
        if not count:
            return False
        if count < self.most[0] and (progress.pages < self.most[1] or progress.pages == 1):
            return False
        return windowed or self._resource.cap is not None or self._looks_capped(progress, total)

    def parts(self, progress: Progress, span: Span) -> list[Span]:
        """Return the parts of a span that are to be compared with it, none where it cannot be divided.

        Those before the smallest and after the largest value show whether days were cut off, all of them whether
        records were.
        """
        spec = self._resource.incremental
        if spec is None or self._values is None:
            return []
        above, places = self._values.above, set[int]()
        if progress.extent is not None:
            low, high, _ = progress.extent
            places |= {above(low), above(high)}
            if spec.until_parameter is not None:
                places.add(self._values.within(low))
        if isinstance(span.since, int) and span.until_us is not None:
            places.add(above((span.since + span.until_us) // 2))
        if not places:
            return []
        first = span.since if isinstance(span.since, int) else min(places) - 1
        edges = sorted(at for at in places if first < at and (span.until_us is None or at < span.until_us))
        if not edges:
            return []
        parts = [Span(begin, end) for begin, end in zip(edges, [*edges[1:], span.until_us], strict=True)]
        if spec.until_parameter is None:
            return [Span(edges[0])]
        return [Span(span.since, edges[0]), *parts]

    def tells(self, progress: Progress) -> bool:
        """Return whether parts of a scan show that it was not cut off: its records are not all of one moment."""
        if progress.count <= 1:
            return True
        if progress.extent is None or self._values is None:
            return False
        low, high, _ = progress.extent
        return self._values.above(low) <= high

    def _reaches(self, span: Span) -> bool:
        if not isinstance(span.since, int) or span.until_us is None:
            return True
        share, of = _NEARLY_ALL
        return min(self.reach) >= (span.until_us - span.since) * share // of

    def _looks_capped(self, progress: Progress, total: int | None) -> bool:
        """Return whether a scan gave as many records as APIs give at most that do not say so."""
        count, paging = progress.count, self._resource.pagination
        if progress.pages < 2 or paging.kind == "keyset" or self._resource.completeness.uncapped:
            return False
        if total is not None and count >= total:
            return count == _CAPPED_TOTAL
        spec = self._resource.incremental
        if spec is not None and spec.is_moment:
            return count in _ROUND
        return count in _ROUND and count >= _LEAST_ROUND
