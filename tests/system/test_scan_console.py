from __future__ import annotations

import pytest

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.devices import Console, PciDevice
from phyllome_seat.system.scan_console import read_console
from phyllome_seat.system.tcp import read_tcp
from tests.system.trees import Link, make_tree

FIRST, SECOND = PciAddress(0, 1, 0, 0), PciAddress(0, 2, 0, 0)
CARDS = {
    f"sys/class/drm/card{n}": Link(f"sys/devices/pci0000:00/{address}/drm/card{n}")
    for n, address in ((0, FIRST), (1, SECOND))
} | {
    f"sys/devices/pci0000:00/{address}/drm/card{n}/card{n}-DP-1/status": "connected\n"
    for n, address in ((0, FIRST), (1, SECOND))
}
TCP = "  sl  local_address rem_address   st\n"


def gpu(address, driver="amdgpu", boot_vga=None):
    return PciDevice(address, PciId(1, 2), 0x030000, driver=driver, boot_vga=boot_vga)


def read(tmp_path, files, pci=()):
    sysfs = make_tree(tmp_path, files)
    return read_console(sysfs, pci, read_tcp(sysfs))


def test_the_card_that_drove_the_boot_display_shows_the_console(tmp_path):
    boot = {f"sys/devices/pci0000:00/{SECOND}/drm/card1/boot_display": "1\n"}
    pci = (gpu(FIRST, boot_vga=True), gpu(SECOND, boot_vga=False))

    assert read(tmp_path, CARDS | boot, pci).gpu == SECOND


def test_without_that_the_firmwares_card_shows_the_console(tmp_path):
    pci = (gpu(FIRST, boot_vga=False), gpu(SECOND, boot_vga=True))

    assert read(tmp_path, CARDS, pci).gpu == SECOND


def test_a_card_that_has_left_the_host_shows_no_console(tmp_path):
    pci = (gpu(FIRST, "vfio-pci", boot_vga=True), gpu(SECOND, boot_vga=False))
    text = {"sys/class/graphics/fb0": Link(f"sys/devices/pci0000:00/{SECOND}/graphics/fb0")}

    assert read(tmp_path / "text", CARDS | text, pci).gpu == SECOND
    assert read(tmp_path / "none", CARDS, pci).gpu is None


def test_a_screen_that_is_on_no_pci_device_is_none(tmp_path):
    text = {"sys/class/graphics/fb0": Link("sys/devices/platform/simple-framebuffer.0/fb0")}

    assert read(tmp_path, text).gpu is None


def test_a_serial_terminal_counts_when_a_login_runs_on_it(tmp_path):
    units = {
        "run/systemd/units/invocation:serial-getty@ttyS0.service": Link("0123"),
        "run/systemd/units/invocation:getty@tty1.service": Link("0123"),
        "sys/class/tty/console/active": "tty0 ttyS1\n",
    }

    assert read(tmp_path, units).serial == ("ttyS0",)


@pytest.mark.parametrize(
    ("line", "ssh"),
    [
        ("0: 00000000:0016 00000000:0000 0A", True),
        ("0: 00000000:0017 00000000:0000 0A", False),
        ("0: 0100007F:0016 00000000:0000 0A", False),
        ("0: 020200C0:0016 070200C0:E000 01", False),
    ],
    ids=["open", "another port", "for itself", "a session only"],
)
def test_ssh_is_a_server_that_others_can_reach(tmp_path, line, ssh):
    assert read(tmp_path, {"proc/net/tcp": TCP + line}).ssh is ssh


def test_nothing_read_is_nothing_known(tmp_path):
    assert read(tmp_path, {}) == Console(gpu=None, serial=(), ssh=None, sessions=())


def test_who_is_logged_in_at_a_seat_is_named(tmp_path):
    sessions = {
        "run/systemd/sessions/2": "UID=1000\nUSER=alice\nSTATE=active\nSEAT=seat0\nTTY=tty2\n",
        "run/systemd/sessions/c1": "USER=gdm\nCLASS=greeter\nSTATE=online\nSEAT=seat0\nTTY=tty1\n",
        "run/systemd/sessions/3": "USER=bob\nSTATE=active\nREMOTE=1\nREMOTE_HOST=192.0.2.7\n",
        "run/systemd/sessions/4": "USER=eve\nSTATE=closing\nSEAT=seat0\nTTY=tty3\n",
        "run/systemd/sessions/2.ref": "not a session\n",
    }

    assert read(tmp_path, sessions).sessions == ("seat0: alice on tty2", "seat0: gdm on tty1")
