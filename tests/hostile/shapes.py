"""Small APIs in the shapes that real ones have, each with the description that reads it.

Each shape is one method of `Things`, which answers out of one table, and one entry of `SHAPES`. All are played the same
way (``test_shapes.py``): read, read again, changed, read again, killed after each batch, described not quite rightly.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.support.served import Answer, Asked

SIZE = 4
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


def _moment(number: int) -> datetime:
    return BEGIN + timedelta(hours=number)


def _iso(number: int) -> str:
    return _moment(number).strftime("%Y-%m-%dT%H:%M:%SZ")


def _epoch(number: int) -> int:
    return int(_moment(number).timestamp())


class Refused(Exception):
    """The API refuses a request: with a status, and what it says."""

    def __init__(self, status: int, said: str) -> None:
        self.status = status
        super().__init__(said)


@dataclass
class Things:
    """A table behind an API: rows by id, each with the number of its last change; deleted rows are kept as marks."""

    count: int = 18
    rows: dict[int, Row] = field(default_factory=dict)
    deleted: dict[int, int] = field(default_factory=dict)
    changes: int = 0
    forgotten: int = 0
    scrolls: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, list[Row]] = field(default_factory=dict)
    polls: dict[str, int] = field(default_factory=dict)
    fails: int = 0

    def __post_init__(self) -> None:
        for number in range(1, self.count + 1):
            self.put(number)

    def put(self, number: int, **more: Any) -> None:
        """Write a row, new or again."""
        self.changes += 1
        self.deleted.pop(number, None)
        self.rows[number] = {"id": number, "name": f"thing {number}", "n": self.changes, **more}

    def change(self) -> None:
        """Change two rows, add three, and delete one."""
        for number in (3, 7):
            self.put(number, again=True)
        for number in range(101, 104):
            self.put(number)
        self.changes += 1
        self.deleted[self.rows.pop(5)["id"]] = self.changes

    def answer(self, asked: Asked) -> Answer:
        """Answer a request, by the method of its path's first name."""
        name = asked.path.strip("/").split("/")[0].replace("-", "_")
        try:
            made = getattr(self, f"at_{name}", _unknown)(asked)
        except Refused as problem:
            return _json({"error": str(problem)}, problem.status)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as problem:
            return _json({"error": f"what is that: {problem!r}"}, 400)
        return made if isinstance(made, Answer) else _json(made)

    def since(self, least: int = 0) -> list[Row]:
        """Return the rows that changed after a number of changes, in that order."""
        return sorted((row for row in self.rows.values() if row["n"] > least), key=lambda row: int(row["n"]))

    def by_id(self) -> list[Row]:
        """Return the rows by their ids."""
        return sorted(self.rows.values(), key=lambda row: int(row["id"]))

    def log(self, least: int) -> list[Row]:
        """Return what has changed, deletions included, in order."""
        gone = [{"id": number, "n": n, "gone": True} for number, n in self.deleted.items() if n > least]
        return sorted([*self.since(least), *(gone if least else [])], key=lambda row: int(row["n"]))

    # Links in arrays.

    def at_fhir(self, asked: Asked) -> Any:
        """FHIR: the address of the next page in ``link`` by its relation, entries absent where there are none."""
        least = asked.query.get("_lastUpdated", "ge")[2:]
        rows = [row for row in self.since() if _iso(row["n"]) >= least[:19]]
        part, following = _after(rows, asked, size="_count", by="n")
        links = [{"relation": "self", "url": "/fhir"}]
        if following:
            links.append(
                {
                    "relation": "next",
                    "url": f"{asked.path}?after={following}&_count={_size(asked, '_count')}"
                    + (f"&_lastUpdated={asked.query['_lastUpdated']}" if least else ""),
                }
            )
        entries = [{"resource": {**row, "meta": {"lastUpdated": _iso(row["n"])}}} for row in part]
        return {"resourceType": "Bundle", "link": links, **({"entry": entries} if entries else {})}

    def at_stac(self, asked: Asked) -> Any:
        """STAC, OGC: the same in ``links``, ``rel`` and ``href``."""
        part, following = _after(self.by_id(), asked)
        links = [{"rel": "root", "href": "/"}]
        if following:
            links.insert(0, {"rel": "next", "href": f"/stac?after={following}&limit={_size(asked)}"})
        return {"type": "FeatureCollection", "features": part, "links": links}

    # Flags that mean the end.

    def at_end_of_stream(self, asked: Asked) -> Any:
        """Zendesk: a token with every page, and a flag with the last one."""
        part, following = _after(self.by_id(), asked, token="cursor")
        return {
            "things": part,
            "after_cursor": f"c{part[-1]['id']}" if part else asked.query.get("cursor"),
            "end_of_stream": not following,
        }

    def at_is_last(self, asked: Asked) -> Any:
        """Jira: offsets and a flag."""
        at, size = asked.number("startAt", 0), _size(asked, "maxResults")
        rows = self.by_id()
        return {
            "values": rows[at : at + size],
            "startAt": at,
            "total": len(rows),
            "isLast": at + size >= len(rows),
        }

    def at_more_records(self, asked: Asked) -> Any:
        """Zoho: page numbers and a flag of more."""
        page, size = asked.number("page", 1), _size(asked, "per_page")
        rows = self.by_id()
        return {
            "data": rows[(page - 1) * size : page * size],
            "info": {"more_records": page * size < len(rows), "count": len(rows)},
        }

    def at_always_next(self, asked: Asked) -> Any:
        """Zendesk by time: a next address with every page, and a flag with the last one; the mark is in the address."""
        begin, size = int(asked.query.get("start_time", 0)), _size(asked, "per_page")
        rows = [row for row in self.since() if _epoch(row["n"]) >= begin]
        part = [{**row, "updated": _epoch(row["n"])} for row in rows[:size]]
        end = _epoch(part[-1]["n"]) + (len(rows) > size) if part else begin
        return {
            "things": part,
            "next_page": f"{asked.path}?start_time={end}&per_page={size}",
            "end_time": end,
            "end_of_stream": len(rows) <= size,
        }

    def at_past_end(self, asked: Asked) -> Any:
        """WordPress: 400 for a page past the last one, the total in a header."""
        page, size = asked.number("page", 1), _size(asked, "per_page")
        rows = self.by_id()
        if page > max(1, -(-len(rows) // size)):
            raise Refused(400, "rest_post_invalid_page_number")
        body = json.dumps(rows[(page - 1) * size : page * size]).encode()
        return Answer(body, headers={"Content-Type": "application/json", "X-WP-Total": str(len(rows))})

    # Tokens.

    def at_scroll(self, asked: Asked) -> Any:
        """Intercom: the same token with every page; the API itself moves on, up to an empty page."""
        token = asked.query.get("scroll_param")
        if token is None:
            token = f"s{len(self.scrolls)}"
            self.scrolls[token] = 0
        at = self.scrolls[token]
        self.scrolls[token] += SIZE
        return {"data": self.by_id()[at : at + SIZE], "scroll_param": token}

    def at_search(self, asked: Asked) -> Any:
        """Elasticsearch: POST, then POST elsewhere with nothing but the token."""
        body = json.loads(asked.body)
        if asked.path == "/search/scroll":
            if set(body) != {"scroll_id"}:
                raise Refused(400, "unknown field")
            token = body["scroll_id"]
        elif asked.path == "/search" and "query" in body:
            token = f"s{len(self.scrolls)}"
            self.scrolls[token] = 0
        else:
            raise Refused(404, "no such path")
        at, rows = self.scrolls[token], self.by_id()
        self.scrolls[token] += SIZE
        hits = {"total": {"value": len(rows)}, "hits": [{"_source": row} for row in rows[at : at + SIZE]]}
        return {"_scroll_id": token, "hits": hits}

    def at_files(self, asked: Asked) -> Any:
        """Dropbox: POST, then POST at another path; the last token gets the changes of the next run."""
        body = json.loads(asked.body)
        if asked.path == "/files/continue":
            if set(body) != {"cursor"}:
                raise Refused(400, "unknown field")
            least = int(body["cursor"][1:])
            if least < self.forgotten:
                raise Refused(409, "reset")
        elif asked.path == "/files" and "folder" in body:
            least = 0
        else:
            raise Refused(404, "no such path")
        log = self.log(least) if least else self.since()
        part = log[:SIZE]
        entries = [{**row, ".tag": "deleted" if "gone" in row else "file"} for row in part]
        end = part[-1]["n"] if part else least
        return {"entries": entries, "cursor": f"d{end}", "has_more": len(log) > SIZE}

    def at_google(self, asked: Asked) -> Any:
        """Google: page tokens, and with the last page a token for the changes of the next run."""
        least = int(asked.query.get("syncToken", "s0")[1:])
        if least and least < self.forgotten:
            raise Refused(410, "fullSyncRequired")
        at, size = int(asked.query.get("pageToken", "p0")[1:]), _size(asked, "maxResults")
        log = self.log(least)
        part = [
            {**row, "status": "cancelled" if "gone" in row else "confirmed"} for row in log[at : at + size]
        ]
        if at + size < len(log):
            return {"items": part, "nextPageToken": f"p{at + size}"}
        return {"items": part, "nextSyncToken": f"s{self.changes}"}

    def at_graph(self, asked: Asked) -> Any:
        """Microsoft Graph: addresses for the next page and for the changes of the next run."""
        least = int(asked.query.get("$deltatoken", 0))
        if least and least < self.forgotten:
            raise Refused(410, "resyncRequired")
        base, after = f"http://{asked.headers['host']}/graph", int(asked.query.get("$skiptoken", least))
        log, size = [row for row in self.log(least) if row["n"] > after], _size(asked, "$top")
        part = log[:size]
        value = [
            {"id": row["id"], "@removed": {"reason": "deleted"}} if "gone" in row else row for row in part
        ]
        if len(log) > size:
            until = f"$deltatoken={least}&$skiptoken={part[-1]['n']}&$top={size}"
            return {"value": value, "@odata.nextLink": f"{base}?{until}"}
        return {"value": value, "@odata.deltaLink": f"{base}?$deltatoken={self.changes}"}

    def at_couch(self, asked: Asked) -> Any:
        """CouchDB: the mark and the token are one parameter, kept from run to run."""
        least, size = int(asked.query.get("since", 0)), _size(asked)
        log = self.log(least) if least else self.since()
        part = log[:size]
        rows = [{"id": row["id"], "seq": row["n"], "deleted": True} if "gone" in row else row for row in part]
        return {
            "results": rows,
            "last_seq": part[-1]["n"] if part else least,
            "pending": len(log) - len(part),
        }

    def at_drive(self, asked: Asked) -> Any:
        """Google Drive: the first token is got at an address of its own, and the last one begins the next run."""
        if asked.path == "/drive/startPageToken":
            return {"startPageToken": "1"}
        if asked.path != "/drive/changes":
            raise Refused(404, "no such path")
        least, size = int(asked.query["pageToken"]), _size(asked, "pageSize")
        log = [row for row in self.log(least - 1) if row["n"] >= least]
        part = log[:size]
        changes = [{"id": row["id"], "removed": "gone" in row, "n": row["n"]} for row in part]
        if len(log) > size:
            return {"changes": changes, "nextPageToken": str(part[-1]["n"] + 1)}
        return {"changes": changes, "newStartPageToken": str(self.changes + 1)}

    def at_alone(self, asked: Asked) -> Any:
        """A token that is refused together with the mark that it was made for."""
        query = dict(asked.query)
        if "cursor" in query and set(query) != {"cursor"}:
            raise Refused(400, "cursor goes alone")
        least, after, size = query.get("since", "")[:19], 0, int(query.get("limit", SIZE))
        if "cursor" in query:
            least, after, size = json.loads(query["cursor"])
        rows = [row for row in self.since(after) if _iso(row["n"])[:19] >= least]
        part = [{**row, "at": _iso(row["n"])} for row in rows[:size]]
        following = json.dumps([least, part[-1]["n"], size]) if len(rows) > size else None
        return {"rows": part, "next_cursor": following}

    def at_events(self, asked: Asked) -> Any:
        """Prefect's events: POST a filter, then GET the addresses of the next pages."""
        if asked.path == "/events/filter":
            if asked.method != "POST" or "filter" not in json.loads(asked.body):
                raise Refused(405, "POST a filter")
            after, size = 0, int(json.loads(asked.body).get("limit", SIZE))
        elif asked.method != "GET" or asked.path != "/events/next":
            raise Refused(405, "GET")
        else:
            after, size = int(asked.query["after"]), int(asked.query["limit"])
        rows = [row for row in self.by_id() if row["id"] > after]
        base = f"http://{asked.headers['host']}/events/next"
        following = f"{base}?after={rows[size - 1]['id']}&limit={size}" if len(rows) > size else None
        return {"events": rows[:size], "total": len(self.rows), "next_page": following}

    def at_headers(self, asked: Asked) -> Any:
        """Two tokens in headers, which are sent in headers."""
        left = int(asked.headers.get("x-left", 0))
        if asked.headers.get("x-right", "r0") != f"r{left}":
            raise Refused(400, "the two do not belong together")
        rows = [row for row in self.by_id() if row["id"] > left]
        size = _size(asked)
        headers = {"Content-Type": "application/json"}
        if len(rows) > size:
            headers |= {"X-Next-Left": str(rows[size - 1]["id"]), "X-Next-Right": f"r{rows[size - 1]['id']}"}
        return Answer(json.dumps(rows[:size]).encode(), headers=headers)

    # Values in odd places.

    def at_query(self, asked: Asked) -> Any:
        """QuickBooks: offsets and marks inside of a query."""
        words = asked.query["query"].split()
        at, size = int(words[words.index("startposition") + 1]), int(words[words.index("maxresults") + 1])
        least = words[words.index(">=") + 1].strip("'")
        rows = [{**row, "at": _iso(row["n"])} for row in self.since() if _iso(row["n"])[:19] >= least[:19]]
        part = rows[at - 1 : at - 1 + size]
        return {"QueryResponse": {"Thing": part, "startPosition": at} if part else {}}

    def at_soql(self, asked: Asked) -> Any:
        """SOQL by key: the last key inside of a query."""
        words = asked.query["q"].split()
        after, size = int(words[words.index(">") + 1]), int(words[words.index("LIMIT") + 1])
        return {"records": [row for row in self.by_id() if row["id"] > after][:size]}

    def at_filters(self, asked: Asked) -> Any:
        """HubSpot: the mark inside of arrays of the body."""
        body = json.loads(asked.body)
        least = int(body["filterGroups"][0]["filters"][0]["value"])
        rows = [
            {**row, "ms": _epoch(row["n"]) * 1000} for row in self.since() if _epoch(row["n"]) * 1000 >= least
        ]
        rows = [row for row in rows if row["n"] > int(body.get("after", 0))]
        size = int(body.get("limit", SIZE))
        paging = {"paging": {"next": {"after": str(rows[size - 1]["n"])}}} if len(rows) > size else {}
        return {"results": rows[:size], "total": len(self.rows), **paging}

    def at_form(self, asked: Asked) -> Any:
        """A form is posted; what is written in it has blanks."""
        if asked.headers["content-type"] != "application/x-www-form-urlencoded":
            raise Refused(415, "a form")
        form = dict(parse_qsl(asked.body.decode()))
        if form["kind"] != "any thing":
            raise Refused(400, "any thing")
        after, size = int(form.get("cursor", 0)), int(form.get("limit", SIZE))
        rows = [row for row in self.by_id() if row["id"] > after]
        return {"rows": rows[:size], "next_cursor": rows[size - 1]["id"] if len(rows) > size else None}

    # Parents and children.

    def at_groups(self, asked: Asked) -> Any:
        """Groups, and the things of each at a path of its own; a group's name wants to be quoted."""
        names = asked.path.split("/")[2:]
        if not names:
            groups = [
                {"id": f"g {number}/x", "place": number} for number in sorted({n % 5 for n in self.rows})
            ]
            after = asked.query.get("cursor", "")
            left = [group for group in groups if str(group["id"]) > after]
            return {"groups": left[:2], "next_cursor": left[1]["id"] if len(left) > 2 else None}
        number = int(unquote(names[0])[2:-2])
        part, following = _after([row for row in self.by_id() if row["id"] % 5 == number], asked, size="size")
        return {"things": part, **({"next": following} if following else {})}

    def at_refs(self, asked: Asked) -> Any:
        """A list that has ids alone, and the detail of each at a path of its own; some are gone by then."""
        least = asked.query.get("since", "")[:19]
        rows = [{"ref": row["id"], "at": _iso(row["n"])} for row in self.since() if _iso(row["n"]) >= least]
        if not least and rows:
            rows.insert(1, {"ref": 999, "at": rows[0]["at"]})
        at = int(asked.query.get("offset", 0))
        return {"refs": rows[at : at + SIZE], "total": len(rows)}

    def at_ref(self, asked: Asked) -> Any:
        """One record."""
        number = int(asked.path.split("/")[2])
        if number not in self.rows:
            raise Refused(404, "gone")
        return self.rows[number]

    # Exports, windows and caps.

    def at_export(self, asked: Asked) -> Any:
        """A job that is submitted, asked about, and whose result is two packed files, or pages of CSV by a locator."""
        names = asked.path.split("/")[2:]
        if not names:
            wanted = json.loads(asked.body)
            if asked.method != "POST" or wanted.get("what") != "things":
                raise Refused(405, "POST what")
            least = str(wanted.get("since", ""))[:19]
            rows = [{**row, "at": _iso(row["n"])} for row in self.since() if _iso(row["n"])[:19] >= least]
            job = f"j {len(self.jobs)}"
            self.jobs[job], self.polls[job] = rows, 0
            return {"id": job, "state": "queued"}
        job = unquote(names[0])
        rows, half = self.jobs[job], len(self.jobs[job]) // 2
        if len(names) == 1:
            self.polls[job] += 1
            state = "running" if self.polls[job] % 3 else "ready"
            if self.fails:
                self.fails, state = self.fails - 1, "failed"
            url = f"http://{asked.headers['host']}{asked.path}"
            return {
                "state": state,
                "rows": len(rows),
                "files": [{"url": f"{url}/file/{n}?sig=x"} for n in (0, 1)],
            }
        if names[1] == "file":
            part = rows[:half] if names[2] == "0" else rows[half:]
            return Answer(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in part)))
        at = int(asked.query.get("locator", 0))
        lines = "".join(f"{row['id']},{row['n']},{row['at']}\n" for row in rows[at : at + SIZE])
        locator = str(at + SIZE) if at + SIZE < len(rows) else "null"
        headers = {"Content-Type": "text/csv", "Locator": locator, "Rows": str(len(rows))}
        return Answer(f"id,n,at\n{lines}".encode(), headers=headers)

    def at_window(self, asked: Asked) -> Any:
        """Queries span no more than five hours."""
        since, until = (datetime.fromisoformat(asked.query[name]) for name in ("from", "to"))
        if until - since > timedelta(hours=5):
            raise Refused(400, "no more than five hours")
        return self._between(asked, since, until)

    def at_capped(self, asked: Asked) -> Any:
        """Queries give no more than six records."""
        since, until = (datetime.fromisoformat(asked.query[name]) for name in ("from", "to"))
        return self._between(asked, since, until, most=6)

    def _between(self, asked: Asked, since: datetime, until: datetime, most: int = 1000) -> Any:
        rows = [row for row in self.since() if since <= _moment(row["n"]) < until][:most]
        part, following = _after(rows, asked, token="cursor", by="n")
        return {"rows": [{**row, "at": _iso(row["n"])} for row in part], "next_cursor": following}

    # Pages of other forms.

    def at_plaid(self, asked: Asked) -> Any:
        """Plaid: added, modified and removed in arrays of their own, and a token that is kept."""
        least = int((json.loads(asked.body).get("cursor") or "p0")[1:])
        log = self.log(least) if least else self.since()
        part = log[:SIZE]
        return {
            "added": [row for row in part if "again" not in row and "gone" not in row],
            "modified": [row for row in part if "again" in row],
            "removed": [{"id": row["id"]} for row in part if "gone" in row],
            "next_cursor": f"p{part[-1]['n'] if part else least}",
            "has_more": len(log) > SIZE,
        }

    def at_columns(self, asked: Asked) -> Any:
        """Records that are arrays, their columns in the page."""
        part, following = _after(self.by_id(), asked)
        rows = [[row["id"], row["name"], row["n"]] for row in part]
        return {"columns": [{"name": name} for name in ("id", "name", "n")], "rows": rows, "next": following}

    def at_sheet(self, asked: Asked) -> Any:
        """Google Sheets: the names of the columns are the first record."""
        rows = [[row["id"], row["name"], row["n"]] for row in self.by_id()]
        return {"range": "A1:C999", "values": [["id", "name", "n"], *rows]}

    def at_sideload(self, asked: Asked) -> Any:
        """Zendesk: the authors of a page's records alongside."""
        part, following = _after(self.by_id(), asked)
        authors = sorted({row["id"] % 3 for row in part})
        return {
            "things": [{**row, "author_id": row["id"] % 3} for row in part],
            "users": [{"id": author, "name": f"author {author}"} for author in authors],
            "next": following,
        }

    def at_csv(self, asked: Asked) -> Any:
        """CSV by numbers of pages, the total in a header."""
        page, size = asked.number("page", 1), _size(asked, "per_page")
        rows = self.by_id()
        part = rows[(page - 1) * size : page * size]
        lines = [f'{row["id"]};"{row["name"]}, ""so called""";{row["n"]}' for row in part]
        text = "".join(f"{line}\r\n" for line in ["id;name;n", *lines])
        return Answer(text.encode(), headers={"Content-Type": "text/csv", "X-Total": str(len(rows))})

    def at_lines(self, asked: Asked) -> Any:
        """NDJSON packed with gzip, the next address in a header."""
        part, following = _after(self.by_id(), asked)
        body = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in part))
        link = {"Link": f'</lines?after={following}&limit={_size(asked)}>; rel="next"'} if following else {}
        return Answer(body, headers={"Content-Type": "application/gzip", **link})

    def at_atom(self, asked: Asked) -> Any:
        """Atom: XML whose next address is one of several links."""
        part, following = _after(self.by_id(), asked)
        more = (
            f'<link rel="next" href="/atom?after={following}&amp;limit={_size(asked)}"/>' if following else ""
        )
        entries = "".join(
            f"<entry><id>{r['id']}</id><title>{r['name']}</title><n>{r['n']}</n></entry>" for r in part
        )
        about = f'<link rel="self" href="/atom"/>{more}<title>\xe9</title>'
        text = f'<?xml version="1.0" encoding="iso-8859-1"?><feed>{about}{entries}</feed>'
        return Answer(text.encode("latin-1"), headers={"Content-Type": "application/atom+xml"})


def _unknown(asked: Asked) -> Answer:
    raise Refused(404, f"no such path: {asked.path}")


def _json(body: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(body).encode(), status, {"Content-Type": "application/json"})


def _size(asked: Asked, name: str = "limit") -> int:
    return int(asked.query.get(name, SIZE))


def _after(
    rows: list[Row], asked: Asked, *, token: str = "after", size: str = "limit", by: str = "id"
) -> tuple[list[Row], int | None]:
    """Return the page after a key, and the key of the next one."""
    after, most = int(asked.query.get(token, "0").lstrip("c")), _size(asked, size)
    rest = [row for row in rows if row[by] > after]
    return rest[:most], rest[most - 1][by] if len(rest) > most else None


@dataclass(frozen=True)
class Shape:
    """One shape: how it is described, and what can be expected of it.

    ``new``: each run lands what has changed alone; else all lands again. ``deletes``: deletions are seen. ``unshown``:
    nothing shows that a reading was complete.
    """

    described: Mapping[str, Any]
    new: bool = True
    deletes: bool = False
    unshown: bool = False


def _size_by(name: str, **more: Any) -> dict[str, Any]:
    return {"size_parameter": name, "size": SIZE, **more}


SHAPES: dict[str, Shape] = {
    "link by relation, FHIR": Shape(
        {
            "path": "/fhir",
            "records": "entry[].resource",
            "records_may_be_absent": True,
            "pagination": {"kind": "next_url", "url_field": "link[relation=next].url", **_size_by("_count")},
            "incremental": {
                "parameter": "_lastUpdated",
                "field": "meta.lastUpdated",
                "template": "ge{}",
                "parameter_format": "iso_s",
            },
        },
    ),
    "link by relation, STAC": Shape(
        {
            "path": "/stac",
            "records": "features",
            "pagination": {"kind": "next_url", "url_field": "links[rel=next].href", **_size_by("limit")},
        },
    ),
    "a flag with the last page": Shape(
        {
            "path": "/end-of-stream",
            "records": "things",
            "pagination": {
                "kind": "cursor",
                "cursor_field": "after_cursor",
                "end_field": "end_of_stream",
                "size": SIZE,
            },
        },
    ),
    "offsets and a flag": Shape(
        {
            "path": "/is-last",
            "records": "values",
            "pagination": {
                "kind": "offset",
                "offset_parameter": "startAt",
                "limit_parameter": "maxResults",
                "end_field": "isLast",
                "size": SIZE,
            },
            "completeness": {"total_field": "total"},
        },
    ),
    "numbers and a flag of more": Shape(
        {
            "path": "/more-records",
            "records": "data",
            "pagination": {"kind": "page_numbers", "more_field": "info.more_records", "size": SIZE},
        },
        unshown=True,
    ),
    "an address with every page": Shape(
        {
            "path": "/always-next",
            "records": "things",
            "pagination": {
                "kind": "next_url",
                "url_field": "next_page",
                "end_field": "end_of_stream",
                **_size_by("per_page"),
            },
            "incremental": {"parameter": "start_time", "field": "updated", "format": "epoch", "start": "0"},
        },
    ),
    "mark and token in one parameter": Shape(
        {
            "path": "/always-next",
            "records": "things",
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "start_time",
                "cursor_field": "end_time",
                "end_field": "end_of_stream",
                **_size_by("per_page"),
            },
            "incremental": {"parameter": "start_time", "field": "updated", "format": "epoch", "start": "0"},
        },
    ),
    "a refusal past the end": Shape(
        {
            "path": "/past-end",
            "pagination": {
                "kind": "page_numbers",
                "past_end": "missing",
                "past_end_statuses": [400],
                "size": SIZE,
            },
            "completeness": {"total_header": "X-WP-Total"},
        },
    ),
    "one token for all pages": Shape(
        {
            "path": "/scroll",
            "records": "data",
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "scroll_param",
                "cursor_field": "scroll_param",
                "server_side": True,
                "size_parameter": None,
            },
        },
    ),
    "the next page elsewhere, Elasticsearch": Shape(
        {
            "path": "/search",
            "method": "POST",
            "body": {"query": {"match_all": {}}},
            "records": "hits.hits[]._source",
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "scroll_id",
                "cursor_field": "_scroll_id",
                "send_in": "body",
                "alone": True,
                "next_path": "/search/scroll",
                "server_side": True,
                "size_parameter": None,
            },
            "completeness": {"total_field": "hits.total.value"},
        },
    ),
    "a token that is kept, Dropbox": Shape(
        {
            "path": "/files",
            "method": "POST",
            "body": {"folder": ""},
            "records": "entries",
            "pagination": {
                "kind": "cursor",
                "cursor_field": "cursor",
                "more_field": "has_more",
                "send_in": "body",
                "alone": True,
                "next_path": "/files/continue",
                "size_parameter": None,
            },
            "delta": {
                "token_field": "cursor",
                "parameter": "cursor",
                "send_in": "body",
                "alone": True,
                "path": "/files/continue",
                "expired_statuses": [409],
            },
            "tombstone": {"field": '".tag"', "values": ["deleted"]},
        },
        deletes=True,
    ),
    "a token that is kept, Google": Shape(
        {
            "path": "/google",
            "records": "items",
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "pageToken",
                "cursor_field": "nextPageToken",
                **_size_by("maxResults"),
            },
            "delta": {"token_field": "nextSyncToken", "parameter": "syncToken"},
            "tombstone": {"field": "status", "values": ["cancelled"]},
        },
        deletes=True,
    ),
    "an address that is kept, Graph": Shape(
        {
            "path": "/graph",
            "records": "value",
            "pagination": {"kind": "next_url", "url_field": '"@odata.nextLink"', **_size_by("$top")},
            "delta": {"token_field": '"@odata.deltaLink"'},
            "tombstone": {"field": '"@removed"', "when_present": True},
        },
        deletes=True,
    ),
    "a token that is kept, CouchDB": Shape(
        {
            "path": "/couch",
            "records": "results",
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "since",
                "cursor_field": "last_seq",
                "more_field": "pending",
                "first": 0,
                "size": SIZE,
            },
            "delta": {"token_field": "last_seq", "parameter": "since"},
            "tombstone": {"field": "deleted"},
        },
        deletes=True,
    ),
    "a first token from elsewhere": Shape(
        {
            "path": "/drive/changes",
            "records": "changes",
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "pageToken",
                "cursor_field": "nextPageToken",
                "first_from": {"path": "/drive/startPageToken", "field": "startPageToken"},
                **_size_by("pageSize"),
            },
            "delta": {"token_field": "newStartPageToken", "parameter": "pageToken"},
            "tombstone": {"field": "removed"},
        },
        deletes=True,
    ),
    "a token alone alongside a mark": Shape(
        {
            "path": "/alone",
            "records": "rows",
            "pagination": {"kind": "cursor", "alone": True, "stable": True, "size": SIZE},
            "incremental": {"parameter": "since", "field": "at"},
        },
    ),
    "another method for the next page": Shape(
        {
            "path": "/events/filter",
            "method": "POST",
            "body": {"filter": {}},
            "records": "events",
            "pagination": {"kind": "next_url", "url_field": "next_page", "next_method": "GET"},
            "completeness": {"total_field": "total"},
        },
    ),
    "two tokens in headers": Shape(
        {
            "path": "/headers",
            "pagination": {
                "kind": "composite",
                "cursors": [
                    {
                        "kind": "cursor",
                        "cursor_from": "header",
                        "cursor_field": f"X-Next-{side}",
                        "cursor_parameter": f"X-{side}",
                        "send_in": "header",
                        "size": SIZE,
                    }
                    for side in ("Left", "Right")
                ],
            },
        },
    ),
    "paging inside of a query, QuickBooks": Shape(
        {
            "path": "/query",
            "parameters": {
                "query": "select * from Thing where at >= '{at}' startposition {from} maxresults {most}"
            },
            "records": "QueryResponse.Thing",
            "records_may_be_absent": True,
            "pagination": {
                "kind": "offset",
                "offset_parameter": "from",
                "limit_parameter": "most",
                "first": 1,
                "send_in": "text",
                "size": SIZE,
                "short_page_ends": True,
            },
            "incremental": {
                "parameter": "at",
                "field": "at",
                "send_in": "text",
                "start": "2000-01-01T00:00:00Z",
            },
        },
    ),
    "a key inside of a query, SOQL": Shape(
        {
            "path": "/soql",
            "parameters": {"q": "SELECT * FROM Thing WHERE Id > {key} ORDER BY Id LIMIT 4"},
            "records": "records",
            "pagination": {
                "kind": "keyset",
                "key_parameter": "key",
                "send_in": "text",
                "first": 0,
                "size_parameter": None,
            },
        },
    ),
    "a mark inside of arrays of a body": Shape(
        {
            "path": "/filters",
            "method": "POST",
            "body": {
                "filterGroups": [{"filters": [{"propertyName": "ms", "operator": "GTE", "value": "0"}]}]
            },
            "records": "results",
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "after",
                "cursor_field": "paging.next.after",
                "send_in": "body",
                "size_in": "body",
                "size": SIZE,
            },
            "incremental": {
                "parameter": "filterGroups.0.filters.0.value",
                "field": "ms",
                "format": "epoch_ms",
                "send_in": "body",
            },
        },
    ),
    "a form": Shape(
        {
            "path": "/form",
            "method": "POST",
            "body": {"kind": "any thing"},
            "body_format": "form",
            "records": "rows",
            "pagination": {"kind": "cursor", "send_in": "body", "size_in": "body", "size": SIZE},
        },
    ),
    "children of parents": Shape(
        {
            "path": "/groups/{group}/things",
            "records": "things",
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "after",
                "cursor_field": "next",
                "size_parameter": "size",
                "size": 2,
            },
            "each": {
                "of": {
                    "path": "/groups",
                    "records": "groups",
                    "pagination": {"kind": "cursor", "size_parameter": None},
                    "key": ["id"],
                },
                "fields": {"group": "id"},
                "add": {"group": "id", "place": "place"},
            },
        },
        new=False,
    ),
    "the detail of each record of a list": Shape(
        {
            "path": "/ref/{number}",
            "pagination": {"kind": "single", "whole": True},
            "each": {
                "of": {
                    "path": "/refs",
                    "records": "refs",
                    "pagination": {"kind": "offset", "size": SIZE},
                    "completeness": {"total_field": "total"},
                    "incremental": {"parameter": "since", "field": "at"},
                    "key": ["ref"],
                },
                "fields": {"number": "ref"},
                "skip_statuses": [404],
            },
        },
    ),
    "an export, its files": Shape(
        {
            "path": "/export",
            "method": "POST",
            "body": {"what": "things"},
            "format": "ndjson",
            "pagination": {"kind": "single"},
            "export": {
                "status_path": "/export/{job}",
                "done": ["ready"],
                "failed": ["failed"],
                "file_field": "files[].url",
                "total_field": "rows",
            },
            "incremental": {"parameter": "since", "field": "at", "send_in": "body"},
        },
    ),
    "an export, its pages": Shape(
        {
            "path": "/export",
            "method": "POST",
            "body": {"what": "things"},
            "format": "csv",
            "pagination": {"kind": "next_header", "header": "Locator", "cursor_parameter": "locator"},
            "export": {
                "status_path": "/export/{job}",
                "done": ["ready"],
                "failed": ["failed"],
                "result_path": "/export/{job}/results",
            },
            "completeness": {"total_header": "Rows"},
            "incremental": {"parameter": "since", "field": "at", "send_in": "body"},
        },
    ),
    "windows of five hours": Shape(
        {
            "path": "/window",
            "records": "rows",
            "pagination": {"kind": "cursor", "size": SIZE},
            "incremental": {
                "parameter": "from",
                "until_parameter": "to",
                "field": "at",
                "start": "2025-12-31T20:00:00Z",
                "window_s": 5 * 3600,
            },
        },
    ),
    "a cap of six records": Shape(
        {
            "path": "/capped",
            "records": "rows",
            "pagination": {"kind": "cursor", "size": SIZE},
            "incremental": {
                "parameter": "from",
                "until_parameter": "to",
                "field": "at",
                "start": "2025-12-31T20:00:00Z",
            },
            "cap": {"most": 6},
        },
    ),
    "several arrays in a page, Plaid": Shape(
        {
            "path": "/plaid",
            "method": "POST",
            "body": {"client": "x"},
            "records": "added",
            "arrays": ["modified", "removed"],
            "pagination": {
                "kind": "cursor",
                "cursor_field": "next_cursor",
                "more_field": "has_more",
                "send_in": "body",
                "size_parameter": None,
            },
            "delta": {"token_field": "next_cursor", "parameter": "cursor", "send_in": "body"},
            "tombstone": {"records": "removed"},
        },
        deletes=True,
    ),
    "records that are arrays": Shape(
        {
            "path": "/columns",
            "records": "rows",
            "columns": "columns[].name",
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "after",
                "cursor_field": "next",
                "size": SIZE,
            },
        },
    ),
    "a sheet": Shape(
        {
            "path": "/sheet",
            "records": "values",
            "header_row": True,
            "pagination": {"kind": "single", "whole": True},
        },
    ),
    "sideloads": Shape(
        {
            "path": "/sideload",
            "records": "things",
            "sideloads": {"author": {"records": "users", "field": "author_id"}},
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "after",
                "cursor_field": "next",
                "size": SIZE,
            },
        },
    ),
    "CSV": Shape(
        {
            "path": "/csv",
            "format": "csv",
            "delimiter": ";",
            "pagination": {"kind": "page_numbers", "size": SIZE},
            "completeness": {"total_header": "X-Total"},
        },
    ),
    "NDJSON, packed": Shape(
        {
            "path": "/lines",
            "format": "ndjson",
            "pagination": {"kind": "link_header", **_size_by("limit")},
        },
    ),
    "XML": Shape(
        {
            "path": "/atom",
            "format": "xml",
            "records": "feed.entry",
            "records_may_be_absent": True,
            "pagination": {
                "kind": "next_url",
                "url_field": "feed.link[@rel=next].@href",
                **_size_by("limit"),
            },
        },
    ),
}
