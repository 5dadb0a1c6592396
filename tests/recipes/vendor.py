"""One resource of one vendor as a server: its key, its mark, its credentials, and what becomes of deleted rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from tests.recipes.families import (
    Call,
    Paging,
    Refused,
    Row,
    World,
    opaque,
    place,
)
from tests.support.served import Answer, Asked

Written = Callable[[datetime], Any]
Read = Callable[[str], datetime]


def iso(moment: datetime) -> str:
    """Write a moment with milliseconds and Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def offset_iso(moment: datetime) -> str:
    """Write a moment as Jira does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def dotnet(moment: datetime) -> str:
    """Write a moment as Xero does."""
    return f"/Date({epoch(moment) * 1000}+0000)/"


def epoch(moment: datetime) -> int:
    """Write a moment in seconds."""
    return int(moment.timestamp())


def epoch_ms(moment: datetime) -> str:
    """Write a moment in milliseconds, as text."""
    return str(int(moment.timestamp()) * 1000)


def written(pattern: str) -> Written:
    """Write a moment by a pattern."""
    return lambda moment: moment.strftime(pattern)


def read_iso(text: str) -> datetime:
    """Read a moment with or without a zone."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def read_epoch(text: str) -> datetime:
    """Read seconds; raises `Refused` for anything but a whole number."""
    if not re.fullmatch(r"\d+", text):
        raise Refused(f"{text} is no number of seconds")
    return datetime.fromtimestamp(int(text), UTC)


def read_epoch_ms(text: str) -> datetime:
    """Read milliseconds."""
    return datetime.fromtimestamp(int(text) / 1000, UTC)


def read_by(pattern: str) -> Read:
    """Read a moment by a pattern, which refuses all else."""
    return lambda text: datetime.strptime(text, pattern).replace(tzinfo=UTC)


@dataclass(frozen=True)
class Mark:
    """How a vendor is asked for what is new: the field, the parameter and the text around its value, both's ways."""

    field: str
    parameter: str
    text: str = r"(.+)"
    where: Literal["query", "header", "body"] = "query"
    written: Written = iso
    read: Read = read_iso
    inclusive: bool = True
    of: Literal["updated", "created"] = "updated"
    needed: bool = False
    until: str | None = None

    def before(self, text: Any) -> datetime | None:
        """Return the end that is asked for; raises `Refused` where the text is none."""
        return None if text is None else self.read(str(text))

    def since(self, call_text: Any) -> datetime | None:
        """Return the moment that is asked for; raises `Refused` where the text is none that the vendor understands."""
        if call_text is None:
            if self.needed:
                raise Refused(f"{self.parameter} is missing")
            return None
        found = re.fullmatch(self.text, str(call_text))
        if found is None:
            raise Refused(f"{self.parameter} is {call_text}")
        try:
            return self.read(found[1])
        except ValueError as problem:
            raise Refused(f"{self.parameter} is {call_text}") from problem

    def passes(self, row: Row, since: datetime | None) -> bool:
        """Return whether a row is at or after what is asked for."""
        moment = row.updated if self.of == "updated" else row.created
        return since is None or moment > since or (self.inclusive and moment == since)


@dataclass(frozen=True)
class Vendor:
    """One resource of one vendor as a server."""

    recipe: str
    resource: str
    path: str
    paging: Paging
    key: str = "id"
    text_key: bool = False
    mark: Mark | None = None
    tombstone: tuple[str, Any, Any] | None = None
    newest_first: bool = False
    method: str = "GET"
    credential: tuple[str, str] = ("authorization", "Bearer filled")
    needs: tuple[tuple[str, str], ...] = ()
    only_deleted: bool = False
    array: bool = False
    by_change: bool = False
    later_path: str | None = None
    first_at: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.recipe} {self.resource}"

    def key_of(self, row: Row) -> Any:
        """Return a row's key."""
        return f"k{row.number:05d}" if self.text_key else 1000 + row.number

    def record(self, row: Row) -> Any:
        """Return a row as the vendor shows it."""
        if self.array:
            return [row.number, row.version, f"name {row.number}"]
        content: dict[str, Any] = {}
        place(content, self.key, self.key_of(row))
        place(content, "name", f"name {row.number}")
        place(content, "version", row.version)
        if self.mark is not None:
            place(
                content,
                self.mark.field,
                self.mark.written(row.updated if self.mark.of == "updated" else row.created),
            )
        if self.tombstone is not None:
            field, live, deleted = self.tombstone
            if row.deleted or live is not ...:
                place(content, field, deleted if row.deleted else live)
        return content

    def shown(self, world: World) -> list[Row]:
        """Return the rows that the vendor has: without deleted ones where these vanish."""
        if self.only_deleted:
            return [row for row in world.rows if row.deleted]
        return world.rows if self.tombstone else [row for row in world.rows if not row.deleted]

    def changed(self, row: Row) -> str:
        """Return a row's place in the order of the changes."""
        return f"{row.updated.isoformat()}#{row.number:05d}"

    def answer(self, world: World, asked: Asked) -> Answer:
        """Answer a request."""
        name, value = self.credential
        if asked.headers.get(name) != value:
            return Answer(b'{"message":"who are you?"}', status=401)
        if self.first_at is not None and asked.path == self.first_at[0]:
            last = max(world.rows, key=self.changed) if world.rows else None
            token = opaque(self.changed(last) if last else "")
            return Answer(json.dumps({self.first_at[1]: token}).encode())
        if asked.path not in (self.path, self.later_path) or bool(asked.body) != (self.method == "POST"):
            return Answer(b'{"message":"nothing is here"}', status=404)
        try:
            return self._page(world, asked)
        except Refused as problem:
            return Answer(json.dumps({"message": str(problem)}).encode(), status=400)

    def _page(self, world: World, asked: Asked) -> Answer:
        content = json.loads(asked.body) if asked.body else {}
        call = Call(asked, content, [])
        for parameter, wanted in self.needs:
            if wanted not in (asked.query.get(parameter), asked.headers.get(parameter)):
                raise Refused(f"{parameter} should be {wanted}")
        rows, mark = self.shown(world), self.mark
        if mark is not None:
            at = {"query": asked.query, "header": asked.headers}.get(mark.where, {}).get(mark.parameter)
            since = mark.since(call.parameter(mark.parameter, "body") if mark.where == "body" else at)
            rows = [row for row in rows if mark.passes(row, since)]
            if mark.until is not None:
                until = mark.before(call.parameter(mark.until, mark.where))
                rows = [row for row in rows if until is None or row.updated < until]
            if since is not None and mark.of == "updated":
                rows = sorted(rows, key=lambda row: (row.updated, row.number))
        if self.by_change:
            placed = [(self.changed(row), self.record(row)) for row in sorted(rows, key=self.changed)]
            return self.paging(Call(asked, content, placed))
        rows = rows[::-1] if self.newest_first else rows
        return self.paging(Call(asked, content, [(str(self.key_of(row)), self.record(row)) for row in rows]))


def basic(user: str = "filled", password: str = "filled") -> tuple[str, str]:
    """Return the header of basic authentication."""
    import base64

    return "authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
