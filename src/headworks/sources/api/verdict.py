"""Whether a scan was whole: by what ended it, and by what the API announced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from headworks.errors import ReadIncomplete
from headworks.sources.api.paginate import Evidence

_MOST_SCANS = 3
_MOST_HASHES = 200_000
_NEARLY_ALL = 0.9
"""A share of what was announced below which a reading is no success: not a few rows are lacking, but a part."""


@dataclass
class Verdict:
    """What the scans of one span have given so far; ``twice``: the same record more than once, of the latest ones."""

    total: int | None = None
    scans: int = 1
    checksum: int = 0
    earlier: list[tuple[int, int, int | None]] = field(default_factory=list)
    twice: bool = False
    _came: set[int] = field(default_factory=set, repr=False)

    def see(self, records: Sequence[bytes], fresh: int, total: int | None, warning: str) -> None:
        """Look at a page."""
        self.total = total if total is not None else self.total
        came = list(map(hash, records))
        self.checksum = (self.checksum + sum(came)) & 0xFFFF_FFFF_FFFF_FFFF
        if not self.twice:
            before = len(self._came)
            self._came.update(came)
            self.twice = len(self._came) < before + len(came)
            if len(self._came) > _MOST_HASHES:
                self._came.clear()

    def scan_again(self, outcome: tuple[int, int, int | None]) -> None:
        """Begin another scan, and remember what this one came to."""
        self.earlier.append(outcome)
        self.scans, self.checksum, self.twice = self.scans + 1, 0, False
        self._came.clear()


@dataclass(frozen=True)
class End:
    """What the end of a scan means. ``again``: scan once more; ``shown``: it is shown to be whole.

    ``stays``: the next reading begins where this one began. ``short``: so much less came than was announced that the
    run must fail, with what came landed.
    """

    again: bool = False
    shown: bool = True
    warning: str = ""
    stays: bool = False
    short: bool = False


def judge_end(
    verdict: Verdict, evidence: Evidence, count: int, where: str, *, agree: bool = False, about: bool = False
) -> End:
    """Judge a scan that gave ``count`` different records; raises `ReadIncomplete` where scans contradict each other.

    ``agree``: a scan that nothing shows to be whole is made again, since what the next reading will not ask for must
    not be missed. ``about``: the announced number is known to be no more than an estimate.
    """
    total = verdict.total
    if total is None or (evidence != "none" and count >= total):
        return _without_doubt(verdict, evidence, count, agree=agree)
    if evidence == "consistent":
        return End(
            warning=f"{total - count} records were added while this scan was running; the next one brings them."
        )
    outcome = (count, verdict.checksum, total)
    if outcome in verdict.earlier:
        return End(
            shown=False,
            stays=agree,
            short=not about and count < total * _NEARLY_ALL,
            warning=f"The API announces {total} records and gave the same {count} different ones in two scans: some "
            "come twice, or its total is wrong.",
        )
    if verdict.scans >= _MOST_SCANS:
        raise ReadIncomplete(
            f"The API announced {total} records and gave {count}, and something else in each of {verdict.scans} scans.",
            where=where,
            do="run again when less is being changed, or read it by cursor, key or window instead of by page.",
        )
    verdict.scan_again(outcome)
    return End(
        again=True,
        shown=False,
        warning=f"The API announced {total} records and gave {count} different ones; it is scanned once more.",
    )


def _without_doubt(verdict: Verdict, evidence: Evidence, count: int, *, agree: bool) -> End:
    total = verdict.total
    if evidence != "none":
        if total is not None and count > total:
            return End(warning=f"The API announced {total} records and gave {count}.")
        return End()
    outcome = (count, verdict.checksum, total)
    if agree and outcome in verdict.earlier:
        return End()
    if agree and verdict.scans < _MOST_SCANS:
        verdict.scan_again(outcome)
        return End(again=True, shown=False)
    return End(
        shown=False,
        stays=agree,
        warning="Rows may shift from page to page, and nothing announces their number, so this scan is not "
        + (
            "shown to be complete: something else came in each scan, and the next reading begins where this one began."
            if agree
            else "shown to be complete; the next one finds what it missed."
        ),
    )
