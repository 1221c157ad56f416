"""Which partitions this PC is started from, mounted or not.

A PC whose disk with the boot loader has left goes on running, and does not come up again.
"""

from __future__ import annotations

from phyllome_seat.model.devices import BlockDevice, Mount
from phyllome_seat.system.boot_partition import read_boot_partitions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from phyllome_seat.system.sysfs import Sysfs
    from phyllome_seat.system.udev_db import UdevEntry

    Blocks = dict[str, BlockDevice]
    Properties = dict[str, UdevEntry]  # what udev knows of each block device

_ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"  # UEFI Specification 2.10, table 5.7
# Where GRUB keeps its second part on a GPT disk: GRUB manual, "BIOS installation". And the flag by
# which a master boot record chooses a partition: libblkid's part entry flags of a DOS table.
_BIOS_BOOT, _ACTIVE = "21686148-6449-6e6f-744e-656564454649", "0x80"
_BOOT_POINTS = ("/boot", "/boot/efi", "/efi")
_BY = {"UUID": "uuid", "LABEL": "label", "PARTUUID": "partuuid", "PARTLABEL": "partlabel"}


def read_boot_disks(
    sysfs: Sysfs, blocks: Blocks, udev: Properties, mounts: list[Mount]
) -> list[Mount]:
    """Return the partitions that the firmware or boot loader was read from.

    Where EFI booted this PC and does not say from where, every EFI system partition may be it,
    unless there is one on a disk in use. A BIOS never says; a stick that it could start is common,
    and counts only where it is in use.
    """
    if said := read_boot_partitions(sysfs):
        return [
            Mount(name, "EFI system partition", "vfat", evidence)
            for uuid, evidence in said
            for name, block in blocks.items()
            if block.partition_uuid and block.partition_uuid.lower() == uuid
        ]
    if sysfs.exists("sys/firmware/efi"):
        found = [n for n in blocks if udev[n].find("ID_PART_ENTRY_TYPE") == _ESP]
        point, filesystem, evidence = "EFI system partition", "vfat", "/sys/firmware/efi"
    else:
        found = [n for n in blocks if _is_booted_by_bios(udev[n])]
        point, filesystem, evidence = "the partition the BIOS starts", "", "/run/udev/data"
    used = {disk for mount in mounts for disk in _find_disks(blocks, mount.device)}
    on_used = [name for name in found if used & _find_disks(blocks, name)]
    others = [name for name in found if filesystem or blocks[name].usb is None]
    return [Mount(name, point, filesystem, evidence) for name in on_used or others]


def _is_booted_by_bios(known: UdevEntry) -> bool:
    if known.find("ID_PART_ENTRY_SCHEME") == "dos":
        return known.find("ID_PART_ENTRY_FLAGS") == _ACTIVE
    return known.find("ID_PART_ENTRY_TYPE") == _BIOS_BOOT


def read_boot_table(
    sysfs: Sysfs, find: Callable[[str], str | None], mounts: list[Mount]
) -> list[Mount]:
    """Return the partitions that fstab(5) keeps the kernel on and that are not mounted now.

    ``find`` gives the block device of a path below /dev.
    """
    points = {mount.point for mount in mounts}
    found = []
    for line in (sysfs.read("etc/fstab") or "").split("\n"):
        fields = line.split()
        if len(fields) < 3 or fields[1] not in _BOOT_POINTS or fields[1] in points:
            continue
        key, _, value = fields[0].partition("=")
        value = value.strip('"')
        device = find(f"/dev/disk/by-{_BY[key]}/{value}" if key in _BY else fields[0])
        if device is not None:
            found.append(Mount(device, fields[1], fields[2], "/etc/fstab"))
    return found


def _find_disks(blocks: Blocks, name: str) -> set[str]:
    """Return the block devices at the bottom of one."""
    found: set[str] = set()
    todo, seen = [name], set()
    while todo:
        name = todo.pop()
        if name in blocks and name not in seen:
            seen.add(name)
            todo += blocks[name].below
            if not blocks[name].below:
                found.add(name)
    return found
