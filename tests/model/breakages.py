"""How to break a healthy PC, and what `check` must say: data, for a made-up PC alone so far.

Each changes fields of the `Platform` or the `Iommu` of the healthy PC in tests/model/test_check.py,
with the alarm's severity, its subject, and a piece of the fix it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from phyllome_seat.model.devices import Setting


@dataclass(frozen=True)
class Breakage:
    name: str
    alarm: tuple[str, str]  # severity, subject
    fix: str
    platform: dict[str, object] = field(default_factory=dict)
    iommu: dict[str, object] = field(default_factory=dict)


_NO_IOMMU: dict[str, object] = {"units": (), "groups": 0}


def _setting(file: str, text: str) -> dict[str, object]:
    return {"settings": (Setting(file, 3, text),)}


BREAKAGES = (
    Breakage("no_vmx", ("error", "virtualisation"), "firmware's setup", {"cpu_flags": ()}),
    Breakage(
        "guest_not_nested",
        ("error", "virtualisation"),
        "let its host nest",
        {"cpu_flags": ("hypervisor",)},
    ),
    Breakage("no_kvm", ("error", "virtualisation"), "modprobe kvm_intel", {"kvm": False}),
    Breakage(
        "no_kvm_amd",
        ("error", "virtualisation"),
        "modprobe kvm_amd",
        {"kvm": False, "cpu_flags": ("svm",)},
    ),
    Breakage(
        "iommu_off",
        ("error", "IOMMU"),
        "GRUB_CMDLINE_LINUX_DEFAULT: take intel_iommu=off out, add intel_iommu=on",
        {"cmdline": "quiet intel_iommu=off"},
        _NO_IOMMU,
    ),
    Breakage(
        "iommu_off_amd",
        ("error", "IOMMU"),
        "take amd_iommu=off out",
        {"cmdline": "quiet amd_iommu=off", "cpu_flags": ("svm",)},
        _NO_IOMMU | {"firmware_tables": ("IVRS",)},
    ),
    Breakage("iommu_not_on", ("error", "IOMMU"), "add intel_iommu=on", {}, _NO_IOMMU),
    Breakage(
        "iommu_not_in_firmware",
        ("error", "IOMMU"),
        "VT-d",
        {},
        _NO_IOMMU | {"firmware_tables": ()},
    ),
    Breakage(
        "amd_no_groups",
        ("error", "IOMMU"),
        "not Auto",
        {"cpu_flags": ("svm",)},
        _NO_IOMMU | {"firmware_tables": ("IVRS",)},
    ),
    Breakage("no_remapping", ("error", "IOMMU"), "x2APIC", {"remaps_interrupts": False}),
    Breakage("no_vfio", ("error", "VFIO"), "not a -cloud kernel", {"modules": ("vfio",)}),
    Breakage(
        "no_libvirt",
        ("error", "libvirt"),
        "apt install libvirt-daemon-system",
        {"programs": ("/usr/bin/qemu-system-x86_64",)},
    ),
    Breakage("no_qemu", ("error", "QEMU"), "apt install", {"programs": ("/usr/sbin/libvirtd",)}),
    Breakage(
        "virqfd",
        ("warning", "vfio_virqfd"),
        "delete that line",
        _setting("/etc/modules-load.d/vfio.conf", "vfio_virqfd"),
    ),
    Breakage(
        "mdev",
        ("warning", "vfio_mdev"),
        "delete that line",
        _setting("/etc/modules-load.d/vfio.conf", "vfio-mdev"),
    ),
    Breakage(
        "gvt",
        ("warning", "i915.enable_gvt=1"),
        "take i915.enable_gvt=1 out",
        {"cmdline": "i915.enable_gvt=1"},
    ),
    Breakage(
        "efifb",
        ("warning", "video=efifb:off"),
        "take video=efifb:off out",
        {"cmdline": "ro video=efifb:off"},
    ),
    Breakage(
        "ids_of_the_hosts_disk",
        ("error", "0000:00:17.0"),
        "phyllome-seat binds by address",
        _setting("/etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:2786,8086:7ae2"),
    ),
    Breakage(
        "ids_of_twins",
        ("warning", "ids=1b73:1100"),
        "phyllome-seat binds by address",
        {"cmdline": "vfio-pci.ids=1b73:1100"},
    ),
    Breakage(
        "reserved_region",
        ("warning", "0000:01:00.0 (GeForce RTX 4070)"),
        "firmware",
        {"direct_groups": (1,)},
    ),
)
