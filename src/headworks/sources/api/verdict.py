"""Whether a scan was whole: by what ended it, and by what the API announced.

What belongs here: weighing the two. What does not: what follows from it (``reading.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from headworks.errors import ReadIncomplete
from headworks.sources.api.paginate import Evidence

_MOST_SCANS = 3


@dataclass
class Verdict:
    """What the scans of one span have given so far."""

    total: int | None = None
    scans: int = 1
    checksum: int = 0
    earlier: list[tuple[int, int, int | None]] = field(default_factory=list)

    def see(self, records: Sequence[bytes], fresh: int, total: int | None, remark: str) -> None:
        """Look at a page."""
        self.total = total if total is not None else self.total
        self.checksum = (self.checksum + sum(map(hash, records))) & 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True)
class End:
    """What the end of a scan means. ``again``: scan once more; ``shown``: it is shown to be whole."""

    again: bool = False
    shown: bool = True
    remark: str = ""


def judge_end(verdict: Verdict, evidence: Evidence, count: int, where: str) -> End:
    """Judge a scan that gave ``count`` different records; raises `ReadIncomplete` where scans contradict each other."""
    total = verdict.total
    if total is None or (evidence != "none" and count >= total):
        return _without_doubt(evidence, count, total)
    if evidence == "consistent":
        return End(
            remark=f"{total - count} records were added while this scan was going on; the next one brings them."
        )
    outcome = (count, verdict.checksum, total)
    if outcome in verdict.earlier:
        return End(
            shown=False,
            remark=f"The API announces {total} records and gave the same {count} different ones in two scans: some "
            "come twice, or its total is wrong.",
        )
    if verdict.scans >= _MOST_SCANS:
        raise ReadIncomplete(
            f"The API announced {total} records and gave {count}, and something else in each of {verdict.scans} scans.",
            where=where,
            do="run again when less is being changed, or read it by cursor, key or window instead of by page.",
        )
    verdict.earlier.append(outcome)
    verdict.scans, verdict.checksum = verdict.scans + 1, 0
    return End(
        again=True,
        shown=False,
        remark=f"The API announced {total} records and gave {count} different ones; it is scanned once more.",
    )


def _without_doubt(evidence: Evidence, count: int, total: int | None) -> End:
    if evidence == "none":
        return End(
            shown=False,
            remark="Rows may shift while pages are counted, and nothing announces their number, so this scan is not "
            "shown to be complete; the next one finds what it missed.",
        )
    if total is not None and count > total:
        return End(remark=f"The API announced {total} records and gave {count}.")
    return End()
