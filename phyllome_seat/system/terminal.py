"""A terminal while keys are pressed that are not meant for it."""

from __future__ import annotations

import os
import selectors
import termios
import time
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_INPUT_MODES = 3  # the place of c_lflag in what tcgetattr() returns
_ESCAPE = b"\x1b"


def open_terminal() -> int | None:
    """Return a descriptor of the terminal this program was started from, None without one."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None


@contextmanager
def quiet(terminal: int | None) -> Iterator[None]:
    """Show nothing of what is typed, and throw it away at the end: no shell gets to read it.

    Signals by keys (Ctrl-C) stay. However this ends, the terminal is as it was before; a program
    that is killed by a signal it does not catch cannot promise that.
    """
    if terminal is None:
        yield
        return
    before = termios.tcgetattr(terminal)
    silent = termios.tcgetattr(terminal)
    silent[_INPUT_MODES] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal may have been closed meanwhile
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def read_typed(terminal: int) -> bytes:
    """Return what was typed, empty when the terminal was closed."""
    try:
        return os.read(terminal, 4096)
    except BlockingIOError:
        return b" "  # somebody else read it
    except OSError:
        return b""


def is_escape(typed: bytes) -> bool:
    """Whether this is the Escape key alone: keys such as arrows begin with the same byte."""
    return typed == _ESCAPE


def is_enter(typed: bytes) -> bool:
    """Whether Enter is among what was typed; a line feed, or what is turned into one."""
    return b"\n" in typed or b"\r" in typed


def wait_enter(terminal: int | None, timeout_s: float) -> None:
    """Wait for Enter or Esc, or so long; without a terminal just so long."""
    if terminal is None:
        time.sleep(timeout_s)
        return
    deadline = time.monotonic() + timeout_s
    with quiet(terminal), selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            typed = read_typed(terminal) if selector.select(left) else b" "
            if not typed or is_escape(typed) or is_enter(typed):
                return
