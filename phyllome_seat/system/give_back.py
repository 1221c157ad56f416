"""USB devices that a guest left without a driver, for its QEMU was killed: given to the host again.

The kernel takes them from a program that ends and asks no driver to have them (releaseintf,
drivers/usb/core/devio.c; seen with QEMU 10 on 6.12). QEMU asks for that itself where it ends in
order.
"""

from __future__ import annotations

from contextlib import suppress

from phyllome_seat.system.scan_usb import is_plugged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.devices import UsbDevice
    from phyllome_seat.system.sysfs import Sysfs

_PROBE = "sys/bus/usb/drivers_probe"
_LIMIT_S = 10.0  # a driver may ask the device, which may be slow to answer


def give_back(device: UsbDevice, sysfs: Sysfs) -> bool:
    """Have the kernel look for drivers of what has none; return whether it found one.

    A write that takes longer than ten seconds is left alone, as is one that cannot be begun.
    """
    folder = f"sys/bus/usb/devices/{device.sysname}"
    left = [
        f"{folder}/{name}"
        for name in sysfs.list(folder)
        if name.startswith(device.sysname + ":") and not sysfs.exists(f"{folder}/{name}/driver")
    ]
    if not (left and is_plugged(sysfs, device)):
        return False
    with suppress(OSError):
        for path in left:
            sysfs.begin_write(_PROBE).finish(path.rpartition("/")[2], _LIMIT_S)
    return any(sysfs.exists(f"{path}/driver") for path in left)
