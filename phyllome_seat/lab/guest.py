"""The lab's small Linux guest: a kernel, and an initramfs of drivers and one program.

The program (`data/guest*.c`) is compiled on the machine that builds the guest, which needs gcc, a
static C library and the kernel's DRM headers. It is the guest's only process: it loads the drivers,
says on the serial port what it sees and what is typed (`guestlog` reads that), and draws the banner
of its seat on its screens.
"""

from __future__ import annotations

import lzma
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phyllome_seat.lab.cpio import render_cpio
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.guestprogram import compile_program, run_builder

# In the order they are loaded: what reads input first, so that what the USB controllers' drivers
# find has its driver at once; the cards last, while the USB ports are being looked at. What a
# kernel does not have, or has built in, is left out.
MODULES = (
    "evdev",
    "button",
    "hid",
    "hid_generic",
    "usbhid",
    "xhci_pci",
    "ehci_pci",
    "uhci_hcd",
    "drm_kms_helper",
    "bochs",
    "bochs_drm",
    "virtio_pci",
    "virtio_input",
    "virtio_gpu",
)
# Nobody looks at a text console on the seat's card, and setting one up takes time and card memory.
PARAMETERS = {"drm_kms_helper": "fbdev_emulation=0"}
# An emulated processor may take a guest's interrupt twice until that guest is left (docs/lab.md,
# Traps). By KVM's own way of acknowledging an interrupt it is not left before its kernel has locks.
# The other two are what a kernel that knows KVM does without a word (arch/x86/kernel/kvm.c,
# paravirt_ops_setup): it does not try whether its timer's interrupt comes, nor wait at port 0x80.
_EXIT_AT_EOI = ("nopv", "no_timer_check", "io_delay=none")
EFI_STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """What libvirt's `<kernel>` and `<initrd>` name; `stub` is what a disk needs as well."""

    kernel: Path
    initrd: Path
    stub: Path | None = None


def command_line(seat: str, *, stubborn: bool = False) -> str:
    """Return the kernel command line of the seat's guest.

    A stubborn guest ignores its power button.
    """
    words = ["console=ttyS0", "quiet", "loglevel=3", "i8042.nokbd", "i8042.noaux"]
    words += [*_EXIT_AT_EOI, "mitigations=off", "nokaslr", "cryptomgr.notests"]
    words.append(f"phyllome.seat={seat}")
    return " ".join([*words, "phyllome.stubborn=1"] if stubborn else words)


def build_guest(root: Path, into: Path) -> GuestFiles:
    """Make `vmlinuz` and `initrd` in `into` from the newest kernel in `root`, a directory or a tar.

    Also `stub.efi`, when systemd-boot-efi is installed in `root`.
    Same root and same compiler: same bytes. Raises LabError.
    """
    with tempfile.TemporaryDirectory(prefix="phyllome-guest-") as scratch_name:
        scratch = Path(scratch_name)
        tree = root if root.is_dir() else _unpack_kernel(root, scratch / "root")
        kernel, drivers = find_kernel(tree)
        files = {"init": compile_program(scratch)}
        order = []
        for name, content in find_modules(drivers):
            files[f"modules/{name}.ko"] = content
            order.append(f"{name}.ko {PARAMETERS.get(name, '')}".rstrip() + "\n")
        files["modules/order"] = "".join(order).encode()
        into.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kernel, into / "vmlinuz")
        # Not compressed: the emulated processor unpacks slower than a disk reads.
        (into / "initrd").write_bytes(render_cpio(files))
        stub = into / "stub.efi" if (tree / EFI_STUB).exists() else None
        if stub:
            shutil.copyfile(tree / EFI_STUB, stub)
    return GuestFiles(into / "vmlinuz", into / "initrd", stub)


def _unpack_kernel(archive: Path, into: Path) -> Path:
    """Return a directory with the archive's kernels, modules and EFI stub."""
    wanted = re.compile(rf"(?:\./)?(boot/vmlinuz-[^/]+|(usr/)?lib/modules/.+|{EFI_STUB})")
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                found = wanted.fullmatch(member.name)
                content = tar.extractfile(member) if found and member.isfile() else None
                if found and content and ".." not in found[1].split("/"):
                    (into / found[1]).parent.mkdir(parents=True, exist_ok=True)
                    (into / found[1]).write_bytes(content.read())
    except (OSError, tarfile.TarError) as error:
        raise LabError(f"{archive}: neither a directory nor a readable tar: {error}") from error
    return into


def find_kernel(tree: Path) -> tuple[Path, Path]:
    """Return the newest kernel's image and its directory of modules. Raises LabError."""
    found = []
    for drivers in [*tree.glob("usr/lib/modules/*"), *tree.glob("lib/modules/*")]:
        # Debian 14 keeps the image beside the modules too, and copies it to /boot when installed.
        for kernel in (tree / "boot" / f"vmlinuz-{drivers.name}", drivers / "vmlinuz"):
            if kernel.is_file() and (drivers / "kernel").is_dir():
                numbers = [int(digits) for digits in re.findall(r"\d+", drivers.name)]
                found.append((numbers, kernel, drivers))
    if not found:
        raise LabError(
            f"{tree}: no kernel with its lib/modules",
            hint="install a kernel there (Debian: linux-image-amd64)",
        )
    return max(found)[1:]


def find_modules(drivers: Path) -> tuple[tuple[str, bytes], ...]:
    """Return (name, unpacked content) of MODULES and what they depend on, in the order to load."""
    paths = {path.name.split(".")[0].replace("-", "_"): path for path in _module_paths(drivers)}
    chosen: dict[str, bytes] = {}

    def choose(name: str) -> None:
        if name in chosen or name not in paths:
            return  # not in `paths`: built into the kernel, or not made for it
        content = _unpack_module(paths[name])
        for needed in module_needs(content):
            choose(needed)
        chosen[name] = content

    for name in MODULES:
        choose(name)
    return tuple(chosen.items())


def _module_paths(drivers: Path) -> Iterator[Path]:
    return (path for path in (drivers / "kernel").rglob("*.ko*") if path.is_file())


def module_needs(content: bytes) -> tuple[str, ...]:
    """Return the modules this one needs first, as it says itself: modinfo(8)'s `depends`."""
    found = re.search(rb"\0depends=([^\0]*)\0", content)
    names = found[1].decode().split(",") if found else []
    return tuple(name.replace("-", "_") for name in names if name)


def _unpack_module(path: Path) -> bytes:
    match path.suffix:
        case ".ko":
            return path.read_bytes()
        case ".xz":
            return lzma.decompress(path.read_bytes())
        case ".zst":
            return run_builder("zstd", "--decompress", "--stdout", str(path))
        case _:
            raise LabError(f"{path}: not a compression this can undo (.xz, .zst)")
