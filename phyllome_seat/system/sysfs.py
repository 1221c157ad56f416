"""Files below a root: one of the two seams between this program and the machine.

Everything that is read from ``/sys``, ``/proc``, ``/run`` and ``/etc`` goes through a `Sysfs`, so
a recorded machine or a made-up tree can stand in for ``/``. Symbolic links, absolute ones too, are
resolved inside the root and never lead out of it.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.system.child_write import ChildWrite

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_LIMIT = 1 << 20  # a sysfs attribute is at most a page; a file larger than this is not one
_MISSING = (OSError, ValueError)  # ValueError: a path with a NUL, which no file has
_ABOVE = "../" * 40
_LINKS = 40  # the kernel's own limit, path_resolution(7)


class Sysfs:
    """The file system of one machine below ``root``; paths are given from there, no leading slash.

    A file or folder that is missing, vanished meanwhile or cannot be read is None or empty: on a
    living machine that is normal. Reading takes no lock and keeps no content. Below another root
    than ``/`` it is remembered which folders are no links: a folder there must not become one.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)
        self._prefix = self.root.rstrip("/") + "/"
        self._is_host = self.root == "/"
        self._plain: set[str] = set()

    def read_bytes(self, path: str) -> bytes | None:
        """Return the content of a file (first MiB), None when it is not to be had."""
        try:
            fd = os.open(self._prefix + path, _READ) if self._is_host else self._open(path)
        except _MISSING:
            return None
        try:
            content = os.read(fd, 4096)
            if len(content) < 4096:
                # a sysfs attribute comes whole in its first read; a /proc file may not
                return content if not path.startswith("proc/") else content + _rest(fd)
            return content + _rest(fd)
        except OSError:
            return None
        finally:
            os.close(fd)

    def read(self, path: str) -> str | None:
        """Return a file's text without white space around it; odd bytes come out escaped."""
        content = self.read_bytes(path)
        return None if content is None else content.decode("utf-8", "backslashreplace").strip()

    def list(self, path: str) -> tuple[str, ...]:
        """Return the names in a folder, sorted; empty when there is none."""
        try:
            return tuple(sorted(os.listdir(self._inside(path))))
        except _MISSING:
            return ()

    def link(self, path: str) -> str | None:
        """Return the last name of what a symbolic link points to, None when it is not a link."""
        try:
            here = self._prefix + path if self._is_host else self._inside(path, follow_last=False)
            return os.readlink(here).rpartition("/")[2]
        except _MISSING:
            return None

    def target(self, path: str) -> str | None:
        """Return what a symbolic link points to, from the root; None when it is not a link.

        One step and one system call, where `resolve` takes one for each folder on the way: enough
        for the links in ``/sys``, which lead to a device's own folder.
        """
        try:
            here = self._prefix + path if self._is_host else self._inside(path, follow_last=False)
            there = os.readlink(here)
        except _MISSING:
            return None
        above, up, rest = there.rpartition("../")
        if up and above == _ABOVE[: len(above)] and "./" not in rest:
            # as the kernel writes them: so many folders up, then down
            depth = len(above) // 3 + 2
            folders = here[len(self._prefix) :].rsplit("/", depth)
            if len(folders) > depth:
                return f"{folders[0]}/{rest}"
        folder = "" if there.startswith("/") else here[len(self._prefix) :].rpartition("/")[0]
        return os.path.normpath(f"/{folder}/{there}").lstrip("/")

    def resolve(self, path: str) -> str | None:
        """Return where `path` leads with every link followed, from the root; None if nowhere."""
        try:
            real = os.path.realpath(self._inside(path), strict=True)
        except _MISSING:
            return None
        return real[len(self._prefix) :] if real.startswith(self._prefix) else None

    def exists(self, path: str) -> bool:
        """Return whether something is there, a dangling link included."""
        try:
            return os.path.lexists(self._inside(path, follow_last=False))
        except _MISSING:
            return False

    def status(self, path: str) -> os.stat_result | None:
        """Return what stat(2) says of a file, links followed; None when there is none."""
        try:
            return os.stat(self._inside(path))
        except _MISSING:
            return None

    def write(self, path: str, text: str) -> None:
        """Write to an attribute that is there, in one write(2). Raises OSError."""
        fd = os.open(self._inside(path), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def begin_write(self, path: str) -> ChildWrite:
        """Return a write to an attribute that is there, by a program of its own, not yet begun.

        For writes that the kernel may not finish: see `phyllome_seat.system.child_write`.
        """
        from phyllome_seat.system.child_write import ChildWrite

        return ChildWrite(self._inside(path))

    def _open(self, path: str) -> int:
        """Return a file descriptor for reading below another root. Raises OSError."""
        try:
            return os.open(self._inside(path, follow_last=False), _READ | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ELOOP:  # what O_NOFOLLOW says of a link: open(2)
                raise
        return os.open(self._inside(path), _READ | os.O_NOFOLLOW)

    def _inside(self, path: str, *, follow_last: bool = True) -> str:
        """Return the real path for `path` below the root, links resolved inside it."""
        known = path.rpartition("/")[0]
        if self._is_host or (not follow_last and known in self._plain):
            return self._prefix + path
        while known and known not in self._plain:
            known = known.rpartition("/")[0]
        done = known.split("/") if known else []
        todo = path[len(known) :].split("/")[::-1]
        links = 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                del done[-1:]
                continue
            inner = "/".join([*done, name])
            here = self._prefix + inner
            if not todo and not follow_last:
                return here
            if inner in self._plain:
                done.append(name)
                continue
            try:
                target = os.readlink(here)
            except OSError as error:
                if error.errno == errno.EINVAL and todo:  # there, no link: readlink(2)
                    self._plain.add(inner)
                done.append(name)
                continue
            links += 1
            if links > _LINKS:
                raise OSError(f"{path}: too many symbolic links")
            if target.startswith("/"):
                done.clear()
            todo.extend(target.split("/")[::-1])
        return self._prefix + "/".join(done)


def _rest(fd: int) -> bytes:
    parts = []
    size = 0
    while size < _LIMIT and (part := os.read(fd, 65536)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
