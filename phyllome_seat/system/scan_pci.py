"""The PCI functions, from ``/sys/bus/pci/devices`` and the names udev found for them.

Attributes are those of Documentation/ABI/testing/sysfs-bus-pci. Reading ``config`` would wake a
sleeping device, so nothing here does.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.devices import Link, PciDevice
from phyllome_seat.model.errors import AddressError
from phyllome_seat.model.printable import printable
from phyllome_seat.system.numbers import find_address, find_nearest, read_number
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.udev_db import read_udev
from phyllome_seat.system.uevent import Uevent, read_uevent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_DEVICES = "sys/bus/pci/devices/"


def read_pci(sysfs: Sysfs, *, locked: Collection[PciAddress] = ()) -> tuple[PciDevice, ...]:
    """Return every PCI function.

    ``locked`` are functions whose driver is being unbound this very moment. The kernel holds the
    lock of such a device, and an attribute that takes it would wait for as long as the unbind:
    those are left out (None) for them.
    """
    devices = []
    # a longer domain is a larger one: sorted by name, then by length, is sorted by address
    for name in sorted(sysfs.list(_DEVICES), key=len):
        address = find_address(name)
        if address is None:
            continue
        path = sysfs.target(_DEVICES + name) or _DEVICES + name
        is_locked = bool(locked) and address in locked  # to hash an address takes its time
        device = _read_function(sysfs, address, path, is_locked=is_locked)
        if device is not None:
            devices.append(device)
    return tuple(devices)


def _read_function(
    sysfs: Sysfs, address: PciAddress, path: str, *, is_locked: bool
) -> PciDevice | None:
    """Return the function whose own folder is `path`, None when it has gone."""
    # pci_uevent in drivers/pci/pci-driver.c; Linux before 6.11 takes the device's lock for it
    event = Uevent("") if is_locked else read_uevent(sysfs, path)
    pci_id = event.find("PCI_ID")
    identity = _read_id(sysfs, path, pci_id, event)
    if identity is None:
        return None
    class_code = _read_class(sysfs, path, event)
    folder, _, name = path.rpartition("/")
    udev = read_udev(sysfs, "+pci:" + name)
    is_display = class_code >> 16 == 0x03
    # driver_override_show and sriov_numvfs_show take the device's lock: drivers/pci/pci-sysfs.c,
    # drivers/pci/iov.c
    override = None if is_locked else sysfs.read(path + "/driver_override")
    vfs_max = read_number(sysfs.read(path + "/sriov_totalvfs"))
    node = read_number(sysfs.read(path + "/numa_node"))
    resets = sysfs.read(path + "/reset_method")
    return PciDevice(
        address=address,
        id=identity,
        class_code=class_code,
        revision=read_number(sysfs.read(path + "/revision"), 16),
        vendor_name=printable(udev.find("ID_VENDOR_FROM_DATABASE")),
        device_name=printable(udev.find("ID_MODEL_FROM_DATABASE")),
        driver=event.find("DRIVER") if pci_id is not None else sysfs.link(path + "/driver"),
        override=override if override not in ("", "(null)") else None,
        iommu_group=read_number(sysfs.link(path + "/iommu_group")),
        boot_vga=_read_flag(sysfs.read(path + "/boot_vga")) if is_display else None,
        reset_methods=None if resets is None else tuple(resets.split()),
        vfs=None if not vfs_max or is_locked else read_number(sysfs.read(path + "/sriov_numvfs")),
        vfs_max=vfs_max,
        physical_function=find_address(sysfs.link(path + "/physfn")),
        numa_node=node if node is not None and node >= 0 else None,
        link=_read_link(sysfs, path),
        parent=find_nearest(folder),
    )


def _read_id(sysfs: Sysfs, path: str, pci_id: str | None, event: Uevent) -> PciId | None:
    try:
        if pci_id is not None:
            texts = f"{pci_id}:{event.find('PCI_SUBSYS_ID') or '0:0'}".split(":")
        else:
            names = ("vendor", "device", "subsystem_vendor", "subsystem_device")
            texts = [sysfs.read(f"{path}/{name}") or "0" for name in names]
        vendor, device, subvendor, subdevice = [int(text, 16) for text in texts]
        if not vendor:
            return None
        if not subvendor:  # the kernel's "none": bridges have no subsystem
            return PciId(vendor, device)
        return PciId(vendor, device, subvendor, subdevice)
    except (ValueError, AddressError):
        return None


def _read_class(sysfs: Sysfs, path: str, event: Uevent) -> int:
    """Return the class code, 0 (unclassified) where there is none."""
    code = read_number(event.find("PCI_CLASS") or sysfs.read(path + "/class"), 16)
    return code if code is not None and 0 <= code <= 0xFFFFFF else 0


def _read_flag(text: str | None) -> bool | None:
    return None if text is None else text == "1"


def _read_link(sysfs: Sysfs, path: str) -> Link | None:
    """Return the function's PCI Express link, None for a device without one.

    A link that is down, and the width of one in a sleeping device, is "Unknown" or 0; an endpoint
    in the root complex has all four files and no link: None as well.
    """
    max_speed = _read_speed(sysfs.read(path + "/max_link_speed"))
    if max_speed is None:
        return None
    max_width = read_number(sysfs.read(path + "/max_link_width"))
    if not max_width:
        return None
    speed = _read_speed(sysfs.read(path + "/current_link_speed"))
    width = read_number(sysfs.read(path + "/current_link_width"))
    return Link(speed or 0.0, width or 0, max_speed, max_width)


def _read_speed(text: str | None) -> float | None:
    """Return GT/s: "8.0 GT/s PCIe", "5 GT/s" before Linux 5.8, "Unknown"."""
    if text is None:  # of most functions of a PC: no PCI Express
        return None
    try:
        speed = float(text.split(" ", 1)[0])
    except ValueError:
        return None
    return speed if 0 < speed < 1000 else None
