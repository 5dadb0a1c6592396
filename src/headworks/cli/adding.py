"""``headworks add``: looks at a source, and writes a dataset to read and correct."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headworks.cli.api import block_fields, check_places, filled_places
from headworks.cli.probe import body_of
from headworks.cli.shared import Commands, api_at
from headworks.errors import SettingsError

if TYPE_CHECKING:
    import polars as pl

    from headworks.adding import Column, Proposal
    from headworks.settings import DatabaseSettings
    from headworks.sources.api.adding import ProposedApi
    from headworks.sources.api.settings import ApiSettings


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    group = commands.add_parser(
        "add",
        help="add a source: look at it, and write dataset, contract, test and deployment",
        description="Look at some thousand rows of a source, and write what is proposed of it into the project, with "
        "the evidence. Nothing is landed. Read what was written, correct it, then: headworks check.",
    )
    kinds = group.add_subparsers(required=True, metavar="KIND")
    api = kinds.add_parser("api", help="a resource of an API")
    api.add_argument(
        "url",
        nargs="?",
        help="address of the resource's first page; with --block its path will do; with --like the API's base URL, "
        "where it is not the vendor's",
    )
    api.add_argument("--like", metavar="RECIPE", help="begin from a recipe: headworks api recipes lists them")
    api.add_argument("--resource", metavar="NAME", help="with --like: which resource of the recipe")
    api.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PLACE=VALUE",
        help="with --like: fill a place such as <shop>; again for more",
    )
    api.add_argument("--body", metavar="JSON", help="ask by POST with this JSON, or with that of @FILE")
    _common(api)
    api.set_defaults(command=_api)
    table = kinds.add_parser("table", help="a table of a database")
    table.add_argument("database", help="its URL, or the name of a block")
    table.add_argument("table", help="the table, or schema.table")
    _common(table)
    table.set_defaults(command=_table)
    files = kinds.add_parser("files", help="files of a folder or an object store")
    files.add_argument("location", help="a folder or URI, or the name of a block")
    files.add_argument(
        "--pattern", default="**", help="which files below it, such as 'orders-*.csv' (default: all)"
    )
    files.add_argument(
        "--format", choices=["csv", "ndjson", "json", "parquet"], help="(default: by their ending)"
    )
    files.add_argument("--delimiter", default=",", help="of CSV (default: ,)")
    _common(files)
    files.set_defaults(command=_files)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column of the key; again for more (default: the source's own, or found in the rows)",
    )
    parser.add_argument(
        "--cursor",
        metavar="COLUMN",
        help="the column that grows with each change (default: found by its name)",
    )
    parser.add_argument("--name", metavar="DATASET", help="the dataset's name, such as crm.contacts")
    parser.add_argument("--block", metavar="NAME", help="the block that the source is reached by")
    parser.add_argument("--rows", type=int, default=5_000, help="how many rows to look at (default: 5000)")
    parser.add_argument("--show", action="store_true", help="print the declaration, and write nothing")


def _api(options: argparse.Namespace) -> int:
    from headworks.adding import look, of_api
    from headworks.sources.api.adding import propose_api
    from headworks.sources.api.client import ApiClient
    from headworks.sources.api.resource import Resource
    from headworks.sources.api.source import ApiSource

    if options.like is None and options.url is None:
        raise SettingsError(
            "Neither an address nor a recipe is named.",
            where="headworks add api",
            do="give the address of the resource's first page, or --like RECIPE (headworks api recipes lists them).",
        )
    filled = filled_places(options.set)
    if options.like is not None:
        block, settings = _recipe_reached(options, filled)
        found = propose_api(
            settings=settings, like=options.like, resource=options.resource, filled=filled, name=options.name
        )
    else:
        settings, _, _ = api_at(options.url, options.block, new_block=True)
        block = options.block or _named(settings.base_url)
        found = propose_api(options.url, settings, body=body_of(options.body), name=options.name)
        if options.name is None:
            found = replace(found, name=_dataset(block.removesuffix("-api"), found.name.rpartition(".")[2]))
    _explain(found)
    if settings is None or not found.runnable:
        raise _not_askable(options, found, block)
    rows = look(
        ApiSource(ApiClient(settings, name=block), Resource.model_validate(found.resource)), options.rows
    )
    return _write(
        options,
        of_api(
            found,
            rows,
            block=block,
            variables=_block_variables(block, found.settings),
            key=tuple(options.key),
            cursor=options.cursor,
        ),
    )


def _recipe_reached(options: argparse.Namespace, filled: Mapping[str, str]) -> tuple[str, ApiSettings | None]:
    """Return the block of a recipe's API, and how it is reached; None where something has to be filled in first.

    The block's own settings go first. Without one the recipe's are taken, at another base URL where one is named.
    """
    from headworks.prefect.blocks import api_settings
    from headworks.prefect.blocks.resolve import prefix, variables
    from headworks.prefect.console import local_stack
    from headworks.sources.api.recipes import recipe
    from headworks.sources.api.settings import ApiSettings

    found = recipe(options.like)
    block = options.block or f"{found.name}-api"
    check_places(found, filled)
    base_url = options.url.rstrip("/") if options.url else None
    try:
        with local_stack():
            settings = api_settings(block)
    except SettingsError:
        if any(name.startswith(prefix(block)) and value for name, value in variables().items()):
            # It is described, and not completely: the reason is what helps.
            raise
        content = found.api(filled) | ({"base_url": base_url} if base_url else {})
        return block, None if "<" in json.dumps(content) else ApiSettings.model_validate(content)
    if base_url is not None and base_url != settings.base_url.rstrip("/"):
        raise SettingsError(
            f"The block {block} is of {settings.base_url}, where its credentials belong.",
            where=base_url,
            do="leave the address out, or name another block with --block.",
        )
    return block, settings


def _explain(found: ProposedApi) -> None:
    """Print what speaks for a proposal, and what could not be found out."""
    for text in found.evidence:
        print(f"- {text}")
    if found.unknown:
        print("\nWhat could not be found out:\n")
        for text in found.unknown:
            print(f"- {text}")


def _not_askable(options: argparse.Namespace, found: ProposedApi, block: str) -> SettingsError:
    """Return why nothing was written: how its pages follow is not known, or who we are to it."""
    if options.like is None:
        return SettingsError(
            "How its pages follow each other is not known, so nothing was written.",
            where=options.url,
            do="headworks probe shows what is known; declare the resource by hand (docs/api.md).",
        )
    of_resource = {place for place in found.fill if f"<{place}>" in json.dumps(found.resource)}
    print("\nTo be filled in:\n")
    for place, words in found.fill.items():
        print(f"- <{place}>: {words}" + (f" (--set {place}=…)" if place in of_resource else ""))
    print(f"\nThe block {block}, in the environment or in .env:\n")
    for name, value in _block_variables(block, found.settings).items():
        print(f"    {name}={value}")
    return SettingsError(
        f"{options.like} cannot be asked yet, so its columns are not known and nothing was written.",
        where=f"block {block}",
        do="fill in what is listed above, then run this again.",
    )


def _block_variables(block: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of an API's block for ``.env.example``: what a person has to fill in is empty."""
    found = {}
    for name, value in block_fields(settings).items():
        if name == "auth" and value == "none":
            continue
        text = json.dumps(value) if isinstance(value, dict) else str(value)
        found[f"{_prefix(block)}{name.upper()}"] = "" if re.fullmatch(r"<\w+>", text) else text
    return found


def _named(base_url: str) -> str:
    """Name the block of an API after its host."""
    host = re.sub(r"^(www|api)\.", "", re.sub(r"^.*?://|[:/].*$", "", base_url))
    return f"{_word(host.partition('.')[0])}-api"


def _table(options: argparse.Namespace) -> int:
    from headworks.adding import (
        OWN,
        SEEN,
        YOURS,
        columns_of,
        cursor_of,
        key_of,
        look,
    )
    from headworks.sources.sql.reader import reader_of
    from headworks.sources.sql.table import Table

    database, block, example = _database(options)
    schema, _, name = options.table.rpartition(".")
    declared: dict[str, Any] = {"name": name, **({"schema_name": schema} if schema else {})}
    if options.key:
        declared["key"] = options.key
    reader = reader_of(database, Table.model_validate(declared))
    own = tuple(reader.key)
    rows = look(reader, options.rows)
    columns = columns_of(rows, typed=True)
    cursor = options.cursor or cursor_of(columns)
    key = own or key_of(columns, rows.height)
    notes = [] if own else ["The table has no primary key; the key is a guess from the rows that were seen."]
    field_of = {each.name: each.field for each in columns}
    if cursor:
        declared["cursor"] = field_of.get(cursor, cursor)
    if not own and key:
        declared["key"] = [field_of[each] for each in key]
    names = tuple(next((each.name for each in columns if each.field == one), one) for one in key)
    whose = YOURS if options.key else OWN if own else SEEN
    seen = _Seen(rows, columns, names, whose, cursor)
    return _write(options, _proposed(options, "database", block, name, declared, seen, example, tuple(notes)))


def _database(options: argparse.Namespace) -> tuple[DatabaseSettings, str, str]:
    """Return a database's settings, its block's name, and its URL without the password."""
    from pydantic import SecretStr

    from headworks.settings import DatabaseSettings

    if "://" in options.database:
        from headworks.database_urls import read_url

        parts = read_url(options.database, "the URL of the database")
        block = options.block or f"{_word(Path(parts.database or 'main').stem)}-database"
        shown = replace(parts, password=None).written()
        return DatabaseSettings(url=SecretStr(options.database)), block, shown
    from headworks.prefect.blocks import load_database
    from headworks.prefect.console import local_stack

    with local_stack():
        return load_database(options.database), options.database, ""


def _files(options: argparse.Namespace) -> int:
    from headworks.adding import (
        SEEN,
        YOURS,
        columns_of,
        cursor_of,
        key_of,
        look,
        named,
    )
    from headworks.settings import FilesSettings
    from headworks.sources.files.location import Location
    from headworks.sources.files.selection import Files
    from headworks.sources.files.source import FileSource

    is_place = "/" in options.location or Path(options.location).exists()
    if is_place:
        settings = FilesSettings(root=options.location)
        block = options.block or f"{_word(Path(options.location.rstrip('/')).name)}-files"
    else:
        from headworks.prefect.blocks import files_settings
        from headworks.prefect.console import local_stack

        block = options.location
        with local_stack():
            settings = files_settings(block)
    declared: dict[str, Any] = {
        "format": options.format or _format_of(options.pattern),
        "pattern": options.pattern,
    }
    if options.delimiter != ",":
        declared["csv"] = {"delimiter": options.delimiter}
    source = FileSource(Location(settings), Files.model_validate({**declared, "settle_s": 0}), _Nowhere())
    rows = look(source, options.rows)
    columns = columns_of(rows, typed=declared["format"] == "parquet")
    words = [word for word in re.split(r"\W+", Path(options.pattern).stem) if word]
    key = named(columns, options.key) or key_of(columns, rows.height)
    cursor = named(columns, [options.cursor])[0] if options.cursor else cursor_of(columns)
    seen = _Seen(rows, columns, key, YOURS if options.key else SEEN, cursor)
    name = words[0] if words else "rows"
    return _write(options, _proposed(options, "files", block, name, declared, seen, settings.root))


@dataclass(frozen=True)
class _Seen:
    """What was seen in a source's rows, or chosen by a person: ``whose`` says which of both the key is."""

    rows: pl.DataFrame
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    whose: str
    cursor: str | None


def _proposed(
    options: argparse.Namespace,
    kind: Literal["database", "files"],
    block: str,
    name: str,
    source: Mapping[str, Any],
    seen: _Seen,
    place: str,
    notes: tuple[str, ...] = (),
) -> Proposal:
    """Return the dataset of a table or of files; ``place`` is where the block has it, without secrets."""
    from headworks.adding import Proposal, evidence_of_key

    return Proposal(
        name=options.name or _dataset(block.removesuffix(f"-{kind}"), name),
        block=block,
        kind=kind,
        source=source,
        rows=seen.rows.height,
        columns=seen.columns,
        key=seen.key,
        cursor=seen.cursor,
        key_evidence=evidence_of_key(seen.rows, seen.columns, seen.key, seen.whose),
        notes=notes,
        variables={f"{_prefix(block)}{'URL' if kind == 'database' else 'ROOT'}": place},
    )


class _Nowhere:
    """Keeps nothing: a look at files remembers none of them."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def put(self, name: str, content: dict[str, Any]) -> None:
        self._kept[name] = content

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._kept[name]
        return found


def _format_of(pattern: str) -> str:
    endings = {"csv": "csv", "tsv": "csv", "txt": "csv", "ndjson": "ndjson", "jsonl": "ndjson"}
    endings |= {"json": "json", "parquet": "parquet"}
    for word in reversed(re.split(r"[.*{},]", pattern.lower())):
        if word in endings:
            return endings[word]
    raise SettingsError(
        "The pattern does not say which format the files have.",
        where=f"--pattern {pattern}",
        do="give --format csv, ndjson, json or parquet.",
    )


def _write(options: argparse.Namespace, found: Proposal) -> int:
    from headworks.adding import as_yaml, write
    from headworks.place import naming

    if options.show:
        print(as_yaml(found))
        return 0
    root, reference = next(naming(Path.cwd()), (None, ""))
    if root is None:
        raise SettingsError(
            "No project is here to add it to.",
            where=str(Path.cwd()),
            do="run it in a project's folder (headworks init makes one), or with --show to see the declaration.",
        )
    package = reference.partition(":")[0].partition(".")[0]
    written = write(found, root, package)
    print(f"\n{found.name} from {found.rows:,} rows:")
    for file in written:
        print(f"  {file.relative_to(root)}")
    if found.key:
        print(f"- The key {', '.join(found.key)}: {found.key_evidence}.")
    for note in found.notes:
        print(f"- {note}")
    print("\nRead them, correct them, then: headworks check")
    return 0


def _dataset(first: str, second: str) -> str:
    return f"{_word(first).replace('-', '_')}.{_word(second).replace('-', '_')}"


def _word(text: str) -> str:
    word = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return word if word and word[0].isalpha() else f"a{word}"


def _prefix(block: str) -> str:
    return f"HEADWORKS_{block.upper().replace('-', '_')}_"
