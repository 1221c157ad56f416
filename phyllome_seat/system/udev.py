"""udev, made to look again."""

from __future__ import annotations

from phyllome_seat.system.run import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.address import PciAddress
    from phyllome_seat.system.sysfs import Sysfs

_SETTLE_S = 60


def reload_udev(devices: tuple[PciAddress, ...], sysfs: Sysfs) -> None:
    """Let udev read its rules again and look at each function and all below it; wait for the end.

    By ``change`` events, as logind does when a device gets another seat: an ``add`` would have
    services started and disks mounted once more. ProgramError when udev does not come to an end.
    """
    run(("udevadm", "control", "--reload"))
    for address in devices:
        # One each: older versions take only the last of several parents.
        if folder := sysfs.resolve(f"sys/bus/pci/devices/{address}"):
            run(("udevadm", "trigger", "--action=change", f"--parent-match=/{folder}"))
    run(("udevadm", "settle", f"--timeout={_SETTLE_S}"), timeout_s=_SETTLE_S + 10)
