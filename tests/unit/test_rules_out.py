"""The rules that ``make test-rules`` takes out: each is still in the code, its tests are there, it is written down."""

from __future__ import annotations

import pytest

from tests.rules import all_rules, protocol
from tests.rules.base import Rule
from tests.rules.out import CHECKOUT, without


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.name)
def test_a_rule_can_still_be_taken_out_and_names_tests_that_exist(rule: Rule) -> None:
    text = (CHECKOUT / rule.file).read_text()
    compile(without(rule, text), rule.file, "exec")
    for test in rule.tests:
        file, name = test.split("::")
        assert f"def {name.partition('[')[0]}(" in (CHECKOUT / file).read_text(), test


def test_the_table_of_the_protocols_rules_is_the_one_in_the_docs() -> None:
    written = (CHECKOUT / "docs" / "protocol-tests.md").read_text()
    for rule in protocol.RULES:
        assert f"| {rule.name} |" in written, rule.name
        for test in rule.tests:
            assert test.split("::")[1] in written, test
