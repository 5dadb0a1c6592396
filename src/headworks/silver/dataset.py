"""How a dataset is declared: its key, its typed columns, its rules, and what it refers to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import dataframely as dy
import polars as pl

from headworks.bronze.nested import Nested
from headworks.errors import SettingsError
from headworks.names import check_dataset
from headworks.quality.limits import AnomalyLimits
from headworks.settings import RejectLimits
from headworks.sources.repeated import REPEATED
from headworks.storage.drift import stored

_WITH_NULL = re.compile(r"(?:[=!]=|[<>]=?) \(null\)|\(null\) (?:[=!]=|[<>]=?) ")
"""A comparison with null itself, as Polars writes it; ``eq_missing`` reads ``==v``."""

CURSOR, ARRIVAL = "_cursor", "_arrival"
PROVENANCE = pl.Schema(
    {
        CURSOR: pl.Int64(),
        ARRIVAL: pl.Int64(),
        "_ingested_at": pl.Datetime("us", "UTC"),
        "_stream": pl.String(),
        "_sequence": pl.Int64(),
        "_row": pl.Int64(),
    }
)
"""What orders the versions of a key, from the most to the least significant: the newest has the largest values.

Arrival is the order in which bronze got the rows, and comes from its commits, not from clocks: within a stream it is
that of the sequence and the row, and of two streams it is the order of their commits. The cursor is kept as a whole
number where it is one, a date or a moment, and else as what it is, see `cursor_type`.
"""

BATCH = 2**32
"""How many places in the order of arrival a batch has."""

ORIGIN = ("_stream", "_sequence", "_row")
"""What names one row of bronze."""

DELETED = "_deleted"
"""Marks tombstones in silver, and in bronze where the source says that a record was deleted."""

VOID = "_void_until"
"""Which rows of a key a deletion has ended in silver: those that arrived until then. Null where there was none."""

OWN = (*PROVENANCE, DELETED, VOID)
"""The columns of silver that are no column of a dataset."""

VALID_FROM, VALID_TO, CURRENT = "valid_from", "valid_to", "current"
"""The columns that a history has alongside the declared ones."""

AfterAHold = Literal["wait", "merge", "pass"]
"""What becomes of later deliveries while one is held: nothing, or merged and not published, or merged and published."""

Keeping = Literal["newest", "first", "history"]
"""What silver keeps of the versions of a key: the newest one, the first one that came, or every one with its time."""


_OWN_REASONS = ("record|unreadable", REPEATED, "cursor|future")
"""Reasons that no rule of a schema gives."""


@dataclass(frozen=True)
class Reference:
    """Columns that must be the key of a row in another dataset; a row without it waits in quarantine for it.

    Where the reference is ``optional``, a row in which one of the columns is null refers to nothing and waits for
    nothing. Left out, it is so if the schema lets one of the columns be null.

    Args:
        columns: of this dataset, in the order of ``parent_columns``.
        parent: the other dataset's name.
        parent_columns: its key.
        reason: the reason that a row gets which waits.

    Example:
        >>> Reference(("order_id",), "shop.orders", ("order_id",), "no_order").parent
        'shop.orders'
    """

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    reason: str
    optional: bool | None = None


@dataclass(frozen=True)
class Agreement:
    """A rule over a row and the rows that it refers to; a row that breaks it is rejected, and judged again later.

    ``holds`` is an expression over the row's columns and its parents', these named ``<dataset>.<column>``:
    ``pl.col("price") <= 10 * pl.col("shop.products.price")``. As in any rule, null passes. A parent that changes once
    its row was accepted takes nothing back.

    Args:
        reason: the reason that a row gets which disagrees.

    Example:
        >>> dear = pl.col("price") <= 10 * pl.col("shop.products.price")
        >>> Agreement("price_of_the_catalogue", dear).reason
        'price_of_the_catalogue'
    """

    reason: str
    holds: pl.Expr

    def of(self, parent: str) -> list[str]:
        """Return the columns of a parent that the rule looks at."""
        names = dict.fromkeys(self.holds.meta.root_names())
        return [name.removeprefix(f"{parent}.") for name in names if name.startswith(f"{parent}.")]


@dataclass(frozen=True)
class Dataset:
    """Declares a silver dataset.

    ``columns`` maps each silver column to an expression over bronze's columns, or over ``fields`` for API records. A
    value that is there and becomes null by its expression is rejected as ``<column>|unreadable``. ``schema`` holds the
    types and rules, ``cursor`` the column whose larger value is newer.

    ``contract`` must hold for each batch of accepted rows, ``table_contract`` for the table after the merge with them;
    it sees the silver tables of ``contract_sees`` alongside it, as ``silver.shop_orders``.

    ``keeps`` says what silver keeps of the versions of a key: ``newest`` merges by key, ``first`` appends and never
    changes a row again, ``history`` keeps every version with the time in which it was valid (SCD type 2); it needs a
    cursor, which says from when on. With ``first`` a row is changed only by its deletion, and by its return after that.
    ``agreements`` hold rows against those that they refer to. ``deleted_when`` is true
    for a record that says its key is gone; such a tombstone needs nothing but its key, and the last values are kept.
    ``warnings`` names rules that a row may break: it is counted and reported, and goes through. ``reason_texts`` says
    for people what a rule means. ``nested`` says that the records are the elements of an array in another dataset's
    records, and
    ``fields`` are then those of an element.

    Silver follows a declaration that changes: new columns are empty in the rows that are there, and types grow. What
    would change a value is refused. ``dropped`` names columns that silver had and that are taken out of it for good.

    A JSON record that gives a name twice with different values, at any depth, is rejected, unless ``repeated_names``
    is ``last``: then the last value counts, as in most parsers.

    ``after_a_hold`` says what becomes of later deliveries while the gate holds one. ``wait``: nothing, until somebody
    has decided. ``merge``: each is judged alone and merged into silver, and the gate stays closed, so that nothing is
    published without the rows that are held. ``pass``: so, and the gate is open with a warning. Left out, it is
    ``merge`` where the newest version of a key wins, since the order of arrival does not matter there, else ``wait``.

    Args:
        name: lower-case words with dots, such as ``crm.contacts``; its table is ``silver.crm.contacts``.
        key: the columns that identify a row.
        references: rows of other datasets that must be there.
        limits: how many rejected rows close the gate.
        anomalies: how far a batch may be from the good ones before it.

    Raises `NameRefused` for a name, and `SettingsError` for what does not fit together, such as a history without a
    cursor.

    Example:
        >>> class Contact(dy.Schema):
        ...     id = dy.Int64(nullable=False)
        ...     mail = dy.String(nullable=False)
        >>> contacts = Dataset(
        ...     "crm.contacts",
        ...     key=("id",),
        ...     schema=Contact,
        ...     columns={"id": pl.col("id").cast(pl.Int64), "mail": pl.col("mail")},
        ... )
        >>> contacts.row_key
        ('id',)
        >>> Dataset("Contacts", key=("id",), schema=Contact, columns={})
        Traceback (most recent call last):
        headworks.errors.NameRefused: ...
    """

    name: str
    key: tuple[str, ...]
    schema: type[dy.Schema]
    columns: Mapping[str, pl.Expr]
    fields: tuple[str, ...] = ()
    cursor: str | None = None
    references: tuple[Reference, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    contract: Path | None = None
    table_contract: Path | None = None
    contract_sees: tuple[str, ...] = ()
    limits: RejectLimits = field(default_factory=RejectLimits)
    anomalies: AnomalyLimits = field(default_factory=AnomalyLimits)
    keeps: Keeping = "newest"
    deleted_when: pl.Expr | None = None
    warnings: tuple[str, ...] = ()
    reason_texts: Mapping[str, str] = field(default_factory=dict)
    nested: Nested | None = None
    dropped: tuple[str, ...] = ()
    repeated_names: Literal["refuse", "last"] = "refuse"
    after_a_hold: AfterAHold | None = None

    def __post_init__(self) -> None:
        """Check the declaration against itself, so that a slip shows at import and not in the night."""
        check_dataset(self.name)
        if self.keeps == "history" and self.cursor is None:
            raise SettingsError(
                "A history needs to know from when on a version is valid.",
                where=self.name,
                do="name the column as cursor.",
            )
        if self.keeps == "first" and self.after_a_hold in {"merge", "pass"}:
            raise SettingsError(
                "Of a key the version that came first is kept: what comes while an earlier delivery is held would take "
                "its place.",
                where=self.name,
                do='leave after_a_hold out, or set it to "wait".',
            )
        missing = set(self.schema.column_names()) ^ set(self.columns)
        wrong_keys = set(self.key) - set(self.columns)
        if missing or wrong_keys or not self.key:
            at_fault = ", ".join(sorted(missing | wrong_keys)) or "no key"
            raise SettingsError(
                f"The columns, the schema and the key do not fit: {at_fault}.",
                where=self.name,
                do="give each column of the schema an expression, and make the key out of them.",
            )
        own = (VALID_FROM, VALID_TO, CURRENT) if self.keeps == "history" else ()
        kept = [name for name in self.columns if name in {*OWN, *own}]
        if kept:
            raise SettingsError(
                f"Silver keeps columns of these names for itself: {', '.join(kept)}.",
                where=self.name,
                do="give the columns other names; their expressions may read a column or field of any name.",
            )
        self._check_names()
        self._check_rules()
        self._check_moves()
        for agreement in self.agreements:
            self._check_agreement(agreement)
        for contract in (self.contract, self.table_contract):
            if contract is not None:
                check_contract(contract, self.name)

    @property
    def hold_policy(self) -> AfterAHold:
        """What becomes of later deliveries while one is held."""
        return self.after_a_hold or ("merge" if self.keeps == "newest" else "wait")

    @property
    def missing_reasons(self) -> list[str]:
        """The reasons that say that a parent is missing."""
        return [reference.reason for reference in self.references]

    def is_optional(self, reference: Reference) -> bool:
        """Return whether a null in a reference's columns means that there is no parent."""
        if reference.optional is not None:
            return reference.optional
        columns = self.schema.columns()
        return any(columns[name].nullable for name in reference.columns if name in columns)

    @property
    def waiting_reasons(self) -> list[str]:
        """The reasons that a later row of another dataset can take away."""
        return self.missing_reasons + [agreement.reason for agreement in self.agreements]

    @property
    def reasons(self) -> list[str]:
        """The reasons for which a row of the dataset can be rejected, but for those that its source gives."""
        unreadable = [f"{name}|unreadable" for name in self.columns]
        rules = [*self.schema._validation_rules(with_cast=False)]
        return [*rules, *self.waiting_reasons, *unreadable, *_OWN_REASONS]

    def compared_columns(self, parent: str) -> tuple[str, ...]:
        """Return the columns of a parent that rows are held against."""
        return tuple(dict.fromkeys(name for one in self.agreements for name in one.of(parent)))

    def silver_schema(self) -> pl.Schema:
        """Return the columns of the silver table: the typed ones, provenance, and the tombstone's mark.

        Raises `SettingsError` for a column of a type that no table has.
        """
        declared = {name: column.dtype for name, column in self.schema.columns().items()}
        typed = {name: kept for name, dtype in declared.items() if (kept := stored(dtype)) is not None}
        if unheld := [f"{name} ({declared[name]})" for name in declared if name not in typed]:
            raise SettingsError(
                f"No table has a type for these columns: {', '.join(unheld)}.",
                where=self.name,
                do="declare them as text, as numbers or as moments.",
            )
        ordering = {**PROVENANCE, CURSOR: self.cursor_type()}
        return pl.Schema(
            {**typed, **self._validity(typed), **ordering, DELETED: pl.Boolean(), VOID: pl.Int64()}
        )

    def cursor_type(self) -> pl.DataType:
        """Return the type in which the cursor orders versions, which holds each of its values exactly."""
        declared = self.schema.columns()[self.cursor].dtype if self.cursor is not None else pl.Int64()
        kept = stored(declared)
        if kept is None or kept.is_integer() or kept.is_temporal() or kept in {pl.Boolean(), pl.String()}:
            return pl.String() if kept == pl.String() and not isinstance(declared, pl.Enum) else pl.Int64()
        return pl.Float64() if kept.is_float() else kept

    @property
    def row_key(self) -> tuple[str, ...]:
        """The columns that name one row of silver: the key, and in a history the version's beginning."""
        return (*self.key, VALID_FROM) if self.keeps == "history" else self.key

    @property
    def owner(self) -> tuple[str, ...]:
        """The columns that say in whose array a nested row is.

        They are those that refer to the parent; without a reference those of the key that the parent gives, or else
        all that it gives.
        """
        if self.nested is None:
            return ()
        given = [name for name in self.columns if self._is_given(name)]
        to_parent = [
            one.columns
            for one in self.references
            if one.parent == self.nested.parent and {*one.columns} <= {*given}
        ]
        if to_parent:
            return next((names for names in to_parent if {*names} <= {*self.key}), to_parent[0])
        in_key = tuple(name for name in self.key if name in given)
        return in_key or tuple(name for name in given if name != self.cursor)

    @property
    def can_move(self) -> bool:
        """Whether a nested row may become another parent's: its key does not say whose it is."""
        return not {*self.owner} <= {*self.key}

    @property
    def keeps_first_elements(self) -> bool:
        """Whether rows are elements of arrays and keep the values that they came with."""
        return self.nested is not None and self.keeps == "first"

    @property
    def has_parents_order(self) -> bool:
        """Whether nested rows have the cursor of their parent, by which its versions are ordered."""
        return self.nested is not None and self.cursor is not None and self._is_given(self.cursor)

    def _is_given(self, name: str) -> bool:
        """Return whether a column is made of what the parent gives its elements alone."""
        made_of = {*self.columns[name].meta.root_names()}
        return self.nested is not None and bool(made_of) and made_of <= {*self.nested.given}

    def _check_moves(self) -> None:
        """Refuse keys that do not say whose an element is, where it could not be said what ends it."""
        if self.nested is None or not self.can_move:
            return
        refers = any(one.columns == self.owner for one in self.references)
        if len(self.owner) > 1 and not refers:
            raise SettingsError(
                f"The key does not say in whose array a row is, and of {', '.join(self.owner)} it is not known which "
                f"are the key of {self.nested.parent}.",
                where=self.name,
                do=f"add the parent's key to the key, or declare a Reference to {self.nested.parent}.",
            )
        if self.keeps == "first" or (self.keeps == "history" and self.has_parents_order):
            raise SettingsError(
                f"The key does not say in whose array a row is, and keeps={self.keeps!r} does not know what ends a row "
                "that may have moved to another parent.",
                where=self.name,
                do=f"add {', '.join(self.owner)} to the key, or keep the newest versions.",
            )

    def _check_names(self) -> None:
        """Refuse names of columns, rules and datasets that there are none of, each with those that there are."""
        columns, rules = [*self.columns], [*self.schema._validation_rules(with_cast=False)]
        if self.cursor is not None:
            self._refuse_unknown("cursor", [self.cursor], columns, "columns")
        for reference in self.references:
            named = f"reference {reference.reason!r}"
            check_dataset(reference.parent)
            self._refuse_unknown(named, reference.columns, columns, "columns")
            if len(reference.columns) != len(reference.parent_columns) or not reference.columns:
                raise SettingsError(
                    f"The {named} names {len(reference.columns)} columns here and "
                    f"{len(reference.parent_columns)} of {reference.parent}.",
                    where=self.name,
                    do="name as many columns as the parent's key has, in its order.",
                )
        for name in self.contract_sees:
            check_dataset(name)
        self._refuse_unknown("warnings", self.warnings, rules, "rules")
        self._refuse_unknown("reason_texts", self.reason_texts, self.reasons, "rules and reasons")
        if both := [name for name in self.dropped if name in self.columns]:
            raise SettingsError(
                f"Columns are declared, and named as dropped: {', '.join(both)}.",
                where=self.name,
                do="take them out of one of the two.",
            )

    def _check_rules(self) -> None:
        """Refuse a rule that compares with null itself: it holds for no row and breaks for none, so each row passes."""
        written = {
            name: str(rule.expr) for name, rule in self.schema._validation_rules(with_cast=False).items()
        }
        if void := [name for name, text in written.items() if _WITH_NULL.search(text)]:
            raise SettingsError(
                f"Rules compare with null, which says nothing, so every row would pass: {', '.join(void)}.",
                where=self.name,
                do="write is_null() or is_not_null(), or eq_missing and ne_missing, which take null for a value.",
            )

    def _refuse_unknown(self, what: str, named: Iterable[str], known: Sequence[str], kind: str) -> None:
        unknown = [name for name in named if name not in known]
        if unknown:
            raise SettingsError(
                f"{what} names what there is not: {', '.join(unknown)}.",
                where=self.name,
                do=f"use one of its {kind}: {', '.join(known)}.",
            )

    def _check_agreement(self, agreement: Agreement) -> None:
        parents = [reference.parent for reference in self.references]
        theirs = {f"{parent}.{name}" for parent in parents for name in agreement.of(parent)}
        unknown = sorted({*agreement.holds.meta.root_names()} - {*self.columns} - theirs)
        if unknown:
            raise SettingsError(
                f"The agreement {agreement.reason!r} looks at what it cannot see: {', '.join(unknown)}.",
                where=self.name,
                do="name columns of the dataset, or <dataset>.<column> of one that it refers to.",
            )
        if not theirs:
            raise SettingsError(
                f"The agreement {agreement.reason!r} looks at no row that is referred to, and would not be asked.",
                where=self.name,
                do="make it a rule of the schema, or name <dataset>.<column> of a dataset that is referred to.",
            )
        ambiguous = sorted(
            parent for parent in {*parents} if agreement.of(parent) and parents.count(parent) > 1
        )
        if ambiguous:
            raise SettingsError(
                f"The agreement {agreement.reason!r} does not say which row of {', '.join(ambiguous)} it means.",
                where=self.name,
                do="compare with datasets that are referred to once.",
            )

    def _validity(self, typed: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
        if self.keeps != "history" or self.cursor is None:
            return {}
        moment = typed[self.cursor]
        return {VALID_FROM: moment, VALID_TO: moment, CURRENT: pl.Boolean()}


def check_contract(contract: Path, where: str) -> None:
    """Raise `SettingsError` for a contract that is not there, with those that lie in its folder."""
    if contract.is_file():
        return
    there = sorted(file.name for file in contract.parent.glob("*.y*ml")) if contract.parent.is_dir() else []
    raise SettingsError(
        f"There is no contract {contract.name} in {contract.parent}.",
        where=where,
        do=f"write it, or use one of those that are there: {', '.join(there) or 'none'}.",
    )


def refuse_unknown_datasets(datasets: Mapping[str, Dataset]) -> None:
    """Raise `SettingsError` where a dataset refers to one that is not among them: its rows would wait for ever."""
    for dataset in datasets.values():
        named = [reference.parent for reference in dataset.references] + [*dataset.contract_sees]
        named += [dataset.nested.parent] if dataset.nested else []
        if unknown := sorted({*named} - {*datasets}):
            raise SettingsError(
                f"It refers to datasets that are not declared: {', '.join(unknown)}.",
                where=dataset.name,
                do=f"use one of {', '.join(datasets)}, or declare it.",
            )
