"""A disk that starts the lab's small guest, by UEFI or by BIOS: one FAT partition with both ways.

For UEFI the fallback program of removable media (UEFI specification 2.10, section 3.5.1.1), for
BIOS syslinux.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import zlib
from pathlib import Path

from phyllome_seat.lab.errors import BuildError, LabError, MissingProgramError
from phyllome_seat.lab.guest import GuestFiles, command_line
from phyllome_seat.lab.programs import MBR
from phyllome_seat.lab.uki import render_uki

_MIB = 1 << 20
_EFI_SYSTEM = "ef"  # in an MBR: UEFI specification 2.10, section 5.2.2
_MBR_CODE_BYTES = 440
_EPOCH = 1_600_000_000  # the time of all files: same input, same disk


def write_disk(guest: GuestFiles, seat: str, into: Path) -> None:
    """Write a raw disk image that boots the seat's guest with SeaBIOS, or OVMF, secure boot off.

    Needs mtools, sfdisk and syslinux, neither root nor a mount. Raises LabError.
    """
    if guest.stub is None:
        raise LabError(
            f"{guest.kernel.parent}: the guest was made from a system without systemd's EFI stub",
            hint="install systemd-boot-efi there and make the guest again",
        )
    line = command_line(seat)
    kernel, initrd = guest.kernel.read_bytes(), guest.initrd.read_bytes()
    files = {
        "EFI/BOOT/BOOTX64.EFI": render_uki(guest.stub.read_bytes(), kernel, initrd, line),
        "VMLINUZ": kernel,
        "INITRD": initrd,
        "SYSLINUX.CFG": f"DEFAULT guest\nLABEL guest\nLINUX VMLINUZ\nINITRD INITRD\n"
        f"APPEND {line}\n".encode(),
    }
    partition_mib = sum(map(len, files.values())) // _MIB + 4
    with into.open("wb") as image:
        image.truncate((partition_mib + 1) * _MIB)
    _partition(into, seat, partition_mib)
    _fill(into, files, partition_mib)
    _start_by_bios(into)


def _partition(image: Path, seat: str, size_mib: int) -> None:
    disk = zlib.crc32(seat.encode())
    script = (
        f"label: dos\nlabel-id: {disk:#010x}\nsector-size: 512\n"
        f"start=1MiB, size={size_mib}MiB, type={_EFI_SYSTEM}, bootable\n"
    )
    _run("sfdisk", "--quiet", str(image), text=script)


def _fill(image: Path, files: dict[str, bytes], size_mib: int) -> None:
    volume = f"{image}@@{_MIB}"
    sectors = str(size_mib * _MIB // 512)
    _run("mformat", "-i", volume, "-T", sectors, "-h", "64", "-s", "32", "-N", "50485953", "::")
    _run("mmd", "-i", volume, "::/EFI", "::/EFI/BOOT")
    with tempfile.TemporaryDirectory(prefix="phyllome-disk-") as scratch:
        for name, content in files.items():
            source = Path(scratch, "file")
            source.write_bytes(content)
            os.utime(source, (_EPOCH, _EPOCH))
            _run("mcopy", "-m", "-i", volume, str(source), f"::/{name}")


def _start_by_bios(image: Path) -> None:
    _run("syslinux", "--install", "--offset", str(_MIB), str(image))
    if not MBR.exists():
        raise MissingProgramError((str(MBR),), ("syslinux-common",))
    with image.open("r+b") as disk:
        disk.write(MBR.read_bytes()[:_MBR_CODE_BYTES])


def _run(*command: str, text: str = "") -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(_EPOCH)}
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, env=environment, check=False
        )
    except FileNotFoundError as error:
        raise MissingProgramError((command[0],), ("mtools", "fdisk", "syslinux")) from error
    if done.returncode:
        raise BuildError(command[0], done.stderr.decode(errors="replace"))
