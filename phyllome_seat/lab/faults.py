"""Whether a story failed of the emulator under its PC: looked at when it has.

QEMU's emulated processors lose an interrupt, take one twice, mistake one guest's registers for
another's, or run code that is half written, now and then (docs/lab.md, Traps). Nothing that is
plugged in, attached or typed is known to bring a guest where these do:

- One processor of it stays at one place of its kernel for seconds, not halted: with interrupts off,
  it waits for a lock that the code has which its second interrupt interrupted; with the flag set by
  which a fault's instruction resumes, it faults there for ever.
- It restarts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from phyllome_seat.lab.errors import (
    AgentError,
    BootError,
    DiedError,
    GuestNotReadyError,
    LabError,
)

if TYPE_CHECKING:
    from phyllome_seat.lab.pc import Pc

SAMPLES, APART_S = 6, 0.5
# A PC of which nothing more is to be had.
STANDS_STILL = "the PC stands still"
_STOOD_STILL = re.compile("its processors at|Oops: int3|Kernel panic")
_NEAR = 64  # bytes of a loop
_KERNEL = 0xFFFF_8000_0000_0000
_INTERRUPTS, _RESUMES = 0x200, 0x10000  # IF and RF of EFLAGS
# A clock or a controller of the PC's own that nothing woke any more.
_LOST = re.compile(r"soft lockup|rcu: .*(?:stall|starved)|xhci_hcd .*(?:not responding|HC died)")
# A guest's boots, as it says them on its serial port, and its starts, as libvirt does.
_COUNT = """\
for log in /var/log/libvirt/qemu/*-serial.log; do
  name=$(basename $log -serial.log)
  boots=$(grep -c '^guest seat=' $log)
  starts=$(grep -c 'starting up libvirt version' /var/log/libvirt/qemu/$name.log)
  echo "$name $boots $starts"
done 2>/dev/null
"""
_LOOK = f"""\
for _ in $(seq {SAMPLES}); do
  for name in $(virsh -q list --name --state-running); do
    echo "guest $name"
    timeout 10 virsh -q qemu-monitor-command $name --hmp 'info registers -a'
  done
  sleep {APART_S}
done
"""


def find_fault(error: BaseException, pc: Pc | None) -> str:
    """Returns what the emulator did to a story that ended by this error; else nothing.

    ``pc`` is the story's, still up; None where there is none.
    """
    if isinstance(error, DiedError):
        return "the PC died"
    if isinstance(error, (AgentError, BootError)) and _STOOD_STILL.search(str(error)):
        return STANDS_STILL
    # Told again as well: a guest that our work keeps from booting does not boot then either.
    if isinstance(error, GuestNotReadyError):
        return "a guest was not ready in time"
    return look(pc) if pc is not None else ""


def look(pc: Pc) -> str:
    """Returns what of the emulator's is seen in a PC that is still up, else nothing."""
    try:
        pc.machine.execute("query-status")
    except DiedError:
        return "the PC died"
    except LabError:
        return ""  # off, by whoever told the story
    try:
        lost = _LOST.search(pc.run("dmesg", check=False).stdout)
        if lost:
            return f"the PC's kernel says: {lost[0]}"
        counted = pc.run(_COUNT, check=False).stdout
        return find_restarted(counted) or find_standing(
            pc.run(_LOOK, check=False, timeout_s=120).stdout
        )
    except AgentError as error:
        return f"the PC does not answer: {error}"
    except LabError:
        return ""


def find_restarted(counted: str) -> str:
    """Returns which guest booted more often than it was started, from `name boots starts` lines.

    A story that has a guest restart on purpose, and fails, is told again for nothing.
    """
    for line in counted.splitlines():
        if (found := re.fullmatch(r"(\S+) (\d+) (\d+)", line)) and int(found[2]) > int(found[3]):
            return f"guest {found[1]} restarted"
    return ""


def find_standing(samples: str) -> str:
    """Returns which guest's processor stands still, from samples of all of their registers."""
    seen: defaultdict[tuple[str, str], list[tuple[int, int, bool]]] = defaultdict(list)
    guest = cpu = ""
    for line in samples.splitlines():
        if found := re.match(r"guest (\S+)", line):
            guest = found[1]
        elif found := re.match(r"CPU#(\d+)", line):
            cpu = found[1]
        elif found := re.match(r"RIP=(\w+) RFL=(\w+) .*HLT=(\d)", line):
            seen[guest, cpu].append((int(found[1], 16), int(found[2], 16), found[3] == "1"))
    for (guest, cpu), states in seen.items():
        if len(states) == SAMPLES and (_waits(states) or _faults(states)):
            return f"processor {cpu} of guest {guest} stands still at {states[0][0]:x}"
    return ""


def _waits(states: list[tuple[int, int, bool]]) -> bool:
    """Whether a processor does nothing but wait, from places, flags, and whether it is halted."""
    places = [place for place, _, _ in states]
    return (
        min(places) >= _KERNEL
        and max(places) - min(places) < _NEAR
        and not any(flags & _INTERRUPTS or halted for _, flags, halted in states)
    )


def _faults(states: list[tuple[int, int, bool]]) -> bool:
    """Whether a processor does nothing but fault at one instruction of its kernel."""
    first, _, _ = states[0]
    return first >= _KERNEL and all(
        place == first and flags & _RESUMES and not halted for place, flags, halted in states
    )
