"""What a pattern of paths means, and which folder need be listed for it."""

from __future__ import annotations

import pytest

from headworks.errors import SettingsError
from headworks.sources.files.patterns import fixed_folder, is_hidden, path_pattern


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "x/a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "x/y/a.csv", True),
        ("**", "x/y/a.csv", True),
        ("x/**", "x/y/a.csv", True),
        ("x/**", "y/a.csv", False),
        ("x/*/a.csv", "x/y/a.csv", True),
        ("x/*/a.csv", "x/y/z/a.csv", False),
        ("?.csv", "ab.csv", False),
        ("[a-c].csv", "b.csv", True),
        ("[!a-c].csv", "b.csv", False),
        ("[!a].csv", "/.csv", False),
        ("*.{csv,txt}", "a.txt", True),
        ("*.{csv,txt}", "a.csvx", False),
        ("a+b(1).csv", "a+b(1).csv", True),
    ],
)
def test_a_pattern_matches_whole_paths(pattern: str, path: str, matches: bool) -> None:
    assert (path_pattern(pattern).fullmatch(path) is not None) is matches


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [("*.csv", ""), ("x/y/*.csv", "x/y"), ("x/*/z/*.csv", "x"), ("x/**", "x"), ("x/a.csv", "x")],
)
def test_only_the_fixed_folder_is_listed(pattern: str, folder: str) -> None:
    assert fixed_folder(pattern) == folder


@pytest.mark.parametrize("pattern", ["", "/a.csv", "a[b.csv", "{a,b.csv"])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(SettingsError):
        path_pattern(pattern)


def test_hidden_is_what_lies_in_a_hidden_folder_too() -> None:
    assert is_hidden("_temporary/0/a.csv", ("_*",))
    assert not is_hidden("a_b.csv", ("_*",))
