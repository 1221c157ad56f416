"""The PC's system: a Debian on a GPT disk, made from packages without mounting anything."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from phyllome_seat.lab import cpio, guest, guestdisk, guestprogram, uki
from phyllome_seat.lab.errors import MissingProgramError
from phyllome_seat.lab.packages import base_system
from phyllome_seat.lab.places import Say, cache_directory, key, locked, made_whole, prune, silent
from phyllome_seat.lab.programs import as_owner, missing_programs, run_logged

ROOT_UUID = "5e41c0de-0000-4000-8000-000000000001"
# In the PC: the small guest's `vmlinuz`, `initrd`, and a disk for each of these seats' guests.
GUESTS = "var/lib/libvirt/phyllome-lab"
GUEST_SEATS = ("left", "right")
_MIB = 1024 * 1024
_ESP_MIB, _ROOT_MIB = 256, 6144


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


def image(release: str = "trixie", loader: str = "grub", say: Say = silent) -> Image:
    """Returns the system image, built when none of the same make is in the cache."""
    programs, packages = missing_programs()
    if programs:
        raise MissingProgramError(programs, packages)
    modules = (cpio, guest, guestdisk, guestprogram, uki)
    code = [Path(module.__file__ or "").read_bytes() for module in modules]
    code += [Path(__file__).read_bytes(), *_guest_sources()]
    with locked(cache_directory() / "image.lock", say):
        base = base_system(release, loader, say)
        made_of = key(base.parent.name, _setup(), code)
        directory = cache_directory() / f"image-{release}-{loader}-{made_of}"
        if directory.exists():
            directory.touch()
        else:
            # The one before this stays: a PC that runs now may stand on it.
            prune(cache_directory(), f"image-{release}-{loader}-*", keep=1)
            with made_whole(directory) as scratch:
                _build(scratch, base, loader, say)
    return Image(directory, release, loader)


def _setup() -> bytes:
    return resources.files("phyllome_seat.lab").joinpath("data/setup.sh").read_bytes()


def _guest_sources() -> list[bytes]:
    data = resources.files("phyllome_seat.lab").joinpath("data").iterdir()
    return [file.read_bytes() for file in sorted(data, key=str) if file.name.startswith("guest")]


def _build(directory: Path, base: Path, loader: str, say: Say) -> None:
    log = directory / "build.log"
    root, disk = directory / "root", directory / "disk.raw"
    say("setting the PC's system up")
    run_logged(log, [*as_owner(), "mkdir", str(root)])
    # Capabilities of files, such as ping's, are extended attributes.
    unpack = ["tar", "--extract", "--xattrs", "--xattrs-include=*", "--numeric-owner"]
    run_logged(log, [*as_owner(), *unpack, "--file", str(base), "--directory", str(root)])
    setup = directory / "setup.sh"
    setup.write_bytes(_setup())
    run_logged(log, [*as_owner(), "cp", str(setup), str(root / "root")])
    arguments = ["sh", "/root/setup.sh", loader, ROOT_UUID]
    run_logged(log, [*as_owner(), "chroot", str(root), *arguments])
    say("making the small guest")
    _make_guests(log, root, directory)
    say("making its disk")
    for name, pattern in (("kernel", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        (found,) = (root / "boot").glob(pattern)
        run_logged(log, [*as_owner(), "cp", str(found), str(directory / name)])
    _make_disk(log, root, disk)
    convert = ["qemu-img", "convert", "-O", "qcow2"]
    run_logged(log, [*convert, str(disk), str(directory / "disk.qcow2")])
    run_logged(log, [*as_owner(), "rm", "-rf", "--one-file-system", str(root)])
    disk.unlink()


def _make_guests(log: Path, root: Path, directory: Path) -> None:
    """Puts the small guest into the system: for `<kernel>` and `<initrd>`, and as disks."""
    files = guest.build_guest(root, directory / "guest")
    disks = [directory / "guest" / f"{seat}.img" for seat in GUEST_SEATS]
    for seat, disk in zip(GUEST_SEATS, disks, strict=True):
        guestdisk.write_disk(files, seat, disk)
    target = str(root / GUESTS)
    run_logged(log, [*as_owner(), "mkdir", "-p", target])
    made = [str(path) for path in (files.kernel, files.initrd, *disks)]
    run_logged(log, [*as_owner(), "cp", "--sparse=always", *made, target])
    for disk in disks:
        disk.unlink()


def _make_disk(log: Path, root: Path, disk: Path) -> None:
    """Makes a GPT disk: an EFI system partition, then the root file system."""
    with disk.open("wb") as file:
        file.truncate((1 + _ESP_MIB + _ROOT_MIB + 1) * _MIB)
    table = (
        "label: gpt\n"
        f"start=1MiB,size={_ESP_MIB}MiB,type=U,name=ESP\n"
        f"start={1 + _ESP_MIB}MiB,size={_ROOT_MIB}MiB,type=L,name=root\n"
    )
    run_logged(log, ["sfdisk", "--quiet", str(disk)], stdin=table)
    esp = disk.with_name("esp.raw")
    run_logged(
        log, ["mkfs.vfat", "-C", "-F", "32", "-s", "1", "-n", "ESP", str(esp), f"{_ESP_MIB * 1024}"]
    )
    tree = root / "boot/lab-esp"
    copies = [str(path) for path in sorted(tree.iterdir())]
    run_logged(log, [*as_owner(), "mcopy", "-s", "-i", str(esp), *copies, "::/"])
    run_logged(log, [*as_owner(), "rm", "-r", str(tree)])
    run_logged(log, ["dd", f"if={esp}", f"of={disk}", "bs=1M", "seek=1", "conv=notrunc,sparse"])
    esp.unlink()
    # Everything is written now: a kernel that does it in the background steals time from tests.
    options = f"offset={(1 + _ESP_MIB) * _MIB},lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    ext4 = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-U", ROOT_UUID, "-N", "250000"]
    ext4 += ["-E", options, "-d", str(root)]
    run_logged(log, [*as_owner(), *ext4, str(disk), f"{_ROOT_MIB}M"])
