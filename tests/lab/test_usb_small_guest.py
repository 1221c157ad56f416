"""USB devices of our own at a real kernel without a whole PC: QEMU, xHCI and the small guest."""

import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from phyllome_seat.lab.description import Description, UsbController, UsbKind, UsbThing
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.guest import command_line
from phyllome_seat.lab.guestlog import parse_guest_log
from phyllome_seat.lab.hands import Hands
from phyllome_seat.lab.usbmodels import FACES

pytestmark = pytest.mark.lab
PORTS = {kind: str(number) for number, kind in enumerate(FACES, 1)}


class SmallPc(Hands):
    """A kernel, one program, one xHCI; what they say is on the serial port."""

    def __init__(self, guest, directory):
        from phyllome_seat.lab.emulator import emulator
        from phyllome_seat.lab.machine import Machine

        self.description = Description(usb=(UsbController("usb", ports=8),))
        self.directory = self.disks = directory
        self.plugged, self.served = {}, {}
        loud = command_line("left").replace("quiet loglevel=3", "loglevel=7")
        qmp = f"socket,id=qmp,path={directory}/qmp.sock,server=on,wait=off"
        self._machine = Machine(
            emulator(),
            [
                *("-nodefaults", "-display", "none", "-machine", "q35", "-m", "512"),
                *("-accel", "tcg", "-cpu", "max", "-kernel", str(guest / "vmlinuz")),
                *("-initrd", str(guest / "initrd"), "-append", loud),
                *("-chardev", qmp, "-mon", "chardev=qmp,mode=control"),
                *("-serial", f"file:{directory}/serial.log"),
                *("-device", "qemu-xhci,id=usb,p2=8,p3=8"),
            ],
            directory,
        )

    @property
    def machine(self):
        return self._machine

    def chardevs(self):
        return [each["label"] for each in self.machine.execute("query-chardev")]

    def said(self):
        return (self.directory / "serial.log").read_bytes().decode(errors="replace")

    def wait(self, pattern, count=1, timeout_s=60):
        """Waits until the kernel or the guest said this so often; what was found."""
        end = time.monotonic() + timeout_s
        while len(found := re.findall(pattern, self.said())) < count:
            assert time.monotonic() < end, f"{pattern} is not in:\n{self.said()[-4000:]}"
            time.sleep(0.2)
        return found

    def close(self):
        for device in self.served.values():
            device.close()
        self.machine.end()


@pytest.fixture(scope="module")
def small(request):
    from phyllome_seat.lab.image import image

    built = image(request.config.getoption("--pc"), "grub", print)
    # A unix socket's path holds 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="phyllome-usb-"))
    pc = SmallPc(built.directory / "guest", directory)
    try:
        pc.wait(r"\nready \d+")
        yield pc
    finally:
        pc.close()
        shutil.rmtree(directory)


SPEEDS = {
    UsbKind.SUPERSPEED: ("2", "SuperSpeed"),
    UsbKind.MODEM: ("1", "high-speed"),
}


@pytest.mark.parametrize("kind", FACES)
def test_the_kernel_sees_the_device_with_its_id_speed_and_strings(small, kind):
    small.plug(UsbThing(kind, kind, PORTS[kind]), "usb")
    face = FACES[kind][0]
    bus, speed = SPEEDS.get(kind, ("1", "full-speed"))
    port = f"usb {bus}-{PORTS[kind]}"
    small.wait(rf"{port}: new {speed} USB device number \d+")
    small.wait(rf"{port}: .*idVendor={face.vendor:04x}, idProduct={face.product:04x},")
    # A serial's own newline is one in the kernel's log too, with a time before what follows.
    for line in face.serial.split("\n"):
        small.wait(re.escape(line))


def test_a_gamepads_press_arrives(small):
    small.press("gamepad", "south")
    small.wait("EV_KEY BTN_SOUTH 0")
    events = [event for event in parse_guest_log(small.said()).events if event.type == "EV_KEY"]
    assert [(event.device.uniq, event.code, event.value) for event in events] == [
        ("PAD1", "BTN_SOUTH", 1),
        ("PAD1", "BTN_SOUTH", 0),
    ]


def test_a_changed_device_comes_back_in_its_port_under_its_new_id(small):
    small.device("changing").change_id(0x1234, 0x5678)
    small.wait(rf"usb 1-{PORTS[UsbKind.CHANGING]}: .*idVendor=1234, idProduct=5678,")


def test_a_resetting_device_has_another_number_each_time(small):
    small.device("resetting").reset_loop(4, every_s=0.7)
    numbers = small.wait(rf"usb 1-{PORTS[UsbKind.RESETTING]}: new .* number (\d+)", count=5)
    assert len(set(numbers)) == 5


def test_an_unplugged_device_is_gone_with_all_that_served_it_and_comes_back(small):
    port = f"usb 2-{PORTS[UsbKind.SUPERSPEED]}"
    controller, thing = small.unplug("superspeed")
    small.wait(f"{port}: USB disconnect")
    assert "superspeed-served" not in small.chardevs()
    assert not (small.directory / "superspeed.usb").exists()
    with pytest.raises(LabError, match="superspeed: not plugged in"):
        small.device("superspeed")
    small.plug(thing, controller)
    small.wait(rf"{port}: new SuperSpeed USB device number \d+", count=2)


def test_a_plug_that_qemu_refuses_leaves_nothing(small):
    with pytest.raises(LabError, match="gamepad: is plugged in already"):
        small.plug(UsbThing("gamepad", UsbKind.GAMEPAD, "8"), "usb")
    before = small.chardevs()
    with pytest.raises(LabError, match="99"):
        small.plug(UsbThing("second", UsbKind.GAMEPAD, "99"), "usb")
    assert small.chardevs() == before
    assert "second" not in small.plugged
    assert not (small.directory / "second.usb").exists()
