"""Files of our own, written whole or not at all.

A new content goes to a temporary file in the same folder, which then takes the name: rename(2) is
atomic, and fsync(2) of file and folder makes it last through a power cut. Killed in between, the
old content is still there, and a temporary file that the next holder of the lock sweeps away.
"""

from __future__ import annotations

import os

# Hidden, and with an ending that nobody reads: udev takes *.rules only, udev(7).
_PREFIX = ".phyllome-seat."
_SUFFIX = ".new"


def write_file(path: str, content: bytes, mode: int = 0o644) -> None:
    """Write `content` to `path` in one step, with `mode` whatever the umask. Raises OSError."""
    from contextlib import suppress  # a scan reads files only, and need not pay for it

    temporary = temporary_path(path)
    with suppress(FileNotFoundError):
        os.unlink(temporary)  # a dead writer's, perhaps readable by others: not to be reused
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, mode)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    except OSError:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)
    os.rename(temporary, path)
    sync_folder(os.path.dirname(path))


def temporary_path(path: str) -> str:
    """Return where a file is made before it is whole and gets its name."""
    folder, name = os.path.split(path)
    return os.path.join(folder, _PREFIX + name + _SUFFIX)


def remove_file(path: str) -> None:
    """Remove `path`; one that is gone already is fine. Raises OSError."""
    from contextlib import suppress

    with suppress(FileNotFoundError):
        os.unlink(path)
        sync_folder(os.path.dirname(path))


def read_file(path: str) -> bytes | None:
    """Return the content of `path`, None where there is no such file. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def sweep(folder: str) -> None:
    """Remove the temporary files of writers that died; only while no other can be writing."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
            remove_file(os.path.join(folder, name))


def sync_folder(folder: str) -> None:
    """Make what names `folder` has last through a power cut, fsync(2)."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
