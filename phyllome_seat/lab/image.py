"""The PC's system: a Debian on a GPT disk, made from packages without mounting anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from phyllome_seat.lab import cpio, guest, guestdisk, guestprogram, uki
from phyllome_seat.lab.errors import BuildError, MissingProgramError
from phyllome_seat.lab.places import Say, cache_directory, key, locked, made_whole, prune, silent

RELEASES = ("trixie", "bookworm", "forky")
ROOT_UUID = "5e41c0de-0000-4000-8000-000000000001"
# In the PC: the small guest's `vmlinuz`, `initrd`, and a disk for each of these seats' guests.
GUESTS = "var/lib/libvirt/phyllome-lab"
GUEST_SEATS = ("left", "right")
_MIB = 1024 * 1024
_ESP_MIB, _ROOT_MIB = 256, 6144
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
_NOT_WANTED = ("doc", "man", "info", "locale", "help", "lintian")
# program → the Debian package that has it
_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mcopy": "mtools",
    "mkfs.vfat": "dosfstools",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
}


@dataclass(frozen=True, slots=True)
class Image:
    """A built system: its directory holds `disk.qcow2`, `kernel` and `initrd`."""

    directory: Path
    release: str
    loader: str

    @property
    def disk(self) -> Path:
        """The whole disk, never written to after the build."""
        return self.directory / "disk.qcow2"

    @property
    def kernel(self) -> Path:
        """The kernel as on the disk."""
        return self.directory / "kernel"

    @property
    def initrd(self) -> Path:
        """The initramfs as on the disk."""
        return self.directory / "initrd"


def missing_programs() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the programs the lab needs and does not find, and the packages that have them."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = {name: pkg for name, pkg in _PROGRAMS.items() if not shutil.which(name, path=path)}
    return tuple(missing), tuple(dict.fromkeys(missing.values()))


def image(release: str = "trixie", loader: str = "grub", say: Say = silent) -> Image:
    """Returns the system image, built when none of the same make is in the cache."""
    programs, packages = missing_programs()
    if programs:
        raise MissingProgramError(programs, packages)
    code = [
        Path(m.__file__ or "").read_bytes() for m in (cpio, guest, guestdisk, guestprogram, uki)
    ]
    code += [Path(__file__).read_bytes(), *_guest_sources()]
    made_of = key(release, loader, _packages(loader), _setup(), code)
    directory = cache_directory() / f"image-{release}-{loader}-{made_of}"
    with locked(cache_directory() / "image.lock", say):
        if directory.exists():
            directory.touch()
        else:
            # The one before this stays: a PC that runs now may stand on it.
            prune(cache_directory(), f"image-{release}-{loader}-*", keep=1)
            with made_whole(directory) as scratch:
                _build(scratch, release, loader, say)
    return Image(directory, release, loader)


def _packages(loader: str) -> tuple[str, ...]:
    return (*_PACKAGES, *_LOADER_PACKAGES[loader])


def _setup() -> bytes:
    return resources.files("phyllome_seat.lab").joinpath("data/setup.sh").read_bytes()


def _guest_sources() -> list[bytes]:
    data = resources.files("phyllome_seat.lab").joinpath("data").iterdir()
    return [file.read_bytes() for file in sorted(data, key=str) if file.name.startswith("guest")]


def _build(directory: Path, release: str, loader: str, say: Say) -> None:
    log = directory / "build.log"
    root, disk = directory / "root", directory / "disk.raw"
    setup = directory / "setup.sh"
    setup.write_bytes(_setup())
    say(f"installing Debian {release} from packages (a minute or two)")
    _run(log, _mmdebstrap(root, setup, release, loader))
    say("making the small guest")
    _make_guests(log, root, directory)
    say("making its disk")
    for name, pattern in (("kernel", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        (found,) = (root / "boot").glob(pattern)
        _run(log, [*_as_owner(), "cp", str(found), str(directory / name)])
    _make_disk(log, root, disk)
    _run(log, ["qemu-img", "convert", "-O", "qcow2", str(disk), str(directory / "disk.qcow2")])
    _run(log, [*_as_owner(), "rm", "-rf", "--one-file-system", str(root)])
    disk.unlink()


def _mmdebstrap(root: Path, setup: Path, release: str, loader: str) -> list[str]:
    excludes = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _NOT_WANTED]
    return [
        "mmdebstrap",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=apt",
        "--format=directory",
        f"--include={','.join(_packages(loader))}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        *excludes,
        "--dpkgopt=force-unsafe-io",
        f"--customize-hook=copy-in {setup} /root",
        f'--customize-hook=chroot "$1" sh /root/setup.sh {loader} {ROOT_UUID}',
        release,
        str(root),
        _mirror(),
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


def _make_guests(log: Path, root: Path, directory: Path) -> None:
    """Puts the small guest into the system: for `<kernel>` and `<initrd>`, and as disks."""
    files = guest.build_guest(root, directory / "guest")
    disks = [directory / "guest" / f"{seat}.img" for seat in GUEST_SEATS]
    for seat, disk in zip(GUEST_SEATS, disks, strict=True):
        guestdisk.write_disk(files, seat, disk)
    target = str(root / GUESTS)
    _run(log, [*_as_owner(), "mkdir", "-p", target])
    made = [str(path) for path in (files.kernel, files.initrd, *disks)]
    _run(log, [*_as_owner(), "cp", "--sparse=always", *made, target])
    shutil.rmtree(directory / "guest")


def _make_disk(log: Path, root: Path, disk: Path) -> None:
    """Makes a GPT disk: an EFI system partition, then the root file system."""
    with disk.open("wb") as file:
        file.truncate((1 + _ESP_MIB + _ROOT_MIB + 1) * _MIB)
    table = (
        "label: gpt\n"
        f"start=1MiB,size={_ESP_MIB}MiB,type=U,name=ESP\n"
        f"start={1 + _ESP_MIB}MiB,size={_ROOT_MIB}MiB,type=L,name=root\n"
    )
    _run(log, ["sfdisk", "--quiet", str(disk)], stdin=table)
    esp = disk.with_name("esp.raw")
    _run(
        log, ["mkfs.vfat", "-C", "-F", "32", "-s", "1", "-n", "ESP", str(esp), f"{_ESP_MIB * 1024}"]
    )
    tree = root / "boot/lab-esp"
    copies = [str(path) for path in sorted(tree.iterdir())]
    _run(log, [*_as_owner(), "mcopy", "-s", "-i", str(esp), *copies, "::/"])
    _run(log, [*_as_owner(), "rm", "-r", str(tree)])
    _run(log, ["dd", f"if={esp}", f"of={disk}", "bs=1M", "seek=1", "conv=notrunc,sparse"])
    esp.unlink()
    # Everything is written now: a kernel that does it in the background steals time from tests.
    options = f"offset={(1 + _ESP_MIB) * _MIB},lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    ext4 = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-U", ROOT_UUID, "-N", "250000"]
    ext4 += ["-E", options, "-d", str(root)]
    _run(log, [*_as_owner(), *ext4, str(disk), f"{_ROOT_MIB}M"])


def _as_owner() -> list[str]:
    """Returns what to put before a command that must see the new system's files as their owner."""
    return [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]


def _run(log: Path, argv: list[str], stdin: str = "") -> None:
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    with log.open("a") as output:
        output.write(f"+ {' '.join(argv)}\n")
        output.flush()
        status = subprocess.run(
            argv, input=stdin, text=True, stdout=output, stderr=output, env=environment, check=False
        ).returncode
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise BuildError(argv[0], tail)
