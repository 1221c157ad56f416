"""A terminal while keys are pressed that are not meant for it."""

from __future__ import annotations

import os
import selectors
import termios
import time
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    class Asked(Protocol):
        """What has a descriptor to wait on, and says by `read` that there was enough."""

        def fileno(self) -> int:
            """Return the descriptor."""

        def read(self) -> bool:
            """Take what there is; return whether to go on no longer. Raises OSError."""


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


def wait_enter(terminal: int | None, timeout_s: float, others: Sequence[Asked] = ()) -> None:
    """Wait for Enter or Esc, or so long; without a terminal just so long.

    Each of `others` is read when it has something, and ends the wait when that says so.
    """
    deadline = time.monotonic() + timeout_s
    with quiet(terminal), selectors.DefaultSelector() as selector:
        if terminal is not None:
            selector.register(terminal, selectors.EVENT_READ)
        for other in others:
            selector.register(other, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fileobj != terminal:
                    asked = next(other for other in others if other is key.fileobj)
                    try:
                        is_over = asked.read()
                    except OSError:  # it has gone, and the rest goes on
                        selector.unregister(asked)
                        continue
                else:
                    typed = read_typed(key.fd)
                    is_over = not typed or is_escape(typed) or is_enter(typed)
                if is_over:
                    return
