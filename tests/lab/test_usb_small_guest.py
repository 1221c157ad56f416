"""USB devices of our own at a real kernel without a whole PC: QEMU, xHCI and the small guest."""

import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from phyllome_seat.lab.description import UsbKind
from phyllome_seat.lab.guest import command_line
from phyllome_seat.lab.guestlog import parse_guest_log
from phyllome_seat.lab.usbmodels import FACES
from phyllome_seat.lab.usbserver import ServedDevice

pytestmark = pytest.mark.lab
PORTS = {kind: str(number) for number, kind in enumerate(FACES, 1)}


class SmallPc:
    """A kernel, one program, one xHCI; what they say is on the serial port."""

    def __init__(self, guest, directory):
        from phyllome_seat.lab.machine import Machine

        self.directory = directory
        self.devices = {}
        loud = command_line("left").replace("quiet loglevel=3", "loglevel=7")
        qmp = f"socket,id=qmp,path={directory}/qmp.sock,server=on,wait=off"
        self.machine = Machine(
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

    def plug(self, kind):
        path = self.directory / f"{kind}.usb"
        self.devices[kind] = ServedDevice(path, FACES[kind])
        address = {"type": "unix", "data": {"path": str(path)}}
        backend = {"type": "socket", "data": {"addr": address, "server": False}}
        self.machine.execute("chardev-add", id=f"{kind}-served", backend=backend)
        where = {"bus": "usb.0", "port": PORTS[kind], "chardev": f"{kind}-served"}
        self.machine.execute("device_add", driver="usb-redir", id=str(kind), **where)
        return self.devices[kind]

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
        for device in self.devices.values():
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
    small.plug(kind)
    face = FACES[kind][0]
    bus, speed = SPEEDS.get(kind, ("1", "full-speed"))
    port = f"usb {bus}-{PORTS[kind]}"
    small.wait(rf"{port}: new {speed} USB device number \d+")
    small.wait(rf"{port}: .*idVendor={face.vendor:04x}, idProduct={face.product:04x},")
    # A serial's own newline is one in the kernel's log too, with a time before what follows.
    for line in face.serial.split("\n"):
        small.wait(re.escape(line))


def test_a_gamepads_press_arrives(small):
    small.devices[UsbKind.GAMEPAD].press("south")
    small.wait("EV_KEY BTN_SOUTH 0")
    events = [event for event in parse_guest_log(small.said()).events if event.type == "EV_KEY"]
    assert [(event.device.uniq, event.code, event.value) for event in events] == [
        ("PAD1", "BTN_SOUTH", 1),
        ("PAD1", "BTN_SOUTH", 0),
    ]


def test_a_changed_device_comes_back_in_its_port_under_its_new_id(small):
    small.devices[UsbKind.CHANGING].change_id(0x1234, 0x5678)
    small.wait(rf"usb 1-{PORTS[UsbKind.CHANGING]}: .*idVendor=1234, idProduct=5678,")


def test_a_resetting_device_has_another_number_each_time(small):
    small.devices[UsbKind.RESETTING].reset_loop(4, every_s=0.7)
    numbers = small.wait(rf"usb 1-{PORTS[UsbKind.RESETTING]}: new .* number (\d+)", count=5)
    assert len(set(numbers)) == 5


def test_an_unplugged_device_is_gone_and_qemu_with_its_connection(small):
    kind = UsbKind.SUPERSPEED
    small.machine.unplug(str(kind))
    small.wait(rf"usb 2-{PORTS[kind]}: USB disconnect")
    chardevs = [each["label"] for each in small.machine.execute("query-chardev")]
    assert f"{kind}-served" not in chardevs
