"""One write(2) by a program of its own, which can be left alone with it.

Unbinding a driver waits inside the kernel, deaf to every signal, until the last user lets go:
``snd_card_free()`` in sound/core/init.c, ``vfio_unregister_group_dev()`` in
drivers/vfio/vfio_main.c. Done by a program of its own in a session of its own, such a write costs
that program, not us; when the user lets go, the kernel finishes it and the program ends.

The program is dd(1): it opens the file, then waits for its standard input, so that the process id
can be written down before anything happens, and then does exactly one write.
"""

from __future__ import annotations

import contextlib
import os
import select

from phyllome_seat.system.run import environment

_BLOCK = 4096  # an attribute is at most a page: one read, one write


class ChildWrite:
    """A write that is not yet begun; `finish` does it and waits, `abandon` never does it.

    ``pid`` is its process. Raises OSError where the program cannot be started.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        out, self._text = os.pipe()
        self._words, err = os.pipe()
        try:
            self.pid = self._start(out, err)
        finally:
            os.close(out)
            os.close(err)

    def _start(self, stdin: int, stderr: int) -> int:
        argv = ["dd", f"of={self.path}", f"bs={_BLOCK}", "conv=nocreat,notrunc", "status=none"]
        return os.posix_spawnp(
            argv[0],
            argv,
            environment(),
            file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stderr, 2)],
            setsid=True,
        )

    def finish(self, text: str, timeout_s: float) -> str | None:
        """Write `text` and return the kernel's complaint in words, empty when it took it.

        None when the kernel has not finished after `timeout_s` seconds: the program is left alone.
        """
        with contextlib.suppress(BrokenPipeError):  # it could not open the file, and says so below
            os.write(self._text, text.encode())
        os.close(self._text)
        ended = _wait(self.pid, timeout_s)
        words = os.read(self._words, _BLOCK).decode("utf-8", "replace") if ended else ""
        os.close(self._words)
        if not ended:
            return None
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if status == 0:
            return ""
        return words.strip().rpartition(": ")[2] or f"the write ended with status {status}"

    def abandon(self) -> None:
        """Let the program end without having written."""
        os.close(self._text)
        os.close(self._words)
        os.waitpid(self.pid, 0)


def _wait(pid: int, timeout_s: float) -> bool:
    """Return whether a child of ours has ended within `timeout_s` seconds; it is not reaped."""
    fd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    try:
        return bool(poll.poll(timeout_s * 1000))
    finally:
        os.close(fd)
