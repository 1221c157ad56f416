"""How to break a healthy PC, and what `check` must say: data, for a made-up PC alone so far.

Each changes fields of the `Platform` or the `Iommu` of the healthy PC in tests/model/test_check.py,
with the alarm's severity, its subject, and a piece of the fix it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from phyllome_seat.model.platform import Node, Setting


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
        ("error", "IOMMU kernel"),
        "take intel_iommu=off out of GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub",
        {"cmdline": "quiet intel_iommu=off"},
        _NO_IOMMU,
    ),
    Breakage(
        "iommu_off_amd",
        ("error", "IOMMU kernel"),
        "take amd_iommu=off out",
        {"cmdline": "quiet amd_iommu=off", "cpu_flags": ("svm",)},
        _NO_IOMMU | {"firmware_tables": ("IVRS",)},
    ),
    Breakage("iommu_not_on", ("error", "IOMMU kernel"), "add intel_iommu=on", {}, _NO_IOMMU),
    Breakage(
        "iommu_not_in_firmware",
        ("error", "IOMMU hardware"),
        "VT-d",
        {},
        _NO_IOMMU | {"firmware_tables": ()},
    ),
    Breakage(
        "amd_no_groups",
        ("error", "IOMMU kernel"),
        "not Auto",
        {"cpu_flags": ("svm",)},
        _NO_IOMMU | {"firmware_tables": ("IVRS",)},
    ),
    Breakage(
        "no_remapping", ("error", "interrupt remapping"), "x2APIC", {"remaps_interrupts": False}
    ),
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
        "delete line 3 of /etc/modules-load.d/vfio.conf",
        _setting("/etc/modules-load.d/vfio.conf", "vfio_virqfd"),
    ),
    Breakage(
        "mdev",
        ("warning", "vfio_mdev"),
        "delete line 3 of /etc/modules-load.d/vfio.conf",
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
        "take ,8086:7ae2 out of line 3 of /etc/modprobe.d/vfio.conf",
        _setting("/etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:2786,8086:7ae2"),
    ),
    Breakage(
        "ids_of_twins",
        ("warning", "ids=1b73:1100"),
        "take vfio-pci.ids=1b73:1100 out",
        {"cmdline": "vfio-pci.ids=1b73:1100"},
    ),
    Breakage(
        "ids_of_twins_among_others",
        ("warning", "ids=1b73:1100"),
        "take vfio-pci.ids=10de:2786,1b73:1100 out of GRUB_CMDLINE_LINUX_DEFAULT in "
        "/etc/default/grub (or grub.d beside it); add vfio-pci.ids=10de:2786 to",
        {"cmdline": "vfio-pci.ids=10de:2786,1b73:1100"},
    ),
    Breakage(
        "virqfd_in_mkinitcpio",
        ("warning", "vfio_virqfd"),
        "take vfio_virqfd out of line 3 of /etc/mkinitcpio.conf; sudo mkinitcpio -P",
        _setting("/etc/mkinitcpio.conf", "MODULES=(vfio_pci vfio vfio_virqfd)")
        | {"initramfs": "mkinitcpio"},
    ),
    Breakage(
        "virqfd_in_initramfs",
        ("warning", "vfio_virqfd"),
        "delete line 3 of /etc/initramfs-tools/modules; sudo update-initramfs -u",
        _setting("/etc/initramfs-tools/modules", "vfio_virqfd") | {"initramfs": "update-initramfs"},
    ),
    Breakage(
        "install_false",
        ("error", "vfio_pci"),
        "delete line 3 of /etc/modprobe.d/x.conf",
        _setting("/etc/modprobe.d/x.conf", "install vfio-pci /bin/false"),
    ),
    Breakage(
        "module_blacklist",
        ("error", "module_blacklist=vfio_pci"),
        "take module_blacklist=vfio_pci out",
        {"cmdline": "module_blacklist=vfio_pci"},
    ),
    Breakage(
        "kvm_blacklisted",
        ("error", "virtualisation"),
        "delete line 3 of /etc/modprobe.d/x.conf; sudo modprobe kvm_intel",
        _setting("/etc/modprobe.d/x.conf", "blacklist kvm_intel") | {"kvm": False},
    ),
    Breakage(
        "unsafe_interrupts",
        ("warning", "vfio_iommu_type1.allow_unsafe_interrupts=1"),
        "take vfio_iommu_type1.allow_unsafe_interrupts=1 out",
        {"cmdline": "vfio_iommu_type1.allow_unsafe_interrupts=1"},
    ),
    Breakage(
        "acs_override",
        ("warning", "pcie_acs_override=downstream,multifunction"),
        "take pcie_acs_override=downstream,multifunction out",
        {"cmdline": "pcie_acs_override=downstream,multifunction"},
    ),
    Breakage(
        "libvirt_masked",
        ("error", "libvirt"),
        "sudo systemctl unmask libvirtd.socket; sudo systemctl enable --now libvirtd.service",
        {"listening": (), "masked": ("libvirtd.socket",)},
    ),
    Breakage(
        "modular_libvirt_stopped",
        ("error", "libvirt"),
        "sudo systemctl enable --now virtqemud.service",
        {
            "os": "fedora",
            "listening": (),
            "programs": ("/usr/sbin/libvirtd", "/usr/sbin/virtqemud", "/usr/bin/qemu-kvm"),
        },
    ),
    Breakage(
        "both_libvirts",
        ("warning", "libvirt"),
        "sudo systemctl disable --now virtqemud.service virtqemud.socket",
        {"daemons": ("libvirtd", "virtqemud")},
    ),
    Breakage(
        "kvm_for_root_alone",
        ("error", "/dev/kvm"),
        "sudo udevadm trigger --settle --action=add /dev/kvm",
        {"nodes": (Node("/dev/kvm", 0o660, 0), Node("/dev/vfio/vfio", 0o666, 0))},
    ),
    Breakage(
        "devices_without_kvm",
        ("error", "cgroup_device_acl"),
        "sudo systemctl restart libvirtd",
        _setting("/etc/libvirt/qemu.conf", 'cgroup_device_acl = [ "/dev/null"'),
    ),
    Breakage(
        "apparmor_in_the_way",
        ("error", "AppArmor"),
        "delete line 3 of /etc/apparmor.d/local/abstractions/libvirt-qemu",
        _setting("/etc/apparmor.d/local/abstractions/libvirt-qemu", "deny /dev/vfio/* rw,")
        | {"security": ("apparmor",)},
    ),
    Breakage(
        "selinux_without_usb",
        ("warning", "SELinux"),
        "sudo setsebool -P virt_use_usb on",
        {"security": ("selinux enforcing",), "booleans_off": ("virt_use_usb",)},
    ),
    Breakage(
        "idle_suspend",
        ("warning", "suspend"),
        "delete line 3 of /etc/systemd/logind.conf",
        _setting("/etc/systemd/logind.conf", "IdleAction=suspend"),
    ),
    Breakage(
        "reserved_region",
        ("warning", "0000:01:00.0 (GeForce RTX 4070)"),
        "firmware",
        {"direct_groups": (1,)},
    ),
)
