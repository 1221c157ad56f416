"""Programs: found or not, in time or not, well or not: each said once."""

import time

import pytest

from phyllome_seat.model.errors import ProgramError
from phyllome_seat.system.run import run


def test_the_output_of_a_program_is_returned():
    assert run(("printf", "%s|", "a b", "$HOME")) == "a b|$HOME|"


def test_a_program_speaks_english_and_gets_nothing_else_from_us(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("SECRET", "hunter2")

    assert {line.split("=")[0] for line in run(("env",)).splitlines()} == {"PATH", "LC_ALL"}


def test_a_program_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(ProgramError, match=r"^no-such-program is not installed$") as refused:
        run(("no-such-program", "--now"))

    assert "package" in refused.value.hint


def test_a_failure_carries_the_last_line_the_program_said():
    with pytest.raises(ProgramError) as failed:
        run(("sh", "-c", "echo first >&2; echo 'no such device' >&2; exit 3"))

    assert str(failed.value).endswith("failed with status 3: no such device")
    assert failed.value.output == "first\nno such device\n"


def test_a_status_that_is_expected_is_no_failure():
    assert run(("sh", "-c", "echo inactive; exit 3"), ok=(0, 3)) == "inactive\n"


def test_a_program_ended_by_a_signal_says_which():
    with pytest.raises(ProgramError, match="was ended by SIGTERM"):
        run(("sh", "-c", "kill -TERM $$"))


def test_a_program_that_does_not_end_is_ended():
    begin_s = time.monotonic()

    with pytest.raises(ProgramError, match=r"^sleep 60 did not end in 0\.2 s$"):
        run(("sleep", "60"), timeout_s=0.2)

    assert time.monotonic() - begin_s < 5


def test_a_program_whose_child_keeps_the_pipe_open_is_left():
    begin_s = time.monotonic()

    with pytest.raises(ProgramError, match="did not end in"):
        run(("sh", "-c", "sleep 20 & wait"), timeout_s=0.2)

    assert time.monotonic() - begin_s < 10
