"""Whether processor, IOMMU, kernel and programs can do it at all."""

from __future__ import annotations

from phyllome_seat.model.check_fix import argument_fix, find_family, install_fix, line_fix
from phyllome_seat.model.check_settings import find_unsafe
from phyllome_seat.model.devices import Host
from phyllome_seat.model.finding import Finding
from phyllome_seat.model.platform import Platform

# All three, since libvirt opens groups through /dev/vfio/vfio with a type 1 IOMMU. iommufd can
# stand in for it, which its Kconfig keeps for tests (IOMMUFD_VFIO_CONTAINER).
_VFIO = ("vfio", "vfio_iommu_type1", "vfio_pci")
_OFF = ("intel_iommu=off", "amd_iommu=off", "iommu=off")
_FIRMWARE = "switch it on in the firmware's setup: "
_TABLES = "/sys/firmware/acpi/tables"
_GROUPS = "/sys/kernel/iommu_groups"


def check_system(host: Host) -> list[Finding]:
    """Return what is wrong with the system, nothing where its `Platform` was not read."""
    platform = host.platform
    if platform is None:
        words = "not known: this Host was written by scan"
        return [Finding("note", "system", words, "", "run `phyllome-seat check` on the PC itself")]
    if not platform.kernel:
        words = "not known: no kernel runs here"
        return [Finding("note", "system", words, "/proc/sys/kernel/osrelease is missing", "")]
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
        steps = [f"sudo modprobe {module}; if it refuses, {_FIRMWARE}VT-x or SVM"]
        for line in platform.settings:
            if line.text.split()[:2] == ["blacklist", module]:
                steps.insert(0, line_fix(platform, line))
        words = "KVM is not there"
        return [Finding("error", subject, words, "/dev/kvm is missing", "; ".join(steps))]
    return []


def _check_iommu(host: Host, platform: Platform) -> list[Finding]:
    """Answer three times, for hardware, kernel and groups, where one of them is not as it must."""
    iommu = host.iommu
    if iommu.groups:
        return _check_remapping(platform) if iommu.units else []
    none = Finding("note", "IOMMU groups", "none, for that reason", f"{_GROUPS} is empty", "")
    off = [word for word in platform.cmdline.split() if word in _OFF]
    if not (iommu.firmware_tables or iommu.units or off):
        fix = _FIRMWARE + "VT-d (Intel) or IOMMU, not Auto (AMD)"
        words, evidence = "the firmware shows none", f"{_TABLES}: no DMAR or IVRS"
        return [Finding("error", "IOMMU hardware", words, evidence, fix), none]
    there = ", ".join((*iommu.firmware_tables, *iommu.units)) or "not known"
    hardware = Finding("note", "IOMMU hardware", f"is there: {there}", _TABLES, "")
    is_intel = "vmx" in platform.cpu_flags or "DMAR" in iommu.firmware_tables
    if off:
        words, evidence = "was told to leave it off", f"/proc/cmdline: {' '.join(off)}"
        add = "intel_iommu=on" if is_intel else ""
        fix = argument_fix(platform, add=add, remove=" ".join(off))
    elif "DMAR" in iommu.firmware_tables:
        words, evidence = "does not use it", f"{_TABLES}/DMAR, but {_GROUPS} is empty"
        fix = argument_fix(platform, add="intel_iommu=on")
    elif iommu.units:
        words, evidence = "uses it, and made no groups", "/sys/class/iommu"
        fix = "look for IOMMU in `sudo journalctl -k -b`, and for an update of the firmware"
        groups = Finding("error", "IOMMU groups", "there are none", f"{_GROUPS} is empty", fix)
        return [groups, hardware, Finding("note", "IOMMU kernel", words, evidence, "")]
    else:
        words, evidence = "does not use it", f"{_GROUPS} is empty"
        fix = _FIRMWARE + "IOMMU, enabled and not Auto"  # AMD's has no "on": kernel-parameters.txt
    return [Finding("error", "IOMMU kernel", words, evidence, fix), hardware, none]


def _check_remapping(platform: Platform) -> list[Finding]:
    """Find that interrupts are not remapped: by whom, and whether VFIO was told not to mind.

    It refuses a group whose interrupts are not isolated: drivers/vfio/vfio_iommu_type1.c.
    """
    if platform.remaps_interrupts is not False:
        return []
    words, evidence = "is missing", "/proc/interrupts: no IR- chip"
    fix = "look in the firmware's setup for x2APIC or interrupt remapping, and its update"
    if off := _find_remapping_off(platform):
        words, evidence = "was told to stay off", f"{evidence}; /proc/cmdline: {' '.join(off)}"
        add = " ".join(rest for word in off if (rest := _without_off(word)))
        fix = argument_fix(platform, add=add, remove=" ".join(off))
    unsafe = find_unsafe(platform)
    if unsafe is None:
        words += ": VFIO will refuse every device"
        return [Finding("error", "interrupt remapping", words, evidence, fix)]
    words += ", and VFIO was told to do without: a guest can raise the host's interrupts by the "
    words += "devices it has, and so crash or take over the host"
    evidence += f"; {unsafe.evidence}"
    return [Finding("warning", "interrupt remapping", words, evidence, fix)]


def _find_remapping_off(platform: Platform) -> tuple[str, ...]:
    """Return the arguments that leave it off.

    Those for it are read in turn, so a later "on" undoes them (drivers/iommu/irq_remapping.c);
    without an IO-APIC there is none (arch/x86/kernel/apic/apic.c, enable_IR_x2apic()).
    """
    off: list[str] = []
    words = platform.cmdline.split()
    for word in words:
        name, _, value = word.partition("=")
        if name == "nointremap":
            off.append(word)
        for part in value.split(",") if name == "intremap" else ():
            if part.startswith("on"):
                off.clear()
            elif part.startswith("off"):
                off.append(word)
    return tuple(dict.fromkeys([*off, *(word for word in words if word == "noapic")]))


def _without_off(word: str) -> str:
    """Return what else an argument says."""
    name, _, value = word.partition("=")
    rest = [part for part in value.split(",") if part and not part.startswith("off")]
    return f"{name}={','.join(rest)}" if rest and name == "intremap" else ""


def _check_modules(platform: Platform) -> list[Finding]:
    missing = [name for name in _VFIO if name not in platform.modules]
    if not missing:
        return []
    files = f"/lib/modules/{platform.kernel}/modules.dep and modules.builtin"
    names = " and no ".join(missing)
    evidence = f"{files} have no {names}"
    fix = "install the kernel's whole set of modules"
    if find_family(platform) == "debian":
        fix += ": not a -cloud kernel, and linux-modules-extra on Ubuntu"
    words = "the running kernel does not have it"
    if len(missing) < len(_VFIO):
        words = f"the running kernel does not have all of it: no {names}"
    return [Finding("error", "VFIO", words, evidence, fix)]


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
