"""Anomalies between columns, between rows, and between a delivery and the ones before it.

Relations that held in the good runs, copies under new keys, inserted and updated rows, small tables by key, silent
streams, and deletions that add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import log
from statistics import median
from typing import TypeVar

from headworks.quality.copies import shared
from headworks.quality.findings import Compared, Finding, share_finding
from headworks.quality.profiles import Profile
from headworks.quality.statistics import sigmas_for, spread

K = TypeVar("K")

HELD = 0.995
"""What held in so many rows of each good run is watched."""

_SURELY = 3_000
"""What held in so many rows without an exception is no chance."""

_SLIPS = 2.5
_HANDFUL = 5
_UPDATED = (0.1, 0.25)
_NEVER_UPDATED = (0.02, 0.05)
"""Of a table whose good runs never had a row of a known key: known keys overwritten warn, and stop."""

_BY_KEY = (0.05, 0.2)
"""A small table's number moves by this, as a factor's logarithm: warns, and stops."""

_SAFE = 8.0
_SHRUNK = (0.15, 0.4)
_LOOKED_BACK = 20
_FEW_READS = 3
_EVEN = 0.9


def relation_findings(compared: Compared) -> Iterator[Finding]:
    """Look at what held between columns in each good run: sums, products, orders, common nulls."""
    few_rows = compared.profile.rows < compared.limits.rows
    if compared.profile.rows < _HANDFUL:
        return
    for name, usual in watched(compared).items():
        held, asked = compared.profile.relations.get(name, (0, 0))
        surely = usual == 1 and " = " in name and _asked_in_all(compared, name) >= _SURELY
        if few_rows and not surely:
            continue
        check = f"relation {name}"
        if name not in compared.profile.relations:
            if all(compared.profile.column(one) is not None for one in columns_of(name)) and _said(
                compared, name
            ):
                yield Finding(
                    check,
                    0.0,
                    usual,
                    1.0,
                    *_broken(compared),
                    f"{name} holds in less than half of the rows, always did",
                )
            continue
        broken = 1 - held / max(asked, 1)
        few = 4 / max(asked, 1)
        warn, stop = (max(limit, few, 4 * (1 - usual)) for limit in _broken(compared))
        if surely:
            # What always added up is computed: a single row in which it does not is a slip, and several are none.
            warn, stop = min(warn, 0.5 / max(asked, 1)), min(stop, _SLIPS / max(asked, 1))
        yield Finding(
            check, held / max(asked, 1), usual, broken - (1 - usual), warn, stop,
            f"{name} does not hold in {broken:.1%} of {asked:,} rows, usually in {1 - usual:.1%}",
        )  # fmt: skip


def watched(compared: Compared) -> dict[str, float]:
    """Return what held between columns in nearly all rows of each good run, with the least share of its rows."""
    good = [one for one in compared.like("relations") if one.rows >= compared.limits.rows and one.relations]
    if len(good) < compared.needed:
        return {}
    least: dict[str, float] = {}
    for name in good[-1].relations:
        shares = [one.relations[name] for one in good if name in one.relations]
        asked = [(held, of) for held, of in shares if of >= _HANDFUL]
        # A relation that is not kept of a run did not hold in it, or could not be asked of any of its rows.
        if len(asked) >= max(compared.needed, _EVEN * len(good)) and len(shares) >= 0.95 * len(good):
            share = min(held / of for held, of in asked)
            if share >= HELD:
                least[name] = share
    return least


def _asked_in_all(compared: Compared, name: str) -> int:
    return sum(one.relations[name][1] for one in compared.like("relations") if name in one.relations)


def columns_of(relation: str) -> list[str]:
    """Return the columns that a relation is about."""
    return [
        one
        for one in relation.replace(" null as ", " ").replace("given", "").split()
        if one not in {"=", "+", "*", "<=", "/", "and"}
    ]


def _said(compared: Compared, name: str) -> bool:
    """Return whether a relation could be asked of the candidate at all: sums need numbers, and nulls some nulls."""
    columns = [compared.profile.column(one) for one in columns_of(name)]
    rows = compared.profile.rows
    if " null as " in name:
        return any(one is not None and 0 < one.nulls < rows for one in columns)
    return all(one is not None and one.nulls < 0.9 * rows for one in columns)


def pair_findings(compared: Compared) -> Iterator[Finding]:
    """Look for combinations of values that no good run had, where each kept to few: one currency a country."""
    if compared.profile.rows < compared.limits.rows:
        return
    for name, counts in compared.profile.pairs.items():
        check = f"combinations of {name}"
        good = [one.pairs[name] for one in compared.like(check) if name in one.pairs]
        if len(good) < compared.needed:
            continue
        known = {pair for one in good for pair in one}
        one_side, other_side = ({pair.split(" | ")[side] for pair in known} for side in (0, 1))
        rows = sum(counts.values())
        # A new value is reported by its own column.
        new = {
            pair: count
            for pair, count in counts.items()
            if pair not in known and pair.split(" | ")[0] in one_side and pair.split(" | ")[-1] in other_side
        }
        usual = max(_new_here(one, [each for each in good if each is not one]) for one in good)
        share = sum(new.values()) / max(rows, 1)
        warn, stop = (max(limit, 5 / max(rows, 1), 2 * usual) for limit in _broken(compared))
        named = ", ".join(sorted(new, key=lambda pair: -new[pair])[:3])
        yield Finding(
            check, share, 0.0, share, warn, stop,
            f"{share:.1%} of {rows:,} rows have {name} as no good run had them{f' ({named})' if named else ''}",
        )  # fmt: skip


def _broken(compared: Compared) -> tuple[float, float]:
    return compared.limits.at("relation"), compared.limits.at("relation_stop")


def _new_here(one: Mapping[K, int], others: Sequence[Mapping[K, int]]) -> float:
    known = {pair for each in others for pair in each}
    return sum(count for pair, count in one.items() if pair not in known) / max(sum(one.values()), 1)


def ratio_findings(compared: Compared) -> Iterator[Finding]:
    """Look for ratios of two columns that lie out of the band of all good runs."""
    if compared.profile.rows < compared.limits.rows:
        return
    for name, bins in compared.profile.ratios.items():
        check = f"ratio {name}"
        good = [one.ratios[name] for one in compared.like(check) if name in one.ratios]
        if len(good) < compared.needed:
            continue
        low, high = min(min(one) for one in good) - 1, max(max(one) for one in good) + 1
        rows = sum(bins.values())
        share = sum(count for bin_, count in bins.items() if not low <= bin_ <= high) / max(rows, 1)
        warn, stop = (max(limit, 4 / max(rows, 1)) for limit in _broken(compared))
        what = "out of the band of"
        # A ratio that takes few values, such as a price for each seat, has gaps: what lies in them is new as well.
        usual = max(_new_here(one, [each for each in good if each is not one]) for one in good)
        new = sum(count for bin_, count in bins.items() if not any(bin_ in one for one in good)) / max(
            rows, 1
        )
        if new > share and (least := 2 * usual) < warn:
            share, warn, stop, what = new, max(warn, least), max(stop, least), "that was in none of"
        yield Finding(
            check, share, 0.0, share, warn, stop,
            f"{share:.1%} of {rows:,} rows have a ratio {name} {what} all good runs",
        )  # fmt: skip


def copy_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the share of rows whose content another row has under another key, here or in an earlier delivery."""
    here = compared.profile
    if here.rows < compared.limits.rows:
        return
    for check, hits in here.copies.items():
        good = [one for one in compared.like(check) if one.rows >= compared.limits.rows and one.copies]
        if len(good) >= compared.needed:
            seen = [(one.as_of, one.copies.get(check, 0) / one.rows) for one in good]
            yield share_finding(compared, check, hits, here.rows, seen, check)
    check = "copies of earlier rows"
    good = [one for one in compared.like(check) if one.sketch]
    if here.kind in {"full", "whole"} or len(good) < compared.needed:
        return
    hits, of = shared(here.sketch, [one.sketch for one in good])
    # Rows that are changed later come again with much of the same content: each of the newest against all before it.
    # Those that a person accepted are among them: what comes again is usual, however unusual it was at first.
    sketches = [one.sketch for one in compared.baseline.profiles[-2 * len(good) :] if one.sketch]
    earlier = [shared(sketches[at], sketches[:at]) for at in range(max(len(sketches) // 2, 1), len(sketches))]
    usual = max((count / max(asked, 1) for count, asked in earlier), default=0.0)
    if of >= _HANDFUL and usual < 0.2:
        share, few = hits / of, 4.5 / of
        yield Finding(
            check, share, usual, share - usual, max(0.04, few, 2 * usual), max(0.06, few, 3 * usual),
            f"{share:.0%} of a sample of the rows have the content of rows of {len(good)} earlier runs",
        )  # fmt: skip


def updated_findings(compared: Compared) -> Iterator[Finding]:
    """Compare how many of the good rows are new keys, and how many known ones: recycled numbers overwrite old rows."""
    here, check = compared.profile, "rows updated"
    if "updated" not in here.counts or here.rows < compared.limits.rows or here.kind not in {"live", "full"}:
        return
    good = [one for one in compared.like(check) if "updated" in one.counts and _changed(one) >= _HANDFUL]
    if len(good) >= compared.needed and (changed := _changed(here)):
        seen = [(one.as_of, one.counts["updated"] / _changed(one)) for one in good]
        never = not any(share for _, share in seen)
        warn, stop = _NEVER_UPDATED if never else _UPDATED
        yield share_finding(
            compared, check, here.counts["updated"], changed, seen, check, warn=warn, stop=stop
        )


def _changed(profile: Profile) -> int:
    return profile.counts.get("inserted", 0) + profile.counts.get("updated", 0)


def by_key_findings(compared: Compared) -> Iterator[Finding]:
    """Compare each number of a small table with the one of the same key before: rates that multiply all revenue."""
    for column, values in compared.profile.by_key.items():
        check = f"values of {column} by key"
        good = [one.by_key[column] for one in compared.like(check) if column in one.by_key]
        if len(good) < compared.needed:
            continue
        steps = [_step(b[key], a[key]) for a, b in pairwise(good) for key in b if key in a]
        known = {key: value for one in good for key, value in one.items()}
        moved = {key: _step(value, known[key]) for key, value in values.items() if key in known}
        yield from _keys_gone(column, values, good, compared)
        if len(steps) < _SAFE or not moved:
            continue
        largest = sorted(abs(one) for one in steps)[-1 - len(steps) // 100]
        usual = max(_SAFE * spread(steps), 1.5 * largest)
        worst = max(moved, key=lambda key: abs(moved[key]))
        far = sum(abs(one) > max(_BY_KEY[0], usual) for one in moved.values())
        yield Finding(
            check, values[worst], known[worst], abs(moved[worst]), max(_BY_KEY[0], usual), max(_BY_KEY[1], 1.3 * usual),
            f"{column} of {worst} is {values[worst]:,.6g}, was {known[worst]:,.6g}"
            + (f"; {far} of {len(moved)} have moved as far" if far > 1 else ""),
        )  # fmt: skip


def _keys_gone(
    column: str, values: Mapping[str, float], good: Sequence[Mapping[str, float]], compared: Compared
) -> Iterator[Finding]:
    """Look for what a small table always had and has no more, where its good runs never lost anything."""
    known = set(good[-1])
    if len(good) < compared.needed or any(set(a) - set(b) for a, b in pairwise(good)) or not known:
        return
    gone = sorted(known - set(values))
    share = len(gone) / len(known)
    yield Finding(
        f"rows missing by key of {column}", share, 0.0, share,
        compared.limits.at("share"), compared.limits.at("share_stop"),
        f"{len(gone)} of {len(known)} that each of {len(good)} good runs had are missing ({', '.join(gone[:3])})",
    )  # fmt: skip


def _step(value: float, before: float) -> float:
    """Return how far a number has moved, as a factor's logarithm; a sign that changed is further than any factor."""
    if value == before:
        return 0.0
    if value * before <= 0:
        return _SAFE
    return log(value / before)


def stream_findings(compared: Compared) -> Iterator[Finding]:
    """Look for streams of the source that are silent for longer than ever while others flow."""
    here = compared.profile
    good = [one for one in compared.good("streams") if one.streams]
    if here.kind != "live" or not here.streams or len(good) < compared.needed:
        return
    for name in sorted({stream for one in good for stream in one.streams} - set(here.streams)):
        times = [one.as_of for one in good if name in one.streams]
        if len(times) < compared.needed:
            continue
        gaps = sorted((b - a).total_seconds() for a, b in pairwise(times))
        silent = (here.as_of - times[-1]).total_seconds()
        usual = gaps[-1 - len(gaps) // 50]
        yield Finding(
            f"stream {name}", silent / 3600, usual / 3600, silent / max(usual, 1.0), 1.5, 1e9,
            f"nothing came of {name} for {silent / 3600:.1f} h while others flow, usually at most {usual / 3600:.1f} h",
        )  # fmt: skip


def erosion_findings(compared: Compared) -> Iterator[Finding]:
    """Add up what full reads have deleted lately: 4.9 % a day is never much, and 63 % in twenty days."""
    here, check = compared.profile, "deleted over time"
    if here.kind != "full" or here.counts.get("before", 0) < compared.limits.rows:
        return
    lately = [one for one in compared.baseline.recent if one.kind == "full" and one.counts.get("before")]
    since = compared.baseline.normal_since(check)
    lately = [one for one in lately if since is None or one.as_of >= since][-_LOOKED_BACK:]
    if not lately:
        return
    before = max(one.counts["before"] for one in lately)
    after = here.counts["before"] - here.counts.get("deleted", 0) + here.counts.get("inserted", 0)
    shrunk = 1 - after / before
    reads = len(lately) + 1
    yield Finding(
        check, max(shrunk, 0.0), 0.0, max(shrunk, 0.0), *_SHRUNK,
        f"{reads} full reads have taken {before - after:,} of {before:,} rows away ({shrunk:.0%})",
    )  # fmt: skip
    older = [one for one in compared.good(check) if one not in lately]
    if len(older) < compared.needed and len(lately) >= compared.needed + _FEW_READS:
        # Of a young table the first reads say how much is usual.
        older, lately = lately[: compared.needed], lately[compared.needed :]
        reads = len(lately) + 1
    if len(older) >= compared.needed:
        shares = [(one.as_of, _deleted(one)) for one in older]
        total = sum(_deleted(one) for one in lately) + _deleted(here)
        expected = median(share for _, share in shares)
        usual = sigmas_for(compared.chance, len(shares)) * spread([share for _, share in shares]) * reads**0.5
        yield Finding(
            "deletions over time", total, expected * reads, max(total - expected * reads, 0.0), max(0.1, usual), 1e9,
            f"{reads} full reads have deleted {total:.0%} together, usually {expected * reads:.0%}",
        )  # fmt: skip


def _deleted(profile: Profile) -> float:
    return profile.counts.get("deleted", 0) / max(profile.counts.get("before", 0), 1)
