"""USB devices of our own in a real PC: what its kernel, udev and this project see of them."""

import json
import re
import time

import pytest

from phyllome_seat.lab.description import UsbKind, UsbThing
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.usbmodels import FACES, HOSTILE, faces
from tests.lab.story import Story
from tests.lab.test_lab_pc import listen

# For its length.
pytestmark = [pytest.mark.lab, pytest.mark.soak]

# Every USB device of the PC: what sysfs has of it, bytes as Latin-1.
LOOK = """
import json, pathlib
found = {}
for device in pathlib.Path("/sys/bus/usb/devices").iterdir():
    if (device / "devnum").exists():
        found[device.name] = {
            name: (device / name).read_bytes()[:-1].decode("latin-1")
            for name in ("idVendor", "idProduct", "speed", "product", "serial", "devnum")
            if (device / name).exists()
        }
print(json.dumps(found))
"""


class Sockets:
    """The PC's devices by their ids."""

    def __init__(self, pc):
        self.pc = pc
        pc.put("/root/look.py", LOOK)

    def find(self, vendor, product):
        wanted = (f"{vendor:04x}", f"{product:04x}")
        seen = json.loads(self.pc.run("python3 /root/look.py").stdout)
        return {
            name: facts
            for name, facts in seen.items()
            if (facts["idVendor"], facts["idProduct"]) == wanted
        }

    def wait(self, face, timeout_s=30):
        """The one device with this face, as (name, facts)."""
        end = time.monotonic() + timeout_s
        while not (found := self.find(face.vendor, face.product)):
            dmesg = self.pc.run("dmesg | tail -20").stdout
            assert time.monotonic() < end, f"{face.name!r} is not seen:\n{dmesg}"
            time.sleep(0.3)
        ((name, facts),) = found.items()
        return name, facts


PLUGS = {
    UsbKind.GAMEPAD: ("host-usb", "2", "12"),
    UsbKind.CHANGING: ("host-usb", "3", "12"),
    UsbKind.RESETTING: ("host-usb", "4", "12"),
    UsbKind.SUPERSPEED: ("left-usb", "3", "5000"),
    UsbKind.HOSTILE: ("left-usb", "4", "12"),
    UsbKind.MODEM: ("right-usb", "3", "480"),
}


def utf8(text):
    return text.encode("utf-8").decode("latin-1")


def test_each_device_is_seen_as_what_it_is(pc):
    sockets = Sockets(pc)
    for kind, (controller, port, speed) in PLUGS.items():
        thing = UsbThing(kind.value, kind, port)
        pc.plug(thing, controller)
        face = faces(thing)[0]
        name, facts = sockets.wait(face)
        assert name.endswith(f"-{port}"), (kind, name)
        assert facts["speed"] == speed, kind
        assert facts["serial"] == utf8(face.serial), kind
        assert facts["product"] == utf8(face.name), kind

    # The gamepad: a joystick to udev, and a press arrives.
    pc.wait("ls /dev/input/by-id/*_PAD1-event-joystick")
    node = "$(readlink -f /dev/input/by-id/*_PAD1-event-joystick)"
    properties = pc.run(f"udevadm info --query=property {node}").stdout
    assert "ID_INPUT_JOYSTICK=1\n" in properties
    heard = listen(pc, 6, "PAD1")
    pc.press("gamepad", "south")
    pc.press("gamepad", "start", "tl")
    keys = [line for line in heard() if line.startswith("PAD1 1 ")]
    assert keys[:2] == ["PAD1 1 304 1", "PAD1 1 304 0"]
    assert sorted(keys[2:]) == ["PAD1 1 310 0", "PAD1 1 310 1", "PAD1 1 315 0", "PAD1 1 315 1"]

    # The changing one comes back in the same socket under each id it is told.
    before, after = FACES[UsbKind.CHANGING]
    place, _ = sockets.wait(before)
    pc.device("changing").change()
    assert sockets.wait(after)[0] == place
    assert not sockets.find(before.vendor, before.product)
    pc.device("changing").change_id(0x1209, 0x000A)
    assert sockets.wait(before.with_id(0x1209, 0x000A))[0] == place

    # The resetting one has another number each time.
    (face,) = FACES[UsbKind.RESETTING]
    place, facts = sockets.wait(face)
    pc.run("dmesg --clear")
    pc.device("resetting").reset_loop(4, every_s=1.5)
    time.sleep(8)
    assert sockets.wait(face)[0] == place
    found = re.findall(rf"usb {place}: new .* device number (\d+)", pc.run("dmesg").stdout)
    assert len(set(found)) == len(found) == 4
    assert facts["devnum"] not in found

    # The modem is a disc until that is ejected.
    disc, modem = FACES[UsbKind.MODEM]
    pc.wait("grep -l Phyllome /sys/class/scsi_device/*/device/vendor")
    place, _ = sockets.wait(disc)
    pc.run(
        "python3 -c 'import fcntl, glob, os; "
        'path = glob.glob("/sys/bus/usb/drivers/usb-storage/*/host*/target*/*/block/*")[-1]; '
        'fd = os.open("/dev/" + path.split("/")[-1], os.O_RDONLY | os.O_NONBLOCK); '
        "fcntl.ioctl(fd, 0x5309)'",  # CDROMEJECT, linux/cdrom.h
        check=False,
    )
    assert sockets.wait(modem)[0] == place

    # Hostile strings are shown harmlessly, and are whole in the JSON.
    shown = pc.run("phyllome-seat scan").stdout
    assert "1209:0006" in shown
    assert not [c for c in shown if c != "\n" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0)]
    assert "\u202e" not in shown
    host = pc.run("phyllome-seat scan --json").stdout
    assert "\x1b" not in host
    assert json.loads(host)

    # What is pulled is gone, and nothing of it stays here.
    controller, thing = pc.unplug("gamepad")
    assert not sockets.find(0x1209, 0x0001)
    with pytest.raises(LabError, match="gamepad: not plugged in"):
        pc.device("gamepad")
    assert not (pc.directory / "gamepad.usb").exists()
    pc.plug(thing, controller)
    sockets.wait(FACES[UsbKind.GAMEPAD][0])
    with pytest.raises(LabError, match="host-keyboard: a keyboard is QEMU's own"):
        pc.device("host-keyboard")
    assert HOSTILE  # the face above has it


def test_a_press_reaches_a_guest_that_was_given_the_gamepad_by_hand(pc):
    story = Story(pc)
    story.prepare()
    story.command("apply")
    story.command("start")
    story.wait_ready("left")
    pc.plug(UsbThing("pad", UsbKind.GAMEPAD, "3"), "host-usb")
    Sockets(pc).wait(FACES[UsbKind.GAMEPAD][0])
    pc.put(
        "/root/pad.xml",
        "<hostdev mode='subsystem' type='usb'><source>"
        "<vendor id='0x1209'/><product id='0x0001'/></source></hostdev>",
    )
    pc.run("virsh attach-device left /root/pad.xml --live")
    end = time.monotonic() + 60
    while not [each for each in story.log("left").inputs if each.uniq == "PAD1"]:
        assert time.monotonic() < end, story.log("left")
        time.sleep(0.5)
    pc.press("pad", "south")
    press = ("PAD1", "EV_KEY", 1)
    while press not in [(e.device.uniq, e.type, e.value) for e in story.log("left").events]:
        assert time.monotonic() < end, story.log("left")  # where its sticks are comes first
        time.sleep(0.5)
    assert not story.log("right").events
