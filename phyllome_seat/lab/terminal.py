"""This terminal, joined to a unix socket: a shell in the PC."""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LEAVE = b"\x1d"  # Ctrl-], as telnet(1) has it


def join_terminal(path: Path) -> None:
    """Carries bytes both ways until the other side closes or Ctrl-] is typed."""
    keys = sys.stdin.fileno()
    with socket.socket(socket.AF_UNIX) as line, _raw(keys):
        line.connect(str(path))
        line.sendall(b"\r")  # so that the prompt shows
        while True:
            ready, _, _ = select.select([keys, line], [], [])
            if line in ready:
                received = line.recv(4096)
                if not received:
                    return
                os.write(sys.stdout.fileno(), received)
            if keys in ready:
                typed = os.read(keys, 4096)
                if not typed or _LEAVE in typed:
                    return
                line.sendall(typed)


@contextmanager
def _raw(keys: int) -> Iterator[None]:
    """Passes every key as it is typed, when a person types; always given back."""
    if not os.isatty(keys):
        yield
        return
    before = termios.tcgetattr(keys)
    try:
        tty.setraw(keys)
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
