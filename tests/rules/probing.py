"""The rules of probing an API and of naming what a description has wrong."""

from __future__ import annotations

from tests.rules.base import rule

_API = "src/headworks/sources/api"
_PROBING = "tests/recipes/test_probing.py"
_FIELDS = "tests/integration/test_described_fields.py"

RULES = (
    rule(
        "a proposal whose paging nobody knows has none",
        f"{_API}/probe.py",
        '        found.because(f"tried: {self.tried} guesses, and none of them led to a second page")\n',
        '        found.resource["pagination"] = {"kind": "single"}\n'
        '        found.because(f"tried: {self.tried} guesses, and none of them led to a second page")\n',
        f"{_PROBING}::test_a_total_that_contradicts_the_one_page_is_no_single_page",
    ),
    rule(
        "a proposal is read once more after its end",
        f"{_API}/probe.py",
        """        second = self.read(resource, _MOST, progress)
""",
        "        second = tried\n        second = _Tried()\n",
        f"{_PROBING}::test_what_was_tried_is_said_three_pages_the_end_and_a_second_run",
    ),
    rule(
        "a refused page past the last is described",
        f"{_API}/probe.py",
        "        if status not in _PAST_END:\n",
        "        if status >= 0:\n",
        f"{_PROBING}::test_a_refusal_of_the_page_past_the_last_is_described",
    ),
    rule(
        "a total that no page has is named",
        f"{_API}/noticing.py",
        '        completeness.total_field: "completeness.total_field",\n',
        "",
        f"{_FIELDS}::test_a_field_that_is_described_wrongly_is_named_with_the_one_that_is_meant",
    ),
)
