"""``headworks anomaly``: known anomalies accepted for a time, incidents labelled, judgements listed and withdrawn."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Literal

from headworks.cli.shared import ByHand, Commands, add_lake, look_at_lake, open_lake, print_table, show_json


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    anomaly = commands.add_parser("anomaly", help="what people say about anomalies")
    actions = anomaly.add_subparsers(required=True, metavar="ACTION")

    accept = actions.add_parser(
        "accept", help="let a known anomaly through for a time, or say that it is the new normal"
    )
    _about(accept, required=False)
    accept.add_argument("--check", required=True, help="the check's name, such as volume; * for all")
    accept.add_argument(
        "--as-new-normal",
        action="store_true",
        help="it stays like this: compare with what has come since the anomaly began, or since --from",
    )
    accept.set_defaults(command=_accept)

    label = actions.add_parser("label", help="label an incident, so that its runs are no baseline")
    _about(label, required=True)
    label.set_defaults(command=lambda options: _record(options, "incident"))

    withdraw = actions.add_parser("withdraw", help="take an earlier judgement back; both are kept")
    withdraw.add_argument("number", type=int, help="its number, as listed")
    _signed(withdraw)
    withdraw.set_defaults(command=_withdraw)

    listed = actions.add_parser("list", help="list all judgements")
    add_lake(listed)
    listed.add_argument("--json", action="store_true", help="as JSON")
    listed.set_defaults(command=_list)


def _about(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("table", help="such as silver.shop.orders or gold.sales.daily")
    parser.add_argument(
        "--from", dest="start", required=required, type=_moment, help="first day or moment of the data"
    )
    parser.add_argument(
        "--to", dest="end", required=required, type=_moment, help="first day or moment after it"
    )
    _signed(parser)


def _signed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, help="why")
    parser.add_argument("--by", required=True, help="who says so")
    add_lake(parser)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _accept(options: argparse.Namespace) -> int:
    from headworks.errors import SettingsError
    from headworks.quality.baselines import anomalous_since

    now = datetime.now(UTC)
    if options.as_new_normal:
        lake = look_at_lake(options)
        options.start = options.start or anomalous_since(lake, options.table, options.check) or now
        # Whatever waits at the gate now was judged by the old normal, and comes again with the next run.
        options.end = options.end or max(options.start, now) + timedelta(days=1)
        return _record(options, "normal")
    if options.start is None or options.end is None:
        raise SettingsError(
            "It is not clear for which time the anomaly is accepted.",
            where=options.table,
            do="give --from and --to, or --as-new-normal if it stays like this.",
        )
    return _record(options, "accept")


def _record(options: argparse.Namespace, verdict: Literal["accept", "normal", "incident"]) -> int:
    from headworks.quality.judgements import ANY, judgement, record_judgement

    lake = open_lake(options)
    said = judgement(
        verdict=verdict,
        scope=options.table,
        check=getattr(options, "check", ANY),
        start=options.start,
        end=options.end,
        reason=options.reason,
        by=options.by,
        decided_at=datetime.now(UTC),
    )
    by_hand = ByHand(lake, f"anomaly_{verdict}")
    recorded = record_judgement(lake, said)
    print(
        f"Judgement {recorded.number} is recorded. To take it back: headworks anomaly withdraw {recorded.number}"
    )
    time = f"{said.start:%Y-%m-%d %H:%M} to {said.end:%Y-%m-%d %H:%M}"
    decision = f"judgement {recorded.number}: {verdict} {said.check}, {time}"
    by_hand.decided(options.table, decision, by=options.by, note=options.reason)
    return 0


def _withdraw(options: argparse.Namespace) -> int:
    from headworks.quality.judgements import withdraw

    lake = open_lake(options)
    by_hand = ByHand(lake, "anomaly_withdraw")
    withdraw(lake, options.number, options.by, options.reason, datetime.now(UTC))
    print(f"Judgement {options.number} is withdrawn.")
    by_hand.decided(f"judgement {options.number}", "withdrawn", by=options.by, note=options.reason)
    return 0


def _list(options: argparse.Namespace) -> int:
    from headworks.quality.judgements import all_judgements

    said = all_judgements(look_at_lake(options))
    withdrawn = {one.withdraws for one in said}
    if options.json:
        show_json([one.model_dump(mode="json") for one in said])
        return 0
    if not said:
        print("Nobody has judged any anomaly yet.")
        return 0
    print_table(
        ("number", "verdict", "table", "check", "from", "to", "by", "reason"),
        [
            (
                str(one.number),
                f"{one.verdict} {one.withdraws or ''}".strip()
                + (" (withdrawn)" if one.number in withdrawn else ""),
                one.scope,
                one.check,
                f"{one.start:%Y-%m-%d %H:%M}",
                f"{one.end:%Y-%m-%d %H:%M}",
                one.by,
                one.reason,
            )
            for one in said
        ],
    )
    return 0
