"""The rules of the shapes that APIs have: where each is in the code, and the tests that fail without it."""

from __future__ import annotations

from tests.rules.base import rule

_API = "src/headworks/sources/api"
_SHAPES = "tests/hostile/test_shapes.py"
_EXPORTS = "tests/hostile/test_exports.py"
_AGAIN = "tests/integration/test_api_again.py"
_FORMATS = "tests/unit/sources/api/test_formats.py"

RULES = (
    rule(
        "a flag is believed that means the end once it was seen to say that more follows",
        f"{_API}/paginate/base.py",
        "        return () if page.records == 0 else (self._marker,)\n",
        "        return ()\n",
        f"{_SHAPES}::test_a_flag_that_is_described_the_wrong_way_round_ends_no_scan",
    ),
    rule(
        "a page that the API gives only once is never asked for again",
        f"{_API}/client.py",
        "            elif not request.once and self._is_asked_again",
        "            elif self._is_asked_again",
        f"{_SHAPES}::test_a_page_that_is_lost_of_a_scan_that_the_api_keeps_begins_the_scan_again",
    ),
    rule(
        "a parent that is as it was has its children read again",
        f"{_API}/children.py",
        """                progress = replace(progress, held=None)
                parents""",
        "                parents",
        f"{_AGAIN}::test_children_are_read_again_of_parents_that_are_as_they_were",
    ),
    rule(
        "a reading of children is complete only if each child's was",
        f"{_API}/children.py",
        "            whole = whole and landed.shown is not False and away <= _GONE\n",
        "            whole = whole and away <= _GONE\n",
        f"{_SHAPES}::test_one_child_that_is_not_shown_complete_is_enough",
    ),
    rule(
        "what was gone when the last run looked lands when it is back",
        f"{_API}/memory.py",
        "for key in self._met if key in self._held}",
        "for key in self._held}",
        f"{_AGAIN}::test_without_marks_only_what_is_new_or_changed_or_back_lands",
    ),
    rule(
        "no credentials go to another host for a file",
        f"{_API}/client.py",
        "            own = {} if request.bare else await self._signer.headers()\n",
        "            own = await self._signer.headers()\n",
        f"{_EXPORTS}::test_files_elsewhere_are_got_without_credentials_and_only_from_hosts_that_are_named",
    ),
    rule(
        "the job's id is in the position before its result is asked for",
        f"{_API}/source.py",
        "(landed is not None and landed.flush) or ",
        "",
        f"{_EXPORTS}::test_the_job_is_in_the_position_before_anything_of_its_result",
    ),
    rule(
        "a file of CSV whose last line has no end is not shown to be complete",
        f"{_API}/formats.py",
        'doubt="" if ended else UNENDED',
        'doubt=""',
        f"{_FORMATS}::test_a_file_that_is_cut_anywhere_is_never_read_as_a_whole_one",
    ),
    rule(
        "an array that is described and never there is reported",
        f"{_API}/reading.py",
        '        unseen = [path for path in self._format.arrays() if f"array {path}" not in self._described.known]\n',
        "        unseen: list[str] = []\n",
        f"{_FORMATS}::test_an_array_that_is_described_and_never_there_is_reported",
    ),
)
