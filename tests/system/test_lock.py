"""The lock: two processes, one writer."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from phyllome_seat.model.errors import ApplyError, LockedError
from phyllome_seat.system.state import State

HOLD = """
import sys, time
from phyllome_seat.system.state import State
with State(sys.argv[1]).lock("phyllome-seat apply"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_waits_then_names_the_first(other, tmp_path):
    begin_s = time.monotonic()

    with pytest.raises(LockedError) as refused, State(str(tmp_path)).lock("revert", wait_s=0.5):
        pass

    assert str(refused.value) == f"pid {other.pid} (phyllome-seat apply) is at work; waited 0 s"
    assert 0.5 <= time.monotonic() - begin_s < 5


def test_the_second_goes_on_when_the_first_is_killed(other, tmp_path):
    other.send_signal(signal.SIGKILL)

    with State(str(tmp_path)).lock("phyllome-seat revert", wait_s=10):
        content = (tmp_path / "run/phyllome-seat/lock").read_text()

    assert content == f"{os.getpid()} phyllome-seat revert\n"


def test_a_program_left_behind_does_not_keep_the_lock(tmp_path):
    state = State(str(tmp_path))
    with state.lock("phyllome-seat apply"):
        left = subprocess.Popen(["sleep", "60"], close_fds=False)

    with state.lock("phyllome-seat apply", wait_s=0):
        pass
    left.kill()
    left.wait()


def test_nobody_else_can_open_the_lock_to_keep_us_out(tmp_path):
    with State(str(tmp_path)).lock("phyllome-seat apply"):
        mode = (tmp_path / "run/phyllome-seat/lock").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "run").write_text("in the way")

    with (
        pytest.raises(ApplyError, match="run/phyllome-seat/lock: "),
        State(str(tmp_path)).lock("x"),
    ):
        pass
