"""A dataset proposed from a look at its source: types, key, cursor and rules, each with what was seen of it.

Some thousand rows are read and nothing is landed. What is proposed is written for a person to read and correct: what
was seen of some rows need not hold of all. Rules that a later row may well break without being wrong (values that were
all that was seen, signs) are therefore proposed as warnings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl
import yaml

from headworks.errors import SettingsError, did_you_mean
from headworks.names import check_dataset
from headworks.sources.api.adding import ProposedApi
from headworks.sources.base import Source

SAMPLE = 5_000
"""So many rows are looked at."""
UNDECLARED = ""
"""The type of a column that has none which a declaration in YAML could give it: bytes, lists, objects, times of day."""

_FEW_VALUES, _ROWS_A_VALUE, _LONGEST = 12, 20, 40
_INT = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,10})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?Z")
_NEWER = re.compile(r"(updated|changed|modified|last_?modified|version|mtime)", re.IGNORECASE)
_SECRET = re.compile(r"password|secret|token|api_?key", re.IGNORECASE)
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class Column:
    """A column as it was seen."""

    name: str
    field: str
    type: str
    nulls: int
    distinct: int
    lowest: str = ""
    highest: str = ""
    values: tuple[str, ...] = ()
    negative: bool = False
    given: str = ""
    """The type that the source gives it."""

    @property
    def low_and_high(self) -> str:
        """The smallest and the largest value, in words."""
        return f"from {self.lowest} to {self.highest}" if self.lowest or self.highest else ""


@dataclass(frozen=True)
class Proposal:
    """A dataset as it is proposed: its declaration as YAML with the evidence as comments, and what goes with it."""

    name: str
    block: str
    kind: Literal["api", "database", "files"]
    source: Mapping[str, Any]
    rows: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    cursor: str | None
    key_evidence: str = "never null and never twice in these rows"
    """What speaks for the key, or against it."""
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def typed(self) -> bool:
        """Whether the source's columns have types of its own, of which text is one."""
        return self.kind == "database" or (self.kind == "files" and self.source.get("format") == "parquet")


def look(source: Source, rows: int = SAMPLE) -> pl.DataFrame:
    """Return the first rows that a source gives, what does not fit left out; raises what reading raises."""
    found: list[pl.DataFrame] = []
    with closing(_iterator(source)) as batches:
        for batch in batches:
            frame = batch.frame if isinstance(batch.frame, pl.DataFrame) else pl.DataFrame(batch.frame)
            found.append(frame)
            if sum(each.height for each in found) >= rows:
                break
    if not found or not sum(each.height for each in found):
        raise SettingsError("The source gives no rows to look at.", do="add it when there are some.")
    return pl.concat(found, how="diagonal_relaxed").head(rows)


def _iterator(source: Source) -> Any:
    return source.read(None, None)


def of_api(
    found: ProposedApi,
    rows: pl.DataFrame,
    *,
    block: str,
    variables: Mapping[str, str],
    key: tuple[str, ...] = (),
    cursor: str | None = None,
) -> Proposal:
    """Return the dataset of an API that was proposed, by rows that were read as proposed; says what is not known.

    ``key`` and ``cursor`` are a person's own choice, as columns or as fields of a record.
    """
    columns = columns_of(rows)
    notes = list(found.unknown)
    chosen = named(columns, key) if key else _key_of_api(found, columns, rows.height, notes)
    newest = named(columns, (cursor,))[0] if cursor else _cursor_of_api(found, columns, notes)
    own = {column.field: column for column in columns}
    for seen in found.columns:
        if seen.type in {"Datetime", "Date"} and seen.field in own and own[seen.field].type == "String":
            notes.append(
                f"how {seen.field} is to be read: {seen.evidence}; a Datetime is read from UTC with a Z alone, "
                "so it is a String here"
            )
    if "tombstone" not in found.resource and "arrays" not in found.resource:
        notes.append(
            "which records were deleted: nothing marks them; a run with mode=full finds what is gone"
        )
    if "incremental" not in found.resource and "delta" not in found.resource:
        notes.append(
            "how to ask for changes alone: each run reads all records, and lands what is new or changed"
        )
    return Proposal(
        name=found.name,
        block=block,
        kind="api",
        source=found.resource,
        rows=rows.height,
        columns=columns,
        key=chosen,
        cursor=newest,
        key_evidence=evidence_of_key(
            rows, columns, chosen, _whose(key, found.resource.get("key"), columns, chosen)
        ),
        evidence=found.evidence,
        notes=tuple(dict.fromkeys(f"Not known: {each}" for each in notes)),
        variables=variables,
    )


YOURS, OWN, SEEN = "your choice", "the source's own", "a guess"
"""Who chose a key: a person, the source by its primary key or a description, or a look at the rows."""


def _whose(
    person: tuple[str, ...], fields: Iterable[str] | None, columns: Iterable[Column], chosen: tuple[str, ...]
) -> str:
    by_field = {column.field: column.name for column in columns}
    if person:
        return YOURS
    return OWN if chosen and tuple(by_field.get(each, each) for each in fields or ()) == chosen else SEEN


def named(columns: Iterable[Column], names: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that a person named, by their own names or their fields'; raises `SettingsError`."""
    there = list(columns)
    known = {column.field: column.name for column in there} | {column.name: column.name for column in there}
    wanted = list(names)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise SettingsError(
            f"There is no column {missing[0]}.{did_you_mean(missing[0], known)}",
            where="--key, --cursor",
            do=f"choose from {', '.join(column.name for column in there)}.",
        )
    return tuple(known[name] for name in wanted)


def _key_of_api(
    found: ProposedApi, columns: tuple[Column, ...], rows: int, notes: list[str]
) -> tuple[str, ...]:
    """Return the key that the resource has, where its fields are columns that hold in all rows; else a guess."""
    own = {column.field: column for column in columns}
    fields = found.resource.get("key") or ()
    if fields and all(name in own for name in fields):
        parts = [own[name] for name in fields]
        if all(each.nulls == 0 for each in parts) and (len(parts) > 1 or parts[0].distinct == rows):
            return tuple(each.name for each in parts)
        notes.append(
            f"what identifies a record: {', '.join(fields)} is null or comes more than once in {rows:,} rows"
        )
    elif fields:
        notes.append(
            f"a column for the key {', '.join(fields)}, which is inside of an object: a dataset in Python can have one"
        )
    guessed = key_of(columns, rows)
    if guessed:
        notes.append(
            f"whether {guessed[0]} identifies a record: it was never null and never twice in {rows:,} rows"
        )
    return guessed


def _cursor_of_api(found: ProposedApi, columns: tuple[Column, ...], notes: list[str]) -> str | None:
    """Return the column whose larger value is newer: what the resource is asked by, else by its name."""
    by_column = {seen.name: seen.field for seen in found.columns}
    incremental = found.resource.get("incremental") or {}
    field_name = incremental.get("field") or by_column.get(found.cursor or "")
    seen = next((column for column in columns if column.field == field_name), None)
    if seen is not None and seen.type in {"Datetime", "Date", "Int64"} and seen.nulls == 0:
        return seen.name
    guessed = cursor_of(columns)
    if guessed is None:
        why = f"{field_name} cannot order them" if field_name else "no field says when a record changed"
        notes.append(f"which version of a record is newer: {why}, so the one that arrived later counts")
    return guessed


def columns_of(rows: pl.DataFrame, *, typed: bool = False) -> tuple[Column, ...]:
    """Return the columns of rows as they were seen: of JSON records their fields, else the columns of the source.

    Of a source with types of its own a text is more than a text only where it is a day or a moment.
    """
    if "record" in rows.columns and rows.schema["record"] in (pl.Binary(), pl.String()):
        return tuple(_records(rows.get_column("record").to_list()))
    names = [name for name in rows.columns if not name.startswith("_")]
    only = ("Date", "Datetime") if typed else None
    return tuple(_column(name, rows.get_column(name), only) for name in names)


def _records(records: Iterable[bytes | str | None]) -> Iterator[Column]:
    texts: dict[str, list[str | None]] = {}
    kinds: dict[str, set[str]] = {}
    count = 0
    for record in records:
        try:
            values = _decoder.decode(record or b"")
        except (msgspec.DecodeError, msgspec.ValidationError):
            continue
        for name, raw in values.items():
            decoded = json.loads(bytes(raw), parse_float=str, parse_int=str)
            kind = _json_kind(bytes(raw))
            if kind != "null":
                kinds.setdefault(name, set()).add(kind)
            seen = texts.setdefault(name, [])
            seen += [None] * (count - len(seen))
            seen.append(
                None if decoded is None else bytes(raw).decode() if kind == "nested" else _plain(decoded)
            )
        count += 1
    for name, seen in texts.items():
        series = pl.Series(name, seen + [None] * (count - len(seen)), dtype=pl.String)
        found = kinds.get(name, set())
        if "nested" in found:
            yield _described(name, series, "Json")
        elif found <= {"number"} or found <= {"true or false"}:
            yield _column(name, series)
        else:
            yield _column(name, series, only=("Date", "Datetime"))


def _json_kind(raw: bytes) -> str:
    first = raw.lstrip()[:1]
    if first in (b"{", b"["):
        return "nested"
    return {b'"': "text", b"n": "null", b"t": "true or false", b"f": "true or false"}.get(first, "number")


def _plain(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _column(name: str, values: pl.Series, only: tuple[str, ...] | None = None) -> Column:
    return _described(name, values, _type(values, only))


def _type(values: pl.Series, only: tuple[str, ...] | None) -> str:
    dtype = values.dtype
    if dtype != pl.String():
        return _of_frame(dtype)
    texts = values.drop_nulls().to_list()
    if not texts:
        return "String"
    ways: dict[str, Callable[[str], bool]] = {
        "Int64": lambda text: _INT.fullmatch(text) is not None,
        "Decimal": lambda text: _DECIMAL.fullmatch(text) is not None,
        "Boolean": lambda text: text.lower() in {"true", "false"},
        "Date": lambda text: _DATE.fullmatch(text) is not None,
        "Datetime": lambda text: _MOMENT.fullmatch(text) is not None,
    }
    for kind, fits in ways.items():
        if (only is None or kind in only) and all(map(fits, texts)):
            if kind != "Decimal":
                return kind
            scale = max(len(text.partition(".")[2]) for text in texts)
            whole = max(len(text.lstrip("-").partition(".")[0]) for text in texts)
            scale = max(2, scale) if scale else 0
            return f"Decimal({max(18, scale + 12, whole + scale + 2)},{scale})"
    if only is None and all(_is_number(text) for text in texts):
        return "Float64"
    return "String"


def _is_number(text: str) -> bool:
    """Return whether a text is a number that 64 bits hold without losing a digit."""
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", text):
        return False
    value = float(text)
    return isfinite(value) and Decimal(repr(value)) == Decimal(text)


def _of_frame(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"Decimal({dtype.precision or 38},{dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return "Datetime"
    if dtype.is_integer():
        return "Int64"
    if dtype.is_float():
        return "Float64"
    texts = (pl.String, pl.Categorical, pl.Enum, pl.Null)
    return {pl.Boolean: "Boolean", pl.Date: "Date"}.get(
        dtype.base_type(), "String" if dtype.base_type() in texts else UNDECLARED
    )


def _described(name: str, values: pl.Series, kind: str) -> Column:
    there = values.drop_nulls()
    comparable = there
    if kind in {"Int64", "Float64"} or kind.startswith("Decimal"):
        comparable = there.cast(pl.Float64, strict=False)
    distinct = there.n_unique() if kind != "Json" and not there.dtype.is_nested() else 0
    few: tuple[str, ...] = ()
    if kind == "String" and 0 < distinct <= _FEW_VALUES and there.len() >= distinct * _ROWS_A_VALUE:
        few = tuple(sorted(map(str, there.unique().to_list())))
        few = few if all(len(each) <= _LONGEST for each in few) else ()
    shown = kind not in {"Json", "Boolean"} and there.len() > 0 and not _SECRET.search(name)
    low = _shown(comparable.min()) if shown and not there.dtype.is_nested() else ""
    high = _shown(comparable.max()) if shown and not there.dtype.is_nested() else ""
    negative = bool(comparable.dtype.is_numeric() and comparable.len() and (comparable < 0).any())
    few = () if _SECRET.search(name) else few
    return Column(
        _snake(name), name, kind, values.null_count(), distinct, low, high, few, negative, str(there.dtype)
    )


def _shown(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _snake(name: str) -> str:
    word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    word = re.sub(r"\W+", "_", word).strip("_").lower()
    return word if word and not word[0].isdigit() else f"c_{word}"


def key_of(columns: Iterable[Column], rows: int) -> tuple[str, ...]:
    """Return the column that identifies a row: never null, never twice, best by its name; none where none does."""
    found = [each for each in columns if each.nulls == 0 and each.distinct == rows and rows > 1]
    found = [each for each in found if each.type in {"Int64", "String"}]
    ranked = sorted(
        found, key=lambda each: (each.name != "id", not each.name.endswith(("_id", "id", "_key", "_no")))
    )
    return (ranked[0].name,) if ranked else ()


def cursor_of(columns: Iterable[Column]) -> str | None:
    """Return the column whose larger value is newer, by its name and type; None where none is known by that."""
    named = [each for each in columns if _NEWER.search(each.name) and each.type in {"Datetime", "Int64"}]
    ranked = sorted(named, key=lambda each: (each.type != "Datetime", each.nulls))
    return ranked[0].name if ranked and ranked[0].nulls == 0 else None


def as_yaml(found: Proposal) -> str:
    """Return the declaration, with the evidence of each proposal as a comment."""
    lines = [
        f"# Proposed by headworks add {_WORD[found.kind]} from {found.rows:,} rows; read it and correct it.",
        *(f"# {_one_line(text)}" for text in (*found.evidence, *found.notes)),
        f"dataset: {found.name}",
        "owner: ''",
        "source:",
        f"  {found.kind}:",
        f"    block: {found.block}",
        f"    {_FIELD[found.kind]}: {_flow(found.source)}",
    ]
    if found.key:
        names = ", ".join(map(_name, found.key))
        lines.append(f"key: [{names}]  # {found.key_evidence}")
    else:
        lines.append("key: []  # nothing that was seen identifies a row: name the columns that do")
    if found.cursor:
        lines.append(f"cursor: {_name(found.cursor)}  # by its name: the larger value is the newer version")
    lines.append("columns:")
    for column in found.columns:
        if column.type == UNDECLARED:
            lines.append(
                f"  # {column.name}, a {column.given}, is in bronze; YAML has no type for it, a dataset in Python has"
            )
            continue
        lines += [
            f"  # {_evidence(column, found.rows)}",
            f"  {_name(column.name)}: {_flow(_declared(column, found))}",
        ]
    lines += [
        f"contract: ../contracts/silver_{found.name.replace('.', '_')}.yml",
        "# What is promised of it, for headworks status:",
        "# freshness: {committed_within_h: 26}",
    ]
    return "\n".join(lines) + "\n"


_WORD = {"api": "api", "database": "table", "files": "files"}
_FIELD = {"api": "resource", "database": "table", "files": "files"}


def _declared(column: Column, found: Proposal) -> dict[str, Any]:
    declared: dict[str, Any] = {"type": column.type}
    if found.typed and column.given == "String" and column.type != "String":
        declared["text"] = True
    if column.field != column.name:
        declared["field"] = column.field
    if column.nulls == 0 and (column.name in found.key or column.name == found.cursor or found.rows >= 100):
        declared["required"] = True
    if column.name not in found.key and _is_a_number(column) and not column.negative and column.distinct > 1:
        declared |= {"minimum": 0, "warns": True}
    if column.values:
        declared |= {"values": list(column.values), "warns": True}
    return declared


def _is_a_number(column: Column) -> bool:
    return column.type in {"Int64", "Float64"} or column.type.startswith("Decimal")


def _evidence(column: Column, rows: int) -> str:
    text = f"{column.nulls:,} of {rows:,} null"
    if column.distinct:
        text += f", {column.distinct:,} different"
    if column.low_and_high:
        text += f", {column.low_and_high}"
    return text


def contract_of(found: Proposal) -> str:
    """Return a contract for each batch that is to become silver: what must be there."""
    must = [
        each.name
        for each in found.columns
        if each.type != UNDECLARED and (_declared(each, found).get("required") or each.name in found.key)
    ]
    lines = [
        f"# What must hold of each batch of {found.name} that is to become silver.",
        f"dataset: lake/silver/{found.name.replace('.', '_')}",
        "",
        "columns:",
    ]
    for name in must:
        lines += [f"  - name: {_name(name)}", "    checks:", "      - missing:"]
    lines += ["", "checks:", "  - row_count:", "      threshold:", "        must_be_greater_than: 0"]
    return "\n".join(lines) + "\n"


def test_of(found: Proposal, package: str) -> str:
    """Return a test of the declaration, to be extended with rows that must pass and rows that must not."""
    word = found.name.replace(".", "_")
    return f'''"""What is declared of {found.name}: add rows that must pass, and rows that must be rejected."""

from __future__ import annotations

from {package}.project import PROJECT


def test_{word}_is_declared_and_filled() -> None:
    dataset = PROJECT.dataset("{found.name}")
    assert dataset.key == {_tuple(found.key)}
    assert [source.block for source in PROJECT.sources if source.into == dataset.name] == ["{found.block}"]
'''


def _tuple(names: tuple[str, ...]) -> str:
    inner = ", ".join(f'"{name}"' for name in names)
    return f"({inner},)" if len(names) == 1 else f"({inner})"


def deployment_of(found: Proposal) -> str:
    """Return an entry of prefect.yaml that lands the source by itself, between two runs of a product."""
    place = {
        "api": ("ingest_api", {"api": found.block, "resource": found.source}),
        "database": ("ingest_database", {"database": found.block, "table": found.source}),
        "files": ("ingest_files", {"location": found.block, **found.source}),
    }
    flow, parameters = place[found.kind]
    shown = _flow({"dataset": found.name, **parameters, "mode": "incremental", "on_conflict": "refuse"})
    name = f"ingest-{found.name.replace('.', '-').replace('_', '-')}"
    return f"""
  # Lands {found.name} alone; a product that reads it lands it too. Give it a schedule if it has to come more often.
  - <<: *pipeline
    name: {name}
    description: |
      Land what is new in {found.name}.
    entrypoint: flows.{flow}.{flow}
    tags: [headworks, ingest]
    parameters: {shown}
    schedules: []
"""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def write(found: Proposal, folder: Path, package: str) -> list[Path]:
    """Write dataset, contract and test, and append to prefect.yaml and .env.example; returns what was written.

    Raises `SettingsError` where the dataset is declared already or has no key, and writes nothing then.
    """
    check_dataset(found.name)
    if not found.key:
        raise SettingsError(
            "Nothing that was seen identifies a row, and a dataset needs a key.",
            where=found.name,
            do=f"name its columns: --key COLUMN, once for each. There are {_candidates(found)}.",
        )
    word = found.name.replace(".", "_")
    home = folder / "src" / package
    new = {
        home / "datasets" / f"{word}.yml": as_yaml(found),
        home / "contracts" / f"silver_{word}.yml": contract_of(found),
        folder / "tests" / f"test_{word}.py": test_of(found, package),
    }
    there = [file for file in new if file.exists()]
    if there:
        raise SettingsError(
            f"{found.name} is declared already.",
            where=str(there[0]),
            do="give another name with --name, or delete it.",
        )
    for file, text in new.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    written = [*new]
    deployments = folder / "prefect.yaml"
    if deployments.exists() and "&pipeline" in deployments.read_text(encoding="utf-8"):
        _append(deployments, deployment_of(found))
        written.append(deployments)
    example = folder / ".env.example"
    known = example.read_text(encoding="utf-8") if example.exists() else ""
    missing = [
        f"{name}={_variable(value)}" for name, value in found.variables.items() if f"{name}=" not in known
    ]
    if missing:
        _append(example, "\n" + "\n".join(missing) + "\n")
        written.append(example)
    return written


def evidence_of_key(rows: pl.DataFrame, columns: Iterable[Column], key: Iterable[str], chosen: str) -> str:
    """Return whose choice a key is, and what of it was seen in the rows: as it holds there, or how often it does not.

    ``chosen`` says who chose it, such as ``your choice``.
    """
    fields = {column.name: column.field for column in columns}
    wanted = [fields.get(name, name) for name in key]
    if "record" in rows.columns and rows.schema["record"] in (pl.Binary(), pl.String()):
        parts = [_parts_of(record, wanted) for record in rows.get_column("record").to_list()]
        values = pl.DataFrame(parts, schema=dict.fromkeys(wanted, pl.String()), orient="row")
    elif {*wanted} <= {*rows.columns}:
        values = rows.select(wanted)
    else:
        return chosen
    whole = values.drop_nulls()
    lacking, again = values.height - whole.height, whole.height - whole.n_unique()
    against = [
        *([f"null in {lacking:,} of {values.height:,} rows, which are rejected"] if lacking else []),
        *([f"{again:,} rows have the key of another: of those the newest counts"] if again else []),
    ]
    if not against:
        return f"{chosen}: never null and never twice in {values.height:,} rows"
    return f"{chosen}, and it does not identify a row here: {'; '.join(against)}"


def _parts_of(record: bytes | str | None, fields: Iterable[str]) -> tuple[str | None, ...]:
    """Return the parts of a record's key as they are written in it; None for what is null or not there."""
    try:
        values = _decoder.decode(record or b"")
    except (msgspec.DecodeError, msgspec.ValidationError):
        values = {}
    parts = (bytes(values[name]).decode() if name in values else None for name in fields)
    return tuple(None if part == "null" else part for part in parts)


def _candidates(found: Proposal) -> str:
    """Return the columns by how many different values they have."""
    ranked = sorted(found.columns, key=lambda each: (-each.distinct, each.nulls))
    return ", ".join(f"{each.name} ({each.distinct:,} different)" for each in ranked)


def _variable(value: str) -> str:
    """Return a value as a file of variables has it."""
    return f"'{value}'" if re.search(r"[\s\"#$]", value) and "'" not in value else value


def _append(file: Path, text: str) -> None:
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    file.write_text(before.rstrip("\n") + "\n" + text, encoding="utf-8")


def _name(name: str) -> str:
    """Return a name as YAML: in quotes where it would be read as something else, such as on, no or null."""
    return name if yaml.safe_load(name) == name else json.dumps(name)


def _flow(value: Any) -> str:
    """Return a value as YAML in one line: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False, default=str)
