"""One writer: the lock that plan-and-apply is done under."""

from __future__ import annotations

import fcntl
import os
import time

from phyllome_seat.model.errors import ApplyError, LockedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_LOOK_AGAIN_S = 0.1


class Lock:
    """An exclusive flock(2) on a file, held within a ``with``; the kernel frees it at any death.

    The file says who holds it. LockedError names the holder after `wait_s` seconds.
    """

    def __init__(self, path: str, *, command: str, wait_s: float) -> None:
        self.path = path
        self.command = command
        self.wait_s = wait_s
        self._fd = -1

    def __enter__(self) -> Lock:
        """Take the lock, or raise LockedError or ApplyError."""
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            # Not readable for others: whoever can open a file can lock it, and keep us out.
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            hint = "run it with sudo" if isinstance(error, PermissionError) else ""
            raise ApplyError(f"{self.path}: {error.strerror}", hint=hint) from error
        try:
            self._take()
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        os.close(self._fd)

    def _take(self) -> None:
        end_s = time.monotonic() + self.wait_s
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end_s:
                    raise LockedError(_holder(self._fd), self.wait_s) from None
                time.sleep(_LOOK_AGAIN_S)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()} {self.command}\n".encode(), 0)


def _holder(fd: int) -> str:
    """Return the holder in words: ``pid 812 (phyllome-seat apply)``."""
    pid, _, command = os.pread(fd, 4096, 0).decode("utf-8", "replace").strip().partition(" ")
    if not pid.isdigit():
        return "another phyllome-seat"  # it has the lock and has not signed yet
    return f"pid {pid} ({command or 'phyllome-seat'})"
