"""The run report: one typed model that every number shown about a run comes from."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

RunStatus = Literal["published", "landed", "unchanged", "dry run", "gate closed", "refused", "failed"]

RUN_LINK = "This run in the Prefect UI"
"""The name of the link to a run's page, where a run has one."""


class Report(BaseModel):
    """The base of all reports: frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TableRef(Report):
    """A table at one version: what tasks hand to each other instead of frames."""

    table: str = Field(description="Layer and dataset, such as silver.shop.orders.")
    version: int = Field(description="The Delta version.")
    change: int = Field(
        default=0,
        description="How often the table's rows changed; commits without rows do not count.",
    )
    uri: str = Field(default="", description="Where the table lies.")
    id: str = Field(
        default="", description="The table's own id: made again in the same place, a table has another."
    )


class LandingReport(Report):
    """What one landing did: records read from a source and landed in one stream of bronze."""

    dataset: str
    stream: str
    table: TableRef
    read: int = 0
    landed: int = 0
    refused: int = Field(default=0, description="Fit no row: kept in bronze with the reason and their bytes.")
    repeated: int = Field(default=0, description="Read again and recognised before landing.")
    would_land: int = Field(default=0, description="Read by a dry run, which lands nothing.")
    batches: int = 0
    first_sequence: int = 0
    last_sequence: int = 0
    generation: int = Field(default=0, description="Number of the full read, 0 for an incremental one.")
    keys_noted: int = Field(default=0, description="Keys of the source that were noted to find deletions by.")
    missing: int = Field(default=0, description="Of these keys, those that bronze has never seen.")
    null_cursor: int = Field(
        default=0,
        validation_alias=AliasChoices("null_cursor", "unplaced"),
        description="Rows without a cursor value, which only a full read takes; seen by this run.",
    )
    later: int = Field(
        default=0,
        description="Rows whose cursor lies after what this run could read: within the commit lag, after the beginning "
        "of a transaction that runs, or in the future. Later runs take them when their time has come.",
    )
    ahead: int = Field(
        default=0, description="Of these rows, those whose cursor lies after the present of the database."
    )
    position: dict[str, Any] | None = None
    pages: int = Field(default=0, description="Pages or files that were read.")
    requests: int = Field(default=0, description="Requests that it took.")
    retries: int = Field(default=0, description="Requests that were tried again.")
    expected: int | None = Field(default=None, description="Records that the source announced, if it did.")
    shown: bool | None = Field(
        default=None,
        description="Whether the reading is shown to be complete; none where the source says nothing.",
    )
    warnings: tuple[str, ...] = Field(default=(), description="What people should know about the source.")
    left_out: dict[str, int] = Field(
        default_factory=dict, description="What was there and was not read, by reason, such as hidden files."
    )

    @property
    def unplaced(self) -> int:
        """Rows with a null cursor, by the name of 0.1; it goes with 0.3."""
        return self.null_cursor


class RefineReport(Report):
    """What one refinement did: a range of bronze judged and merged into silver."""

    dataset: str
    table: TableRef
    landed: int = Field(default=0, description="Rows in the range.")
    released: int = Field(default=0, description="Rows that had waited in quarantine and passed now.")
    rejected: int = 0
    reasons: dict[str, int] = Field(
        default_factory=dict,
        description="Rejected rows by reason; a row may have several.",
    )
    warned: dict[str, int] = Field(
        default_factory=dict,
        description="Accepted rows that break a rule which only warns, by rule.",
    )
    superseded: int = 0
    unchanged: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = Field(default=0, description="Keys that a complete full read no longer showed.")
    returned: int = Field(
        default=0, description="Keys that an earlier full read did not show, and this one does."
    )
    unidentified: int = Field(
        default=0,
        description="Records of the full read whose key cannot be read; while there are any, no key is deleted.",
    )
    waiting: int = Field(default=0, description="Rows in quarantine that wait for the row they refer to.")
    elsewhere: int = Field(
        default=0,
        description="Rejected rows that lack only the row they refer to, which may lie in another window.",
    )
    known: int = Field(
        default=0, description="Rejected rows whose very record was rejected before, by an earlier run."
    )
    followed: int = Field(
        default=0,
        description="Rejected versions of a history that a newer accepted version of their key follows.",
    )
    held: int = Field(
        default=0, description="Rows of deliveries that the gate holds, from this run and earlier ones."
    )
    pending: int | None = Field(
        default=None,
        description="Rows that the deliveries had which this run judged, and those that waited behind them; None where "
        "that was not counted: in a dry run, of elements of arrays, and while a held delivery lets nothing be judged.",
    )
    newly_held: int = Field(
        default=0, description="Of these, rows of deliveries that the gate holds since this run."
    )
    behind: int = Field(
        default=0,
        description="Of these, rows that wait for the next run: behind a held delivery, or not answered.",
    )
    committed: bool = False
    columns: tuple[str, ...] = Field(
        default=(),
        description="Columns of silver that changed with the declaration, before this range was merged.",
    )

    @property
    def accepted(self) -> int:
        """Rows of the range, or released, that changed silver."""
        return self.inserted + self.updated

    @property
    def changed(self) -> bool:
        """Return whether silver's rows changed."""
        return self.accepted + self.deleted + self.returned > 0


class ReplayReport(Report):
    """What a replay did: each kept row that was judged again became exactly one thing."""

    dataset: str
    table: TableRef
    records: int = Field(default=0, description="Rejected records that were chosen, each counted once.")
    judged: int = Field(default=0, description="Kept rows of theirs that were judged again.")
    inserted: int = 0
    updated: int = 0
    superseded: int = Field(
        default=0, description="Passed, and silver or another of them has a newer version."
    )
    unchanged: int = Field(default=0, description="Passed, and silver has the same values already.")
    still_rejected: int = 0
    reasons: dict[str, int] = Field(default_factory=dict, description="Why rows are still rejected.")
    committed: bool = False

    @property
    def released(self) -> int:
        """Rows that became part of silver."""
        return self.inserted + self.updated


class CheckReport(Report):
    """One check and its outcome, as kept in ``ops.checks``."""

    scope: str = Field(description="The table that the candidate was for.")
    name: str
    kind: str = Field(description="contract, limit, total, account, vanished, key, type, held or anomaly.")
    outcome: Literal["passed", "failed", "warned", "not evaluated", "error", "cold start", "accepted"]
    detail: str = ""
    severity: Literal["critical", "warning"] = Field(
        default="critical", description="What a failure of it does: critical stops the run, warning alerts."
    )
    value: float | None = Field(default=None, description="What was measured, where it is one number.")
    expected: float | None = Field(default=None, description="What was expected in its place.")


class GateReport(Report):
    """The gate's decision about one candidate, with everything that it looked at."""

    scope: str
    open: bool
    checks: tuple[CheckReport, ...] = ()
    reasons: tuple[str, ...] = Field(
        default=(), description="Why the gate is closed; empty where it is open."
    )


class Parts(Report):
    """How much of a gold table with ``by`` was made again."""

    touched: int = Field(default=0, description="Parts that changes of silver touch.")
    of: int = Field(default=0, description="Parts that there are.")
    rows: int = Field(default=0, description="Rows that were made again.")
    whole: str = Field(default="", description="Why the table was made whole; empty where it was not.")
    compared: bool = Field(default=False, description="It was made by parts and whole, and came to the same.")

    @property
    def text(self) -> str:
        """How much was made again, as people read it."""
        if self.whole:
            return f"whole: {self.whole}"
        equal = ", equal to the whole" if self.compared else ""
        return f"{self.touched} of {self.of} parts, {self.rows} rows{equal}"


class CurateReport(Report):
    """What became of one gold table."""

    table: TableRef
    rows: int
    changed: bool
    totals: dict[str, str] = Field(
        default_factory=dict, description="Declared totals, equal in silver and gold."
    )
    parts: Parts | None = Field(default=None, description="Of a table with ``by``: how much was made again.")


class PublishedRows(Report):
    """What became of one published table."""

    table: str = Field(description="Schema and table.")
    dataset: str = Field(default="", description="The gold table that it shows.")
    rows: int = Field(description="Rows now visible.")
    inserted: int = 0
    removed: int = 0
    compared: str = Field(
        default="",
        description="Why all rows were sent and compared; empty where only those that differ were written.",
    )
    warnings: tuple[str, ...] = Field(default=(), description="Columns that are there and not of gold.")


class PublishReport(Report):
    """What became of one publication."""

    target: str = Field(description="Where to, without credentials.")
    product: str
    sequence: int
    tables: tuple[PublishedRows, ...] = ()
    changed: bool = False
    gates: tuple[GateReport, ...] = Field(
        default=(), description="What the contracts said of the tables before they could be seen."
    )
    warnings: tuple[str, ...] = Field(default=(), description="What people should know about the tables.")

    @property
    def rows(self) -> int:
        """Rows now visible in all tables."""
        return sum(table.rows for table in self.tables)


class DecisionReport(Report):
    """What a person decided: about what, who, and why."""

    about: str = Field(description="A table, a delivery, a product, a stream.")
    decision: str
    by: str = ""
    note: str = ""


class StepCost(Report):
    """What one step of a run cost."""

    step: str = Field(description="What the step did, as Prefect names its task run.")
    seconds: float = Field(description="How long it took; steps run side by side.")
    rows: int | None = Field(
        default=None,
        description="Rows that it had in hand: read, judged, made or written; None where it is not about rows.",
    )
    peak_mb: int | None = Field(
        default=None,
        description="The most memory that the process had at once until the step ended, in megabytes; None where the "
        "system does not say.",
    )
    failed: bool = Field(default=False, description="Ended in an error; it may have been tried again.")


class RunReport(Report):
    """Everything that one run did, from the first record read to the last row published.

    ``on`` is the product or the dataset that it was to work on, and did not reach where it failed before.
    """

    run_id: str
    flow: str
    on: str = ""
    mode: Literal["incremental", "full"]
    status: RunStatus
    message: str = ""
    started_at: datetime
    finished_at: datetime
    lake: str = ""
    window: dict[str, str] | None = None
    landings: tuple[LandingReport, ...] = ()
    refinements: tuple[RefineReport, ...] = ()
    replays: tuple[ReplayReport, ...] = ()
    gates: tuple[GateReport, ...] = ()
    gold: tuple[CurateReport, ...] = ()
    publications: tuple[PublishReport, ...] = ()
    decisions: tuple[DecisionReport, ...] = ()
    costs: tuple[StepCost, ...] = Field(
        default=(), description="What each step cost that ran in the process of the flow, as they ended."
    )
    links: dict[str, str] = Field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long the run took, in seconds."""
        return (self.finished_at - self.started_at).total_seconds()
