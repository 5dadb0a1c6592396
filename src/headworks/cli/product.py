"""``headworks product`` and ``headworks rollback``: publications looked at, rolled back and released."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from headworks.cli.shared import ByHand, Commands, add_lake, look_at_lake, open_lake, print_table, show_json
from headworks.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from headworks.models.model import Model
    from headworks.reports import PublishReport, RunStatus

_SHOWN = 20


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    product = commands.add_parser("product", help="publications of a product")
    actions = product.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="list the publications, the newest first")
    show.add_argument("product")
    add_lake(show)
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(command=_show)
    weeks = actions.add_parser(
        "weeks", help="make the weeks of a product's models again in memory: what each run would have come to"
    )
    weeks.add_argument("product")
    add_lake(weeks)
    weeks.add_argument("--last", type=int, metavar="N", help="the last N cuts alone (default: all)")
    weeks.add_argument("--seed", type=int, default=1, help="of all that is drawn (default: 1)")
    weeks.add_argument("--json", action="store_true", help="as JSON")
    weeks.set_defaults(command=_weeks)
    release = actions.add_parser("release", help="let a product that was rolled back continue")
    _changing(release)
    release.set_defaults(command=_release)

    rollback = commands.add_parser(
        "rollback", help="show an earlier publication again, and hold the product there"
    )
    _changing(rollback)
    rollback.add_argument(
        "--to", required=True, metavar="RUN", help="the run whose publication is shown again"
    )
    rollback.add_argument(
        "--reason", required=True, help="why; it is reported to every run until the release"
    )
    rollback.set_defaults(command=_rollback)


def _changing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("product")
    add_lake(parser)
    parser.add_argument(
        "--database", help="the block of the database that shows it (default: the product's own)"
    )


def _show(options: argparse.Namespace) -> int:
    from headworks.gold.products import publications

    every = list(publications(look_at_lake(options)))
    known = [each for each in every if each.product == options.product]
    if not known:
        # One that is declared may not be published yet; of another name it is not known that it is a product.
        _check_named(options.product, {each.product for each in every})
    if options.json:
        show_json([each.model_dump(mode="json") for each in known[:_SHOWN]])
        return 0
    if not known:
        print(f"{options.product} was never published.")
        return 0
    print_table(
        ("publication", "published at", "by run", "tables", "held"),
        [
            (
                str(each.sequence),
                f"{each.published_at:%Y-%m-%d %H:%M:%S}",
                each.run_id,
                ", ".join(f"{table.table}@{table.version}" for table in each.tables),
                each.held or "",
            )
            for each in known[:_SHOWN]
        ],
    )
    return 0


def _check_named(name: str, published: set[str]) -> None:
    from headworks.project import this_project

    there = sorted({*published, *(product.name for product in this_project().products)})
    if name not in there:
        raise SettingsError(
            f"There is no product {name!r}, neither declared nor published.{did_you_mean(name, there)}",
            where=f"product {name}",
            do=f"use one of {', '.join(there) or '(none)'}.",
        )


def _weeks(options: argparse.Namespace) -> int:
    from headworks.gold.products import read_product
    from headworks.models.timelapse import weeks_again
    from headworks.project import this_project
    from headworks.storage.translating import reading

    declared, lake = this_project().product(options.product), look_at_lake(options)
    if not declared.models:
        raise SettingsError(
            f"The product {declared.name} has no model, so there are no weeks to learn again.",
            where=f"product {declared.name}",
            do="name a product with models.",
        )
    version = read_product(lake, declared.name)
    for model in declared.models:
        name = model.features.name
        named = None if version is None else version.table(name).version
        table = lake.must_open("gold", name, named)
        with reading(table.name):
            frame = table.scan().collect()
        found = list(weeks_again(model, frame, seed=options.seed, last=options.last))
        if options.json:
            show_json([asdict(week) | {"cut": week.cut.isoformat(), "model": model.name} for week in found])
            continue
        print_table(
            ("cut", "rows", "champion", "challenger", model.name),
            [
                (
                    f"{week.cut:%Y-%m-%d}",
                    str(week.rows),
                    "" if week.champion is None else f"{week.champion:.3f}",
                    "" if week.challenger is None else f"{week.challenger:.3f}",
                    "promoted" if week.promoted else f"refused: {week.reasons[0]}",
                )
                for week in found
            ],
        )
        noticed = [f"{week.cut:%Y-%m-%d} {said}" for week in found for said in week.warnings]
        print("\n".join(["", *noticed]) if noticed else "")
        promoted = sum(week.promoted for week in found)
        print(
            f"{len(found)} weeks: {promoted} promoted, {len(found) - promoted} refused. Nothing was written."
        )
    return 0


def _rollback(options: argparse.Namespace) -> int:
    from headworks.models.current import roll_back

    lake = open_lake(options)
    by_hand = ByHand(lake, "rollback")
    models = _models_of(options.product)
    version, without_file = roll_back(lake, options.product, options.to, options.reason, models)
    print(
        f"{version.product} shows again what run {version.run_id} published, as publication {version.sequence}."
    )
    decision = f"rolled back to what run {version.run_id} published, and held there"
    for lost in without_file:
        print(
            f"The file of {lost} is lost, so it scores nothing new: the next run after the release says how to get on."
        )
        decision += f"; the file of {lost} is lost"
    _show_published(options, by_hand, version.product, decision, options.reason)
    print(f"It is held there. When its cause is fixed: headworks product release {version.product}")
    return 0


def _models_of(product: str) -> list[Model]:
    """Return the models of a product that the project declares; of another one, and without a project, none."""
    from headworks.project import project

    here = project()
    return (
        []
        if here is None
        else [model for each in here.products if each.name == product for model in each.models]
    )


def _release(options: argparse.Namespace) -> int:
    from headworks.gold.products import release

    lake = open_lake(options)
    by_hand = ByHand(lake, "product_release")
    version = release(lake, options.product)
    _show_published(options, by_hand, version.product, "released")
    print(f"{version.product} is released: the next run publishes what is newest.")
    return 0


def _show_published(
    options: argparse.Namespace, by_hand: ByHand, product: str, decision: str, note: str = ""
) -> None:
    """Publish what was decided, and keep the account of both, also where it cannot be published."""
    status: RunStatus = "failed"
    try:
        shown = _publish(options, product)
        by_hand.recorder.publications += shown
        status = "published" if shown else "unchanged"
    finally:
        by_hand.decided(f"product {product}", decision, note=note, status=status)


def _publish(options: argparse.Namespace, product: str) -> list[PublishReport]:
    """Show the newest publication in Postgres and in the registries of its models too; what was published."""
    from headworks.gold.products import read_product
    from headworks.models.registry import register
    from headworks.prefect.blocks import load_database
    from headworks.prefect.console import local_stack
    from headworks.project import project
    from headworks.publish.postgres import publish_postgres

    here, lake = project(), open_lake(options)
    declared = {} if here is None else {one.name: one for one in here.products}
    found = declared.get(product)
    target = None if found is None else found.publish
    version = read_product(lake, product)
    shown: list[PublishReport] = []
    if target is None or version is None:
        print(f"{product} is not published to any database.")
    else:
        with local_stack():
            database = load_database(options.database or target.block, postgres=True)
        report = publish_postgres(lake, database, target.schema, version, target.tables)
        print(f"{report.target} shows it.")
        shown.append(report)
    for model in () if found is None else found.models:
        registered = register(lake, product, model)
        if registered is not None:
            print(f"Version {registered.version} of {registered.name} in MLflow is {registered.alias}.")
    return shown
