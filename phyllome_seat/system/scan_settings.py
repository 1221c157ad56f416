"""The lines of configuration that have to do with seats, with file and line: for `check`.

Sources: modprobe.d(5) and modules-load.d(5), whose folders are read in that order and of whose
files with one name only the first counts; initramfs-tools(7), dracut.conf(5), mkinitcpio(8),
sysctl.d(5), logind.conf(5); libvirt's qemu.conf; grub-mkconfig's /etc/default/grub.
"""

from __future__ import annotations

import re

from phyllome_seat.model.platform import Setting
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.value import replace
from phyllome_seat.system.scan_boot import find_entries, is_made_entry
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOTS = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
_EARLY = ("vfio", "gvt", "kvmgt", "pci-stub", "pci_stub")
_VFIO = (*_EARLY, "kvm")
_PLACES = (  # folder below each root, words of which a line must have one
    ("modprobe.d", _VFIO),
    ("modules-load.d", _VFIO),
    ("sysctl.d", ("vm.nr_hugepages",)),
    ("systemd/logind.conf.d", ("IdleAction=",)),
    ("dracut.conf.d", ("vfio",)),
    ("mkinitcpio.conf.d", ("vfio",)),
)
_FILES = (
    ("etc/modules", _VFIO),
    ("etc/initramfs-tools/modules", _EARLY),
    ("etc/dracut.conf", ("vfio",)),
    ("etc/mkinitcpio.conf", ("vfio",)),
    ("etc/sysctl.conf", ("vm.nr_hugepages",)),
    ("etc/systemd/logind.conf", ("IdleAction=",)),
)
_APPARMOR = (
    "etc/apparmor.d/local",
    "etc/apparmor.d/local/abstractions",
    "etc/apparmor.d/abstractions/libvirt-qemu.d",
)
_ACL = "cgroup_device_acl"
_WITH_A_FILE = ("kernel-install", "mkinitcpio", "systemd-boot")


def read_settings(sysfs: Sysfs) -> tuple[Setting, ...]:
    """Return the lines below `sysfs` that VFIO, KVM, huge pages, sleep and confinement are in."""
    found = [setting for path, words in _paths(sysfs) for setting in _grep(sysfs, path, words)]
    for folder in _APPARMOR:
        for name in sysfs.list(folder):
            if "virt" in name or folder.endswith(".d"):
                found += _grep(sysfs, f"{folder}/{name}", ("/dev/", "/sys/"), first="deny")
    return (*found, *_read_device_list(sysfs))


def read_boot_lines(sysfs: Sysfs, boot: str) -> tuple[Setting, ...]:
    """Return the lines in which the kernel's arguments are kept, in the order they are read."""
    if boot == "grub":
        folder = "etc/default/grub.d"
        files = [f"{folder}/{name}" for name in sysfs.list(folder) if name.endswith(".cfg")]
        word = ("GRUB_CMDLINE_LINUX",)
        lines = [s for path in ("etc/default/grub", *files) for s in _grep(sysfs, path, word)]
        lines = [replace(line, text=re.sub(r"^export\s+", "", line.text)) for line in lines]
        return tuple(line for line in lines if line.text.startswith(word))
    if boot == "mkinitcpio":  # these, else the one file: ArchWiki, Unified kernel image
        folder = "etc/cmdline.d"
        files = [f"{folder}/{name}" for name in sysfs.list(folder) if name.endswith(".conf")]
        if lines := [s for path in files for s in _grep(sysfs, path, ())]:
            return tuple(lines)
    lines = _grep(sysfs, "etc/kernel/cmdline", ()) if boot in _WITH_A_FILE else []
    if boot in ("systemd-boot", "kernel-install"):
        # kernel-install makes its entries anew from the file, and the next kernel's too
        others = [path for path in find_entries(sysfs) if not is_made_entry(sysfs, path)]
        paths = find_entries(sysfs) if boot == "systemd-boot" else others
        lines = [s for path in paths for s in _grep(sysfs, path, (), first="options")] + lines
    return tuple(lines)


def _paths(sysfs: Sysfs) -> Iterator[tuple[str, tuple[str, ...]]]:
    for folder, words in _PLACES:
        seen = set()
        for root in _ROOTS:
            for name in sysfs.list(f"{root}/{folder}"):
                if name.endswith(".conf") and name not in seen:
                    seen.add(name)
                    yield f"{root}/{folder}/{name}", words
    yield from _FILES


def _grep(sysfs: Sysfs, path: str, words: tuple[str, ...], *, first: str = "") -> list[Setting]:
    """Return the lines with one of `words` that are no comments, beginning with `first`."""
    return [
        Setting(f"/{one_line(path)}", number, one_line(line.strip()))
        for number, line in enumerate(_lines(sysfs, path), 1)
        if line.strip()[:1] not in ("", "#", ";")
        and line.split()[0].startswith(first)
        and (not words or any(word in line for word in words))
    ]


def _lines(sysfs: Sysfs, path: str) -> list[str]:
    """Return the lines as an editor counts them, the empty ones at the start too."""
    content = sysfs.read_bytes(path) or b""
    return content.decode("utf-8", "backslashreplace").split("\n")


def _read_device_list(sysfs: Sysfs) -> list[Setting]:
    """Return libvirt's list of devices as one line, where its owner wrote one."""
    path = "etc/libvirt/qemu.conf"
    lines = _lines(sysfs, path)
    for number, line in enumerate(lines, 1):
        if line.strip().startswith(_ACL):
            text = " ".join(part.partition("#")[0].strip() for part in lines[number - 1 :])
            return [Setting(f"/{path}", number, one_line(text.partition("]")[0].strip()))]
    return []
