"""A device node that no other program on this machine can have open: a terminal made for a test."""

import os
from pathlib import Path


class OwnNode:
    """``number`` is that of its device; open within ``with``, by this process."""

    def __init__(self):
        self._master, slave = os.openpty()
        self.path = os.ttyname(slave)
        self.name = os.path.basename(self.path)  # noqa: PTH119 - one name, no path to work with
        device = os.fstat(slave).st_rdev
        self.number = f"{os.major(device)}:{os.minor(device)}"
        self.holder = f"pid {os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"
        os.close(slave)
        self._fd = -1

    def __enter__(self):
        self._fd = os.open(self.path, os.O_RDONLY | os.O_NOCTTY)
        return self

    def __exit__(self, *_):
        os.close(self._fd)

    def close(self):
        os.close(self._master)
