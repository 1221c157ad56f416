"""Which files got a new content: inotify(7), for which the standard library has nothing.

Folders are listened to, not files: an editor, and we, write a new file and give it the name. Of a
symbolic link those are its own and that of the file it leads to. A folder can be listened to for
all that is in it.
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
_OVERFLOW = 0x4000  # events were lost
_IGNORED = 0x8000  # the kernel's own: the folder is gone, or its file system
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name after it


class FileEvents:
    """News of the files at some paths, and of any file right below some folders.

    Folders must exist: one that does not is left out, one that goes is heard no more.
    """

    def __init__(self, paths: Iterable[str], folders: Iterable[str] = ()) -> None:
        """Begin to listen. Raises OSError where the kernel has no more of these to give."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(number := ctypes.get_errno(), os.strerror(number), "inotify_init1")
        self._paths: dict[tuple[int, str], str] = {}
        self._folders: dict[int, str] = {}
        for path in paths:
            self._listen(path)
        self.add(folders)

    def add(self, folders: Iterable[str]) -> None:
        """Listen to those that are there and not yet listened to."""
        for folder in folders:
            if not self.hears(folder) and (watch := self._add(folder)) >= 0:
                self._folders[watch] = folder

    def _listen(self, path: str) -> None:
        """Listen to a path's folders; those that are listened to already stay as they are."""
        for place in dict.fromkeys((path, os.path.realpath(path))):
            folder, name = os.path.split(place)
            if (watch := self._add(folder or ".")) >= 0:
                self._paths[watch, name] = path

    def _add(self, folder: str) -> int:
        """Return the number of a folder's events, one for each folder; -1 where it is not there."""
        mask = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _ONLYDIR
        return int(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), mask))

    def hears(self, folder: str) -> bool:
        """Return whether a folder is listened to, for all that is in it."""
        return folder in self._folders.values()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with news."""
        return self._fd

    def close(self) -> None:
        """Listen no more."""
        os.close(self._fd)

    def read(self) -> tuple[str, ...]:
        """Return the paths that have a new content, or none, each once, without waiting.

        A folder that is gone is told as itself.
        """
        found: dict[str, None] = {}
        while True:
            try:
                content = os.read(self._fd, 65536)
            except BlockingIOError:
                for path in set(found).intersection(self._paths.values()):
                    self._listen(path)  # a link may lead elsewhere now
                return tuple(found)
            place = 0
            while place < len(content):
                watch, mask, _, length = _EVENT.unpack_from(content, place)
                place += _EVENT.size + length
                name = os.fsdecode(content[place - length : place].rstrip(b"\0"))
                if mask & _OVERFLOW:
                    found |= dict.fromkeys((*self._paths.values(), *self._folders.values()))
                elif (watch, name) in self._paths:
                    found[self._paths[watch, name]] = None
                elif folder := self._folders.get(watch):
                    found[f"{folder}/{name}" if name else folder] = None
                if mask & _IGNORED:
                    self._folders.pop(watch, None)
