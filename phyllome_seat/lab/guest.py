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
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from phyllome_seat.lab.banner import FONT_UNIT, font
from phyllome_seat.lab.cpio import render_cpio
from phyllome_seat.lab.errors import BuildError, LabError, MissingProgramError

# In the order they are loaded: what reads input first, so that what the USB controllers' drivers
# find has its driver at once; the cards last, while the USB ports are being looked at. A kernel that
# does not have one, or has it built in, goes without.
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
    "virtio_gpu",
)
# Nobody looks at a text console on the seat's card, and setting one up takes time and card memory.
PARAMETERS = {"drm_kms_helper": "fbdev_emulation=0"}
PACKAGES = ("gcc", "libc6-dev", "libdrm-dev", "zstd")  # of Debian, that this build needs
EVENT_CODES = "linux/input-event-codes.h"
# The types of events, by their codes' prefix, as that header numbers them.
EVENT_TYPES = {
    "EV": -1,
    "SYN": 0,
    "KEY": 1,
    "BTN": 1,
    "REL": 2,
    "ABS": 3,
    "MSC": 4,
    "SW": 5,
    "LED": 17,
    "SND": 18,
    "REP": 20,
}


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """What libvirt's `<kernel>` and `<initrd>` name."""

    kernel: Path
    initrd: Path


def command_line(seat: str, *, stubborn: bool = False) -> str:
    """Return the kernel command line of the seat's guest.

    A stubborn guest ignores its power button.
    """
    words = ["console=ttyS0", "quiet", "loglevel=3", "i8042.nokbd", "i8042.noaux"]
    words += ["mitigations=off", "nokaslr", f"phyllome.seat={seat}"]
    return " ".join([*words, "phyllome.stubborn=1"] if stubborn else words)


def build_guest(root: Path, into: Path) -> GuestFiles:
    """Make `vmlinuz` and `initrd` in `into` from the newest kernel in `root`, a directory or a tar.

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
    return GuestFiles(into / "vmlinuz", into / "initrd")


def _unpack_kernel(archive: Path, into: Path) -> Path:
    wanted = re.compile(r"(\./)?(boot/vmlinuz-|(usr/)?lib/modules/)")
    try:
        with tarfile.open(archive) as tar:
            members = (member for member in tar if member.isfile() and wanted.match(member.name))
            tar.extractall(into, members, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise LabError(f"{archive}: neither a directory nor a readable tar: {error}") from error
    return into


def find_kernel(tree: Path) -> tuple[Path, Path]:
    """Return the newest kernel's image and its directory of modules. Raises LabError."""
    found = []
    for kernel in (tree / "boot").glob("vmlinuz-*"):
        release = kernel.name.removeprefix("vmlinuz-")
        for folder in ("usr/lib/modules", "lib/modules"):
            if (tree / folder / release / "kernel").is_dir():
                numbers = [int(digits) for digits in re.findall(r"\d+", release)]
                found.append((numbers, kernel, tree / folder / release))
                break
    if not found:
        raise LabError(
            f"{tree}: no boot/vmlinuz-* with its lib/modules",
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
            return _run("zstd", "--decompress", "--stdout", str(path))
        case _:
            raise LabError(f"{path}: not a compression this can undo (.xz, .zst)")


def compile_program(scratch: Path) -> bytes:
    """Return the guest's program, a static executable; leaves what it made in `scratch`."""
    for source in resources.files("phyllome_seat.lab").joinpath("data").iterdir():
        if source.name.startswith("guest") and source.name.endswith((".c", ".h")):
            (scratch / source.name).write_bytes(source.read_bytes())
    (scratch / "guest-font.h").write_text(render_font_header())
    codes = _run("gcc", "-E", "-dD", "-x", "c", "-include", EVENT_CODES, "/dev/null")
    (scratch / "guest-codes.h").write_text(render_codes_header(codes.decode()))
    sources = sorted(path.name for path in scratch.glob("guest*.c"))
    # fp-contract: a fused multiply and add would round otherwise than Python does.
    _run(
        *("gcc", "-static", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"),
        *("-Wl,--build-id=none", "-D_GNU_SOURCE", "-o", "guest", *sources, "-lm"),
        folder=scratch,
    )
    return (scratch / "guest").read_bytes()


def render_font_header() -> str:
    """Return the banner's letters as C: `struct glyph`, `GLYPHS`, `SEGMENTS`, `FONT_UNIT`."""
    glyphs: list[str] = []
    segments: list[str] = []
    for letter, glyph in font().items():
        glyphs.append(f"{{'{letter}', {glyph.width}, {len(segments)}, {len(glyph.segments)}}},")
        segments += [f"{{{x1}, {y1}, {x2}, {y2}}}," for x1, y1, x2, y2 in glyph.segments]
    return "\n".join(
        [
            f"enum {{ FONT_UNIT = {FONT_UNIT} }};",
            "static const struct glyph { char letter; int width, first, count; } GLYPHS[] = {",
            *glyphs,
            "};",
            "static const short SEGMENTS[][4] = {",
            *segments,
            "};\n",
        ]
    )


def render_codes_header(macros: str) -> str:
    """Return the names of input events as C, from the macros of linux/input-event-codes.h.

    A number with two names keeps the later one: the header names a range first (`BTN_MOUSE`), then
    its members (`BTN_LEFT`). The types' own names have type -1.
    """
    number = rf"#define (({'|'.join(EVENT_TYPES)})_\w+)\s+(0x[0-9a-fA-F]+|\d+)\b"
    names = {
        (EVENT_TYPES[kind], int(value, 0)): name
        for name, kind, value in re.findall(number, macros)
        if not name.endswith(("_MAX", "_CNT"))
    }
    rows = [f'{{{kind}, {code}, "{name}"}},' for (kind, code), name in sorted(names.items())]
    return "\n".join(
        [
            "static const struct code { short type, code; const char *name; } CODES[] = {",
            *rows,
            "};\n",
        ]
    )


def _run(*command: str, folder: Path | None = None) -> bytes:
    """Return what the program printed. Raises LabError with what it complained about."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    except FileNotFoundError as error:
        raise MissingProgramError((command[0],), PACKAGES) from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(command[0], f"no end within {error.timeout:g} s") from error
    if done.returncode:
        raise BuildError(command[0], done.stderr.decode(errors="replace")[-2000:])
    return done.stdout
