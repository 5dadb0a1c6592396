"""What a campaign did and found, and how that is printed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.comparing import Compared
from tests.chaos.steps import KINDS, Kind, Place

BETWEEN = "between"
FLOW = "flow"


@dataclass(frozen=True)
class Kill:
    """A kill that was dealt: where it was aimed, and the innermost place in which it found the process."""

    aim: Place
    where: Place | None

    @property
    def kind(self) -> str:
        """The kind of step in which the process was; ``between`` before the first, between two, after the last."""
        return self.where.kind if self.where is not None else BETWEEN


@dataclass(frozen=True)
class FlowKill:
    """A kill of the flow's process: the stage it was aimed at, and the last one that its log shows."""

    aim: str
    where: str


@dataclass
class Outcome:
    """What the campaign did and found."""

    kills: list[Kill] = field(default_factory=list)
    flow_kills: list[FlowKill] = field(default_factory=list)
    reruns: Counter[str] = field(default_factory=Counter)
    """Passes that followed a kill, by the kind of step that the kill was in."""
    checks: list[list[Compared]] = field(default_factory=list)
    _last: str | None = None

    def begin_pass(self) -> None:
        """Note that a pass begins; after a kill it is a re-run."""
        if self._last is not None:
            self.reruns[self._last] += 1
        self._last = None

    def killed(self, kill: Kill | FlowKill) -> None:
        """Note a kill."""
        if isinstance(kill, Kill):
            self.kills.append(kill)
            self._last = kill.kind
        else:
            self.flow_kills.append(kill)
            self._last = FLOW

    def unhit(self) -> list[Kind]:
        """Return the kinds of steps in which no kill found a process yet."""
        found = {kill.kind for kill in self.kills}
        return [kind for kind in KINDS if kind not in found]

    @property
    def missing(self) -> int:
        """Rows missing, over all comparisons."""
        return sum(table.missing for check in self.checks for table in check)

    @property
    def duplicated(self) -> int:
        """Rows doubled, over all comparisons."""
        return sum(table.duplicated for check in self.checks for table in check)


def output(outcome: Outcome) -> str:
    """Return the outcome as two tables, of the kills and of the rows."""
    return f"{_kills(outcome)}\n\n{_rows(outcome)}"


def _kills(outcome: Outcome) -> str:
    lines = [
        f"{'step':<12}{'kills aimed':>13}{'hit it':>8}{'kills in it':>13}{'in a commit':>13}{'re-runs':>9}"
    ]
    for kind in KINDS:
        aimed = [kill for kill in outcome.kills if kill.aim.kind == kind]
        inside = [kill.where for kill in outcome.kills if kill.where is not None and kill.kind == kind]
        lines.append(
            f"{kind:<12}{len(aimed):>13}{sum(kill.kind == kind for kill in aimed):>8}{len(inside):>13}"
            f"{sum(where.phase == 'commit' for where in inside):>13}{outcome.reruns[kind]:>9}"
        )
    between = sum(kill.where is None for kill in outcome.kills)
    lines.append(f"{BETWEEN:<12}{'':>13}{'':>8}{between:>13}{'':>13}{outcome.reruns[BETWEEN]:>9}")
    engine = sum(outcome.reruns.values()) - outcome.reruns[FLOW]
    lines.append(f"{'engine':<12}{len(outcome.kills):>13}{'':>8}{len(outcome.kills):>13}{'':>13}{engine:>9}")
    hit = sum(kill.aim == kill.where for kill in outcome.flow_kills)
    count = len(outcome.flow_kills)
    lines.append(f"{FLOW:<12}{count:>13}{hit:>8}{count:>13}{'':>13}{outcome.reruns[FLOW]:>9}")
    if outcome.flow_kills:
        where = Counter(kill.where for kill in outcome.flow_kills)
        lines.append(f"the flow was killed in: {', '.join(f'{name} {n}' for name, n in where.items())}")
    return "\n".join(lines)


def _rows(outcome: Outcome) -> str:
    lines = [f"{'table':<32}{'checks':>8}{'rows compared':>15}{'missing':>10}{'duplicated':>11}"]
    names = dict.fromkeys(table.table for check in outcome.checks for table in check)
    for name in names:
        found = [table for check in outcome.checks for table in check if table.table == name]
        lines.append(
            f"{name:<32}{len(found):>8}{sum(table.expected for table in found):>15,}"
            f"{sum(table.missing for table in found):>10}{sum(table.duplicated for table in found):>11}"
        )
    compared = sum(table.expected for check in outcome.checks for table in check)
    lines.append(
        f"{'all':<32}{len(outcome.checks):>8}{compared:>15,}{outcome.missing:>10}{outcome.duplicated:>11}"
    )
    return "\n".join(lines)
