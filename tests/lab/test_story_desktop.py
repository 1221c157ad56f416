"""Monitors show their numbers although somebody is logged in and a desktop has their card."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.description import UsbKind, UsbThing
from phyllome_seat.lab.packages import packed
from tests.lab.conftest import EXAMPLE
from tests.lab.test_story_identify import number_on

pytestmark = [pytest.mark.lab, pytest.mark.soak]  # a desktop from packages is a minute or two

CARDS = ("console", "left", "right")
# A session of a person's own on seat0, as a display manager begins one.
DESKTOP = """\
useradd -m person
python3 -c 'import fcntl; fcntl.ioctl(open("/dev/tty0"), 0x5606, 7)'  # VT_ACTIVATE, linux/vt.h
card=$(basename $(ls -d /sys/bus/pci/devices/CONSOLE/drm/card*))
systemd-run -q --unit=desktop -p User=person -p PAMName=login -p TTYPath=/dev/tty7 \
    -p StandardInput=tty -p StandardOutput=journal -p StandardError=journal -p UtmpIdentifier=tty7 \
    -p UtmpMode=user weston --backend=drm --renderer=pixman --drm-device=$card --idle-time=0
"""
IDENTIFY = (
    "(phyllome-seat identify --monitors --timeout {timeout_s} --json; echo $? >/root/asked) "
    ">/root/out 2>/root/err &"
)


@pytest.fixture(scope="module")
def pc(open_pc, lab, tmp_path_factory):
    """A PC at which a person is logged in, on a desktop whose packages came on a stick."""
    tar = packed(lab.release, ("weston",), tmp_path_factory.mktemp("packages"))
    with open_pc(read_description(EXAMPLE)) as pc:
        stick = pc.disks / "packages.qcow2"
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", tar, stick], check=True)
        pc.plug(UsbThing("packages", UsbKind.STORAGE, "4"), "host-usb")
        pc.wait("test -b /dev/disk/by-id/usb-QEMU*-0:0")
        pc.run(
            "tar -C / --skip-old-files -xf /dev/disk/by-id/usb-QEMU*-0:0; ldconfig", timeout_s=600
        )
        pc.run(DESKTOP.replace("CONSOLE", str(pc.address("console"))), timeout_s=60)
        pc.wait("test -S /run/user/$(id -u person)/wayland-1", timeout_s=60)
        time.sleep(5)
        yield pc


def install_binding(pc, folder):
    """Installs pywayland as a user does, of what this machine fetches for the PC's Python."""
    python = "$(sed -n '1s/^#!//p' $(command -v phyllome-seat))"
    version = pc.run(f"{python} -c 'import sys; print(*sys.version_info[:2], sep=\"\")'").stdout
    fetch = ("download", "-q", "--only-binary=:all:", "--python-version", version.strip())
    subprocess.run([sys.executable, "-m", "pip", *fetch, "-d", folder, "pywayland"], check=True)
    for wheel in folder.iterdir():
        pc.put(f"/root/wheels/{wheel.name}", wheel.read_bytes())
    pc.run(f"{python} -m pip -q install --no-index -f /root/wheels pywayland", timeout_s=300)


def identify(pc, timeout_s):
    pc.run("rm -f /root/asked")
    pc.run(IDENTIFY.format(timeout_s=timeout_s))
    pc.wait("grep -q 'shows its number' /root/err")


def answer(pc):
    """Returns each monitor by its serial number, when `identify` has ended."""
    pc.wait("test -s /root/asked", timeout_s=60)
    said = json.loads(pc.get("/root/out") or b'{"monitors": []}')
    return {monitor["serial"]: monitor for monitor in said["monitors"]}


def test_a_number_is_on_each_monitor_also_where_a_desktop_is_and_enter_takes_it_away(pc, tmp_path):
    desktop = pc.picture("console")

    identify(pc, timeout_s=2)
    without = answer(pc)
    assert "a desktop shows its own picture there" in without["H0001"]["not_shown"]
    assert "install pywayland" in without["H0001"]["not_shown"]
    assert without["8KTXF13"]["not_shown"] is None

    install_binding(pc, tmp_path)
    identify(pc, timeout_s=60)
    end = time.monotonic() + 20
    while None in (shown := {card: number_on(pc.picture(card)) for card in CARDS}).values():
        assert time.monotonic() < end, (shown, pc.get("/root/err"))
        time.sleep(0.5)
    pc.press("host-keyboard", "ret")

    named = {serial: monitor["number"] for serial, monitor in answer(pc).items()}
    assert shown == {
        "console": named["H0001"],
        "left": named["8KTXF13"],
        "right": named["104NTAB"],
    }
    time.sleep(2)
    after = pc.picture("console")
    assert number_on(after) is None
    assert sum(map(int.__ne__, after.rgb, desktop.rgb)) < len(desktop.rgb) // 50
