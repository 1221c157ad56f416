"""Run inside a PC: what the effects stand on, with its kernel, udev and systemd.

``python3 run_effects.py CARD USB``, two PCI addresses; says each that held.
"""

import os
import sys
import time
import traceback
from pathlib import Path

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.errors import HeldError
from phyllome_seat.model.step import BindDriver, ReloadUdev, RemoveFile, RestoreDriver, WriteFile
from phyllome_seat.system import console_return
from phyllome_seat.system.apply import apply
from phyllome_seat.system.bind import Function
from phyllome_seat.system.holders import find_holders
from phyllome_seat.system.run import run
from phyllome_seat.system.state import HEADER, RULES, State
from phyllome_seat.system.sysfs import Sysfs

SYSFS, STATE = Sysfs("/"), State("/")
OURSELVES = f"pid {os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"


def effect_who_has_a_card_open_is_found(card: PciAddress, usb: PciAddress) -> None:
    (node,) = Path(f"/sys/bus/pci/devices/{card}/drm").glob("card*")

    assert find_holders(SYSFS, card) == ()
    fd = os.open(f"/dev/dri/{node.name}", os.O_RDWR)
    assert find_holders(SYSFS, card) == (OURSELVES,)
    os.close(fd)
    assert find_holders(SYSFS, card) == ()


def effect_a_keyboard_that_logind_watches_does_not_hold_its_controller(
    card: PciAddress, usb: PciAddress
) -> None:
    nodes = list(Path(f"/sys/bus/pci/devices/{usb}/").glob("usb*/*/*/*/input/input*/event*"))
    assert nodes
    with Path(f"/dev/input/{nodes[0].name}").open("rb"):
        assert find_holders(SYSFS, usb) == ()


def effect_a_group_that_is_open_is_not_taken_back(card: PciAddress, usb: PciAddress) -> None:
    function = Function(SYSFS, card)
    identity, driver = function.id, function.driver
    apply((BindDriver(card, identity, "card", driver, None, "left"),), SYSFS, STATE)
    back = RestoreDriver(card, identity, "card", driver, None)
    group = SYSFS.link(f"{function.place}/iommu_group")

    fd = os.open(f"/dev/vfio/{group}", os.O_RDWR)
    try:
        apply((back,), SYSFS, STATE)
        raise AssertionError("it was not refused")
    except HeldError as refused:
        assert refused.holders == (OURSELVES,), refused
    os.close(fd)
    assert function.driver == "vfio-pci"
    apply((back,), SYSFS, STATE)
    assert function.driver == driver


def effect_udev_has_looked_again_when_the_step_is_over(card: PciAddress, usb: PciAddress) -> None:
    rule = f'{HEADER}a test\nSUBSYSTEM=="input", KERNELS=="{usb}", ENV{{PHYLLOME_TEST}}="1"\n'
    nodes = list(Path(f"/sys/bus/pci/devices/{usb}/").glob("usb*/*/*/*/input/input*/event*"))
    show = [("udevadm", "info", "--query=property", str(node)) for node in nodes]

    apply((WriteFile(f"/{RULES}", rule, "a test"), ReloadUdev((usb,))), SYSFS, STATE)
    assert show
    assert all("PHYLLOME_TEST=1" in run(one) for one in show)
    apply((RemoveFile(f"/{RULES}"), ReloadUdev((usb,))), SYSFS, STATE)
    assert not any("PHYLLOME_TEST" in run(one) for one in show)


def effect_a_timer_is_armed_and_confirmed(card: PciAddress, usb: PciAddress) -> None:
    console_return.arm(300)
    assert console_return.is_armed()
    console_return.arm(400)
    assert console_return.confirm()
    assert not console_return.confirm()


def effect_a_timer_that_is_not_confirmed_gives_everything_back(
    card: PciAddress, usb: PciAddress
) -> None:
    function = Function(SYSFS, card)
    driver = function.driver
    apply((BindDriver(card, function.id, "card", driver, None, "left"),), SYSFS, STATE)
    assert function.driver == "vfio-pci"

    console_return.arm(2)
    end_s = time.monotonic() + 120
    while function.driver != driver:
        assert time.monotonic() < end_s, run(("journalctl", "-u", console_return.UNIT))
        time.sleep(0.5)
    while STATE.read_before(card):
        assert time.monotonic() < end_s
        time.sleep(0.5)


def effect_a_wrong_identity_is_refused(card: PciAddress, usb: PciAddress) -> None:
    try:
        apply((BindDriver(card, PciId(1, 2), "card", None, None, "left"),), SYSFS, STATE)
        raise AssertionError("it was not refused")
    except Exception as refused:
        assert str(refused).startswith(f"{card} is now "), refused


EFFECTS = {
    name.removeprefix("effect_"): work
    for name, work in list(globals().items())
    if name.startswith("effect_")
}


def main(card: str, usb: str) -> int:
    failed = 0
    for name, effect in EFFECTS.items():
        try:
            effect(PciAddress.parse(card), PciAddress.parse(usb))
            print(f"held: {name}", flush=True)
        except Exception:  # whatever it is, the others are to be run
            failed += 1
            print(f"FAILED: {name}\n{traceback.format_exc()}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
