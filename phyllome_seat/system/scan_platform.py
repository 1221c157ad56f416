"""What the system is, how it starts, and what of VFIO, libvirt and QEMU it has: for `check`.

Sources: os-release(5), proc_cpuinfo(5), proc_interrupts(5),
Documentation/ABI/testing/sysfs-kernel-iommu_groups.
"""

from __future__ import annotations

from phyllome_seat.model.platform import Platform
from phyllome_seat.model.printable import one_line
from phyllome_seat.system.scan_boot import find_boot, find_initramfs
from phyllome_seat.system.scan_card_memory import read_bars, read_framebuffers
from phyllome_seat.system.scan_services import (
    read_booleans_off,
    read_daemons,
    read_listening,
    read_masked,
    read_nodes,
    read_security,
)
from phyllome_seat.system.scan_settings import read_boot_lines, read_settings
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from phyllome_seat.model.devices import PciDevice

_VFIO = ("vfio", "vfio_iommu_type1", "vfio_pci")
_PROGRAMS = (
    "usr/sbin/libvirtd",
    "usr/sbin/virtqemud",
    "usr/bin/libvirtd",  # Arch has one folder for all
    "usr/bin/virtqemud",
    "usr/bin/qemu-system-x86_64",
    "usr/bin/qemu-kvm",
    "usr/libexec/qemu-kvm",
)


def read_platform(sysfs: Sysfs, pci: Iterable[PciDevice] = ()) -> Platform:
    """Return what the system below `sysfs` is; a file that is missing leaves its field empty.

    Of `pci`, the functions of the same machine, the cards are asked for their resizable BARs.
    """
    release = _read_release(sysfs)
    cpuinfo = _read_cpuinfo(sysfs)
    kernel = sysfs.read("proc/sys/kernel/osrelease") or ""
    modules, builtin = _read_modules(sysfs, kernel)
    flags = cpuinfo.get("flags", "").split()
    boot = find_boot(sysfs)
    return Platform(
        os=release.get("ID", ""),
        os_like=tuple(release.get("ID_LIKE", "").split()),
        boot=boot,
        cmdline=one_line(sysfs.read("proc/cmdline") or ""),
        kernel=one_line(kernel),
        cpu_vendor=cpuinfo.get("vendor_id", ""),
        cpu_flags=tuple(flag for flag in ("hypervisor", "svm", "vmx") if flag in flags),
        kvm=sysfs.exists("dev/kvm") if sysfs.exists("dev") else None,
        modules=modules,
        builtin=builtin,
        remaps_interrupts=_remaps_interrupts(sysfs),
        direct_groups=_find_direct_groups(sysfs),
        programs=tuple(f"/{path}" for path in _PROGRAMS if sysfs.exists(path)),
        settings=read_settings(sysfs),
        boot_lines=read_boot_lines(sysfs, boot),
        initramfs=find_initramfs(sysfs),
        nodes=read_nodes(sysfs),
        daemons=read_daemons(sysfs),
        listening=read_listening(sysfs),
        masked=read_masked(sysfs),
        security=read_security(sysfs),
        booleans_off=read_booleans_off(sysfs),
        framebuffers=read_framebuffers(sysfs),
        bars=read_bars(sysfs, [device for device in pci if device.is_gpu]),
    )


def _read_release(sysfs: Sysfs) -> dict[str, str]:
    text = sysfs.read("etc/os-release") or sysfs.read("usr/lib/os-release") or ""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: one_line(value.strip("\"'")) for key, _, value in pairs}


def _read_cpuinfo(sysfs: Sysfs) -> dict[str, str]:
    """Return what the first processor says of itself."""
    first = (sysfs.read("proc/cpuinfo") or "").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): one_line(value.strip()) for key, _, value in pairs}


def _read_modules(sysfs: Sysfs, kernel: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return VFIO's modules that the running kernel has, and those of them that are built in."""
    builtin = _names(sysfs.read(f"lib/modules/{kernel}/modules.builtin") or "")
    files = _names(sysfs.read(f"lib/modules/{kernel}/modules.dep") or "")
    loaded = {name for name in _VFIO if sysfs.exists(f"sys/module/{name}")}
    there = tuple(name for name in _VFIO if name in builtin | files | loaded)
    return there, tuple(name for name in there if name in builtin)


def _names(text: str) -> set[str]:
    """Return the module names of lines like ``kernel/drivers/vfio/vfio.ko.xz: ...``."""
    paths = (line.partition(":")[0] for line in text.splitlines() if "/vfio" in line)
    return {path.rpartition("/")[2].partition(".ko")[0].replace("-", "_") for path in paths}


def _remaps_interrupts(sysfs: Sysfs) -> bool | None:
    """Whether a chip's name starts with IR-: arch/x86/kernel/apic/io_apic.c and msi.c name them."""
    text = sysfs.read("proc/interrupts")
    return None if not text else " IR-" in text


def _find_direct_groups(sysfs: Sysfs) -> tuple[int, ...]:
    """Return the groups VFIO is refused for: a region of type direct, not direct-relaxable."""
    folder = "sys/kernel/iommu_groups"
    found = []
    for group in sysfs.list(folder):
        lines = (sysfs.read(f"{folder}/{group}/reserved_regions") or "").splitlines()
        if group.isdigit() and any(line.split()[-1:] == ["direct"] for line in lines):
            found.append(int(group))
    return tuple(sorted(found))
