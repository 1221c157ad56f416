"""What one machine's times and memory are, as JSON: a program of one file, put into the PC and run.

``python measure.py COMMAND [ROOT]``, with the interpreter that phyllome-seat is installed for.
Times are seconds, the median of fifteen after two that warm the caches; the programs take turns,
so that what disturbs one disturbs all.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time

from phyllome_seat.system.scan import scan
from phyllome_seat.system.sysfs import Sysfs

WARM, RUNS = 2, 15

# what people read the same from today, each a process
TODAY = {
    "lspci": ["lspci", "-nnk"],
    "lsusb": ["lsusb", "-t"],
    "udevadm": ["udevadm", "info", "-e"],
}


class Recorder(Sysfs):
    """A machine that notes every file, folder and link it is asked for."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.asked: list[tuple[str, str]] = []

    def _note(self, kind: str, path: str) -> None:
        self.asked.append((kind, os.path.join(self.root, path)))

    def read_bytes(self, path: str) -> bytes | None:
        self._note("file", path)
        return super().read_bytes(path)

    def list(self, path: str) -> tuple[str, ...]:
        self._note("folder", path)
        return super().list(path)

    def link(self, path: str) -> str | None:
        self._note("link", path)
        return super().link(path)

    def target(self, path: str) -> str | None:
        self._note("link", path)
        return super().target(path)

    def resolve(self, path: str) -> str | None:
        self._note("link", path)
        return super().resolve(path)

    def exists(self, path: str) -> bool:
        self._note("link", path)
        return super().exists(path)


def replay(asked: list[tuple[str, str]]) -> None:
    """Read the same once more, with nothing between us and the kernel."""
    for kind, path in asked:
        try:
            if kind == "file":
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                try:
                    part = os.read(fd, 4096)
                    # in /proc a short read is not the end: proc(5) files come a record at a time
                    while part and (len(part) == 4096 or path.startswith("/proc/")):
                        part = os.read(fd, 65536)
                finally:
                    os.close(fd)
            elif kind == "folder":
                os.listdir(path)
            else:
                os.readlink(path)
        except OSError:
            pass


def run(argv: list[str]) -> tuple[float, int]:
    """Run a program to its end and return its time and the peak of its memory in KiB.

    The kernel counts what the parent had when it forked as the child's: this program must be
    smaller than what it measures.
    """
    silent = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=silent)
    usage = os.wait4(pid, 0)[2]
    return time.perf_counter() - start, usage.ru_maxrss


def is_there(name: str) -> bool:
    folders = os.environ.get("PATH", "").split(":")
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders)


def measure_programs(command: str, root: str) -> dict[str, object]:
    """Return the time of a bare Python, our commands and today's, and the scan's peak memory."""
    programs = {
        "pass": [sys.executable, "-c", "pass"],
        "help": [command, "--help"],
        "scan": [command, "--sysroot", root, "scan", "--json"],
    }
    programs |= {name: argv for name, argv in TODAY.items() if is_there(argv[0])}
    runs: dict[str, list[tuple[float, int]]] = {name: [] for name in programs}
    for _ in range(WARM + RUNS):
        for name, argv in programs.items():
            runs[name].append(run(argv))
    found: dict[str, object] = {
        name: statistics.median(seconds for seconds, _ in of_program[WARM:])
        for name, of_program in runs.items()
    }
    return found | {"scan_peak_kib": max(kib for _, kib in runs["scan"])}


def measure_scan(root: str) -> dict[str, object]:
    """Return the time of the scan in this process, and of bare reads of the same.

    Where this may be done, `root` becomes ``/`` first: that is how a machine reads itself.
    """
    if root != "/" and os.geteuid() == 0:
        scan(Sysfs(root))  # imports what it needs, before that is out of reach
        os.chroot(root)
        root = "/"
    recorder = Recorder(root)
    scan(recorder)
    scans, reads = [], []
    for _ in range(WARM + RUNS):
        start = time.perf_counter()
        scan(Sysfs(root))
        between = time.perf_counter()
        replay(recorder.asked)
        reads.append(time.perf_counter() - between)
        scans.append(between - start)
    return {
        "in_process": statistics.median(scans[WARM:]),
        "bare": statistics.median(reads[WARM:]),
        "reads": len(recorder.asked),
    }


if __name__ == "__main__":
    command, root = sys.argv[1], (sys.argv[2:] or ["/"])[0]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # installed programs have theirs compiled
    print(json.dumps(measure_programs(command, root) | measure_scan(root)))
