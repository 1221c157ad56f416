"""What to type on this distribution: kernel arguments and packages. Text only; nothing is run.

Sources: grub-mkconfig's ``/etc/default/grub``; grubby(8); ``rpm-ostree kargs``; kernel-install(8).
"""

from __future__ import annotations

from phyllome_seat.model.devices import Platform

_PACKAGES = {
    "debian": "sudo apt install libvirt-daemon-system qemu-system-x86 ovmf",
    "fedora": "sudo dnf install libvirt-daemon-driver-qemu libvirt-daemon-config-network qemu-kvm",
    "arch": "sudo pacman -S libvirt qemu-desktop edk2-ovmf dnsmasq",
}


def find_family(platform: Platform) -> str:
    """Return debian, fedora or arch, as os-release says; empty for another."""
    names = (platform.os, *platform.os_like)
    return next((name for name in names if name in _PACKAGES), "")


def install_fix(platform: Platform) -> str:
    """Return how libvirt and QEMU are installed."""
    if platform.boot == "ostree":
        return "sudo rpm-ostree install libvirt-daemon-driver-qemu qemu-kvm; reboot"
    return _PACKAGES.get(find_family(platform), "install libvirt and QEMU from your distribution")


def argument_fix(platform: Platform, *, add: str = "", remove: str = "") -> str:
    """Return how kernel arguments are changed here; both may have several, by blanks."""
    if platform.boot == "ostree":
        options = [f"--append-if-missing={word}" for word in add.split()]
        options += [f"--delete-if-present={word}" for word in remove.split()]
        return f"sudo rpm-ostree kargs {' '.join(options)}; reboot"
    if platform.boot == "grubby":
        options = [f'--args="{add}"'] if add else []
        options += [f'--remove-args="{remove}"'] if remove else []
        return f"sudo grubby --update-kernel=ALL {' '.join(options)}; reboot"
    words = [f"take {remove} out"] if remove else []
    words += [f"add {add}"] if add else []
    file, then = _place(platform)
    return "; ".join([f"in {file}: {', '.join(words)}", *then, "reboot"])


def _place(platform: Platform) -> tuple[str, tuple[str, ...]]:
    """Return where arguments stand, and what is run after an edit."""
    if platform.boot == "grub":
        update = "run sudo update-grub"
        if find_family(platform) != "debian":
            update = "run sudo grub-mkconfig -o /boot/grub/grub.cfg"
        # /etc/default/grub.d is Debian's own, read after the file
        return "/etc/default/grub (or grub.d beside it), GRUB_CMDLINE_LINUX_DEFAULT", (update,)
    if platform.boot == "kernel-install":
        return "/etc/kernel/cmdline", ("run sudo kernel-install add-all",)
    if platform.boot == "systemd-boot":
        return "the options line of the entry in /boot/loader/entries", ()
    return "the kernel's command line of your boot loader", ()
