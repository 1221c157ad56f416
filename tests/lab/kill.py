"""Run inside a PC: a command of ours, killed by strace(1) at one of its calls.

``kill.py count COMMAND`` runs it whole and prints how often, at most, one of its processes makes
each of the calls below, as JSON. ``kill.py at CALL N COMMAND`` kills the process that first
comes to its Nth such call, before the kernel does it, and prints the command's exit status.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter

# What writes a file, gives it its name, takes it away, or talks to libvirt, udev and systemd.
CALLS = (
    "write,pwrite64,writev,sendmsg,sendto,fsync,fdatasync,ftruncate,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir"
)
TRACE = "/run/kill-trace"
STRACE = ("strace", "--follow-forks", "--quiet=all", f"--output={TRACE}")
# What is killed must not be passed over: strace 6.1 injects nothing with this option.
QUICK = "--seccomp-bpf"


def count(command: str) -> dict[str, int]:
    """Return the most calls of each kind that one process made."""
    argv = [*STRACE, QUICK, f"--trace={CALLS}", "phyllome-seat", command]
    subprocess.run(argv, check=True)
    with open(TRACE) as trace:  # noqa: PTH123 - a start without pathlib
        made = Counter(
            tuple(found.groups()) for found in re.finditer(r"^(\d+) +(\w+)\(", trace.read(), re.M)
        )
    most: dict[str, int] = {}
    for (_, call), times in made.items():
        most[call] = max(most.get(call, 0), times)
    return most


def kill_at(call: str, number: str, command: str) -> int:
    """Return the status of the command, one of whose processes was killed."""
    inject = f"--inject={call}:signal=KILL:when={number}"
    done = subprocess.run(
        [*STRACE, f"--trace={call}", inject, "phyllome-seat", command], check=False
    )
    return done.returncode


if __name__ == "__main__":
    if sys.argv[1] == "count":
        print(json.dumps(count(sys.argv[2])))
    else:
        print(kill_at(*sys.argv[2:]))
