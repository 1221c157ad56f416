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
    # without it, the running kernel's alone, which need not be the next one: dracut(8)
    "dracut": "sudo dracut --force --regenerate-all",
    "mkinitcpio": "sudo mkinitcpio -P",
}
_INITRAMFS_FILES = ("/etc/initramfs-tools/", "/etc/dracut.conf", "/etc/mkinitcpio.conf")
_OF_OTHERS = ("/usr/lib/", "/lib/", "/run/")
_OF_AN_IMAGE = "/usr/local/lib/"  # of its owner elsewhere: no package's (FHS, 4.9)
_OSTREE = "rpm-ostree"
_IMAGE = ("build the image", "sudo bootc upgrade")
_MADE_ANEW = ("kernel-install", "mkinitcpio")
_DEFAULT = "GRUB_CMDLINE_LINUX_DEFAULT"


def find_family(platform: Platform) -> str:
    """Return debian, fedora or arch, as os-release says; empty for another."""
    names = (platform.os, *platform.os_like)
    return next((name for name in names if name in _PACKAGES), "")


def install_fix(platform: Platform) -> str:
    """Return how libvirt and QEMU are installed."""
    if platform.boot == "ostree":
        return "sudo rpm-ostree install libvirt-daemon-driver-qemu qemu-kvm; reboot"
    if platform.boot == "bootc":
        return f"put libvirt and QEMU into your image; {'; '.join(_IMAGE)}; reboot"
    return _PACKAGES.get(find_family(platform), "install libvirt and QEMU from your distribution")


def line_fix(platform: Platform, line: Setting, word: str = "") -> str:
    """Return how a line, or a word of it, is taken out, and what must be made anew then."""
    what = f"take {word} out of" if word else "delete"
    file, steps = line.file, []
    roots = (*_OF_OTHERS, _OF_AN_IMAGE) if platform.boot == "bootc" else _OF_OTHERS
    root = next((folder for folder in roots if file.startswith(folder)), "")
    if root:
        # a package's, which its next version has again, or read-only: of a name that /etc has too,
        # only that file is read, in modprobe.d(5), modules-load.d(5), sysctl.d(5), logind.conf(5)
        file = f"/etc/{file.removeprefix(root)}"
        steps.append(f"sudo install -D -m 644 {line.file} {file}")
    steps.append(f"{what} line {line.line} of {file}")
    return "; ".join([*steps, *_remake(platform, line, file)])


def _remake(platform: Platform, line: Setting, file: str) -> list[str]:
    """Return what is run so that the initramfs has `file` as it is now."""
    tool = platform.initramfs
    if not _is_in_initramfs(platform, line):
        return []
    if tool.startswith(f"{_OSTREE} initramfs --") or tool == f"{_OSTREE} initramfs":
        # enabling it a second time is refused, but with arguments, and those it had are forgotten:
        # rpm-ostree's src/daemon/rpmostreed-transaction-types.cxx, initramfs_state_transaction
        args = tool.removeprefix(f"{_OSTREE} initramfs")
        off = [] if args else [f"sudo {_OSTREE} initramfs --disable"]
        return [*off, f"sudo {_OSTREE} initramfs --enable{args}"]
    if tool.startswith(_OSTREE):
        # made with the image, and has files of /etc only where they are tracked: rpm-ostree(1)
        if file != line.file:
            return [f"sudo {_OSTREE} initramfs-etc --track={file}"]
        return [f"sudo {tool} --force-sync"] if tool != _OSTREE else []
    if platform.boot == "kernel-install" and tool == "dracut":
        return _after(platform)  # its plugin makes the initramfs where the entry has it
    return [_INITRAMFS[tool]] if tool in _INITRAMFS else []


def _is_in_initramfs(platform: Platform, line: Setting) -> bool:
    """Whether the line is copied there, and what it is about is there to heed it.

    All of modprobe.d is copied, and does nothing there until something loads VFIO: the initramfs's
    own configuration, a softdep of a module that is there, or an argument of dracut's. Of
    modules-load.d only dracut takes a copy.
    """
    if line.file.startswith(_INITRAMFS_FILES):
        return True
    if "/modules-load.d/" in line.file:
        return platform.initramfs.startswith(("dracut", _OSTREE))  # which runs dracut
    return "/modprobe.d/" in line.file and (
        "rd.driver.pre=vfio" in platform.cmdline
        or any(
            other.file.startswith(_INITRAMFS_FILES) or other.text.startswith("softdep")
            for other in platform.settings
        )
    )


def argument_fix(platform: Platform, *, add: str = "", remove: str = "") -> str:
    """Return how kernel arguments are changed here; both may have several, by blanks."""
    if platform.boot == "ostree":  # makes a deployment of its own with them: rpm-ostree(1), kargs
        options = [f"--append-if-missing={word}" for word in add.split()]
        options += [f"--delete-if-present={word}" for word in remove.split()]
        return f"sudo rpm-ostree kargs {' '.join(options)}; reboot"
    if platform.boot == "grubby":  # changes what later kernels get too, with ALL: grubby(8)
        options = [f'--args="{add}"'] if add else []
        options += [f'--remove-args="{remove}"'] if remove else []
        return f"sudo grubby --update-kernel=ALL {' '.join(options)}; reboot"
    return "; ".join([*_edits(platform, add, remove), *_after(platform), "reboot"])


def _edits(platform: Platform, add: str, remove: str) -> list[str]:
    """Return each edit with its line where that was read, else with the place by its name."""
    place, steps = _place(platform), []
    for word in remove.split():
        lines = [line for line in platform.boot_lines if word in _words(line)]
        steps += [f"take {word} out of {_at(line)}" for line in lines]
        # an entry that is made anew from the file has it no more where the file has not
        if not lines and not (platform.boot in _MADE_ANEW and platform.boot_lines):
            steps.append(f"take {word} out of {place}")
    lines = [line for line in platform.boot_lines if _takes_more(line)]
    if platform.boot == "grub":  # a variable, whose last assignment counts
        lines = lines[-1:]
    else:  # an entry for each kernel, of several lines each; or a file, whose lines count together
        lines = list({line.file: line for line in reversed(lines)}.values())[::-1]
    if platform.boot == "mkinitcpio":  # files that count together
        lines = lines[:1]
    if add and not lines:
        return [*steps, f"add {add} to {place}"]
    for line in lines:  # what is there already waits for what is run after an edit, or for a boot
        lacking = " ".join(word for word in add.split() if word not in _with(platform, line))
        steps += [f"add {lacking} to {_at(line)}"] if lacking else []
    return steps


def _with(platform: Platform, line: Setting) -> set[str]:
    """Return the arguments of all lines that count together with one."""
    lines = platform.boot_lines
    if platform.boot == "grub":
        lines = tuple({one.text.partition("=")[0]: one for one in lines}.values())
    elif platform.boot != "mkinitcpio":
        lines = tuple(one for one in lines if one.file == line.file)
    return {word for one in lines for word in _words(one)}


def _words(line: Setting) -> list[str]:
    name, equals, value = line.text.partition("=")
    text = value if equals and name.startswith("GRUB") else line.text
    return text.replace('"', " ").replace("'", " ").split()


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
    if platform.boot == "bootc":  # its tool changes none on the PC: bootc's Kernel arguments
        return "kargs in /usr/lib/bootc/kargs.d of your image"
    if platform.boot in _MADE_ANEW:
        return "/etc/kernel/cmdline"
    if platform.boot == "systemd-boot":
        return "the options line of each entry in /boot/loader/entries"
    return "the kernel's command line of your boot loader"


def _after(platform: Platform) -> list[str]:
    """Return what is run after an edit.

    Entries of systemd-boot written by hand need nothing; a kernel that comes later gets what
    /etc/kernel/cmdline has, else the arguments of now: kernel-install(8), 90-loaderentry.install.
    """
    boot, is_debian = platform.boot, find_family(platform) == "debian"
    if boot == "grub":
        return ["sudo update-grub" if is_debian else "sudo grub-mkconfig -o /boot/grub/grub.cfg"]
    if boot == "mkinitcpio":  # it makes the kernel's image, with these arguments in it
        return ["sudo mkinitcpio -P"]
    if boot == "bootc":
        return [*_IMAGE]
    if boot == "kernel-install" and is_debian:
        # add-all looks for kernels in /usr/lib/modules, where Debian has none, and Debian 12's has
        # no add-all; both of these end in kernel-install, by systemd-boot's files in
        # /etc/initramfs/post-update.d and /etc/kernel/postinst.d
        by_initramfs = platform.initramfs == "update-initramfs"
        by_kernel = "sudo dpkg-reconfigure linux-image-$(uname -r)"
        return ["sudo update-initramfs -u -k all" if by_initramfs else by_kernel]
    return ["sudo kernel-install add-all"] if boot == "kernel-install" else []
