"""What the host uses of its block devices: mounts, swap, the partition it was booted from.

Formats: proc_pid_mountinfo(5), proc_swaps(5).
"""

from __future__ import annotations

from phyllome_seat.model.devices import BlockDevice, Mount
from phyllome_seat.model.printable import printable
from phyllome_seat.system.scan_boot_disk import read_boot_disks, read_boot_table
from phyllome_seat.system.scan_unseen import read_unseen
from phyllome_seat.system.sysfs import Sysfs

# A service may have a mount namespace of its own: what the first process sees counts too.
_MOUNTINFO = ("proc/self/mountinfo", "proc/1/mountinfo")
_ON_MANY_DEVICES = ("btrfs", "bcachefs", "zfs")  # one mount, several disks, number 0:N
_ROOT_WITHOUT_DISK = (
    *("overlay", "tmpfs", "ramfs", "rootfs", "nfs", "nfs4", "cifs", "ceph", "9p", "virtiofs"),
)
_VOLUMES = ("dm-", "md", "bcache", "drbd")

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
    mounts += read_unseen(sysfs, blocks, udev, mounts)
    mounts += _find_volumes(blocks, mounts)
    mounts += read_boot_table(sysfs, names.find, mounts)
    mounts += read_boot_disks(sysfs, blocks, udev, mounts)
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
        """Return the members of a ZFS pool: libblkid reads its name from each of them.

        Those without a name, a cache for one, may be any pool's.
        """
        members = {
            name: known.find("ID_FS_LABEL")
            for name, known in self.udev.items()
            if known.find("ID_FS_TYPE") == "zfs_member"
        }
        if pool not in members.values():
            return ()
        return tuple(name for name, label in members.items() if label in (pool, None))

    def _find_btrfs(self, member: str) -> tuple[str, ...]:
        """Return all members of the btrfs on one of them: fs/btrfs/sysfs.c, ``devices``.

        Where the kernel does not say, those that have its UUID.
        """
        for filesystem in self.sysfs.list("sys/fs/btrfs"):
            members = self.sysfs.list(f"sys/fs/btrfs/{filesystem}/devices")
            if member in members:
                return members
        uuid = self.udev[member].find("ID_FS_UUID")
        same = (name for name in self.blocks if self.udev[name].find("ID_FS_UUID") == uuid)
        return tuple(dict.fromkeys((member, *(same if uuid else ()))))


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
    name = names.find(source) if source.startswith("/dev/") else None
    if name is not None:
        return (name,)
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
