"""What of a file system no table of mounts shows.

A container or a service may have mounted a disk in a mount namespace of its own; what was unmounted
while somebody was in it (``umount -l``) is at work still; a journal on a disk of its own, and the
further disks of one file system, stand in no line. The kernel has a folder for each file system
that is at work, wherever it is mounted.
"""

from __future__ import annotations

from phyllome_seat.model.devices import BlockDevice, Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from phyllome_seat.system.sysfs import Sysfs
    from phyllome_seat.system.udev_db import UdevEntry

# Each has a folder named as the block device: fs/ext4/sysfs.c ``ext4_register_sysfs`` (ext2 and
# ext3 as well), fs/xfs/xfs_mount.c ``xfs_mount_sysfs_init``, fs/f2fs/sysfs.c, fs/nilfs2/sysfs.c.
_BY_DEVICE = ("ext4", "xfs", "f2fs", "nilfs2")
# libblkid's names for a journal that is on a device of its own
_JOURNALS = {"jbd": ("ext3", "ext4"), "xfs_external_log": ("xfs",)}
_UNSEEN = "a file system mounted out of sight"


def read_unseen(
    sysfs: Sysfs, blocks: dict[str, BlockDevice], udev: dict[str, UdevEntry], mounts: list[Mount]
) -> list[Mount]:
    """Return the uses of `blocks` by file systems that are not among `mounts`."""
    used = {mount.device for mount in mounts}
    found = [
        Mount(device, _UNSEEN, filesystem, "/" + evidence)
        for device, filesystem, evidence in _at_work(sysfs)
        if device in blocks and device not in used
    ]
    kinds = {mount.filesystem for mount in (*mounts, *found)}
    return found + [
        Mount(name, "the journal of a file system", kind, f"/run/udev/data/b{blocks[name].number}")
        for name, known in udev.items()
        if name in blocks
        and (kind := known.find("ID_FS_TYPE") or "") in _JOURNALS
        and kinds.intersection(_JOURNALS[kind])
    ]


def _at_work(sysfs: Sysfs) -> Iterator[tuple[str, str, str]]:
    """Yield device, file system and folder of each file system that the kernel has at work."""
    for filesystem in _BY_DEVICE:
        for name in sysfs.list(f"sys/fs/{filesystem}"):
            yield name, filesystem, f"sys/fs/{filesystem}/{name}"
    for uuid in sysfs.list("sys/fs/btrfs"):  # fs/btrfs/sysfs.c: links to the devices
        folder = f"sys/fs/btrfs/{uuid}/devices"
        for name in sysfs.list(folder):
            yield name, "btrfs", folder
    for uuid in sysfs.list("sys/fs/bcachefs"):  # fs/bcachefs/super.c: dev-0/block, a link
        folder = f"sys/fs/bcachefs/{uuid}"
        for name in sysfs.list(folder):
            if name.startswith("dev-") and (device := sysfs.link(f"{folder}/{name}/block")):
                yield device, "bcachefs", f"{folder}/{name}"
