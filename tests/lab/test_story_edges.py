"""USB at the edges of its seats, by the service: sockets that are nobody's, what the host has until
the guest takes it or is using, what a guest refuses, seat files that change meanwhile.
"""

from __future__ import annotations

import re
import time

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.description import UsbKind, UsbThing
from tests.lab.conftest import EXAMPLE
from tests.lab.story import demo
from tests.lab.test_story_console import Desktop
from tests.lab.test_story_watch import HOST_USB, OF_THE_EXAMPLE, SERVICE, SOCKETS, Desk, seat_file

# For their length.
pytestmark = [pytest.mark.lab, pytest.mark.soak]

SPARE = "4"  # a socket of no seat's
HOST_KEYBOARD = f"{HOST_USB}/usb2/1"
STICK = "/dev/disk/by-id/usb-*ST1*"


class EdgeDesk(Desk):
    """The desk, with a seat file that its owner changes."""

    def write(self, text):
        """Writes the seat file, as an editor does, and has whoever reads it read it."""
        self.pc.put(demo.SEAT_FILE, text)

    def plug_spare(self, kind, **more):
        thing = UsbThing("spare", kind, SPARE, card="left", **more)
        self.pc.plug(thing, "host-usb")
        self.pc.wait(f"test -e /sys/bus/pci/devices/{HOST_USB}/usb*/[0-9]*-{SPARE}")

    def drivers(self, port):
        """Returns the host's drivers of what is plugged in there."""
        path = f"/sys/bus/pci/devices/{HOST_USB}/usb*/[0-9]*-{port}/*:1.0/driver"
        return re.findall(r"[^/\s]+$", self.pc.run(f"readlink {path}; true").stdout, re.M)

    def wait_drivers(self, port, *drivers):
        end = time.monotonic() + 60
        while self.drivers(port) != [*drivers]:
            assert time.monotonic() < end, f"{self.drivers(port)}\n{self.journal()}"
            time.sleep(0.3)


def with_policy(unknown=None, when_off=None):
    """Returns the desk's seat file, with what it says of the edges."""
    text = seat_file()
    if unknown:
        text = text.replace("host:\n", f"host:\n  unknown-usb: {unknown}\n", 1)
    if when_off:
        text = text.replace("  left:\n", f"  left:\n    when-off: {when_off}\n", 1)
    return text


@pytest.fixture(scope="module")
def desk(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        for thing in OF_THE_EXAMPLE:
            pc.unplug(thing)
        desk = EdgeDesk(pc)
        desk.prepare(seat_file())
        desk.command("apply")
        desk.set_to_work()
        desk.fill()
        yield desk


def test_what_is_in_no_seats_place_is_asked_about_lent_and_then_a_seats_own(desk):
    desk.plug_spare(UsbKind.TABLET)
    asked = f"{HOST_USB}/usb2/{SPARE}.* is in no seat.s place"
    time.sleep(3)
    assert not desk.count_said(asked)  # the host's, as what nobody names is

    desk.write(with_policy(unknown="ask"))
    desk.wait_said(asked)
    assert desk.drivers(SPARE) == ["usbhid"]
    assert not desk.count_said(f"{HOST_KEYBOARD}.*no seat.s place")  # nobody may have that one
    way = re.search(r"`phyllome-seat (attach \S+) SEAT` lends it", desk.journal())
    lent = desk.command(*way[1].split(), "right", "--until", "30m")
    assert "in guest right" in lent
    desk.wait_entries("right", 2)
    desk.command("detach", f"usb2/{SPARE}")
    desk.wait_entries("right", 1)
    desk.wait_drivers(SPARE, "usbhid")

    desk.write("version: 1\nseats: [")
    desk.wait_said(f"{demo.SEAT_FILE}.*what it said before still holds")
    desk.pc.run(f"systemctl reload {SERVICE}")
    desk.wait_said(f"{demo.SEAT_FILE}.*what it said before still holds", 2)

    desk.write(with_policy(unknown="left"))
    desk.wait_entries("left", 2)
    desk.wait_drivers("1", "usbhid")
    desk.wait_said(f"{HOST_KEYBOARD}.*keyboard")  # the host's last, though it is in no seat's place
    end = time.monotonic() + 60
    while desk.moved("left") != {0.6}:
        assert time.monotonic() < end, desk.all_said()
        desk.pc.point("spare", 0.2 + time.monotonic() % 0.5, 0.6)
        time.sleep(0.5)
    assert not desk.moved("right")

    desk.write(seat_file())
    desk.wait_entries("left", 1)
    desk.wait_drivers(SPARE, "usbhid")
    desk.pc.unplug("spare")
    desk.type_everywhere()


def test_when_off_host_it_types_on_the_hosts_desktop_until_the_guest_takes_it(desk):
    desk.destroy("left")
    desk.pull("left")
    desk.write(with_policy(when_off="host"))
    desk.command("apply")
    desk.pc.run("systemctl stop desktop; true")
    here = Desktop(desk.pc, keyboards=1)  # its own
    keyboard = desk.plug("left")
    here.wait_keyboards(2)
    assert here.hears(keyboard.id, of_them=1)

    desk.start("left")
    desk.wait_right()
    desk.wait_awake("left")
    assert here.hears(keyboard.id)
    desk.typed["left"] = "a"  # it was heard there
    desk.type_everywhere()

    desk.pc.run("kill -KILL $(cat /run/libvirt/qemu/left.pid)")  # a guest that crashes
    del desk.typed["left"]
    desk.wait_said(f"{HOST_USB}/usb2/{SOCKETS['left']} .* is the host.s again")
    here.wait_keyboards(3)  # it comes back, though nobody told the kernel's drivers
    assert here.hears(keyboard.id, of_them=1)
    desk.wait_said("guest left of seat left is shut off", 2)
    desk.start("left")
    desk.type_everywhere()

    desk.write(seat_file())
    desk.command("apply")


def test_a_stick_that_the_host_has_mounted_stays_and_goes_when_it_is_not(desk):
    desk.destroy("left")
    desk.pull("left")
    stick = UsbThing("stick", UsbKind.STORAGE, SOCKETS["left"], serial="ST1")
    desk.pc.plug(stick, "host-usb")
    desk.pc.wait(f"test -b {STICK}")
    desk.pc.run(f"mkfs.ext4 -q -F {STICK} && mount {STICK} /mnt && echo here > /mnt/file")

    desk.start("left")
    desk.wait_said(f"usb3/{SOCKETS['left']} .*holds /mnt")
    desk.wait_ready("left")
    assert desk.look()[0]["left"] == ([], [])
    assert desk.pc.run("cat /mnt/file").stdout == "here\n"

    desk.pc.run("umount /mnt")
    desk.pull("right")  # the next event
    desk.wait_entries("left", 1)
    assert not desk.pc.run(f"ls {STICK}", check=False).stdout
    desk.pc.unplug("stick")
    desk.wait_entries("left", 0)
    desk.fill()
    desk.type_everywhere()


# A guest that has a USB 2 controller alone, which takes no slower device, until it is started next.
OLDER = "<devices>\n    <controller type='usb' model='ehci'/>"
ALONE = f"""\
version: 1
host: {{memory: 1GiB}}
seats:
  left:
    usb:
      - port: {{controller: "{HOST_USB}", id: "1b36:000d", usb2: "2"}}
      - port: {{controller: "{HOST_USB}", id: "1b36:000d", usb2: "3"}}
    guest: {{domain: left}}
"""


def test_what_a_guest_refuses_is_said_and_given_up_and_the_rest_goes_on(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        for thing in OF_THE_EXAMPLE:
            pc.unplug(thing)
        desk = EdgeDesk(pc)
        desk.prepare(ALONE)
        xml = pc.get("/root/left.xml").decode().replace("<devices>", OLDER)
        pc.put("/root/left.xml", xml)
        pc.run("virsh -q undefine left && virsh -q define /root/left.xml")
        desk.start("left")
        desk.wait_ready("left")
        desk.command("apply")
        desk.command("watch", "--install")

        pc.plug(UsbThing("slow", UsbKind.SERIAL, "3", serial="SL1"), "host-usb")
        pc.wait("grep -q . /sys/bus/usb/drivers/ftdi_sio/*-3:1.0/modalias")
        desk.wait_said("attach .*usb2/3 .* to guest left.*again in 1 s")
        desk.plug("left")
        desk.wait_entries("left", 1)
        desk.type_everywhere()
        desk.wait_said("attach .*usb2/3 .* to guest left.*given up", timeout_s=240)
        desk.wait_entries("left", 1)
        assert desk.drivers("3") == ["ftdi_sio"]  # the host has it as before

        desk.destroy("left")
        desk.start("left")  # with the controller that `apply` has added
        desk.wait_entries("left", 2)
        desk.wait_ready("left")
        desk.type_everywhere()
