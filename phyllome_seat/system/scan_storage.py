"""Block devices, from ``/sys/class/block``, and what the host uses of them."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import BlockDevice, Mount
from phyllome_seat.model.printable import printable
from phyllome_seat.model.value import replace
from phyllome_seat.system.numbers import find_addresses, read_number
from phyllome_seat.system.place import find_usb
from phyllome_seat.system.scan_mounts import read_mounts
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.udev_db import UdevEntry, read_udev

_CLASS = "sys/class/block/"
_BACKING = {"loop": "/loop/backing_file", "zram": "/backing_dev"}
# cryptsetup's lib/utils_devmapper.c, LVM2's UUID_PREFIX, multipath-tools' devmapper.c
_KINDS = {"CRYPT-LUKS": "LUKS", "CRYPT-": "crypt", "LVM-": "LVM", "mpath-": "multipath"}
_SECTOR = 512  # of ``size`` and ``start``, whatever the disk's own: block/genhd.c


def read_blocks(sysfs: Sysfs) -> tuple[tuple[BlockDevice, ...], tuple[Mount, ...]]:
    """Return every block device that has a size, and every use the host makes of one.

    What cannot be followed stays visible: a mount may name a device that is not among the block
    devices, and so may a device's ``below``. Whoever protects must then fear the worst.
    """
    names = sysfs.list(_CLASS)
    blocks = {}
    udev = {}
    for name in names:
        path = sysfs.target(_CLASS + name) or _CLASS + name
        number = sysfs.read(path + "/dev")
        # gone, or one of the paths to an NVMe disk, which has no number
        if number is None:
            continue
        udev[name] = read_udev(sysfs, "b" + number)
        block = _read_block(sysfs, path, number, udev[name], names)
        if block.size_bytes or block.pci or block.below:  # not a loop device without a file
            blocks[name] = block
    _follow_volumes(blocks, udev)
    return tuple(blocks.values()), read_mounts(sysfs, blocks, udev)


def _read_block(
    sysfs: Sysfs, path: str, number: str, udev: UdevEntry, names: tuple[str, ...]
) -> BlockDevice:
    *_, parent, name = path.split("/")
    sectors = read_number(sysfs.read(path + "/size"))
    return BlockDevice(
        name=name,
        number=number,
        # a partition's folder is in its disk's
        below=(parent,) if parent in names else _read_members(sysfs, name, path, sectors),
        pci=find_addresses(path) or _find_nvme_paths(sysfs, path),
        usb=find_usb(sysfs, path),
        label=_read_label(sysfs, name, path, udev),
        partition_uuid=printable(udev.find("ID_PART_ENTRY_UUID")),
        size_bytes=None if sectors is None else sectors * _SECTOR,
        kind=_read_kind(sysfs, path) if name.startswith("dm-") else None,
    )


def _read_members(sysfs: Sysfs, name: str, path: str, sectors: int | None) -> tuple[str, ...]:
    """Return what a whole device is made of, nothing for a disk.

    Sources: ``bd_link_disk_holder`` in block/holder.c for ``slaves``; drivers/block/loop.c and
    Documentation/admin-guide/blockdev/zram.rst for devices that may be on another one.
    """
    attribute = _BACKING.get(name.rstrip("0123456789"))
    if attribute is None:
        return sysfs.list(path + "/slaves")
    backing = sysfs.read(path + attribute) if sectors else None
    if backing is None or not backing.startswith("/dev/"):
        return ()  # memory alone, or a file, which is on a file system that is mounted
    return (sysfs.link(backing[1:]) or backing.rpartition("/")[2],)


def _follow_volumes(blocks: dict[str, BlockDevice], udev: dict[str, UdevEntry]) -> None:
    """Say what those virtual devices are made of that sysfs does not follow.

    A volume of a ZFS pool (zd0) may be on any member of any pool; what a program serves (ublkb0)
    on anything: that is a name that no block device has.
    """
    members = tuple(
        name for name, known in udev.items() if known.find("ID_FS_TYPE") == "zfs_member"
    )
    for name, block in blocks.items():
        if not (block.below or block.pci) and name.startswith(("zd", "ublkb")):
            on_pool = name.startswith("zd") and members
            blocks[name] = replace(block, below=members if on_pool else ("?",))


def _find_nvme_paths(sysfs: Sysfs, path: str) -> tuple[PciAddress, ...]:
    """Return the functions of an NVMe disk that may have several controllers.

    Such a disk stands below ``/sys/devices/virtual/nvme-subsystem/nvme-subsys0/``, beside links to
    its controllers, also when it has only one. Source: drivers/nvme/host/core.c,
    ``nvme_init_subsystem``; multipath.c, ``nvme_mpath_alloc_disk``.
    """
    before, found, after = path.partition("/nvme-subsystem/")
    if not found:
        return ()
    subsystem = before + found + after.partition("/")[0]
    links = (sysfs.target(f"{subsystem}/{name}") for name in sysfs.list(subsystem))
    return tuple(
        dict.fromkeys(address for link in links if link for address in find_addresses(link))
    )


def _read_kind(sysfs: Sysfs, path: str) -> str | None:
    """Return what a mapping is, by the prefix that its maker gives its UUID."""
    uuid = sysfs.read(path + "/dm/uuid") or ""
    return next((kind for prefix, kind in _KINDS.items() if uuid.startswith(prefix)), None)


def _read_label(sysfs: Sysfs, name: str, path: str, udev: UdevEntry) -> str | None:
    if name.startswith("dm-"):
        return printable(sysfs.read(path + "/dm/name"))
    return printable(udev.find("MD_DEVNAME")) if name.startswith("md") else None
