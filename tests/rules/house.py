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
    rule(
        "a command whose output nobody reads carries out what it decided",
        "src/headworks/ops/pipes.py",
        "        except BrokenPipeError:\n",
        "        except ZeroDivisionError:\n",
        "tests/unit/ops/test_pipes.py::test_a_decision_is_carried_out_though_nobody_reads_of_it",
    ),
    rule(
        "a landing is one line of the log",
        "src/headworks/prefect/progress.py",
        "    get_run_logger().debug(\n",
        "    get_run_logger().info(\n",
        "tests/flows/test_ingest_database.py::test_each_landing_is_one_line_of_the_log",
    ),
    rule(
        "what speaks against a key is written next to it",
        "src/headworks/adding.py",
        "    if not against:\n",
        "    if True:\n",
        "tests/unit/test_adding.py::test_what_is_written_of_a_key_is_what_the_rows_show",
    ),
    rule(
        "an error without advice of its own has that of its class",
        "src/headworks/errors.py",
        "        self.do = do or self.advice\n",
        "        self.do = do\n",
        "tests/unit/test_errors.py::test_what_a_class_advises_gives_way_to_what_is_known_where_it_is_raised",
    ),
)
