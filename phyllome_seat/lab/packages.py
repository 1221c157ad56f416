"""A Debian from packages, before it is anybody's: kept as one tar, since it takes the longest."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from phyllome_seat.lab.places import Say, cache_directory, key, made_whole, prune
from phyllome_seat.lab.programs import run_logged

RELEASES = ("trixie", "bookworm", "forky")
# fmt: off
_PACKAGES = (
    "systemd", "systemd-sysv", "udev", "dbus", "libpam-systemd", "polkitd", "linux-image-amd64",
    "initramfs-tools", "kmod", "apparmor", "apparmor-utils", "libvirt-daemon-system",
    "libvirt-clients", "qemu-system-x86", "qemu-utils", "ovmf", "swtpm", "swtpm-tools",
    "dnsmasq-base", "python3", "python3-venv", "python3-pip", "python3-libvirt", "python3-pyudev",
    "python3-evdev", "python3-pydbus", "python3-gi", "python3-yaml", "pciutils", "usbutils",
    "hwdata", "strace", "iproute2", "bridge-utils", "openssh-server", "lvm2", "cryptsetup-bin",
    "mdadm", "fdisk", "dosfstools", "e2fsprogs", "busybox-static", "libinput-tools", "evtest",
    "alsa-utils", "qemu-guest-agent", "systemd-boot-efi", "xz-utils", "zstd", "cpio", "psmisc",
    "procps", "lsof", "less", "iputils-ping",
)
# fmt: on
_LOADER_PACKAGES = {
    "grub": ("grub-efi-amd64", "efibootmgr"),
    "systemd-boot": ("systemd-boot", "efibootmgr"),
}
# What others bring along without being asked.
_RELEASE_PACKAGES = {"forky": ("passwd", "login")}
_NOT_WANTED = ("doc", "man", "info", "locale", "help", "lintian")


def base_system(release: str, loader: str, say: Say) -> Path:
    """Returns a tar of the installed packages; made when the cache has none of the same list."""
    packages = (*_PACKAGES, *_LOADER_PACKAGES[loader], *_RELEASE_PACKAGES.get(release, ()))
    argv = _mmdebstrap(release, packages, "apt")
    directory = cache_directory() / f"base-{release}-{loader}-{key(argv)}"
    tar = directory / "base.tar"
    if directory.exists():
        directory.touch()
        return tar
    say(f"installing Debian {release} from packages (a minute or two)")
    prune(cache_directory(), f"base-{release}-{loader}-*", keep=0)
    with made_whole(directory) as scratch:
        _fetch(argv, scratch / tar.name)
    return tar


def packed(release: str, packages: tuple[str, ...], directory: Path) -> Path:
    """Returns a tar in `directory` of what is in these packages and those they depend on."""
    tar = directory / "packages.tar"
    _fetch(_mmdebstrap(release, packages, "extract"), tar)
    return tar


def _fetch(argv: list[str], tar: Path) -> None:
    # Testing's lists carry a date; a mirror that stands still, as a cache does, is past it.
    late = '--aptopt=Acquire::Check-Valid-Until "false"'
    run_logged(tar.with_name("build.log"), [argv[0], late, *argv[1:], str(tar), _mirror()])


def _mmdebstrap(release: str, packages: tuple[str, ...], variant: str) -> list[str]:
    return [
        "mmdebstrap",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        f"--variant={variant}",
        "--format=tar",
        f"--include={','.join(packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _NOT_WANTED),
        "--dpkgopt=force-unsafe-io",
        release,
    ]


def _mirror() -> str:
    """Returns the mirror this machine's own apt uses, else Debian's default."""
    if shutil.which("apt-get"):
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for line in targets.splitlines():
            origin, label, uri = line.split("|")
            if (origin, label) == ("Debian", "Debian") and uri.startswith("http"):
                return uri
    return "http://deb.debian.org/debian"
