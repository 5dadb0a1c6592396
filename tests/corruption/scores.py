"""The table of a campaign: companies against clean deliveries, kinds and strengths against what was held and noticed.

The aims are printed next to the figures; they are no thresholds of the gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.corruption.faults import STRENGTHS
from tests.corruption.statistics import Measured, Verdict

MOST_STOPPED, MOST_ALARMED = 0.01, 0.02
HELD_AT = {"weak": 0.80, "middle": 0.95, "strong": 0.95}
NOTICED = 0.85


def share(part: int, whole: int) -> str:
    """Return a share as people read it."""
    return f"{part / whole:6.1%} ({part}/{whole})" if whole else "     – (0)"


def clean_table(measured: Sequence[Measured]) -> list[str]:
    """Return how many clean deliveries of each company were stopped, and alarmed."""
    lines = [
        f"{'clean deliveries':<30}{'stopped':>20}{'alarmed':>20}   aims: {MOST_STOPPED:.0%}, {MOST_ALARMED:.0%}"
    ]
    return lines + [
        f"{one.company:<30}{share(len(one.stopped), one.clean):>20}{share(len(one.alarmed), one.clean):>20}"
        for one in measured
    ]


def faults_table(measured: Sequence[Measured]) -> list[str]:
    """Return what was held and noticed, by kind and strength over all companies, and by company."""
    verdicts = [verdict for one in measured for verdict in one.verdicts]
    titles = "".join(f"{f'{strength} held':>15}{'noticed':>9}" for strength in STRENGTHS)
    lines = [f"{'kind':<46}{'severity':<10}{titles}"]
    for name, severity in dict.fromkeys(
        (one.fault.form.name, one.fault.severity) for one in _sorted(verdicts)
    ):
        these = [one for one in verdicts if one.fault.form.name == name and one.fault.severity == severity]
        lines.append(f"{name:<46}{severity:<10}{_by_strength(these)}")
    lines += ["", f"{'company':<46}{'severity':<10}{titles}"]
    for one in measured:
        for severity in ("critical", "warning"):
            these = [each for each in one.verdicts if each.fault.severity == severity]
            lines.append(f"{one.company:<46}{severity:<10}{_by_strength(these)}")
    critical = [one for one in verdicts if one.fault.severity == "critical"]
    lines += ["", "critical ones held, and all that were noticed, with the aims:"]
    for strength in STRENGTHS:
        these = [one for one in critical if one.strength == strength]
        held = share(sum(one.held for one in these), len(these))
        lines.append(f"  held at {strength:<10}{held:>20}   aim {HELD_AT[strength]:.0%}")
    lines.append(
        f"  noticed           {share(sum(one.noticed for one in verdicts), len(verdicts)):>20}   aim {NOTICED:.0%}"
    )
    return lines


def missed(measured: Sequence[Measured]) -> list[str]:
    """Return each fault that was missed, and each critical one that was not held."""
    lines = []
    for one in measured:
        for verdict in one.verdicts:
            if not verdict.noticed or (verdict.fault.severity == "critical" and not verdict.held):
                lines.append(
                    f"  {verdict.end:<9}{verdict.strength:<8}{verdict.fault.severity:<9}{verdict.fault.name} "
                    f"(delivery {verdict.delivery}) {verdict.why}"
                )
        lines += [f"  clean, stopped: {one.company} {why}" for why in one.stopped]
        lines += [f"  clean, alarmed: {one.company} {why}" for why in one.alarmed]
    return sorted(lines)


def _by_strength(verdicts: Sequence[Verdict]) -> str:
    out = ""
    for strength in STRENGTHS:
        these = [one for one in verdicts if one.strength == strength]
        held, noticed = sum(one.held for one in these), sum(one.noticed for one in these)
        shown = f"{held}/{len(these)}" if these else "–"
        out += f"{shown:>15}{noticed if these else '–':>9}"
    return out


def _sorted(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda one: (one.fault.form.name, one.fault.severity))
