"""What to type on this distribution: kernel arguments, packages, lines. Text only; nothing is run.

A fix is steps, parted by "; ". A step that begins with sudo is typed as it is, "reboot" is one, and
one about a file names it with its line. Sources: grub-mkconfig's ``/etc/default/grub``; grubby(8);
``rpm-ostree kargs``; kernel-install(8); initramfs-tools(7); dracut(8); mkinitcpio(8).
"""

from __future__ import annotations

from phyllome_seat.model.platform import Platform, Setting

_PACKAGES = {
    "debian": "sudo apt install libvirt-daemon-system qemu-system-x86 ovmf",
    "fedora": "sudo dnf install libvirt-daemon-driver-qemu libvirt-daemon-config-network qemu-kvm",
    "arch": "sudo pacman -S libvirt qemu-desktop edk2-ovmf dnsmasq",
}
_INITRAMFS = {
    "update-initramfs": "sudo update-initramfs -u",
    "dracut": "sudo dracut --force",
    "mkinitcpio": "sudo mkinitcpio -P",
}
_INITRAMFS_FILES = ("/etc/initramfs-tools/", "/etc/dracut.conf", "/etc/mkinitcpio.conf")
_DEFAULT = "GRUB_CMDLINE_LINUX_DEFAULT"


def find_family(platform: Platform) -> str:
    """Return debian, fedora or arch, as os-release says; empty for another."""
    names = (platform.os, *platform.os_like)
    return next((name for name in names if name in _PACKAGES), "")


def install_fix(platform: Platform) -> str:
    """Return how libvirt and QEMU are installed."""
    if platform.boot == "ostree":
        return "sudo rpm-ostree install libvirt-daemon-driver-qemu qemu-kvm; reboot"
    return _PACKAGES.get(find_family(platform), "install libvirt and QEMU from your distribution")


def line_fix(platform: Platform, line: Setting, word: str = "") -> str:
    """Return how a line, or a word of it, is taken out, and what must be made anew then."""
    what = f"take {word} out of" if word else "delete"
    steps = [f"{what} line {line.line} of {line.file}"]
    if platform.initramfs and _is_in_initramfs(platform, line):
        steps.append(_INITRAMFS[platform.initramfs])
    return "; ".join(steps)


def _is_in_initramfs(platform: Platform, line: Setting) -> bool:
    """Whether the line is copied there, and what it is about is there to heed it.

    All of modprobe.d is copied, and does nothing there until something loads VFIO: the initramfs's
    own configuration, a softdep of a module that is there, or an argument of dracut's. Of
    modules-load.d only dracut takes a copy.
    """
    if line.file.startswith(_INITRAMFS_FILES):
        return True
    if "/modules-load.d/" in line.file:
        return platform.initramfs == "dracut"
    return "/modprobe.d/" in line.file and (
        "rd.driver.pre=vfio" in platform.cmdline
        or any(
            other.file.startswith(_INITRAMFS_FILES) or other.text.startswith("softdep")
            for other in platform.settings
        )
    )


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
    return "; ".join([*_edits(platform, add, remove), *_after(platform), "reboot"])


def _edits(platform: Platform, add: str, remove: str) -> list[str]:
    """Return each edit with its line where that was read, else with the place by its name."""
    place, steps = _place(platform), []
    for word in remove.split():
        lines = [line for line in platform.boot_lines if word in _words(line)]
        steps += [f"take {word} out of {_at(line)}" for line in lines] or [
            f"take {word} out of {place}"
        ]
    # the last assignment of the variable is the one that counts
    lines = [line for line in platform.boot_lines if _takes_more(line)][-1:]
    if add:
        steps += [f"add {add} to {_at(line)}" for line in lines] or [f"add {add} to {place}"]
    return steps


def _words(line: Setting) -> list[str]:
    return line.text.replace('"', " ").replace("'", " ").split()


def _at(line: Setting) -> str:
    name, equals, _ = line.text.partition("=")
    variable = f" ({name})" if equals and name.startswith("GRUB") else ""
    return f"line {line.line} of {line.file}{variable}"


def _takes_more(line: Setting) -> bool:
    return line.text.startswith(_DEFAULT + "=") or not line.text.startswith("GRUB")


def _place(platform: Platform) -> str:
    """Return where arguments stand, for who looks for it."""
    if platform.boot == "grub":  # /etc/default/grub.d is Debian's own, read after the file
        return f"{_DEFAULT} in /etc/default/grub (or grub.d beside it)"
    if platform.boot == "kernel-install":
        return "/etc/kernel/cmdline"
    if platform.boot == "systemd-boot":
        return "the options line of the entry in /boot/loader/entries"
    return "the kernel's command line of your boot loader"


def _after(platform: Platform) -> list[str]:
    """Return what is run after an edit."""
    if platform.boot == "grub" and find_family(platform) == "debian":
        return ["sudo update-grub"]
    if platform.boot == "grub":
        return ["sudo grub-mkconfig -o /boot/grub/grub.cfg"]
    return ["sudo kernel-install add-all"] if platform.boot == "kernel-install" else []
