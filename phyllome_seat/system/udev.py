"""udev, made to look again."""

from __future__ import annotations

from phyllome_seat.model.rules import is_seat_id
from phyllome_seat.system.run import run
from phyllome_seat.system.udev_db import read_udev

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.address import PciAddress
    from phyllome_seat.system.sysfs import Sysfs

_SETTLE_S = 60
_INPUT = "sys/class/input"


def reload_udev(devices: tuple[PciAddress, ...], sysfs: Sysfs) -> None:
    """Let udev read its rules again and look at each function and all below it; wait for the end.

    By ``change`` events, as logind does when a device gets another seat: an ``add`` would have
    services started and disks mounted once more. ProgramError when udev does not come to an end.

    A running desktop does not notice by them that a keyboard is another seat's now: libinput hears
    ``add`` and ``remove`` alone (src/udev-seat.c, ``evdev_udev_handler()``). So input nodes that
    were or are of a seat of ours go and come once more, for those who listen.
    """
    folders = [
        folder for address in devices if (folder := sysfs.resolve(f"sys/bus/pci/devices/{address}"))
    ]
    run(("udevadm", "control", "--reload"))
    nodes = _find_nodes(sysfs, folders)
    for folder in folders:
        # One each: older versions take only the last of several parents.
        run(("udevadm", "trigger", "--action=change", f"--parent-match=/{folder}"))
    _settle()
    nodes |= _find_nodes(sysfs, folders)
    for action in ("remove", "add") if nodes else ():
        run(("udevadm", "trigger", f"--action={action}", *(f"/{node}" for node in sorted(nodes))))
        _settle()


def _find_nodes(sysfs: Sysfs, folders: list[str]) -> set[str]:
    """Return the folders of the evdev nodes below these that udev has on a seat of ours."""
    nodes = (
        sysfs.resolve(f"{_INPUT}/{node}") for node in sysfs.list(_INPUT) if node.startswith("event")
    )
    return {
        node
        for node in nodes
        if node
        and any(node.startswith(f"{folder}/") for folder in folders)
        and is_seat_id(read_udev(sysfs, f"c{sysfs.read(f'{node}/dev')}").find("ID_SEAT"))
    }


def _settle() -> None:
    run(("udevadm", "settle", f"--timeout={_SETTLE_S}"), timeout_s=_SETTLE_S + 10)
