"""What an answer says of itself alongside its records: that it failed, in spite of a status that is fine.

APIs say so in many ways: ``success: false``, ``status: "error"``, ``code: 401``, ``errcode: 1``, ``Response: "False"``.
Only a page that has no records is looked at, since of one that has some such a field is more likely data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    PageUnreadable,
    RateLimited,
    SourceUnavailable,
)
from headworks.redaction import excerpt

_SUCCESS = {"success", "succeeded", "successful", "issuccess", "issuccessful", "ok", "isok"}
_STATUS = {
    "status",
    "stat",
    "state",
    "result",
    "resultcode",
    "outcome",
    "type",
    "responsestatus",
    "code",
    "level",
}
_CODE = {
    "code",
    "status",
    "statuscode",
    "httpstatus",
    "httpcode",
    "httpstatuscode",
    "responsecode",
    "resultcode",
}
_NUMBERED = {"errcode", "errno", "errorcode", "errornumber", "faultcode"}
_ERROR = {
    *("error", "errors", "errormessage", "errormessages", "errordescription", "errordetail", "errordetails"),
    *("fault", "faultstring", "exception"),
}
_MESSAGE = (
    *("message", "msg", "error_message", "errmsg", "error_description", "detail", "details", "description"),
    *("reason", "title"),
)
_AROUND = {"meta", "metadata", "header", "head", "response", "result", "status", "envelope", "info"}
"""Objects around or alongside the records in which the same is said."""
_FAILED = re.compile(
    r"\b(?:error|err|fail|failed|failure|faulted|denied|refused|forbidden|unauthori[sz]ed|unauthenticated|invalid\w*|exceeded|"
    r"expired|throttled|unavailable|timed? ?out|ko|nok|not ok|bad request|over .*limit)\b",
    re.IGNORECASE,
)
_LIMITED = re.compile(
    r"\b(?:too many requests|(?:rate|request|call|api|quota|usage)[ _-]?limits? (?:was |is |has been |have been )?"
    r"(?:exceeded|reached|hit|is \d+)|quota (?:was |is |has been )?(?:exceeded|reached|exhausted)|rate[ -]?limited|"
    r"throttl(?:ed|ing)|slow down|(?:exceeded|reached|hit) (?:the |your |our )?[\w ]{0,24}(?:limit|quota))\b",
    re.IGNORECASE,
)
"""What says in any field that there were too many requests: an answer without records is then none."""
_FINE = {"", "0", "none", "null", "false", "no", "ok", "success", "no error", "noerror", "200"}
_FEW = 6
_LEAST_STATUS, _MOST_STATUS = 400, 600


def says_error(value: Any) -> bool:
    """Return whether a field for errors holds one: not where it is empty, null, false, 0 or a word that means none."""
    if isinstance(value, str):
        return value.strip().lower() not in _FINE
    return bool(value)


def failure_of(envelope: Mapping[str, Any], *, lone: bool = False) -> HeadworksError | None:
    """Return the error that an answer without records says it is, None where it says nothing of the kind.

    ``lone``: the answer is a record itself, and an error only if it has a message and little besides.
    """
    if lone and not (len(envelope) <= _FEW and any(isinstance(envelope.get(name), str) for name in _MESSAGE)):
        return None
    for name, value, around in _said(envelope):
        plain = name.lower().replace("_", "").replace("-", "")
        if isinstance(value, str) and (limited := _LIMITED.search(value)) is not None:
            said = excerpt(f"its {name} is {value!r}")
            return _error(
                limited[0] + " limit", f"The API answered with a status that is fine and no records: {said}."
            )
        why = _failure(plain, value)
        if why:
            message = next((str(around[one]) for one in _MESSAGE if around.get(one)), "")
            said = excerpt(f"its {name} is {value!r}" + (f", {message}" if message else ""))
            return _error(
                value, f"The API answered with a status that is fine, and says that it failed: {said}."
            )
    return None


def _said(envelope: Mapping[str, Any]) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    for name, value in envelope.items():
        yield name, value, envelope
    for name, value in envelope.items():
        if name.lower() in _AROUND and isinstance(value, dict):
            for inner, said in value.items():
                yield inner, said, {**envelope, **value}


def _failure(name: str, value: Any) -> bool:
    if name in _SUCCESS or (name == "response" and isinstance(value, str)):
        return value is False or (isinstance(value, str) and value.strip().lower() in ("false", "no", "0"))
    if name in _ERROR:
        return says_error(value)
    if name in _NUMBERED:
        return says_error(value)
    if name in _CODE and _LEAST_STATUS <= (_number(value) or 0) < _MOST_STATUS:
        return True
    return (
        name in _STATUS and isinstance(value, str) and _FAILED.search(re.sub("[_-]", " ", value)) is not None
    )


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return (
        int(value)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9
        else None
    )


def _error(value: Any, said: str) -> HeadworksError:
    """Return it as the error that its number or word represents, as a status would."""
    number, word = _number(value) or 0, str(value).lower()
    if number in (401, 403) or any(one in word for one in ("denied", "authori", "authent", "forbidden")):
        return CredentialsRefused(
            said, do="check the credentials in the API's block, and what they may read."
        )
    if number == 429 or "limit" in word or "throttl" in word:
        return RateLimited(said, do="nothing, if it heals; else lower requests_per_s in the API's block.")
    if 500 <= number < _MOST_STATUS:
        return SourceUnavailable(said, do="nothing, if it heals; else ask the API's owner.")
    return PageUnreadable(said, do="check the resource's parameters; if it is no error, ask the API's owner.")
