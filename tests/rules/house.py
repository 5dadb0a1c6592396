"""Rules of the house: what a project's people see and decide."""

from __future__ import annotations

from tests.rules.base import rule

_SECRETS = "tests/unit/test_redaction.py"
_DECIDED = "tests/integration/test_accounts_of_decisions.py"
_COMPLETION, _TAB = "src/headworks/cli/completion.py", "tests/flows/test_completion.py"

RULES = (
    rule(
        "a password that is a word of a scheme leaves the scheme readable",
        "src/headworks/redaction.py",
        "            if _is_of_scheme(text, start, end):\n                continue\n",
        "",
        f"{_SECRETS}::test_a_password_that_is_a_word_of_a_scheme_leaves_every_scheme_readable_and_is_taken_out_elsewhere",
    ),
    rule(
        "a secret that is more than a scheme is taken out",
        "src/headworks/redaction.py",
        "one.start() <= start and end <= one.end()",
        "one.start() <= start",
        f"{_SECRETS}::test_a_secret_that_is_more_than_a_scheme_or_no_known_one_is_taken_out_where_a_scheme_would_be",
    ),
    rule(
        "a key press finds the values of a type that has a name",
        _COMPLETION,
        "return (None, tree) if source is None else _named(name, source)",
        "return None, tree",
        f"{_TAB}::test_what_is_offered_after_a_flow_is_what_the_flow_takes",
    ),
    rule(
        "a key press shows no error of a broken project",
        _COMPLETION,
        "    except (OSError, SyntaxError, UnicodeDecodeError):\n        return ()\n    for node",
        "    except OSError:\n        return ()\n    for node",
        f"{_TAB}::test_a_key_press_shows_no_error_whatever_is_wrong_with_the_project",
    ),
    rule(
        "a decision about a gold table has an account",
        "src/headworks/cli/delivery.py",
        "        by_hand.decided(about, done.state, by=options.by, note=options.note, quiet=options.json)\n",
        "        pass\n",
        f"{_DECIDED}::test_a_decision_leaves_its_account_in_the_ledger_and_its_file",
    ),
)
