"""Whether the process that holds something lives, as far as another one can see."""

from __future__ import annotations

import subprocess
import sys

from headworks.storage.holders import Holder, is_alive, this_process


def test_this_process_lives() -> None:
    assert is_alive(this_process()) is True


def test_a_process_that_ended_is_dead_though_nobody_has_asked_for_its_exit_code() -> None:
    program = "from headworks.storage.holders import this_process; print(this_process().model_dump_json())"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        output = Holder.model_validate_json(process.stdout.read())
    # What is left of it until wait() still has an entry among the processes.
    assert output.pid == process.pid
    process.wait()
    assert is_alive(output) is False


def test_a_number_that_was_given_out_again_is_another_process() -> None:
    me = this_process()
    assert is_alive(me.model_copy(update={"began": me.began - 1})) is False


def test_of_a_process_in_another_container_or_on_another_machine_nothing_is_known() -> None:
    assert is_alive(this_process().model_copy(update={"world": "another boot/pid:[1]"})) is None


def test_where_worlds_cannot_be_told_apart_nothing_is_known() -> None:
    assert is_alive(this_process().model_copy(update={"world": ""})) is None
