"""The account of a run as text: for a terminal, and as Markdown for a page.

Every number comes from the run report. What belongs here: rendering. What does not: counting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from headworks.observe.report import RunReport

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

Row = tuple[str, ...]


def account_text(report: RunReport) -> str:
    """Render a run's account for a terminal."""
    lines = [*_headline(report), ""]
    for title, header, rows in _sections(report):
        lines += [title, *_columns(header, rows), ""]
    lines += _closing(report)
    return "\n".join(lines).rstrip() + "\n"


def account_markdown(report: RunReport) -> str:
    """Render a run's account as Markdown."""
    lines = [
        f"# {report.flow}: {report.status}",
        "",
        *[f"{line}  " for line in _headline(report)[1:]],
        "",
    ]
    for title, header, rows in _sections(report):
        lines += [f"## {title}", "", *_table(header, rows), ""]
    lines += [f"{line}  " for line in _closing(report)]
    return "\n".join(lines).rstrip() + "\n"


def _headline(report: RunReport) -> list[str]:
    lines = [f"{report.flow} · {report.mode} · {report.status} · {report.seconds:.1f} s"]
    if report.message:
        lines.append(report.message)
    if report.window:
        lines.append(f"window {report.window['start']} to {report.window['end']}")
    return lines


def _sections(report: RunReport) -> list[tuple[str, Row, list[Row]]]:
    sections: list[tuple[str, Row, list[Row]]] = []
    if report.landings:
        sections.append(("Bronze: read and landed", _LANDED, _landed(report)))
    notices: list[Row] = [
        (landing.dataset, notice) for landing in report.landings for notice in landing.notices
    ]
    if notices:
        sections.append(("Bronze: to know about the reading", ("dataset", "notice"), notices))
    if report.refinements:
        sections.append(("Silver: every row in the range", _REFINED, _refined(report)))
        reasons = _reasons(report)
        if reasons:
            sections.append(
                (
                    "Quarantine: rejected rows by reason",
                    ("dataset", "reason", "rows"),
                    reasons,
                )
            )
    if report.gates:
        sections.append(
            (
                "Gate: checks",
                ("candidate", "gate", "passed", "not passed", "why"),
                _gates(report),
            )
        )
    if report.gold:
        sections.append(("Gold", ("table", "rows", "changed", "version"), _gold(report)))
    if report.publications:
        header = ("table", "rows", "rows written", "rows removed", "publication")
        sections.append(("Published", header, _published(report)))
    return sections


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
        state = "open" if gate.open else "CLOSED"
        rows.append(
            (
                gate.scope,
                state,
                str(passed),
                str(len(gate.checks) - passed),
                "; ".join(gate.reasons),
            )
        )
    return rows


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


def _closing(report: RunReport) -> list[str]:
    lines = [f"The lake is at {report.lake}"] if report.lake else []
    lines += [f"{p.product} is published in {p.target}" for p in report.publications]
    lines += [f"{name}: {link}" for name, link in report.links.items()]
    return lines


def _sum_row(numbers: Sequence[tuple[int, ...]]) -> Row:
    return ("in all", *(_number(sum(column)) for column in zip(*numbers, strict=True)))


def _columns(header: Row, rows: list[Row]) -> list[str]:
    table = [header, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    numeric = [all(row[place].replace(",", "").isdigit() for row in rows) for place in range(len(header))]

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


def _table(header: Row, rows: list[Row]) -> list[str]:
    def line(row: Row) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"

    return [line(header), f"|{'---|' * len(header)}", *map(line, rows)]


def _number(value: int) -> str:
    return f"{value:,}"
