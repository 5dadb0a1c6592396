"""The account of a run as text: for a terminal, and as Markdown for a page.

Every number comes from the run report.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

from headworks.ops.escaping import markdown, one_line, printable
from headworks.reports import RunReport, StepCost

_LANDED = ("dataset", "read", "landed", "refused", "read again")
_REFINED = (
    "dataset",
    "in range",
    "released",
    "accepted",
    "rejected",
    "superseded",
    "unchanged",
    "deleted",
    "waiting",
)
_CHECKED = ("candidate", "gate", "passed", "not passed", "why")
_PUBLISHED = ("table", "rows", "rows written", "rows removed", "publication")

_REPLAYED = (
    "dataset",
    "judged",
    "released",
    "superseded",
    "unchanged",
    "still rejected",
)
_COSTS = ("step", "seconds", "rows", "peak MB")
_SLOWEST = 5
"""So many steps are shown with the account of a run."""
_COSTS_NOTE = (
    "steps run side by side; peak: the most memory that the process had at once until the step ended"
)
_ANOMALIES = ("candidate", "check", "outcome", "what was found")
_FINE = {"passed", "warned", "accepted", "cold start"}

_ADDRESS = re.compile(r"https?://[^\s<>]+")

Row = tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One table of the account, with a note on how to read it."""

    title: str
    header: Row
    rows: list[Row]
    note: str = ""


ACCOUNT = Path(".headworks/account.json")
"""Where a run's account is kept as JSON, in the folder that it was started in."""


def keep_account(report: RunReport, file: Path = ACCOUNT) -> None:
    """Write an account as JSON into its file, in the place of the account of the run before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")


def account_text(report: RunReport) -> str:
    """Render a run's account for a terminal."""
    lines = [*map(printable, _headline(report)), ""]
    for section in _sections(report):
        note = [f"  {section.note}"] if section.note else []
        lines += [section.title, *_columns(section.header, section.rows), *note, ""]
    lines += map(one_line, [*_closing(report), *(f"{name}: {link}" for name, link in report.links.items())])
    return "\n".join(lines).rstrip() + "\n"


def steps_text(report: RunReport) -> str:
    """Render what each step of a run cost, in the order in which they ended, for a terminal."""
    if not report.costs:
        return f"{_headline(report)[0]}\nWhat its steps cost is not known.\n"
    lines = [_headline(report)[0], "", *_columns(_COSTS, list(map(_cost, report.costs)))]
    return "\n".join([*lines, f"  {_COSTS_NOTE}"]) + "\n"


def result_text(result: object) -> str:
    """Render what a flow without an account returns for a terminal: a text, or a table with a row for each report."""
    found = getattr(result, "tables", result)
    reports = list(found) if isinstance(found, list | tuple) else [found]
    if not all(isinstance(each, BaseModel) for each in reports):
        return "\n".join(printable(str(each)) for each in reports)
    if not reports:
        return "nothing"
    rows = [{name: _written(value) for name, value in _flat(each).items()} for each in reports]
    # What no report says anything about needs no column.
    header = tuple(name for name in rows[0] if any(row.get(name) for row in rows))
    cells = [tuple(row.get(name, "") for name in header) for row in rows]
    return "\n".join(_columns(tuple(name.replace("_", " ") for name in header), cells))


def _flat(report: object) -> dict[str, object]:
    """Return a report's fields, those of a window in it as its own."""
    fields: dict[str, object] = {}
    for name in type(report).model_fields:  # type: ignore[attr-defined]
        value = getattr(report, name)
        fields |= _flat(value) if isinstance(value, BaseModel) else {name: value}
    return fields


def _written(value: object) -> str:
    if not value:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def account_markdown(report: RunReport) -> str:
    """Render a run's account as Markdown."""
    lines = [
        f"# {markdown(report.flow)}: {report.status}",
        "",
        f"{report.mode} · {report.seconds:.1f} s  ",
        *[f"{markdown(line)}  " for line in _headline(report)[1:]],
        "",
    ]
    for section in _sections(report):
        note = [section.note, ""] if section.note else []
        lines += [f"## {section.title}", "", *_shown(section), "", *note]
    lines += [f"{markdown(line)}  " for line in _closing(report)]
    lines += [f"{markdown(name)}: {_link(link)}  " for name, link in report.links.items()]
    return "\n".join(lines).rstrip() + "\n"


def _headline(report: RunReport) -> list[str]:
    lines = [f"{report.flow} · {report.mode} · {report.status} · {report.seconds:.1f} s"]
    if report.message:
        lines.append(report.message)
    if report.window:
        lines.append(f"window {report.window['start']} to {report.window['end']}")
    return lines


def _sections(report: RunReport) -> list[Section]:
    sections = _decided(report)
    if report.landings:
        note = "read again: seen before, and recognised before landing; refused: fits no row, kept with its reason"
        sections.append(Section("Bronze: read and landed", _LANDED, _landed(report), note))
    sections += _about_sources(report)
    if report.refinements:
        title = "Silver: what became of every row in the range"
        sections.append(Section(title, _REFINED, _refined(report), _equation(report)))
        reasons = _reasons(report)
        if reasons:
            title, note = "Quarantine: rejected rows by reason", "a row may have several reasons"
            if known := sum(each.known for each in report.refinements):
                note += f"; {_number(known)} of these rows were rejected before with the same content"
            sections.append(Section(title, ("dataset", "reason", "rows"), reasons, note))
    if report.replays:
        sections.append(Section("Quarantine: judged again", _REPLAYED, _replayed(report)))
    if report.gates:
        sections.append(Section("Gate: checks", _CHECKED, _gates(report)))
        anomalies = _anomalies(report)
        if anomalies:
            note = "cold start: too few good runs to compare with, so only gross differences were looked for"
            sections.append(Section("Anomalies", _ANOMALIES, anomalies, note))
    if report.gold:
        made = (
            f"{one.table.table} made again: {one.parts.text}" for one in report.gold if one.parts is not None
        )
        columns = ("table", "rows", "changed", "version")
        sections.append(Section("Gold", columns, _gold(report), "; ".join(made)))
    if report.publications:
        sections.append(Section("Published", _PUBLISHED, _published(report)))
    shown: list[Row] = [
        (each.product, warning) for each in report.publications for warning in dict.fromkeys(each.warnings)
    ]
    if shown:
        sections.append(Section("Publications: what to know", ("product", "what"), shown))
    if report.costs:
        sections.append(Section("Steps: where time went", _COSTS, *_costs(report.costs)))
    return sections


def _about_sources(report: RunReport) -> Iterator[Section]:
    warned: list[Row] = [(each.stream, warning) for each in report.landings for warning in each.warnings]
    if warned:
        yield Section("Sources: what to know", ("stream", "what"), warned)
    left: list[Row] = [
        (each.stream, reason, _number(count))
        for each in report.landings
        for reason, count in each.left_out.items()
    ]
    if left:
        yield Section("Sources: there and not read", ("stream", "why", "how many"), left)


def _decided(report: RunReport) -> list[Section]:
    rows: list[Row] = [(each.about, each.decision, each.by, each.note) for each in report.decisions]
    return [Section("Decided by hand", ("about", "decision", "by", "why"), rows)] if rows else []


def _equation(report: RunReport) -> str:
    """Return how the rows that came into the range are accounted for, as one sum."""

    def all_of(name: str) -> int:
        return sum(getattr(refined, name) for refined in report.refinements)

    came = ("landed", "in range"), ("released", "released from quarantine")
    went = [(name, name) for name in ("accepted", "rejected", "superseded", "unchanged")]
    left, right = (
        " + ".join(f"{_number(all_of(name))} {words}" for name, words in side) for side in (came, went)
    )
    return f"{left} = {right}"


def _landed(report: RunReport) -> list[Row]:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for landing in report.landings:
        numbers = (landing.read, landing.landed, landing.refused, landing.repeated)
        for place, number in enumerate(numbers):
            totals[landing.dataset][place] += number
    rows = [(name, *map(_number, summed)) for name, summed in totals.items()]
    return [*rows, _sum_row([tuple(summed) for summed in totals.values()])]


def _refined(report: RunReport) -> list[Row]:
    numbers = [
        (
            r.landed,
            r.released,
            r.accepted,
            r.rejected,
            r.superseded,
            r.unchanged,
            r.deleted,
            r.waiting,
        )
        for r in report.refinements
    ]
    rows = [(r.dataset, *map(_number, n)) for r, n in zip(report.refinements, numbers, strict=True)]
    return [*rows, _sum_row(numbers)]


def _reasons(report: RunReport) -> list[Row]:
    return [
        (refined.dataset, reason, _number(count))
        for refined in report.refinements
        for reason, count in refined.reasons.items()
    ]


def _gates(report: RunReport) -> list[Row]:
    rows: list[Row] = []
    for gate in report.gates:
        passed = sum(check.outcome in {"passed", "warned"} for check in gate.checks)
        objecting = sum(check.outcome not in _FINE for check in gate.checks)
        state = "open" if gate.open else "CLOSED"
        rows.append(
            (
                gate.scope,
                state,
                str(passed),
                str(objecting),
                "; ".join(gate.reasons),
            )
        )
    return rows


def _replayed(report: RunReport) -> list[Row]:
    return [
        (
            one.dataset,
            *map(_number, (one.judged, one.released, one.superseded, one.unchanged, one.still_rejected)),
        )
        for one in report.replays
    ]


def _anomalies(report: RunReport) -> list[Row]:
    """Report each anomaly, and where there is too little to compare with: that is not the same as fine."""
    return [
        (check.scope, check.name, check.outcome, check.detail)
        for gate in report.gates
        for check in gate.checks
        if check.kind == "anomaly" and check.outcome != "passed"
    ]


def _gold(report: RunReport) -> list[Row]:
    return [
        (
            table.table.table,
            _number(table.rows),
            "yes" if table.changed else "no",
            str(table.table.version),
        )
        for table in report.gold
    ]


def _published(report: RunReport) -> list[Row]:
    return [
        (t.table, _number(t.rows), _number(t.inserted), _number(t.removed), f"{p.product} {p.sequence}")
        for p in report.publications
        for t in p.tables
    ]


def _costs(costs: Sequence[StepCost]) -> tuple[list[Row], str]:
    """Return the slowest steps, and a note with what the others took."""
    slowest = sorted(costs, key=lambda cost: -cost.seconds)
    note = _COSTS_NOTE
    if others := slowest[_SLOWEST:]:
        took = sum(cost.seconds for cost in others)
        note = f"{len(others)} other steps took {took:.2f} s (headworks account --steps); {note}"
    return list(map(_cost, slowest[:_SLOWEST])), note


def _cost(cost: StepCost) -> Row:
    return (
        f"{cost.step} (failed)" if cost.failed else cost.step,
        f"{cost.seconds:.2f}",
        "" if cost.rows is None else _number(cost.rows),
        "not known" if cost.peak_mb is None else _number(cost.peak_mb),
    )


def _closing(report: RunReport) -> list[str]:
    lines = [f"The lake is at {report.lake}"] if report.lake else []
    return lines + [f"{p.product} is published in {p.target}" for p in report.publications]


def _link(address: str) -> str:
    """Return a link that can be followed; what is none is shown as text."""
    return f"<{address}>" if _ADDRESS.fullmatch(address) else markdown(address)


def _sum_row(numbers: Sequence[tuple[int, ...]]) -> Row:
    return ("in all", *(_number(sum(column)) for column in zip(*numbers, strict=True)))


def _columns(header: Row, raw: list[Row]) -> list[str]:
    rows = [tuple(map(one_line, row)) for row in raw]
    table = [header, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    numeric = _numeric(header, rows)

    def line(row: Row) -> str:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        return "  " + "  ".join(cells).rstrip()

    return [
        line(header),
        "  " + "  ".join("-" * width for width in widths),
        *map(line, rows),
    ]


_WIDE = 60
"""Characters in a cell beyond which a table is cut on a page: Prefect's breaks no line in one."""
_MANY = 6
"""Columns beyond which those that are zero everywhere are left out on a page."""


def _shown(section: Section) -> list[str]:
    """Return a section as a table that fits on a page, or as a list where texts are too long for one."""
    header, rows = section.header, section.rows
    if any(len(cell) > _WIDE for row in rows for cell in row):
        return [f"- {' · '.join(markdown(cell) for cell in row if cell)}" for row in rows]
    if len(header) > _MANY:
        kept = [at for at in range(len(header)) if any(row[at] != "0" for row in rows)]
        header, rows = (
            tuple(header[at] for at in kept),
            [tuple(row[at] for at in kept) for row in rows],
        )
    return _table(header, rows)


def _table(header: Row, rows: list[Row]) -> list[str]:
    def line(row: Row) -> str:
        return f"| {' | '.join(map(markdown, row))} |"

    rule = "".join("---:|" if right else "---|" for right in _numeric(header, rows))
    return [line(header), f"|{rule}", *map(line, rows)]


def _numeric(header: Row, rows: list[Row]) -> list[bool]:
    """Return which columns hold numbers alone, and are set to the right."""
    return [
        all(re.fullmatch(r"([\d,]+(\.\d+)?)?", row[place]) for row in rows)
        and (not rows or any(row[place] for row in rows))
        for place in range(len(header))
    ]


def _number(value: int) -> str:
    return f"{value:,}"
