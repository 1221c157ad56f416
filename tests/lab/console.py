"""A text console of the PC, as a person has it: keys go in by a keyboard, the screen comes back."""

from __future__ import annotations

import shlex
import time

VT = 8  # logind starts a login on the first six when they are shown: NAutoVTs, logind.conf(5)
_SHOW = f"""
import fcntl
VT_ACTIVATE, VT_WAITACTIVE = 0x5606, 0x5607  # include/uapi/linux/vt.h
with open("/dev/tty0", "wb", buffering=0) as console:
    fcntl.ioctl(console, VT_ACTIVATE, {VT})
    fcntl.ioctl(console, VT_WAITACTIVE, {VT})
"""


class Console:
    """One program at a time on a text console of its own, with that console as its terminal."""

    def __init__(self, pc, keyboard="host-keyboard"):
        self.pc = pc
        self.keyboard = keyboard
        self.unit = None
        pc.run(["python3", "-c", _SHOW])

    def start(self, line):
        """Run a shell line on the console; `wait` gives its status."""
        self.unit = f"at-console-{time.monotonic_ns()}"
        properties = [
            "StandardInput=tty-force",
            "StandardOutput=tty",
            "StandardError=tty",
            f"TTYPath=/dev/tty{VT}",
            "TTYReset=yes",
            "TTYVTDisallocate=no",
            "Environment=TERM=linux PYTHONUNBUFFERED=1",
        ]
        self.pc.run(
            [
                *("systemd-run", "--quiet", "--unit", self.unit, "--remain-after-exit"),
                *(f"--property={text}" for text in properties),
                *("/bin/sh", "-c", f"stty sane; printf '\\033[2J\\033[H'; {line}"),
            ]
        )

    def screen(self):
        """Return what the console shows, a line each."""
        text = self.pc.run(f"python3 -c {shlex.quote(_READ)}").stdout
        return text.splitlines()

    def wait_for(self, words, timeout_s=40.0, count=1):
        """Return the screen once it shows these words so often; long sentences go over lines."""
        deadline = time.monotonic() + timeout_s
        while True:
            lines = self.screen()
            if "".join(lines).count(words) >= count:
                return lines
            shown = "\n".join(map(str.rstrip, lines))
            assert time.monotonic() < deadline, f"{words!r} did not come:\n{shown}"
            time.sleep(0.3)

    def type(self, text):
        """Type at the console's keyboard."""
        self.pc.type(self.keyboard, text)

    def wait(self, timeout_s=60.0):
        """Return the exit status of the program."""
        show = f"systemctl show {self.unit} --value --property"
        self.pc.wait(f"{show} SubState | grep -q -e exited -e failed", timeout_s=timeout_s)
        status = int(self.pc.run(f"{show} ExecMainStatus").stdout)
        self.pc.run(f"systemctl stop {self.unit}; systemctl reset-failed {self.unit}", check=False)
        return status


_READ = f"""
import fcntl, struct, sys, termios
with open("/dev/tty{VT}") as tty:
    rows, columns, _, _ = struct.unpack("4H", fcntl.ioctl(tty, termios.TIOCGWINSZ, bytes(8)))
text = open("/dev/vcs{VT}", encoding="latin-1").read()
print(*(text[row * columns : (row + 1) * columns] for row in range(rows)), sep="\\n")
"""
