"""``headworks propose``: rules that good deliveries have kept so far, as text for the dataset's schema."""

from __future__ import annotations

import argparse

from headworks.cli.shared import Commands, add_lake, look_at_lake, show_json
from headworks.cli.silver import declared_dataset


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parser in."""
    parser = commands.add_parser(
        "propose",
        help="propose rules from what good deliveries look like",
        description="Print what each row of the good deliveries has kept so far and no rule asks for, as text for the "
        "dataset's schema. Nothing is changed: adopt what has to hold, and let headworks recheck judge silver by it.",
    )
    parser.add_argument("dataset", help="such as shop.orders")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_lake(parser)
    parser.set_defaults(command=_propose)


def _propose(options: argparse.Namespace) -> int:
    from headworks.ports import system_clock
    from headworks.quality.baselines import baseline
    from headworks.quality.deliveries import not_accepted
    from headworks.quality.proposals import as_text, proposals

    dataset = declared_dataset(options.dataset)
    lake = look_at_lake(options)
    without = not_accepted(lake, dataset.name)
    scope, limits = f"silver.{dataset.name}", dataset.anomalies
    good = baseline(lake, scope, ["live", "full"], "", system_clock(), limits, without).profiles
    found = proposals(good, dataset.schema)
    if options.json:
        show_json([one.model_dump(mode="json") for one in found])
        return 0
    if not found:
        print(
            f"{len(good)} good deliveries of {dataset.name} are known: there is nothing to propose from them."
        )
        return 0
    print(as_text(found, dataset.schema.__name__))
    print(
        f"\n# Then: headworks recheck {dataset.name} judges the rows that silver has by the rules that you adopted."
    )
    return 0
