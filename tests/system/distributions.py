"""A stranger's PC by its distribution's files: a board with an IOMMU, and what keeps arguments.

Each function takes what the kernel was told about the IOMMU, and puts it where that distribution
keeps it. Sources: the packages' own files for Debian; os-release(5) and each distribution's manual
for what they ship; 90-loaderentry.install for entries; ArchWiki, Unified kernel image, for presets.
"""

from __future__ import annotations

from tests.system.trees import Link

KERNEL = "6.17.8"
VARIABLE = "sys/firmware/efi/efivars/{}-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
ROOT = "root=UUID=3f1c9a52-7c1b-4f0e-9a35-0d8f6f1f2b11"
MACHINE = "5d0c1b8e6f2a4c3d9e7f0a1b2c3d4e5f"
DEPLOYMENT = "ostree/deploy/fedora/deploy/8f14e45fceea167a5a36dedd4bea2543.0"

Files = dict[str, "str | bytes | Link"]


def _variable(name: str, text: str) -> Files:
    return {VARIABLE.format(name): b"\6\0\0\0" + text.encode("utf-16-le") + b"\0\0"}


def _board(cmdline: str) -> Files:
    """Return what the kernel says on a PC whose IOMMU is there and not used."""
    modules = ("vfio", "vfio_iommu_type1", "pci/vfio-pci")
    return {
        "proc/cmdline": cmdline + "\n",
        "proc/cpuinfo": "vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\n",
        "proc/sys/kernel/osrelease": f"{KERNEL}\n",
        "sys/firmware/acpi/tables/DMAR": b"DMAR",
        "dev/kvm": "",
        f"lib/modules/{KERNEL}/modules.dep": "".join(
            f"kernel/drivers/vfio/{name}.ko.zst:\n" for name in modules
        ),
    }


def _grub(*, default: str, always: str = "") -> str:
    return (
        "# If you change this file or any /etc/default/grub.d/*.cfg file,\n"
        "# run 'update-grub' afterwards to update /boot/grub/grub.cfg.\n"
        "\n"
        "GRUB_DEFAULT=0\n"
        "GRUB_TIMEOUT=5\n"
        f'GRUB_CMDLINE_LINUX_DEFAULT="{default}"\n'
        f'GRUB_CMDLINE_LINUX="{always}"\n'
    )


def _by_grub(told: str) -> Files:
    return _board(f"BOOT_IMAGE=/boot/vmlinuz-{KERNEL} {ROOT} ro quiet {told}")


def _entry(options: str, version: str = KERNEL, *, made: bool = True) -> str:
    head = (
        "# Boot Loader Specification type#1 entry\n"
        "# File created by /usr/lib/kernel/install.d/90-loaderentry.install (systemd 257.9)\n"
    )
    return (
        f"{head if made else ''}title      Linux\nversion    {version}\n"
        f"options    {options}\nlinux      /{MACHINE}/{version}/linux\n"
        f"initrd     /{MACHINE}/{version}/initrd.img\n"
    )


def debian(told: str) -> Files:
    """Debian 13 as its installer leaves it."""
    return _by_grub(told) | {
        "etc/os-release": Link("usr/lib/os-release"),
        "usr/lib/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\n',
        "etc/default/grub": _grub(default=f"quiet {told}".strip()),
        "usr/sbin/update-initramfs": "",
    }


def ubuntu(told: str) -> Files:
    """Ubuntu 24.04, with the file of kdump-tools that is read after the main one."""
    return _by_grub(told) | {
        "etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\nID=ubuntu\nID_LIKE=debian\n',
        "etc/default/grub": _grub(default="quiet splash", always=told),
        "etc/default/grub.d/kdump-tools.cfg": (
            'export GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=2G-:192M"\n'
        ),
        "usr/sbin/update-initramfs": "",
    }


def fedora(told: str) -> Files:
    """Fedora 43 Workstation: GRUB reads entries, grubby changes them."""
    options = f"{ROOT} ro rootflags=subvol=root rhgb quiet {told}".strip()
    return _board(f"BOOT_IMAGE=(hd0,gpt2)/vmlinuz-{KERNEL} {options}") | {
        "etc/os-release": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=43\nVARIANT_ID=workstation\n',
        "etc/default/grub": 'GRUB_CMDLINE_LINUX="rhgb quiet"\nGRUB_ENABLE_BLSCFG=true\n',
        "etc/kernel/cmdline": options + "\n",
        f"boot/loader/entries/{MACHINE}-{KERNEL}.conf": f"title Fedora\noptions {options}\n",
        "usr/bin/grubby": "",
        "usr/bin/dracut": "",
    }


def silverblue(told: str, *, origin: str = "") -> Files:
    """Fedora Silverblue 43: an image, booted by GRUB; `origin` is of the group rpmostree."""
    tree = f"ostree=/ostree/boot.1/fedora/8f14e45f/0 {ROOT} rw rhgb quiet {told}".strip()
    return _board(f"BOOT_IMAGE=(hd0,gpt2)/ostree/fedora-8f14e45f/vmlinuz-{KERNEL} {tree}") | {
        "etc/os-release": Link("usr/lib/os-release"),
        "usr/lib/os-release": 'NAME="Fedora Linux"\nID=fedora\nVARIANT_ID=silverblue\n',
        "run/ostree-booted": "",
        "boot/loader/entries/ostree-1.conf": f"title Fedora Linux 43\noptions {tree}\n",
        "etc/default/grub": 'GRUB_CMDLINE_LINUX="rhgb quiet"\nGRUB_ENABLE_BLSCFG=true\n',
        f"sysroot/{DEPLOYMENT}/usr/bin/true": "",
        f"sysroot/{DEPLOYMENT}.origin": (
            "[origin]\ncontainer-image-reference=ostree-remote-image:fedora:silverblue\n"
            f"\n[rpmostree]\n{origin}\n[other]\nregenerate-initramfs=true\n"
        ),
        "sysroot/ostree/boot.1/fedora/8f14e45f/0": Link(f"sysroot/{DEPLOYMENT}"),
        "ostree": Link("sysroot/ostree"),
        "usr/bin/rpm-ostree": "",
        "usr/bin/bootc": "",
        "usr/bin/dracut": "",
    }


def bootc(told: str) -> Files:
    """An image of one's own that has bootc and no rpm-ostree."""
    files = silverblue(told)
    return {path: text for path, text in files.items() if path != "usr/bin/rpm-ostree"}


def _arch(cmdline: str) -> Files:
    return _board(cmdline) | {
        "etc/os-release": 'NAME="Arch Linux"\nID=arch\nBUILD_ID=rolling\n',
        "etc/mkinitcpio.d/linux.preset": (
            "ALL_kver=\"/boot/vmlinuz-linux\"\nPRESETS=('default')\n"
            'default_image="/boot/initramfs-linux.img"\n'
            '#default_uki="/efi/EFI/Linux/arch-linux.efi"\n'
        ),
        "usr/bin/mkinitcpio": "",
    }


def arch_entries(told: str) -> Files:
    """Arch with entries of systemd-boot written by hand, and a file that another set-up left."""
    options = f"{ROOT} rw {told}".strip()
    names = ("arch-6.12.9", "arch-6.12.10")
    return _arch(f"initrd=\\initramfs-linux.img {options}") | {
        **{f"boot/loader/entries/{n}.conf": _entry(options, made=False) for n in names},
        "boot/loader/loader.conf": "timeout 3\n",
        "etc/default/grub": _grub(default="loglevel=3 quiet"),
        "etc/kernel/cmdline": f"{ROOT} rw\n",
        "usr/bin/kernel-install": "",
        **_variable("LoaderInfo", "systemd-boot 258.2-1-arch"),
    }


def arch_image(told: str) -> Files:
    """Arch with kernel, arguments and initramfs in one image, started by systemd-boot."""
    options = f"{ROOT} rw {told}".strip()
    return _arch(options) | {
        "etc/kernel/cmdline": options + "\n",
        "etc/mkinitcpio.d/linux.preset": (
            "ALL_kver=\"/boot/vmlinuz-linux\"\nPRESETS=('default')\n"
            '#default_image="/boot/initramfs-linux.img"\n'
            'default_uki="/efi/EFI/Linux/arch-linux.efi"\n'
        ),
        "efi/loader/loader.conf": "timeout 3\n",
        "etc/default/grub": _grub(default="loglevel=3 quiet"),
        **_variable("LoaderInfo", "systemd-boot 258.2-1-arch"),
        **_variable("StubInfo", "systemd-stub 258.2-1-arch"),
    }


def arch_grub(told: str) -> Files:
    """Arch with GRUB."""
    return _arch(f"BOOT_IMAGE=/boot/vmlinuz-linux {ROOT} rw {told}".strip()) | {
        "etc/default/grub": _grub(default=f"loglevel=3 quiet {told}".strip()),
        **_variable("LoaderInfo", "GRUB 2.14"),
    }


def debian_entries(told: str) -> Files:
    """Debian 13 with systemd-boot, beside what GRUB left; its package calls kernel-install."""
    options = f"{ROOT} ro quiet {told}".strip()
    return _board(f"initrd=\\{MACHINE}\\{KERNEL}\\initrd.img-{KERNEL} {options}") | {
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\n',
        "etc/default/grub": _grub(default="quiet"),
        "etc/kernel/cmdline": options + "\n",
        "etc/initramfs/post-update.d/systemd-boot": "#!/bin/sh\n",
        "boot/efi/loader/loader.conf": "timeout 3\n",
        f"boot/efi/loader/entries/{MACHINE}-6.12.43.conf": _entry(options, "6.12.43"),
        f"boot/efi/loader/entries/{MACHINE}-{KERNEL}.conf": _entry(options),
        "usr/bin/kernel-install": "",
        "usr/sbin/update-initramfs": "",
        **_variable("LoaderInfo", "systemd-boot 257.9-1~deb13u1"),
    }
