"""Who uses a PCI function now, so that taking it away would wait in the kernel, or hurt.

What counts is what makes a driver wait at unbind, and what loses a person's work: not every open
file. An input node does not count: the driver hangs up on its readers (``evdev_hangup()``,
drivers/input/evdev.c), and systemd-logind has every keyboard with a power key open at all times.
Nor does a USB device's own sound: it may be pulled out at any time, so it is freed when its last
user closes it (``snd_card_free_when_closed()`` in ``usb_audio_disconnect()``, sound/usb/card.c).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from phyllome_seat.model.printable import printable
from phyllome_seat.model.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from phyllome_seat.model.address import PciAddress
    from phyllome_seat.model.devices import UsbDevice
    from phyllome_seat.system.sysfs import Sysfs

# The kinds of device node, by their subsystem, whose users are holders.
_KINDS = {
    "sound",  # snd_card_free() waits for the last user: sound/core/init.c
    "drm",  # a compositor: nvidia waits for it, others take its screen away
    "accel",  # the same driver core as drm: drivers/accel/drm_accel.c
    "graphics",  # a program that draws on /dev/fb0
    "i2c-dev",  # ddcutil: i2c_del_adapter() waits for the last user, drivers/i2c/i2c-core-base.c
    "block",  # a disk that is being read or written
    "vfio-dev",  # a running guest, by the device's own node: drivers/vfio/vfio_main.c
    "vfio",  # a running guest, by its group: drivers/vfio/group.c
}

# udev opens nodes for a moment, and the moment passes: systemd-udevd.service(8).
_PASSING = frozenset({"(udev-worker)", "systemd-udevd"})

_NVIDIA_MAJOR = 195  # Documentation/admin-guide/devices.txt


@dataclass(frozen=True, slots=True)
class Node:
    """One device node: ``number`` as major:minor, ``name`` below ``/dev``."""

    number: str
    name: str
    is_block: bool = False
    folder: str = ""  # its device in sysfs


def find_holders(sysfs: Sysfs, address: PciAddress) -> tuple[str, ...]:
    """Return who uses a function now: "pid 812 (wireplumber)", "a mount at /mnt".

    Sorted, each once; empty when nobody does. Needs root to see other people's processes.
    """
    return find_users(sysfs, find_nodes(sysfs, address))


def find_usb_holders(sysfs: Sysfs, device: UsbDevice) -> tuple[str, ...]:
    """Return who uses the disks of a USB device now, as `find_holders`; its other nodes are free to
    go, as when somebody pulls it out.
    """
    return _disk_users(sysfs, f"sys/bus/usb/devices/{device.sysname}") if device.may_store else ()


def find_disk_users(sysfs: Sysfs, number: str) -> tuple[str, ...]:
    """Return who uses the block device of this number now, or a partition of it."""
    return _disk_users(sysfs, f"sys/dev/block/{number}")


def _disk_users(sysfs: Sysfs, place: str) -> tuple[str, ...]:
    folder = sysfs.resolve(place)
    nodes = () if folder is None else _below(sysfs, folder)
    return find_users(sysfs, tuple(node for node in nodes if node.is_block))


def find_users(sysfs: Sysfs, nodes: tuple[Node, ...]) -> tuple[str, ...]:
    """Return who uses device nodes, also those that have left sysfs since they were found."""
    if not nodes:
        return ()
    blocks = [node for node in nodes if node.is_block]
    holders = {*_processes(nodes), *_mounts(sysfs, blocks), *_swaps(sysfs, blocks)}
    holders.update(name for node in blocks for name in _volumes(sysfs, node))
    return tuple(sorted(holders))


def find_nodes(sysfs: Sysfs, address: PciAddress) -> tuple[Node, ...]:
    """Return the device nodes of a function, and of what hangs below it, whose users count."""
    place = f"sys/bus/pci/devices/{address}"
    folder = sysfs.resolve(place)
    if folder is None:
        return ()
    return (*_below(sysfs, folder), *_vfio_group(sysfs, folder), *_nvidia(sysfs, address))


def _below(sysfs: Sysfs, folder: str) -> Iterator[Node]:
    """Walk the folders of sysfs, following no link: those lead to other devices."""
    for name in sysfs.list(folder):
        path = f"{folder}/{name}"
        if name == "dev":
            yield from _node(sysfs, folder)
        elif sysfs.link(path) is None:
            yield from _below(sysfs, path)


def _node(sysfs: Sysfs, folder: str) -> Iterator[Node]:
    kind = sysfs.link(f"{folder}/subsystem")
    number = sysfs.read(f"{folder}/dev")
    if number is None or kind not in _KINDS or (kind == "sound" and "/usb" in folder):
        return
    # DEVNAME is the node's name below /dev: lib/kobject_uevent.c, drivers/base/core.c
    uevent = (sysfs.read(f"{folder}/uevent") or "").splitlines()
    named = (line.removeprefix("DEVNAME=") for line in uevent if line.startswith("DEVNAME="))
    name = next(named, os.path.basename(folder))
    yield Node(number, name, kind == "block", folder)


def _vfio_group(sysfs: Sysfs, folder: str) -> Iterator[Node]:
    """Return ``/dev/vfio/N`` of a function that vfio has: a guest holds it by its whole group."""
    driver = sysfs.link(f"{folder}/driver") or ""
    group = sysfs.link(f"{folder}/iommu_group")
    number = sysfs.read(f"sys/class/vfio/{group}/dev") if group and "vfio" in driver else None
    if number:
        yield Node(number, f"vfio/{group}")


def _nvidia(sysfs: Sysfs, address: PciAddress) -> Iterator[Node]:
    """Return the node of NVIDIA's own driver, which sysfs does not know.

    Source: the driver's README, chapter "Using the /proc Filesystem Interface".
    """
    facts = sysfs.read(f"proc/driver/nvidia/gpus/{address}/information") or ""
    for line in facts.splitlines():
        key, _, value = line.partition(":")
        if key == "Device Minor" and value.strip().isdigit():
            yield Node(f"{_NVIDIA_MAJOR}:{value.strip()}", f"nvidia{value.strip()}")


def find_owners(path: str) -> tuple[int, ...]:
    """Return whose processes (uids) have the character device at `path` open, each once."""
    try:
        found = os.stat(path).st_rdev
    except OSError:
        return ()
    owners = set()
    for pid in _pids((Node(f"{os.major(found)}:{os.minor(found)}", path),)):
        with suppress(OSError):  # it has ended meanwhile
            owners.add(os.stat(f"/proc/{pid}").st_uid)
    return tuple(sorted(owners))


def _processes(nodes: tuple[Node, ...]) -> Iterator[str]:
    """Return the processes of this machine that have one of `nodes` open."""
    for pid in _pids(nodes):
        name = _name(pid)
        if name not in _PASSING:
            yield f"pid {pid} ({name})"


def _pids(nodes: tuple[Node, ...]) -> Iterator[str]:
    numbers = {(node.is_block, node.number) for node in nodes}
    names = {node.name.rpartition("/")[2] for node in nodes}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if any(_is_one_of(path, numbers, names) for path in _descriptors(pid)):
            yield pid


def _descriptors(pid: str) -> list[str]:
    try:
        return [f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")]
    except OSError:  # it has ended meanwhile
        return []


def _is_one_of(path: str, numbers: set[tuple[bool, str]], names: set[str]) -> bool:
    """Return whether an open file is one of the nodes, by its number: names can be others.

    Only what may be one is asked for its number: to ask a file on a dead server would wait for it.
    """
    try:
        text = os.readlink(path)
        if not text.startswith("/dev/") and text.rpartition("/")[2] not in names:
            return False
        found = os.stat(path)
    except OSError:
        return False
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        return False
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return (stat.S_ISBLK(found.st_mode), number) in numbers


def _name(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return printable(file.read()) or "?"
    except OSError:
        return "?"


def _mounts(sysfs: Sysfs, blocks: list[Node]) -> Iterator[str]:
    """Return the mounts of block devices.

    Some file systems say a number of their own, so the source counts too: proc_pid_mountinfo(5).
    """
    numbers = {node.number for node in blocks}
    sources = {f"/dev/{node.name}" for node in blocks}
    for line in (sysfs.read("proc/self/mountinfo") or "").splitlines() if blocks else ():
        fields, _, rest = line.partition(" - ")
        mount, source = fields.split(" "), rest.split(" ")
        if len(mount) > 4 and (mount[2] in numbers or sources.intersection(source[1:2])):
            yield f"a mount at {printable(_unescape(mount[4]))}"


def _swaps(sysfs: Sysfs, blocks: list[Node]) -> Iterator[str]:
    used = {line.split()[0] for line in (sysfs.read("proc/swaps") or "").splitlines()[1:]}
    return (f"swap on /dev/{node.name}" for node in blocks if f"/dev/{node.name}" in used)


def _volumes(sysfs: Sysfs, node: Node) -> Iterator[str]:
    """Return the volumes (LVM, LUKS, RAID) a block device is part of.

    Source: ``bd_link_disk_holder()``, block/holder.c.
    """
    for volume in sysfs.list(f"{node.folder}/holders"):
        label = sysfs.read(f"sys/class/block/{volume}/dm/name")
        yield f"the volume {printable(label) or volume}"


def _unescape(text: str) -> str:
    """Return a path of mountinfo with its blanks back: fs/proc_namespace.c, ``mangle()``."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
