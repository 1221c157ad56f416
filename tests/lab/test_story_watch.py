"""USB that follows its seat by itself: the service, real plugs, real guests.

What plain libvirt does without it, and the commands by hand, are in the story of lending.
"""

from __future__ import annotations

import random
import re
import time

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.description import UsbKind, UsbThing
from tests.lab.conftest import EXAMPLE
from tests.lab.story import Story, demo

pytestmark = pytest.mark.lab

OF_THE_EXAMPLE = ("left-keyboard", "left-tablet", "right-keyboard", "right-tablet")
HOST_USB = "0000:00:08.0"
SOCKETS = {"left": "2", "right": "3"}
SERVICE = "phyllome-seat-watch"
LOOK = """\
for name in left right; do
  echo "guest $name $(virsh domstate $name)"
  virsh dumpxml $name | grep -o "<address bus='[0-9]*' device='[0-9]*'/>"
  virsh qemu-monitor-command $name --hmp info usb 2>/dev/null | grep "ID: ua-"
done
for device in /sys/bus/pci/devices/HOST_USB/usb*/[0-9]*-[0-9]*/devnum; do
  [ -e $device ] && echo "host $(basename $(dirname $device)) $(cat $device)"
done
true
"""


def seat_file(sockets=SOCKETS):
    """Returns the example's seat file with one socket of the host's controller for each seat."""
    text = (EXAMPLE.parent / "seats.yaml").read_text()
    ports = iter(sockets.values())
    where = f'controller: "{HOST_USB}", id: "1b36:000d"'
    return re.sub(
        r"      - controller: .*\n",
        lambda _: f'      - port: {{{where}, usb2: "{next(ports)}"}}\n',
        text,
    )


class Desk(Story):
    """What hands do at this PC, and how it is now."""

    def __init__(self, pc):
        super().__init__(pc)
        self.in_socket = {}
        self._count = 0

    def plug(self, seat, kind=UsbKind.KEYBOARD, serial="SAME"):
        """Plugs something into a seat's socket; nothing but its place tells it from others."""
        self._count += 1
        thing = UsbThing(f"t{self._count}", kind, SOCKETS[seat], serial=serial, card=seat)
        self.pc.plug(thing, "host-usb")
        self.in_socket[seat] = thing
        return thing

    def pull(self, seat):
        self.pc.unplug(self.in_socket.pop(seat).id)

    def look(self):
        """Returns, for each guest that runs, the device numbers in its XML and its devices in
        QEMU; and the number of what is in each socket.
        """
        self.pc.put("/root/look.sh", LOOK.replace("HOST_USB", HOST_USB))
        guests, numbers, name = {}, {}, None
        for line in self.pc.run("sh /root/look.sh").stdout.splitlines():
            if found := re.match(r"guest (\w+) (.*)", line):
                name = found[1] if found[2] in ("running", "paused") else None
                if name:
                    guests[name] = ([], [])
            elif found := re.match(r"host \d+-([\d.]+) (\d+)", line):
                numbers[found[1]] = int(found[2])
            elif name and "ID: ua-" in line:
                guests[name][1].append(line)
            elif name and (found := re.search(r"device='(\d+)'", line)):
                guests[name][0].append(int(found[1]))
        return guests, numbers

    def is_right(self):
        guests, numbers = self.look()
        for name, (entries, in_qemu) in guests.items():
            number = numbers.get(SOCKETS[name])
            wanted = [number] if name in self.in_socket else []
            if entries != wanted or len(in_qemu) != len(wanted):
                return False
        return all((SOCKETS[seat] in numbers) for seat in self.in_socket)

    def wait_right(self, timeout_s=30):
        """Waits until each guest has what is in its socket, once, and nothing else."""
        end = time.monotonic() + timeout_s
        while not self.is_right():
            assert time.monotonic() < end, f"{self.look()}\n{self.journal()}"
            time.sleep(0.3)

    def journal(self):
        return self.pc.run(f"journalctl -u {SERVICE} -o cat --no-pager | tail -60").stdout

    def type_everywhere(self):
        """Types on each keyboard of a seat whose guest runs, and waits until it got there."""
        texts = {s: t for s, t in demo.random_texts().items() if s in self.in_socket}
        self.pc.type_at_once({self.in_socket[seat].id: text for seat, text in texts.items()})
        return texts


@pytest.fixture(scope="module")
def desk(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        for thing in OF_THE_EXAMPLE:
            pc.unplug(thing)
        desk = Desk(pc)
        desk.prepare(seat_file())
        desk.command("apply")
        yield desk


def test_a_stick_replugged_is_there_again_by_itself(desk):
    said = desk.command("watch", "--install")
    assert "installed and started" in said
    verified = desk.pc.run(f"systemd-analyze verify {SERVICE}.service", check=False)
    assert "phyllome-seat" not in verified.stderr + verified.stdout, verified
    desk.plug("left")
    desk.pc.run("virsh -q start left")  # not by us: whoever starts it
    desk.wait_ready("left")
    desk.wait_right()
    for _ in range(2):
        desk.pull("left")
        desk.wait_right()
        desk.plug("left")
        desk.wait_right()
    text = random.choice(list(demo.random_texts().values()))
    desk.pc.type(desk.in_socket["left"].id, text)
    assert desk.wait_typed({"left": text}) == {"left": text}
