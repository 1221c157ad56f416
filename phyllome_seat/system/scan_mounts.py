"""What the host uses of its block devices: mounts, swap, the partition it was booted from.

Formats: proc_pid_mountinfo(5), proc_swaps(5).
"""

from __future__ import annotations

from phyllome_seat.model.devices import BlockDevice, Mount
from phyllome_seat.model.printable import printable
from phyllome_seat.system.boot_partition import read_boot_partitions
from phyllome_seat.system.sysfs import Sysfs

# A service may have a mount namespace of its own: what the first process sees counts too.
_MOUNTINFO = ("proc/self/mountinfo", "proc/1/mountinfo")
_ON_MANY_DEVICES = ("btrfs", "bcachefs", "zfs")  # one mount, several disks, number 0:N
_ROOT_WITHOUT_DISK = (
    *("overlay", "tmpfs", "ramfs", "rootfs", "nfs", "nfs4", "cifs", "ceph", "9p", "virtiofs"),
)
_VOLUMES = ("dm-", "md", "bcache")
_ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"  # UEFI Specification 2.10, table 5.7

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.system.udev_db import UdevEntry

    Properties = dict[str, UdevEntry]  # what udev knows of each block device


def read_mounts(
    sysfs: Sysfs, blocks: dict[str, BlockDevice], udev: Properties
) -> tuple[Mount, ...]:
    """Return every use of `blocks`, by place; the same place of a device once.

    A use whose device cannot be followed has a ``device`` that is not in `blocks`.
    """
    names = _Names(sysfs, blocks, udev)
    mounts = _read_mountinfo(sysfs, names)
    mounts += _read_swaps(sysfs, names)
    mounts += _read_pools(sysfs, names)
    mounts += _find_volumes(blocks, mounts)
    mounts += _read_boot(sysfs, blocks, udev, mounts)
    found = {(mount.point, mount.device): mount for mount in reversed(mounts)}
    return tuple(found[key] for key in sorted(found))


class _Names:
    """Block devices by what mounts call them: number, path below /dev, pool."""

    def __init__(self, sysfs: Sysfs, blocks: dict[str, BlockDevice], udev: Properties) -> None:
        self.sysfs = sysfs
        self.blocks = blocks
        self.udev = udev
        self.numbers = {block.number: name for name, block in blocks.items()}
        self.labels = {block.label: name for name, block in blocks.items() if block.label}

    def find(self, source: str) -> str | None:
        """Return the block device behind ``/dev/sda1`` or ``/dev/mapper/vg0-root``."""
        path = source.removeprefix("/dev/")
        name = path.replace("/", "!")  # cciss/c0d0, as sysfs names it
        if name in self.blocks:
            return name
        link = self.sysfs.link("dev/" + path)
        return link if link in self.blocks else self.labels.get(path.rpartition("/")[2])

    def find_members(self, filesystem: str, source: str) -> tuple[str, ...]:
        """Return all devices of a file system that has no device number; empty when in doubt."""
        if filesystem == "zfs":
            return self._find_pool(source.partition("/")[0])
        sources = source.split(":") if filesystem == "bcachefs" else [source]
        found = [self.find(each) for each in sources]
        members = tuple(name for name in found if name is not None)
        if len(members) < len(found):
            return ()
        return self._find_btrfs(members[0]) if filesystem == "btrfs" else members

    def _find_pool(self, pool: str) -> tuple[str, ...]:
        """Return the members of a ZFS pool: libblkid reads its name from each of them."""
        return tuple(
            name
            for name, known in self.udev.items()
            if known.find("ID_FS_TYPE") == "zfs_member" and known.find("ID_FS_LABEL") == pool
        )

    def _find_btrfs(self, member: str) -> tuple[str, ...]:
        """Return all members of the btrfs on one of them: fs/btrfs/sysfs.c, ``devices``."""
        for filesystem in self.sysfs.list("sys/fs/btrfs"):
            members = self.sysfs.list(f"sys/fs/btrfs/{filesystem}/devices")
            if member in members:
                return members
        return (member,)


def _read_mountinfo(sysfs: Sysfs, names: _Names) -> list[Mount]:
    tables = {path: text for path in _MOUNTINFO if (text := sysfs.read(path)) is not None}
    if not tables:  # the root file system is mounted all the same, on nobody knows what
        return [Mount("?", "/", evidence="/" + _MOUNTINFO[0])]
    mounts = []
    seen: set[str] = set()
    for path, text in tables.items():
        if text in seen:
            continue
        seen.add(text)
        for line in text.split("\n"):
            before, dash, after = line.partition(" - ")
            fields, kind = before.split(" ", 5), after.split(" ", 2)
            if not dash or len(fields) < 6 or len(kind) < 2:
                continue
            point, source = _unescape(fields[4]), _unescape(kind[1])
            for device in _find_devices(names, fields[2], point, kind[0], source):
                mounts.append(Mount(device, printable(point) or "?", kind[0], "/" + path))
    return mounts


def _find_devices(
    names: _Names, number: str, point: str, filesystem: str, source: str
) -> tuple[str, ...]:
    """Return the block devices of one mount; its source, which is none of them, when in doubt."""
    if number in names.numbers:
        return (names.numbers[number],)
    doubt = (printable(source) or "?",)
    if not number.startswith("0:"):
        # The kernel has no such device any more: a disk that was pulled out. The root file system
        # without its disk is more likely a tree that lacks a part.
        return doubt if point == "/" else ()
    if filesystem in _ON_MANY_DEVICES:
        return names.find_members(filesystem, source) or doubt
    if source.startswith("/dev/"):
        name = names.find(source)
        return () if name is None else (name,)
    return doubt if point == "/" and filesystem not in _ROOT_WITHOUT_DISK else ()


def _read_swaps(sysfs: Sysfs, names: _Names) -> list[Mount]:
    """Return swap on devices; a swap file is on a mounted file system."""
    mounts = []
    for line in (sysfs.read("proc/swaps") or "").split("\n")[1:]:
        fields = line.split()
        if len(fields) >= 2 and fields[1] == "partition":
            source = _unescape(fields[0])
            device = names.find(source) or printable(source) or "?"
            mounts.append(Mount(device, "swap", "swap", "/proc/swaps"))
    return mounts


def _read_pools(sysfs: Sysfs, names: _Names) -> list[Mount]:
    """Return the members of each imported ZFS pool, which need not have anything mounted."""
    folder = "proc/spl/kstat/zfs"
    return [
        Mount(member, f"the ZFS pool {printable(pool)}", "", f"/{folder}/{pool}")
        for pool in sysfs.list(folder)
        if sysfs.exists(f"{folder}/{pool}/state")
        for member in names.find_members("zfs", pool) or ("?",)
    ]


def _find_volumes(blocks: dict[str, BlockDevice], mounts: list[Mount]) -> list[Mount]:
    """Return LVM, LUKS and RAID volumes that are active though the host mounts none of them.

    A guest may have one as its disk. And a RAID whose disks go away is written down as broken.
    """
    below = {name for block in blocks.values() for name in block.below}
    used = {mount.device for mount in mounts}
    return [
        Mount(name, "an active volume", "", f"/sys/class/block/{name}")
        for name, block in blocks.items()
        if name.startswith(_VOLUMES) and block.below and name not in below and name not in used
    ]


def _read_boot(
    sysfs: Sysfs, blocks: dict[str, BlockDevice], udev: Properties, mounts: list[Mount]
) -> list[Mount]:
    """Return the partition that the firmware or boot loader was read from, mounted or not.

    Where EFI booted this PC and does not say from where, every EFI system partition may be it,
    unless there is one on a disk in use.
    """
    point = "EFI system partition"
    said = read_boot_partitions(sysfs)
    if said:
        return [
            Mount(name, point, "vfat", evidence)
            for uuid, evidence in said
            for name, block in blocks.items()
            if block.partition_uuid and block.partition_uuid.lower() == uuid
        ]
    if not sysfs.exists("sys/firmware/efi"):
        return []
    candidates = [name for name in blocks if udev[name].find("ID_PART_ENTRY_TYPE") == _ESP]
    used = {disk for mount in mounts for disk in _find_disks(blocks, mount.device)}
    on_used = [name for name in candidates if used & _find_disks(blocks, name)]
    return [Mount(name, point, "vfat", "/sys/firmware/efi") for name in on_used or candidates]


def _find_disks(blocks: dict[str, BlockDevice], name: str) -> set[str]:
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


def _unescape(text: str) -> str:
    """Return a field of mountinfo or swaps as it was: blanks, tabs, breaks and backslashes are
    written as a backslash and three octal digits.
    """
    if "\\" not in text:
        return text
    first, *parts = text.split("\\")
    for part in parts:
        digits = part[:3]
        is_escape = len(digits) == 3 and all(digit in "01234567" for digit in digits)
        first += chr(int(digits, 8) & 0xFF) + part[3:] if is_escape else "\\" + part
    return first
