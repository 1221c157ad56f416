"""How to break a healthy PC, and what `check` must say: data, for a made-up PC alone so far.

Each changes fields of the `Platform` or the `Iommu` of the healthy PC in tests/model/test_check.py,
with the alarm's severity, its subject, and a piece of the fix it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from phyllome_seat.model.platform import Node, Setting
from tests.model.hosts import NETWORK


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
    Breakage(
        "remapping_off",
        ("error", "interrupt remapping"),
        "take intremap=off out of GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub",
        {"remaps_interrupts": False, "cmdline": "quiet intremap=off"},
    ),
    Breakage(
        "remapping_off_among_others",
        ("error", "interrupt remapping"),
        "take intremap=nosid,off out of GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub (or "
        "grub.d beside it); add intremap=nosid to",
        {"remaps_interrupts": False, "cmdline": "intremap=nosid,off"},
    ),
    Breakage(
        "no_remapping_asked_for",
        ("error", "interrupt remapping"),
        "take nointremap out",
        {"remaps_interrupts": False, "cmdline": "nointremap ro"},
    ),
    Breakage(
        "no_io_apic",
        ("error", "interrupt remapping"),
        "take noapic out",
        {"remaps_interrupts": False, "cmdline": "noapic"},
    ),
    Breakage(
        "remapping_not_off",
        ("error", "interrupt remapping"),
        "x2APIC",
        {
            "remaps_interrupts": False,
            "cmdline": "intremap=off intremap=no_x2apic_optout intremap=on",
        },
    ),
    Breakage(
        "no_remapping_and_unsafe",
        ("warning", "interrupt remapping"),
        "x2APIC",
        {
            "remaps_interrupts": False,
            "cmdline": "vfio_iommu_type1.allow_unsafe_interrupts=1",
        },
    ),
    Breakage(
        "remapping_off_and_unsafe",
        ("warning", "interrupt remapping"),
        "take intremap=off out",
        {"remaps_interrupts": False, "cmdline": "intremap=off"}
        | _setting("/etc/modprobe.d/v.conf", "options vfio-iommu-type1 allow_unsafe_interrupts=Y"),
    ),
    Breakage("no_vfio", ("error", "VFIO"), "not a -cloud kernel", {"modules": ()}),
    Breakage(
        "no_vfio_pci",
        ("error", "VFIO"),
        "not a -cloud kernel",
        {"modules": ("vfio", "vfio_iommu_type1")},
    ),
    Breakage(
        "no_vfio_type1",
        ("error", "VFIO"),
        "install the kernel's whole set of modules",
        {"modules": ("vfio", "vfio_pci")},
    ),
    Breakage(
        "no_vfio_core",
        ("error", "VFIO"),
        "install the kernel's whole set of modules",
        {"modules": ("vfio_iommu_type1", "vfio_pci")},
    ),
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
    *(
        Breakage(
            f"gvt_{value}",
            ("warning", f"i915.enable_gvt={value}"),
            f"take i915.enable_gvt={value} out",
            {"cmdline": f"quiet i915.enable_gvt={value}"},
        )
        for value in ("Y", "y", "true", "on", "ON", "yes")
    ),
    Breakage(
        "gvt_without_value",
        ("warning", "i915.enable_gvt"),
        "take i915.enable_gvt out",
        {"cmdline": "i915.enable_gvt i915.enable_gvt=0 i915.enable_gvt=off"},
    ),
    Breakage(
        "gvt_in_modprobe",
        ("warning", "enable_gvt"),
        "delete line 3 of /etc/modprobe.d/i915.conf",
        _setting("/etc/modprobe.d/i915.conf", "options i915 enable_gvt=1"),
    ),
    Breakage(
        "gvt_in_modprobe_among_others",
        ("warning", "enable_gvt"),
        "take enable_gvt=Y out of line 3 of /etc/modprobe.d/i915.conf",
        _setting("/etc/modprobe.d/i915.conf", "options i915 enable_guc=3 enable_gvt=Y"),
    ),
    Breakage(
        "kvmgt",
        ("warning", "kvmgt"),
        "delete line 3 of /etc/modules-load.d/kvmgt.conf",
        _setting("/etc/modules-load.d/kvmgt.conf", "kvmgt"),
    ),
    Breakage(
        "kvmgt_by_argument",
        ("warning", "kvmgt"),
        "take modules-load=kvmgt out",
        {"cmdline": "modules-load=kvmgt"},
    ),
    Breakage(
        "virqfd_in_dracut",
        ("warning", "vfio_virqfd"),
        "take rd.driver.pre=vfio_virqfd out of GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub "
        "(or grub.d beside it); sudo update-grub; reboot",
        {"cmdline": "ro rd.driver.pre=vfio-pci rd.driver.pre=vfio_virqfd"},
    ),
    Breakage(
        "virqfd_in_dracut_among_others",
        ("warning", "vfio_virqfd"),
        "add rd.driver.pre=vfio,vfio-pci to",
        {"cmdline": "rd.driver.pre=vfio,vfio-virqfd,vfio-pci"},
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
        "stub_of_the_hosts_disk",
        ("error", "0000:00:17.0"),
        "take pci-stub.ids=8086:7ae2 out",
        {"cmdline": "pci-stub.ids=8086:7ae2"},
    ),
    Breakage(
        "stub_of_the_hosts_disk_in_modprobe",
        ("error", "0000:00:17.0"),
        "delete line 3 of /etc/modprobe.d/stub.conf",
        _setting("/etc/modprobe.d/stub.conf", "options pci_stub ids=8086:7AE2"),
    ),
    Breakage(
        "stub_of_the_hosts_network",
        ("error", NETWORK),
        "add pci_stub.ids=10de:2786 to",
        {"cmdline": "pci_stub.ids=10de:2786,8086:15F3"},
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
        "unsafe_interrupts_among_others",
        ("warning", "allow_unsafe_interrupts"),
        "take allow_unsafe_interrupts=on out of line 3 of /etc/modprobe.d/v.conf",
        _setting(
            "/etc/modprobe.d/v.conf",
            "options vfio_iommu_type1 dma_entry_limit=9 allow_unsafe_interrupts=on",
        ),
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
