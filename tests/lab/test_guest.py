"""The small guest in a plain QEMU, without the lab's PC around it."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest

from phyllome_seat.lab.banner import recognise, render_banner
from phyllome_seat.lab.emulator import emulator
from phyllome_seat.lab.guest import GuestFiles, command_line
from phyllome_seat.lab.guestdisk import write_disk
from phyllome_seat.lab.guestlog import parse_guest_log, typed_text
from phyllome_seat.lab.image import image
from phyllome_seat.lab.picture import parse_ppm
from phyllome_seat.lab.qmp import Qmp

pytestmark = pytest.mark.lab

FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"


@pytest.fixture(scope="module")
def guest(request):
    """The guest as the image builder made it from the PC's own kernel."""
    made = image(request.config.getoption("--pc", default="trixie")).directory / "guest"
    return GuestFiles(made / "vmlinuz", made / "initrd", made / "stub.efi")


class Machine:
    def __init__(self, folder, process, qmp):
        self.folder, self.process, self.qmp = folder, process, qmp

    @property
    def log(self):
        path = self.folder / "serial"
        return parse_guest_log(path.read_text(errors="replace") if path.exists() else "")

    def wait(self, what, limit_s=90.0):
        """Waits until the log is as wanted; fails with the log when it does not become so."""
        end = time.monotonic() + limit_s
        while not what(self.log):
            if time.monotonic() > end:
                pytest.fail((self.folder / "serial").read_text(errors="replace")[-3000:])
            time.sleep(0.05)

    def type(self, text, device="gpu"):
        for letter in text:
            for down in (True, False):
                key = {"type": "qcode", "data": letter}
                events = [{"type": "key", "data": {"down": down, "key": key}}]
                self.qmp.execute("input-send-event", {"device": device, "events": events})
            time.sleep(0.1)  # a USB keyboard is asked every few milliseconds, in emulated time

    def picture(self, device="gpu"):
        path = self.folder / "screen.ppm"
        self.qmp.execute("screendump", {"device": device, "filename": str(path)})
        return parse_ppm(path.read_bytes())

    def ends(self, limit_s):
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def running(folder, *arguments):
    plain = "-accel tcg,thread=multi -machine q35 -smp 2 -m 512 -nodefaults -display none"
    qemu = emulator()
    command = [*qemu.argv, *plain.split(), *arguments]
    command += ["-serial", f"file:{folder}/serial"]
    command += ["-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
    process = subprocess.Popen(command, env=qemu.environ)
    qmp = Qmp(folder / "qmp")
    try:
        qmp.connect(20)
        yield Machine(folder, process, qmp)
    finally:
        qmp.close()
        process.kill()
        process.wait()


def direct(guest, line):
    return ("-kernel", str(guest.kernel), "-initrd", str(guest.initrd), "-append", line)


def card(model="secondary-vga", name="gpu"):
    size = "" if model == "virtio-gpu-pci" else ",edid=on"
    return ("-device", f"{model},id={name},xres=1280,yres=800{size}")


def keyboard(serial="K1", display="gpu"):
    controller = ("-device", "qemu-xhci,id=usb")
    return (*controller, "-device", f"usb-kbd,bus=usb.0,port=1,serial={serial},display={display}")


def test_what_is_typed_is_said_and_shown_and_the_screen_shows_whose_it_is(guest, tmp_path):
    parts = (*card(), *keyboard(), "-device", "usb-tablet,id=pen,bus=usb.0,port=2,serial=T1")
    with running(tmp_path, *direct(guest, command_line("left")), *parts) as machine:
        machine.wait(lambda log: log.ready)
        log = machine.log
        assert log.seat == "left"
        assert ("1234:1111", "038000") in {function[1:] for function in log.pci}
        assert log.cards == (("card0", "bochs-drm"),)
        assert log.screens == (("card0", 1280, 800),)
        assert {"K1", "T1"} <= {device.uniq for device in log.inputs}
        assert machine.picture() == render_banner("left", 1280, 800)

        machine.type("hello42")
        machine.wait(lambda log: typed_text(log) == "hello42")
        assert {event.device.uniq for event in machine.log.events} == {"K1"}
        time.sleep(1)
        typed = machine.picture()
        assert typed != render_banner("left", 1280, 800)
        assert recognise(typed, ("right", "left")) == "left"

        machine.qmp.execute("device_del", {"id": "pen"})
        machine.wait(lambda log: log.gone)
        again = {"driver": "usb-kbd", "bus": "usb.0", "port": "2", "serial": "K2"}
        machine.qmp.execute("device_add", again)
        machine.wait(lambda log: "K2" in {device.uniq for device in log.inputs})
        machine.qmp.execute("system_powerdown")
        assert machine.ends(30)
        assert machine.log.bye


def test_a_stubborn_guest_ignores_its_power_button(guest, tmp_path):
    line = command_line("left", stubborn=True)
    with running(tmp_path, *direct(guest, line), *card()) as machine:
        machine.wait(lambda log: log.ready)
        machine.qmp.execute("system_powerdown")
        machine.wait(lambda log: "KEY_POWER" in {event.code for event in log.events})
        assert not machine.ends(5)
        assert not machine.log.bye


def test_a_guest_without_a_card_says_so_and_goes_on(guest, tmp_path):
    line = command_line("left")
    with running(tmp_path, *direct(guest, line), "-device", "qemu-xhci") as machine:
        machine.wait(lambda log: log.ready)
        assert machine.log.cards == ()
        assert "no card" in (tmp_path / "serial").read_text(errors="replace")


def test_each_of_two_cards_of_other_models_shows_the_seat(guest, tmp_path):
    parts = (*card("bochs-display", "one"), *card("virtio-gpu-pci", "two"))
    with running(tmp_path, *direct(guest, command_line("right")), *parts) as machine:
        machine.wait(lambda log: log.ready)
        assert {driver for _, driver in machine.log.cards} == {"bochs-drm", "virtio_gpu"}
        for name in ("one", "two"):
            assert recognise(machine.picture(name), ("left", "right")) == "right"


def firmware(tmp_path, kind):
    """What to start QEMU with for OVMF; nothing for SeaBIOS, which it has by itself."""
    if kind == "bios":
        return ()
    shutil.copy(VARIABLES, tmp_path / "variables")
    drives = (
        f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
        f"if=pflash,format=raw,file={tmp_path / 'variables'}",
    )
    return tuple(word for drive in drives for word in ("-drive", drive))


@pytest.mark.parametrize("kind", ["efi", "bios"])
def test_a_disk_starts_the_guest(guest, tmp_path, kind):
    disk = tmp_path / "disk"
    write_disk(guest, "right", disk)
    parts = (*firmware(tmp_path, kind), "-drive", f"if=virtio,format=raw,file={disk}")
    with running(tmp_path, *parts, *card()) as machine:
        machine.wait(lambda log: log.ready)
        assert machine.log.seat == "right"
        assert recognise(machine.picture(), ("left", "right")) == "right"
