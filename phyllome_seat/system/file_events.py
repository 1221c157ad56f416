"""Which files got a new content: inotify(7), for which the standard library has nothing.

Folders are listened to, not files: an editor, and we, write a new file and give it the name. Of a
symbolic link those are its own and that of the file it leads to.
"""

from __future__ import annotations

import ctypes
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# inotify.h. Not IN_MODIFY: half a file is no news. Not IN_CREATE: an empty one is none either.
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _DELETE = 0x8, 0x40, 0x80, 0x200
_ONLYDIR = 0x01000000
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name after it


class FileEvents:
    """News of the files at some paths; their folders must exist, one that does not is left out."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Begin to listen. Raises OSError where the kernel has no more of these to give."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(number := ctypes.get_errno(), os.strerror(number), "inotify_init1")
        self._paths: dict[tuple[int, str], str] = {}
        for path in paths:
            self._listen(path)

    def _listen(self, path: str) -> None:
        """Listen to a path's folders; those that are listened to already stay as they are."""
        for place in dict.fromkeys((path, os.path.realpath(path))):
            folder, name = os.path.split(place)
            mask = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _ONLYDIR
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(folder or "."), mask)
            if watch >= 0:
                self._paths[watch, name] = path

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with news."""
        return self._fd

    def close(self) -> None:
        """Listen no more."""
        os.close(self._fd)

    def read(self) -> tuple[str, ...]:
        """Return the paths that have a new content, or none, each once, without waiting."""
        found: dict[str, None] = {}
        while True:
            try:
                content = os.read(self._fd, 65536)
            except BlockingIOError:
                for path in found:  # a link may lead elsewhere now
                    self._listen(path)
                return tuple(found)
            place = 0
            while place < len(content):
                watch, _, _, length = _EVENT.unpack_from(content, place)
                place += _EVENT.size + length
                name = os.fsdecode(content[place - length : place].rstrip(b"\0"))
                if (watch, name) in self._paths:
                    found[self._paths[watch, name]] = None
