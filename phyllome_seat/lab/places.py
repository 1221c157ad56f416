"""Where the lab keeps things: a cache that may be thrown away, and a directory per run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from phyllome_seat.lab.errors import LabError

Say = Callable[[str], None]


def silent(line: str) -> None:
    """Takes a line of progress and does nothing with it."""


def cache_directory() -> Path:
    """Returns the cache, made if need be (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    path = Path(base) / "phyllome-seat"
    path.mkdir(parents=True, exist_ok=True)
    return path


def run_directory() -> Path:
    """Returns the directory of the PC that runs, of this user, made if need be.

    Short on purpose: a unix socket's path holds 107 bytes (unix(7)).
    """
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    path = Path(base) / f"phyllome-seat-lab-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path}: belongs to somebody else")
    return path


def disks_prefix() -> str:
    """Returns how the cache's directories with disks of running PCs begin.

    Two run directories, as another XDG_RUNTIME_DIR or TMPDIR makes, have two locks and share a
    cache: neither may tidy up what is the other's.
    """
    return f".run-{key(str(run_directory()))}-"


def key(*parts: object) -> str:
    """Returns a short name made of everything that went into a thing."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@contextmanager
def locked(path: Path, say: Say) -> Iterator[None]:
    """Holds a lock file, waiting for whoever has it; LabError when that is this very process."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            if holder == str(os.getpid()):
                raise LabError(
                    "this process runs a PC already", hint="close() it before opening another"
                ) from None
            say(f"waiting for process {holder or '?'}, which has {path.name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Gives a directory to fill that becomes ``path`` only when nothing went wrong."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield scratch
        remove(path)
        scratch.rename(path)
    finally:
        remove(scratch)


def remove(path: Path) -> None:
    """Removes a directory and what is in it, if it is there; never what is mounted below it.

    A build holds /proc, /sys and /dev below its directory: in a mount namespace of its own, but
    should that ever fail, this must not empty the machine's.
    """
    subprocess.run(
        ["rm", "-rf", "--one-file-system", "--", str(path)], capture_output=True, check=False
    )


def prune(directory: Path, pattern: str, keep: int) -> None:
    """Removes all but the most recently used few; what a killed build left goes with them."""
    found = sorted(directory.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[keep:]:
        remove(path)
    for path in directory.glob(".*"):
        if path.is_dir() and time.time() - path.stat().st_mtime > 6 * 3600:
            remove(path)
