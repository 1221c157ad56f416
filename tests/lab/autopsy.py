"""Whether a story failed of the emulator under its PC: looked at when it has, not told from words.

A guest's processor that stays at one place of its kernel for seconds, with interrupts off and not
halted, is taken to wait for ever: so it looked where it was seen (docs/lab.md, Traps), and nothing
that is plugged in, attached or typed is known to bring a kernel there.
"""

from __future__ import annotations

import re
from collections import defaultdict

from phyllome_seat.lab.errors import AgentError, DiedError, LabError

SAMPLES, APART_S = 6, 0.5
_NEAR = 64  # bytes of a loop
_KERNEL = 0xFFFF_8000_0000_0000
_INTERRUPTS = 0x200  # EFLAGS.IF
# A clock or a controller of the PC's own that nothing woke any more.
_LOST = re.compile(r"soft lockup|rcu: .*(?:stall|starved)|xhci_hcd .*(?:not responding|HC died)")
_LOOK = f"""\
for _ in $(seq {SAMPLES}); do
  for name in $(virsh -q list --name --state-running); do
    echo "guest $name"
    timeout 10 virsh -q qemu-monitor-command $name --hmp 'info registers -a'
  done
  sleep {APART_S}
done
"""


def find_fault(pc):
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
        return find_standing(pc.run(_LOOK, check=False, timeout_s=120).stdout)
    except AgentError as error:
        return f"the PC does not answer: {error}"
    except LabError:
        return ""


def find_standing(samples):
    """Returns which guest's processor stands still, from samples of all of their registers."""
    seen, guest, cpu = defaultdict(list), "", ""
    for line in samples.splitlines():
        if found := re.match(r"guest (\S+)", line):
            guest = found[1]
        elif found := re.match(r"CPU#(\d+)", line):
            cpu = found[1]
        elif found := re.match(r"RIP=(\w+) RFL=(\w+) .*HLT=(\d)", line):
            seen[guest, cpu].append((int(found[1], 16), int(found[2], 16), found[3] == "1"))
    for (guest, cpu), states in seen.items():
        places = [place for place, _, _ in states]
        if (
            len(states) == SAMPLES
            and min(places) >= _KERNEL
            and max(places) - min(places) < _NEAR
            and not any(flags & _INTERRUPTS or halted for _, flags, halted in states)
        ):
            return f"processor {cpu} of guest {guest} stands still at {places[0]:x}"
    return ""
