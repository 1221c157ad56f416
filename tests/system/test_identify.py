"""Waiting for a press, on named pipes that carry the kernel's own struct input_event."""

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from phyllome_seat.model.errors import PhyllomeSeatError
from phyllome_seat.system.identify import NothingPressedError, wait_press
from phyllome_seat.system.terminal import quiet
from tests.system.bell import Bell

EVENT = struct.Struct("@llHHi")
SYN, KEY, REL, ABS = 0, 1, 2, 3
KEY_A, KEY_ESC, BTN_LEFT, BTN_SOUTH, BTN_TOOL_FINGER = 30, 1, 0x110, 0x130, 0x145


def events(*triples):
    return b"".join(EVENT.pack(0, 0, *triple) for triple in triples)


def stroke(code):
    return events((KEY, code, 1), (SYN, 0, 0)) + events((KEY, code, 0), (SYN, 0, 0))


class Desk:
    """A folder with named pipes for nodes; `send` is what the kernel would."""

    def __init__(self, folder):
        self.folder = folder
        self.ends = {}

    def plug(self, node):
        path = self.folder / node
        os.mkfifo(path)
        self.ends[node] = os.open(path, os.O_RDWR)

    def unplug(self, node):
        (self.folder / node).unlink()
        os.close(self.ends.pop(node))

    def send(self, node, content):
        os.write(self.ends[node], content)

    def wait(self, **how):
        return wait_press(folder=str(self.folder), **{"timeout_s": 5.0, **how})


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    for number in range(4):
        desk.plug(f"event{number}")
    yield desk
    for fd in desk.ends.values():
        os.close(fd)


def later(what, *arguments):
    timer = threading.Timer(0.15, what, arguments)
    timer.start()
    return timer


@pytest.mark.parametrize("code", [KEY_A, BTN_LEFT, BTN_SOUTH])
def test_what_is_pressed_is_named_by_its_node(desk, code):
    later(desk.send, "event2", stroke(code))

    assert desk.wait() == "event2"


def test_motion_is_no_press_nor_is_a_finger_near_or_a_key_that_repeats_or_goes_up(desk):
    desk.send("event0", events((REL, 0, 5), (SYN, 0, 0), (ABS, 1, 700), (SYN, 0, 0)))
    desk.send("event1", events((KEY, BTN_TOOL_FINGER, 1), (SYN, 0, 0)))
    desk.send("event2", events((KEY, 28, 2), (KEY, 28, 0), (SYN, 0, 0)))
    later(desk.send, "event3", stroke(KEY_A))

    assert desk.wait() == "event3"


def test_escape_on_any_keyboard_ends_it(desk):
    later(desk.send, "event1", stroke(KEY_ESC))

    with pytest.raises(NothingPressedError, match="ended by Esc"):
        desk.wait()


def test_a_time_limit_ends_it_and_says_how_many_were_heard(desk):
    began = time.monotonic()

    with pytest.raises(NothingPressedError, match=r"within 0.3 s, on none of 4 input devices"):
        desk.wait(timeout_s=0.3)

    assert 0.3 <= time.monotonic() - began < 2


def test_a_held_key_is_waited_for_so_that_what_it_types_has_arrived(desk):
    desk.send("event2", events((KEY, KEY_A, 1), (SYN, 0, 0)))
    began = time.monotonic()
    threading.Timer(0.5, desk.send, ("event2", events((KEY, KEY_A, 0), (SYN, 0, 0)))).start()

    assert desk.wait() == "event2"
    assert time.monotonic() - began >= 0.5


def test_a_keyboard_plugged_in_meanwhile_is_heard_and_one_pulled_out_is_not_missed(desk):
    bell = Bell()

    def hands():
        desk.unplug("event0")
        desk.plug("event7")
        bell.ring()
        time.sleep(0.3)
        desk.send("event7", stroke(KEY_A))

    later(hands)

    assert desk.wait(changes=bell) == "event7"


def test_another_device_under_the_name_of_one_that_went_is_heard(desk):
    bell = Bell()

    def hands():
        desk.unplug("event0")
        desk.plug("event0")
        bell.ring()
        time.sleep(0.3)
        desk.send("event0", stroke(KEY_A))

    later(hands)

    assert desk.wait(changes=bell) == "event0"


def test_nothing_stays_open(desk):
    before = sorted(Path("/proc/self/fd").iterdir())
    desk.send("event2", stroke(KEY_A))

    desk.wait()

    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_without_any_node_the_time_limit_still_holds(tmp_path):
    with pytest.raises(NothingPressedError, match="none of 0 input devices"):
        wait_press(timeout_s=0.1, folder=str(tmp_path / "not there"))


def test_who_may_read_no_node_is_told_so(desk, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(PhyllomeSeatError, match="may not be read: only root may"):
        desk.wait()


# ── the terminal ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def terminal():
    """Both ends of a terminal: where a person types, and what a shell reads."""
    typed, shell = pty.openpty()
    os.set_blocking(shell, False)
    yield typed, shell
    os.close(typed)
    os.close(shell)


def unread(shell):
    """What a shell would get to read now."""
    os.set_blocking(shell, False)
    mode = termios.tcgetattr(shell)
    mode[3] &= ~termios.ICANON
    termios.tcsetattr(shell, termios.TCSANOW, mode)
    try:
        return os.read(shell, 100)
    except BlockingIOError:
        return b""


def test_what_is_typed_meanwhile_reaches_no_shell_and_is_not_shown(desk, terminal):
    typed, shell = terminal
    mode = termios.tcgetattr(shell)

    def hands():
        os.write(typed, b"rm -rf /\n")
        desk.send("event2", stroke(KEY_A))

    later(hands)

    assert desk.wait(terminal=shell) == "event2"
    assert termios.tcgetattr(shell) == mode
    assert unread(shell) == b""
    assert not select.select([typed], [], [], 0.1)[0]  # nothing was echoed


def test_escape_typed_in_the_terminal_ends_it_and_an_arrow_does_not(desk, terminal):
    typed, shell = terminal
    os.write(typed, b"\x1b[A")
    later(os.write, typed, b"\x1b")

    with pytest.raises(NothingPressedError, match="ended by Esc"):
        desk.wait(terminal=shell)

    assert unread(shell) == b""


def test_an_arrow_alone_leaves_it_waiting(desk, terminal):
    typed, shell = terminal
    with quiet(shell):
        later(os.write, typed, b"\x1b[A")
        with pytest.raises(NothingPressedError, match=r"within 0\.6 s"):
            desk.wait(terminal=shell, timeout_s=0.6)


PROGRAM = """
import sys
from phyllome_seat.cli.identify import ended_by_signals
from phyllome_seat.system.identify import wait_press
with ended_by_signals():
    print("ready", file=sys.stderr, flush=True)
    wait_press(folder=sys.argv[1], terminal=0, timeout_s=20)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_terminal_is_as_it_was_after_a_signal(desk, terminal, number):
    _, shell = terminal
    mode = termios.tcgetattr(shell)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(desk.folder)], stdin=shell, stderr=subprocess.PIPE
    ) as program:
        assert program.stderr.readline() == b"ready\n"
        deadline = time.monotonic() + 5
        while termios.tcgetattr(shell) == mode and time.monotonic() < deadline:
            time.sleep(0.01)
        assert termios.tcgetattr(shell) != mode
        program.send_signal(number)
        assert program.wait(10) != 0

    assert termios.tcgetattr(shell) == mode
