"""Whether processor, IOMMU, kernel, libvirt and QEMU can do it at all."""

from __future__ import annotations

from phyllome_seat.model.check_fix import argument_fix, find_family, install_fix
from phyllome_seat.model.devices import Host, Platform
from phyllome_seat.model.finding import Finding

_OFF = ("intel_iommu=off", "amd_iommu=off", "iommu=off")
_FIRMWARE = "switch it on in the firmware's setup: "


def check_system(host: Host) -> list[Finding]:
    """Return what is wrong with the system, nothing where its `Platform` was not read."""
    platform = host.platform
    if platform is None:
        words = "not known: this Host was written by scan"
        return [Finding("note", "system", words, "", "run `phyllome-seat check` on the PC itself")]
    return [
        *_check_virtualisation(platform),
        *_check_iommu(host, platform),
        *_check_modules(platform),
        *_check_programs(platform),
    ]


def _check_virtualisation(platform: Platform) -> list[Finding]:
    subject = "virtualisation"
    if platform.cpu_vendor and not {"svm", "vmx"} & set(platform.cpu_flags):
        fix = _FIRMWARE + "VT-x, SVM or virtualization technology"
        if "hypervisor" in platform.cpu_flags:
            fix = "this is a virtual machine: let its host nest virtualisation"
        words = "the processor does not offer it"
        return [Finding("error", subject, words, "/proc/cpuinfo: no vmx or svm in flags", fix)]
    if platform.cpu_vendor and platform.kvm is False:
        module = "kvm_intel" if "vmx" in platform.cpu_flags else "kvm_amd"
        fix = f"sudo modprobe {module}; if it refuses, " + _FIRMWARE + "VT-x or SVM"
        return [Finding("error", subject, "KVM is not there", "/dev/kvm is missing", fix)]
    return []


def _check_iommu(host: Host, platform: Platform) -> list[Finding]:
    """Answer for hardware, kernel and groups, the first that fails."""
    iommu, subject = host.iommu, "IOMMU"
    if iommu.groups:
        if platform.remaps_interrupts is False and iommu.units:
            words = "interrupts are not remapped: VFIO will refuse every device"
            fix = "look in the firmware's setup for x2APIC or interrupt remapping, and its update"
            return [Finding("error", subject, words, "/proc/interrupts: no IR- chip", fix)]
        return []
    off = [word for word in platform.cmdline.split() if word in _OFF]
    if off:
        words, evidence = "the kernel was told to leave it off", f"/proc/cmdline: {' '.join(off)}"
        add = "intel_iommu=on" if "vmx" in platform.cpu_flags or "Intel" in _vendor(host) else ""
        fix = argument_fix(platform, add=add, remove=" ".join(off))
    elif not (iommu.firmware_tables or iommu.units):
        words, evidence = "the firmware shows none", "/sys/firmware/acpi/tables: no DMAR or IVRS"
        fix = _FIRMWARE + "VT-d (Intel) or IOMMU, not Auto (AMD)"
    elif "DMAR" in iommu.firmware_tables:
        words = "the hardware is there and the kernel does not use it"
        evidence = "/sys/firmware/acpi/tables/DMAR, but /sys/kernel/iommu_groups is empty"
        fix = argument_fix(platform, add="intel_iommu=on")
    else:
        words = "the hardware is there and the kernel makes no groups"
        evidence = "/sys/kernel/iommu_groups is empty"
        fix = _FIRMWARE + "IOMMU, enabled and not Auto"  # AMD's has no "on": kernel-parameters.txt
    return [Finding("error", subject, words, evidence, fix)]


def _vendor(host: Host) -> str:
    return "Intel" if "DMAR" in host.iommu.firmware_tables else ""


def _check_modules(platform: Platform) -> list[Finding]:
    if not platform.kernel or "vfio_pci" in platform.modules:
        return []
    evidence = f"/lib/modules/{platform.kernel}/modules.dep has no vfio-pci"
    fix = "install the kernel's whole set of modules"
    if find_family(platform) == "debian":
        fix += ": not a -cloud kernel, and linux-modules-extra on Ubuntu"
    return [Finding("error", "VFIO", "the running kernel does not have it", evidence, fix)]


def _check_programs(platform: Platform) -> list[Finding]:
    names = [path.rpartition("/")[2] for path in platform.programs]
    found = []
    if not {"libvirtd", "virtqemud"} & set(names):
        evidence = "/usr/sbin has neither libvirtd nor virtqemud"
        found.append(
            Finding("error", "libvirt", "is not installed", evidence, install_fix(platform))
        )
    if not any(name.startswith("qemu") for name in names):
        evidence = "/usr/bin/qemu-system-x86_64 is missing"
        found.append(Finding("error", "QEMU", "is not installed", evidence, install_fix(platform)))
    return found
