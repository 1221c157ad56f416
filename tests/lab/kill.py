"""Run inside a PC: a command of ours, killed at one of its calls to the kernel.

``kill.py count COMMAND`` runs it whole and prints how often, at most, one of its processes makes
each of the calls below, as JSON. ``kill.py at CALL N COMMAND`` kills the process that first
comes to its Nth such call, before the kernel does it, and prints the command's exit status and
``killed``, or ``whole`` where nothing came there.

What strace(1) does with ``--inject=CALL:signal=KILL:when=N``, and much quicker: strace stops a
process at every call, 35 s for a command that takes 4 on an emulated processor; with a filter
(``--seccomp-bpf``) it injects no signal (6.1 and 6.13), for which a stop of that kind has no place:
ptrace(2), "PTRACE_EVENT stops". Here a filter stops at these calls alone, and kill(2) kills.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
from collections import Counter, defaultdict
from contextlib import suppress

# What writes a file, gives it its name, takes it away, or talks to libvirt, udev and systemd; with
# their numbers on x86-64 (asm/unistd_64.h).
CALLS = {
    "write": 1,
    "pwrite64": 18,
    "writev": 20,
    "sendto": 44,
    "sendmsg": 46,
    "fsync": 74,
    "fdatasync": 75,
    "ftruncate": 77,
    "rename": 82,
    "mkdir": 83,
    "rmdir": 84,
    "unlink": 87,
    "mkdirat": 258,
    "unlinkat": 263,
    "renameat": 264,
    "renameat2": 316,
}
NAMES = {number: name for name, number in CALLS.items()}

# linux/ptrace.h, linux/seccomp.h, linux/filter.h
TRACEME, CONT, SETOPTIONS, GETEVENTMSG = 0, 7, 0x4200, 0x4201
FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL = 0x2, 0x4, 0x8, 0x10, 0x80, 0x100000
EVENT_SECCOMP = 7
PR_SET_SECCOMP, MODE_FILTER = 22, 2
RET_TRACE, RET_ALLOW = 0x7FF00000, 0x7FFF0000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
WALL = 0x40000000  # waitpid(2), __WALL: threads too

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


class Ended(Exception):  # noqa: N818 - no error
    """A process was gone when it was asked."""


def ptrace(request: int, pid: int, data: object = None) -> None:
    if LIBC.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise Ended if number == 3 else OSError(number, os.strerror(number))


def filter_calls(numbers: list[int]) -> None:
    """Have this process and its children stop at these calls, each with its number as message."""
    program = struct.pack("=HBBI", LOAD, 0, 0, 0)  # the call's number is the first word
    for number in numbers:
        program += struct.pack("=HBBI", JUMP_IF_EQUAL, 0, 1, number)
        program += struct.pack("=HBBI", RETURN, 0, 0, RET_TRACE | number)
    program += struct.pack("=HBBI", RETURN, 0, 0, RET_ALLOW)
    content = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(content))
    if LIBC.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.create_string_buffer(head, len(head))):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def trace(
    argv: list[str], numbers: list[int], kill_at: int = 0
) -> tuple[int, dict[int, Counter], bool]:
    """Return the command's status, how often each process or thread came to each call, and whether
    one was killed: the first that comes to its `kill_at`-th is.
    """
    own = os.fork()
    if own == 0:
        ptrace(TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        filter_calls(numbers)
        os.execvp(argv[0], argv)
    os.waitpid(own, 0)
    ptrace(SETOPTIONS, own, FORK | VFORK | CLONE | EXEC | SECCOMP | EXITKILL)
    ptrace(CONT, own)
    made: dict[int, Counter] = defaultdict(Counter)
    known, status, message, was_killed = {own}, 0, ctypes.c_ulong(), False
    while True:
        try:
            pid, state = os.waitpid(-1, WALL)
        except ChildProcessError:
            return os.waitstatus_to_exitcode(status), made, was_killed
        if not os.WIFSTOPPED(state):
            status = state if pid == own else status
            continue
        with suppress(Ended):
            sent = 0
            if state >> 16 == EVENT_SECCOMP:
                ptrace(GETEVENTMSG, pid, ctypes.addressof(message))
                made[pid][message.value] += 1
                if made[pid][message.value] == kill_at and not was_killed:
                    was_killed = True
                    os.kill(pid, signal.SIGKILL)
                    continue
            elif state >> 16 == 0 and pid in known:
                sent = os.WSTOPSIG(state)
            known.add(pid)  # which begins with a stop of ptrace's own
            ptrace(CONT, pid, sent)


def count(command: str) -> dict[str, int]:
    """Return the most calls of each kind that one process made."""
    status, made, _ = trace(["phyllome-seat", command], list(CALLS.values()))
    assert status == 0, status
    most: Counter = Counter()
    for calls in made.values():
        most |= calls  # the greater of both
    return {NAMES[number]: times for number, times in most.items()}


def kill_at(call: str, number: str, command: str) -> str:
    """Return the status of the command, and whether one of its processes was killed."""
    status, _, was_killed = trace(["phyllome-seat", command], [CALLS[call]], int(number))
    return f"{status} {'killed' if was_killed else 'whole'}"


if __name__ == "__main__":
    if sys.argv[1] == "count":
        print(json.dumps(count(sys.argv[2])))
    else:
        print(kill_at(*sys.argv[2:]))
