"""What the PC's system is and how it is set up, beside its devices: the nouns `check` reads."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.value import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of configuration that has to do with seats: where it stands and what it says."""

    file: str  # "/etc/modprobe.d/vfio.conf"
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """A device node that QEMU opens; ``mode`` are its permission bits, ``group`` its group's id."""

    path: str  # "/dev/kvm"
    mode: int
    group: int


@dataclass(frozen=True, slots=True)
class BootFramebuffer:
    """What the firmware's picture is still drawn into: the card, and the driver that draws."""

    address: PciAddress
    driver: str  # "efifb", "simpledrm"


@dataclass(frozen=True, slots=True)
class Bar:
    """A resizable BAR of a card: what it shows of its memory now, and the most it could."""

    address: PciAddress
    number: int
    size_bytes: int
    largest_bytes: int


@dataclass(frozen=True, slots=True)
class Platform:
    """What the PC's system is and how it starts: read for `check` alone.

    ``os`` and ``os_like`` are os-release(5)'s ID and ID_LIKE. ``boot`` is how kernel arguments are
    kept: "ostree" (by rpm-ostree), "bootc" (in the image alone), "kernel-install", "mkinitcpio" (in
    the kernel's image, by both), "grubby", "grub", "systemd-boot" (in entries); empty where nothing
    says. ``boot_lines`` are the lines they stand in, ``initramfs`` is what makes that: "dracut",
    "mkinitcpio", "update-initramfs"; "rpm-ostree" where it is the image's, with what its owner has
    made of it behind that ("rpm-ostree initramfs-etc"). ``cpu_flags`` has vmx, svm, hypervisor,
    where /proc/cpuinfo does. ``modules`` are VFIO's that the kernel has, ``builtin`` those of them
    without a file.
    ``remaps_interrupts`` is by the names of the chips in /proc/interrupts. ``direct_groups`` are
    IOMMU groups with a reserved region of type direct. ``programs`` are those of libvirt and QEMU
    that are installed, ``daemons`` those of libvirt that run now, ``listening`` the sockets of
    theirs that answer (None: not known). ``masked`` are units of libvirt and of sleep that systemd
    will not start. ``security`` is "apparmor", "selinux enforcing", "selinux permissive";
    ``booleans_off`` are SELinux's that are off.
    """

    os: str = ""
    os_like: tuple[str, ...] = ()
    boot: str = ""
    cmdline: str = ""
    kernel: str = ""
    cpu_vendor: str = ""
    cpu_flags: tuple[str, ...] = ()
    kvm: bool | None = None
    modules: tuple[str, ...] = ()
    builtin: tuple[str, ...] = ()
    remaps_interrupts: bool | None = None
    direct_groups: tuple[int, ...] = ()
    programs: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    boot_lines: tuple[Setting, ...] = ()
    initramfs: str = ""
    nodes: tuple[Node, ...] = ()
    daemons: tuple[str, ...] = ()
    listening: tuple[str, ...] | None = None
    masked: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    booleans_off: tuple[str, ...] = ()
    framebuffers: tuple[BootFramebuffer, ...] = ()
    bars: tuple[Bar, ...] = ()
