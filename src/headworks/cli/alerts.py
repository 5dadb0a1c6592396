"""``headworks alerts``: what people were notified of, a test of the channel, and an alert about a run."""

from __future__ import annotations

import argparse

from headworks.cli.shared import Commands, add_lake, look_at_lake, print_table, show_json
from headworks.errors import SettingsError

BLOCK = "alerts"


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    group = commands.add_parser(
        "alerts", help="incidents that people were notified of; a test of the channel; an alert about a run"
    )
    actions = group.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser(
        "list",
        help="list the incidents that are open",
        epilog="exit codes: 0 none is open; 1 at least one is.",
    )
    listed.add_argument("--json", action="store_true", help="as JSON")
    add_lake(listed)
    listed.set_defaults(command=_list)
    test = actions.add_parser("test", help="send a test message by the channel of the block alerts")
    test.set_defaults(command=_test)
    about = actions.add_parser("about", help="notify people of a flow run that crashed, failed or is late")
    about.add_argument("flow_run", metavar="RUN", help="the id of the flow run")
    about.set_defaults(command=_about)


def _list(options: argparse.Namespace) -> int:
    from headworks.ops.incidents import open_incidents

    found = open_incidents(look_at_lake(options))
    if options.json:
        show_json([vars(each) for each in found])
    elif found:
        print_table(
            ("since (UTC)", "kind", "what"),
            [(f"{each.since:%Y-%m-%d %H:%M}", each.kind, each.title) for each in found],
        )
    else:
        print("No incident is open.")
    return 1 if found else 0


def _test(options: argparse.Namespace) -> int:
    from headworks.ops.alerts import Alert
    from headworks.prefect.blocks import alert_channels
    from headworks.prefect.console import local_stack

    with local_stack():
        channels = alert_channels()
    if not channels:
        raise SettingsError(
            "No channel is described, so nobody is notified of anything.",
            where=f"block {BLOCK}",
            do="set HEADWORKS_ALERTS_KIND to webhook, slack or mail, and what that needs (docs/operations.md), or "
            "register the block.",
        )
    message = Alert(
        incident="test",
        kind="run failed",
        title="A test message of headworks: alerts arrive here.",
        do="nothing",
        healed=True,
    )
    for channel in channels:
        channel.send(message)
        print(f"A test message was sent by {channel.kind}. Look whether it arrived.")
    return 0


def _about(options: argparse.Namespace) -> int:
    from headworks.cli.running import run_flow_named

    return run_flow_named("alert", ["--flow-run", options.flow_run], "headworks alerts about")
