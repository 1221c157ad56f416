"""Run inside a PC: the binding scenarios on its kernel, with a card's sound function.

``python3 run_binding.py ADDRESS``, beside ``binding.py``; says each scenario that held.
"""

import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

from binding import SCENARIOS, Bench

from phyllome_seat.system.state import State
from phyllome_seat.system.sysfs import Sysfs


class Player:
    """A program that has the card's control node open, as a sound server has."""

    def __init__(self, address):
        self.address = address
        self.fd = -1

    def hold(self):
        self.fd = os.open(self.node(), os.O_RDONLY)

    def node(self):
        """Wait for the card, which comes a moment after its driver has the device."""
        end_s = time.monotonic() + 60
        while time.monotonic() < end_s:
            for path in Path(f"/sys/bus/pci/devices/{self.address}").glob("sound/card*/controlC*"):
                node = Path("/dev/snd") / path.name
                if node.exists():
                    return node
            time.sleep(0.1)
        raise TimeoutError(f"{self.address} has no sound card")

    def let_go(self):
        os.close(self.fd)


def main(address):
    failed = 0
    ourselves = f"pid {os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"
    for name, scenario in SCENARIOS.items():
        player = Player(address)
        try:
            player.node()  # the scenario begins when the card is there,
            # and ALSA's rules, which have a program set its volume, have let go of it
            subprocess.run(["udevadm", "settle"], check=True)
            hands = {"hold": player.hold, "let_go": player.let_go, "holders": (ourselves,)}
            scenario(Bench(Sysfs("/"), State("/"), address, **hands))
            print(f"held: {name}", flush=True)
        except Exception:  # whatever it is, the others are to be run
            failed += 1
            print(f"FAILED: {name}\n{traceback.format_exc()}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
