"""A disk that starts the lab's small guest by UEFI: GPT, one EFI system partition, one program."""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from pathlib import Path

from phyllome_seat.lab.errors import BuildError, LabError, MissingProgramError
from phyllome_seat.lab.guest import GuestFiles, command_line
from phyllome_seat.lab.uki import render_uki

_MIB = 1 << 20
_EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"  # UEFI specification 2.10, section 5.3.3
_EPOCH = 1_600_000_000  # the time of all files: same input, same disk


def write_disk(guest: GuestFiles, seat: str, into: Path) -> None:
    """Write a raw disk image that boots the seat's guest with OVMF, secure boot off.

    Needs mtools and sfdisk, neither root nor a mount. Same input, same bytes. Raises LabError.
    """
    if guest.stub is None:
        raise LabError(
            f"{guest.kernel.parent}: the guest was made from a system without systemd's EFI stub",
            hint="install systemd-boot-efi there and make the guest again",
        )
    program = render_uki(
        guest.stub.read_bytes(),
        guest.kernel.read_bytes(),
        guest.initrd.read_bytes(),
        command_line(seat),
    )
    partition_mib = len(program) // _MIB + 4
    with tempfile.TemporaryDirectory(prefix="phyllome-disk-") as scratch:
        source = Path(scratch, "BOOTX64.EFI")
        source.write_bytes(program)
        os.utime(source, (_EPOCH, _EPOCH))
        with into.open("wb") as image:
            image.truncate((partition_mib + 2) * _MIB)  # the GPT and its copy take a MiB each
        _partition(into, seat, partition_mib)
        volume = f"{into}@@{_MIB}"
        sectors = str(partition_mib * _MIB // 512)
        _run("mformat", "-i", volume, "-T", sectors, "-N", "50485953", "-v", "GUEST", "::")
        _run("mmd", "-i", volume, "::/EFI", "::/EFI/BOOT")
        _run("mcopy", "-m", "-i", volume, str(source), "::/EFI/BOOT/BOOTX64.EFI")


def _partition(image: Path, seat: str, size_mib: int) -> None:
    disk, partition = (uuid.uuid5(uuid.NAMESPACE_DNS, f"{seat}.{part}") for part in ("disk", "esp"))
    script = (
        f"label: gpt\nlabel-id: {disk}\nsector-size: 512\n"
        f"start=1MiB, size={size_mib}MiB, type={_EFI_SYSTEM}, uuid={partition}\n"
    )
    _run("sfdisk", "--quiet", str(image), text=script)


def _run(*command: str, text: str = "") -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(_EPOCH)}
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, env=environment, check=False
        )
    except FileNotFoundError as error:
        raise MissingProgramError((command[0],), ("mtools", "fdisk")) from error
    if done.returncode:
        raise BuildError(command[0], done.stderr.decode(errors="replace"))
