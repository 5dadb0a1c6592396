"""``headworks status``: what is fresh, what is late, what is wrong."""

from __future__ import annotations

import argparse

from headworks.cli.shared import Commands, NothingWritten, add_lake, look_at_lake, print_table


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parser in."""
    status = commands.add_parser(
        "status",
        help="show every source, dataset and product: fresh or late, good or not",
        description="Show the state of everything that the project declares, as the lake shows it. "
        "Rejected: records that nobody decided about, each once. Held: deliveries and gold tables that wait for a "
        "decision.",
        epilog="exit codes: 0 all is known to be good; 1 something is late, failed, held, closed, never ran or not "
        "known, an incident is open, or nothing can be read; 64 the command is not written like this.",
    )
    add_lake(status)
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(command=_status)


def _status(options: argparse.Namespace) -> int:
    from headworks.project import this_project
    from headworks.status import moment, status

    project = this_project()
    try:
        lake = look_at_lake(options)
    except NothingWritten as nothing:
        print(f'{{"project": "{project.name}", "lines": []}}' if options.json else nothing)
        return 1
    report = status(project, lake, _next_runs())
    if options.json:
        print(report.model_dump_json(indent=2))
        return 0 if report.good else 1
    print_table(
        (
            "",
            "name",
            "state",
            "last good run (UTC)",
            "rows",
            "rejected",
            "held",
            "gate",
            "breaker",
            "next run",
            "owner",
        ),
        [
            (
                line.kind,
                line.name,
                line.state,
                moment(line.last_good_run),
                _count(line.rows),
                "" if line.kind == "product" else _count(line.rejected),
                "" if line.kind == "source" else _count(line.held),
                line.gate,
                line.breaker,
                line.next_run,
                line.owner,
            )
            for line in report.lines
        ],
    )
    for line in report.wrong:
        print(f"\n{line.kind} {line.name}: {line.state}. {line.why}".rstrip())
    for incident in report.incidents:
        print(f"\nopen incident: {incident}")
    if report.unread_runs:
        print(f"\n{report.unread_runs} runs were recorded by another version and cannot be read here.")
    return 0 if report.good else 1


def _count(number: int | None) -> str:
    return "not known" if number is None else f"{number:,}"


def _next_runs() -> dict[str, str]:
    try:
        from headworks.prefect.console import local_stack
        from headworks.prefect.schedules import next_runs
    except ImportError:
        # Without Prefect there are no schedules to know.
        return {}
    with local_stack():
        return next_runs()
