"""What each vendor documents, as a small server: names, orders, marks, limits, and what becomes of deleted rows.

Written from the documentation that the recipes name, and not from the recipes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal

from tests.recipes.families import (

    Call,
    Paging,
    Refused,
    Row,
    World,
    addresses,
    after_key,
    links,
    numbers,
    offsets,
    place,
    tokens,
    whole,
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
    """How a vendor is asked for what is new: the field, the parameter with the text around its value, and both's ways."""

    field: str
    parameter: str
    text: str = r"(.+)"
    where: Literal["query", "header", "body"] = "query"
    written: Written = iso
    read: Read = read_iso
    inclusive: bool = True
    of: Literal["updated", "created"] = "updated"
    needed: bool = False
    whole_s: int = 1

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
        """Tell whether a row is at or after what is asked for."""
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
            place(content, self.mark.field, self.mark.written(row.updated if self.mark.of == "updated" else row.created))
        if self.tombstone is not None:
            field, live, deleted = self.tombstone
            place(content, field, deleted if row.deleted else live)
        return content

    def shown(self, world: World) -> list[Row]:
        """Return the rows that the vendor has: without deleted ones where these vanish."""
        if self.only_deleted:
            return [row for row in world.rows if row.deleted]
        return world.rows if self.tombstone else [row for row in world.rows if not row.deleted]

    def answer(self, world: World, asked: Asked) -> Answer:
        """Answer a request."""
        name, value = self.credential
        if asked.headers.get(name) != value:
            return Answer(b'{"message":"who are you?"}', status=401)
        if asked.path != self.path or bool(asked.body) != (self.method == "POST"):
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
            if since is not None and mark.of == "updated":
                rows = sorted(rows, key=lambda row: (row.updated, row.number))
        rows = rows[::-1] if self.newest_first else rows
        return self.paging(Call(asked, content, [(str(self.key_of(row)), self.record(row)) for row in rows]))


def basic(user: str = "filled", password: str = "filled") -> tuple[str, str]:
    """Return the header of basic authentication."""
    import base64

    return "authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


_RFC2822: Written = format_datetime
_SECONDS = "%Y-%m-%dT%H:%M:%SZ"
_SOQL = r"SELECT .*SystemModstamp.* FROM \w+ WHERE SystemModstamp >= (\S+) ORDER BY SystemModstamp"
_GRAPH_URL = {"size": "$top", "token": "$skiptoken", "end": "absent"}


def _connection(at: str, most: int, nodes: str = "nodes") -> Paging:
    return tokens(
        f"data/{at}/{nodes}",
        "variables/after",
        f"data/{at}/pageInfo/endCursor",
        more=f"data/{at}/pageInfo/hasNextPage",
        size="variables/first",
        most=most,
        where="body",
    )


_CREATED = Mark("created", "created[gte]", written=epoch, read=read_epoch, of="created")
_STRIPE = after_key("data", "starting_after", more="has_more", size="limit")
_HUBSPOT = tokens("results", "after", "paging/next/after", size="limit", end="absent")
_ZENDESK = {"more": "meta/has_more", "size": "page[size]"}

VENDORS: tuple[Vendor, ...] = (
    Vendor("stripe", "balance_transactions", "/v1/balance_transactions", _STRIPE, text_key=True, mark=_CREATED, newest_first=True),
    Vendor("stripe", "charges", "/v1/charges", _STRIPE, text_key=True, newest_first=True),
    Vendor("hubspot", "contacts", "/crm/v3/objects/contacts", _HUBSPOT, text_key=True),
    Vendor("hubspot", "contacts_archived", "/crm/v3/objects/contacts", _HUBSPOT, text_key=True, only_deleted=True, tombstone=("archived", False, True), needs=(("archived", "true"),)),
    Vendor(
        "salesforce", "accounts", "/services/data/v62.0/queryAll",
        addresses("records", "nextRecordsUrl", relative=True, end="absent", total="totalSize", more="done", token="locator"),
        key="Id", text_key=True, mark=Mark("SystemModstamp", "q", _SOQL, written=offset_iso, needed=True), tombstone=("IsDeleted", False, True),
    ),
    Vendor("github", "issues", "/repos/filled/filled/issues", links(by="page"), mark=Mark("updated_at", "since", written=written(_SECONDS)), needs=(("state", "all"), ("x-github-api-version", "2022-11-28"))),
    Vendor("gitlab", "projects", "/api/v4/projects", links(by="token"), credential=("private-token", "filled"), needs=(("pagination", "keyset"), ("order_by", "id"))),
    Vendor("gitlab", "issues", "/api/v4/projects/filled/issues", links(by="page"), credential=("private-token", "filled"), mark=Mark("updated_at", "updated_after")),
    Vendor("shopify", "orders", "/admin/api/2025-04/orders.json", links(by="token", size="limit", most=250, records="orders"), credential=("x-shopify-access-token", "filled"), mark=Mark("updated_at", "updated_at_min", written=lambda m: m.isoformat())),
    Vendor("shopify", "products_graphql", "/admin/api/2025-04/graphql.json", _connection("products", 250), text_key=True, method="POST", credential=("x-shopify-access-token", "filled")),
    Vendor("zendesk", "tickets", "/api/v2/tickets", tokens("tickets", "page[after]", "meta/after_cursor", also={"links/next": "…"}, **_ZENDESK), credential=basic("filled/token")),
    Vendor(
        "jira", "issues", "/rest/api/3/search/jql",
        tokens("issues", "nextPageToken", "nextPageToken", size="maxResults", most=5000, end="absent"),
        text_key=True, credential=basic(),
        mark=Mark("fields/updated", "jql", r'updated >= "(.+)" ORDER BY updated ASC', written=offset_iso, read=read_by("%Y-%m-%d %H:%M"), needed=True),
    ),
    Vendor("jira", "projects", "/rest/api/3/project/search", offsets("values", "startAt", size="maxResults", most=50, total="total", also={"isLast": False}), text_key=True, credential=basic()),
    Vendor("jira", "users", "/rest/api/3/users/search", offsets("", "startAt", size="maxResults", most=1000), key="accountId", text_key=True, credential=basic()),
    Vendor("confluence", "pages", "/wiki/api/v2/pages", addresses("results", "_links/next", size="limit", most=250, relative=True, end="absent"), text_key=True, credential=basic()),
    Vendor(
        "notion", "pages_of_database", "/v1/databases/filled/query",
        tokens("results", "start_cursor", "next_cursor", more="has_more", size="page_size", where="body"),
        text_key=True, method="POST", needs=(("notion-version", "2022-06-28"),),
        mark=Mark("last_edited_time", "filter/last_edited_time/on_or_after", where="body", needed=True),
    ),
    Vendor("notion", "users", "/v1/users", tokens("results", "start_cursor", "next_cursor", more="has_more", size="page_size"), text_key=True),
    Vendor("airtable", "records", "/v0/filled/filled", tokens("records", "offset", "offset", size="pageSize", end="absent"), text_key=True),
    Vendor(
        "google-calendar", "events", "/calendar/v3/calendars/filled/events",
        tokens("items", "pageToken", "nextPageToken", size="maxResults", most=2500, end="absent"),
        text_key=True, mark=Mark("updated", "updatedMin"), tombstone=("status", "confirmed", "cancelled"), needs=(("showDeleted", "true"),),
    ),
    Vendor(
        "google-drive", "files", "/drive/v3/files",
        tokens("files", "pageToken", "nextPageToken", size="pageSize", most=1000, end="absent", also={"incompleteSearch": False}),
        text_key=True, mark=Mark("modifiedTime", "q", r"modifiedTime >= '(.+)'"), tombstone=("trashed", False, True),
    ),
    Vendor("google-sheets", "values", "/v4/spreadsheets/filled/values/filled", whole("values"), array=True),
    Vendor("microsoft-graph", "users", "/v1.0/users", addresses("value", "@odata.nextLink", most=999, **_GRAPH_URL), text_key=True),
    Vendor("microsoft-graph", "messages", "/v1.0/users/filled/messages", addresses("value", "@odata.nextLink", most=1000, **_GRAPH_URL), text_key=True, mark=Mark("lastModifiedDateTime", "$filter", r"lastModifiedDateTime ge (\S+)", written=written(_SECONDS))),
    Vendor("dynamics", "accounts", "/api/data/v9.2/accounts", addresses("value", "@odata.nextLink", token="$skiptoken", end="absent"), key="accountid", text_key=True, needs=(("prefer", "odata.maxpagesize=5000"),), mark=Mark("modifiedon", "$filter", r"modifiedon ge (\S+)", written=written(_SECONDS))),
    Vendor(
        "xero", "invoices", "/api.xro/2.0/Invoices", numbers("Invoices", size="pageSize", most=1000), key="InvoiceID", text_key=True,
        mark=Mark("UpdatedDateUTC", "if-modified-since", where="header", written=dotnet, read=read_by("%Y-%m-%dT%H:%M:%S"), inclusive=False),
        tombstone=("Status", "AUTHORISED", "DELETED"), needs=(("xero-tenant-id", "filled"), ("accept", "application/json")),
    ),
    Vendor("intercom", "contacts", "/contacts", tokens("data", "starting_after", "pages/next/starting_after", none="pages/next", size="per_page", most=150, total="total_count"), text_key=True),
    Vendor(
        "intercom", "contacts_changed", "/contacts/search",
        tokens("data", "pagination/starting_after", "pages/next/starting_after", none="pages/next", size="pagination/per_page", most=150, where="body"),
        text_key=True, method="POST", mark=Mark("updated_at", "query/value", where="body", written=epoch, read=read_epoch, inclusive=False, needed=True),
    ),
    Vendor("klaviyo", "profiles", "/api/profiles", addresses("data", "links/next", size="page[size]", token="page[cursor]"), text_key=True, credential=("authorization", "Klaviyo-API-Key filled"), mark=Mark("attributes/updated", "filter", r"greater-than\(updated,(.+)\)", written=lambda m: m.isoformat(), inclusive=False)),
    Vendor("mailchimp", "members", "/3.0/lists/filled/members", offsets("members", size="count", most=1000, total="total_items"), text_key=True, credential=basic("headworks"), mark=Mark("last_changed", "since_last_changed", written=lambda m: m.isoformat())),
    Vendor("slack", "channels", "/api/conversations.list", tokens("channels", "cursor", "response_metadata/next_cursor", size="limit", most=1000, end="empty", also={"ok": True}), text_key=True),
    Vendor(
        "slack", "messages", "/api/conversations.history",
        tokens("messages", "cursor", "response_metadata/next_cursor", size="limit", most=999, end="absent", also={"ok": True}),
        key="event", newest_first=True, needs=(("channel", "filled"), ("inclusive", "true")),
        mark=Mark("ts", "oldest", written=lambda m: f"{epoch(m)}.000100", read=lambda t: datetime.fromtimestamp(int(t.partition(".")[0]), UTC), of="created"),
    ),
    Vendor(
        "twilio", "messages", "/2010-04-01/Accounts/filled/Messages.json",
        addresses("messages", "next_page_uri", size="PageSize", most=1000, relative=True, token="PageToken", numbered=True),
        key="sid", text_key=True, newest_first=True, credential=basic(), mark=Mark("date_sent", "DateSent>", written=_RFC2822, read=read_by("%Y-%m-%d"), of="created"),
    ),
    Vendor(
        "servicenow", "incidents", "/api/now/table/incident", offsets("result", "sysparm_offset", size="sysparm_limit", most=10_000, header="X-Total-Count"), key="sys_id", text_key=True, credential=basic(),
        mark=Mark("sys_updated_on", "sysparm_query", r"sys_updated_on>=(.+)\^ORDERBYsys_updated_on\^ORDERBYsys_id", written=written("%Y-%m-%d %H:%M:%S"), read=read_by("%Y-%m-%d %H:%M:%S")),
    ),
    Vendor("asana", "tasks", "/api/1.0/tasks", tokens("data", "offset", "next_page/offset", none="next_page", size="limit"), key="gid", text_key=True, needs=(("project", "filled"),), mark=Mark("modified_at", "modified_since")),
    Vendor("pipedrive", "deals", "/api/v2/deals", tokens("data", "cursor", "additional_data/next_cursor", size="limit", most=500, also={"success": True}), credential=("x-api-token", "filled"), mark=Mark("update_time", "updated_since", written=written(_SECONDS))),
    Vendor("pipedrive", "deals_deleted", "/api/v2/deals", tokens("data", "cursor", "additional_data/next_cursor", size="limit", most=500, also={"success": True}), credential=("x-api-token", "filled"), only_deleted=True, tombstone=("is_deleted", False, True), needs=(("status", "deleted"),)),
    Vendor("square", "payments", "/v2/payments", tokens("payments", "cursor", "cursor", size="limit", end="absent"), text_key=True, mark=Mark("updated_at", "updated_at_begin_time", needed=True)),
    Vendor("paypal", "invoices", "/v2/invoicing/invoices", numbers("items", size="page_size", pages="total_pages", total="total_items"), text_key=True, needs=(("total_required", "true"),)),
    Vendor("woocommerce", "orders", "/wp-json/wc/v3/orders", numbers("", size="per_page", header="X-WP-Total"), credential=basic(), mark=Mark("date_modified_gmt", "modified_after", written=written("%Y-%m-%dT%H:%M:%S"), inclusive=False), needs=(("status", "any"), ("dates_are_gmt", "true"))),
    Vendor("bigcommerce", "products", "/stores/filled/v3/catalog/products", numbers("data", size="limit", most=250, pages="meta/pagination/total_pages", total="meta/pagination/total"), credential=("x-auth-token", "filled"), mark=Mark("date_modified", "date_modified:min", written=lambda m: m.isoformat())),
    Vendor("bigcommerce", "orders", "/stores/filled/v2/orders", numbers("", size="limit", most=250, status_past=204), credential=("x-auth-token", "filled"), mark=Mark("date_modified", "min_date_modified", written=_RFC2822)),
    Vendor("freshdesk", "tickets", "/api/v2/tickets", links(by="page"), credential=basic("filled", "X"), mark=Mark("updated_at", "updated_since", written=written(_SECONDS))),
    Vendor("sendgrid", "bounces", "/v3/suppression/bounces", offsets("", size="limit", most=500), key="email", text_key=True, mark=Mark("created", "start_time", written=epoch, read=read_epoch, of="created")),
    Vendor("linear", "issues", "/graphql", _connection("issues", 250), text_key=True, method="POST", credential=("authorization", "filled"), mark=Mark("updatedAt", "variables/since", where="body", needed=True), tombstone=("trashed", None, True)),
    Vendor("clickup", "tasks", "/api/v2/team/filled/task", numbers("tasks", size=None, first=0), text_key=True, credential=("authorization", "filled"), mark=Mark("date_updated", "date_updated_gt", written=epoch_ms, read=read_epoch_ms, inclusive=False)),
    Vendor("monday", "items", "/v2", tokens("data/boards/0/items_page/items", "variables/cursor", "data/boards/0/items_page/cursor", size="variables/limit", most=500, where="body"), text_key=True, method="POST", credential=("authorization", "filled")),
    Vendor("discourse", "posts", "/posts.json", after_key("latest_posts", "before", size=None), newest_first=True, credential=("api-key", "filled")),
    Vendor("discourse", "topics", "/latest.json", numbers("topic_list/topics", size=None, first=0), credential=("api-key", "filled")),
    Vendor("typeform", "responses", "/forms/filled/responses", after_key("items", "before", size="page_size", most=1000), key="token", text_key=True, newest_first=True, mark=Mark("submitted_at", "since", written=written(_SECONDS), read=read_by(_SECONDS), of="created")),
    Vendor("typeform", "forms", "/forms", numbers("items", size="page_size", most=200, pages="page_count", total="total_items"), text_key=True),
    Vendor("calendly", "scheduled_events", "/scheduled_events", tokens("collection", "page_token", "pagination/next_page_token", size="count"), key="uri", text_key=True, needs=(("organization", "filled"),)),
    Vendor("chargebee", "subscriptions", "/api/v2/subscriptions", tokens("list[]/subscription", "offset", "next_offset", size="limit", end="absent"), text_key=True, credential=basic("filled", ""), needs=(("include_deleted", "true"),), mark=Mark("updated_at", "updated_at[after]", written=epoch, read=read_epoch, inclusive=False), tombstone=("deleted", False, True)),
    Vendor("recurly", "accounts", "/accounts", addresses("data", "next", size="limit", most=200, relative=True, more="has_more"), text_key=True, credential=basic("filled", ""), mark=Mark("updated_at", "begin_time", written=written(_SECONDS)), needs=(("sort", "updated_at"),)),
    Vendor("braintree", "transactions", "/graphql", _connection("search/transactions", 50, "edges[]/node"), text_key=True, method="POST", credential=basic(), mark=Mark("createdAt", "variables/since", where="body", of="created", needed=True)),
    Vendor("adyen", "merchants", "/v3/merchants", numbers("data", "pageNumber", size="pageSize", pages="pagesTotal", total="itemsTotal"), text_key=True, credential=("x-api-key", "filled")),
    Vendor("zoho-crm", "leads", "/crm/v6/Leads", tokens("data", "page_token", "info/next_page_token", more="info/more_records", size="per_page", most=200), text_key=True, credential=("authorization", "Zoho-oauthtoken filled"), mark=Mark("Modified_Time", "if-modified-since", where="header", written=lambda m: m.isoformat(), inclusive=False)),
    Vendor("okta", "users", "/api/v1/users", links(by="token", size="limit", most=200), text_key=True, credential=("authorization", "SSWS filled"), mark=Mark("lastUpdated", "search", r'lastUpdated ge "(.+)"', needed=True)),
    Vendor("pagerduty", "incidents", "/incidents", offsets("incidents", size="limit", total="total"), text_key=True, credential=("authorization", "Token token=filled"), needs=(("total", "true"), ("date_range", "all"))),
    Vendor("greenhouse", "jobs", "/v1/jobs", links(by="page", most=500), credential=basic("filled", ""), mark=Mark("updated_at", "updated_after")),
    Vendor("close", "activities", "/api/v1/activity/", offsets("data", "_skip", size="_limit", also={"has_more": True}), text_key=True, credential=basic("filled", ""), mark=Mark("date_created", "date_created__gte", of="created")),
    Vendor("close", "contacts", "/api/v1/contact/", offsets("data", "_skip", size="_limit", total="total_results"), text_key=True, credential=basic("filled", "")),
    Vendor("zoom", "users", "/v2/users", tokens("users", "next_page_token", "next_page_token", size="page_size", most=300, end="empty", total="total_records"), text_key=True),
)
"""A resource of each recipe in each of the recipe's shapes."""

