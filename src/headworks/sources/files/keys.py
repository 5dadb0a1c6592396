"""Listing a bucket whose keys the storage library refuses: with an empty part, as in ``a//b.csv``, or ``/b.csv``.

Such a key ends the library's listing before anything of it is given out. So the listing is asked for once more by S3's
own words, and the odd keys are left out by name. Only credentials in the storage options can sign these requests.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

import httpx

from headworks.settings import PlaceSettings
from headworks.sources.files.left_out import ODD_KEY, LeftOut
from headworks.sources.files.progress import FileVersion

_ODD = re.compile(r"Path \"(.*?)\" contained empty path segment", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMEOUT_S = 60.0
_EMPTY = hashlib.sha256(b"").hexdigest()


def odd_key(message: str) -> str | None:
    """Return the key that a listing's error names, None where it failed for something else."""
    found = _ODD.search(message)
    return found[1] if found else None


@dataclass(frozen=True)
class Keys:
    """A bucket of S3, or of what speaks like it."""

    bucket: str
    prefix: str
    endpoint: str
    region: str
    key: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    by_path: bool = True

    @classmethod
    def of(cls, settings: PlaceSettings) -> Keys | None:
        """Return the bucket of a place, None where it is none or where no credentials are in its options."""
        scheme, _, rest = settings.root.partition("://")
        options = {
            key.lower().removeprefix("aws_"): value for key, value in (settings.options() or {}).items()
        }

        def option(*names: str) -> str:
            found = (options.get(name) or os.environ.get(f"AWS_{name.upper()}") for name in names)
            return next((each for each in found if each), "")

        key, secret = option("access_key_id"), option("secret_access_key")
        if scheme not in {"s3", "s3a"} or not key or not secret:
            return None
        bucket, _, prefix = rest.partition("/")
        region = option("region", "default_region") or "us-east-1"
        named = option("endpoint_url", "endpoint")
        endpoint = named or f"https://{bucket}.s3.{region}.amazonaws.com"
        token = option("session_token", "token")
        return cls(bucket, prefix, endpoint.rstrip("/"), region, key, secret, token, by_path=bool(named))

    def listed(self, folder: str, left: LeftOut) -> Iterator[FileVersion]:
        """List the objects below a folder, and leave out those with odd keys by name."""
        below = "/".join(part for part in (self.prefix, folder) if part)
        root = f"{self.prefix}/" if self.prefix else ""
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            for item in self._pages(client, f"{below}/" if below else ""):
                key = item["Key"]
                path = key[len(root) :]
                if key.endswith("/"):
                    continue
                if "" in path.split("/"):
                    left.add(ODD_KEY, path)
                    continue
                modified = datetime.fromisoformat(item["LastModified"])
                e_tag = item.get("ETag") or None
                modified_us = (modified - _EPOCH) // timedelta(microseconds=1)
                size = int(item["Size"])
                version = e_tag.strip('"') if e_tag else f"{size}-{modified_us}"
                yield FileVersion(path, version, size, modified_us, e_tag)

    def _pages(self, client: httpx.Client, prefix: str) -> Iterator[dict[str, str]]:
        following = ""
        while True:
            query = {"list-type": "2", "prefix": prefix} | (
                {"continuation-token": following} if following else {}
            )
            address, headers = self._request(query)
            try:
                answer = client.get(address, headers=headers)
            except httpx.HTTPError as problem:
                raise OSError(f"listing the bucket failed: {type(problem).__name__}") from problem
            if answer.status_code != httpx.codes.OK:
                raise OSError(f"listing the bucket was answered with {answer.status_code}")
            tree = ElementTree.fromstring(answer.content)
            space = tree.tag.partition("}")[0] + "}" if tree.tag.startswith("{") else ""
            for item in tree.iter(f"{space}Contents"):
                yield {each.tag.removeprefix(space): each.text or "" for each in item}
            following = tree.findtext(f"{space}NextContinuationToken") or ""
            if not following:
                return

    def _request(self, query: dict[str, str]) -> tuple[str, dict[str, str]]:
        """Return the address of a listing and the headers that sign it, by AWS' Signature Version 4."""
        parts = urlsplit(self.endpoint)
        path = f"{parts.path}/{self.bucket}" if self.by_path else f"{parts.path}/"
        now = datetime.now(UTC)
        day, moment = f"{now:%Y%m%d}", f"{now:%Y%m%dT%H%M%SZ}"
        asked = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
        headers = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY, "x-amz-date": moment}
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"GET\n{quote(path)}\n{asked}\n{lines}\n{names}\n{_EMPTY}"
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signing = f"AWS4{self.secret}".encode()
        for word in (day, self.region, "s3", "aws4_request"):
            signing = hmac.digest(signing, word.encode(), "sha256")
        signature = hmac.digest(signing, text.encode(), "sha256").hex()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return f"{parts.scheme}://{parts.netloc}{quote(path)}?{asked}", headers
