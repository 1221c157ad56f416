"""How a PC is started: its kernel handed in, or firmware and a boot loader from its own disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phyllome_seat.lab.description import Description
from phyllome_seat.lab.edid import render_edid
from phyllome_seat.lab.emulator import Emulator
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.image import ROOT_UUID, Image
from phyllome_seat.lab.qemu import VARIABLES, DirectBoot, FirmwareBoot, arguments

KINDS = ("direct", "grub", "systemd-boot")
# A timer that ticks by itself: QEMU before 10.2 loses an interrupt now and then where a guest's
# guest runs (helper_vmrun changes interrupt_request while another thread does, svm_helper.c), and a
# timer that is set anew by its interrupt then stands still for good.
_TICK = "nohz=off highres=off"
_COMMAND_LINE = (
    f"root=UUID={ROOT_UUID} ro intel_iommu=on iommu=pt {_TICK} console=tty0 console=ttyS0"
)
# UEFI without Secure Boot and an empty variable store, as Debian and others install them.
_FIRMWARE = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
)
# What Debian's installer does last, and package scripts cannot do in a system that does not run.
SETTLE_LOADER = {
    "grub": """
        mountpoint -q /boot/efi || mount /boot/efi
        grub-install --target=x86_64-efi --efi-directory=/boot/efi
        update-grub
    """,
    "systemd-boot": """
        mountpoint -q /boot/efi || mount /boot/efi
        bootctl --esp-path=/boot/efi --make-entry-directory=yes install
        kernel-install --esp-path=/boot/efi add "$(uname -r)" "/boot/vmlinuz-$(uname -r)" \\
          "/boot/initrd.img-$(uname -r)"
        rm -r /boot/efi/pc /boot/efi/loader/entries/pc.conf
    """,
}


@dataclass(frozen=True, slots=True)
class Boot:
    """One way to start PCs of one image: ``kind`` is direct, grub or systemd-boot."""

    image: Image
    kind: str
    acceleration: str
    emulator: Emulator

    @property
    def firmware(self) -> tuple[Path, Path] | None:
        """UEFI and its empty variable store; None when the kernel is handed in."""
        if self.kind == "direct":
            return None
        for code, variables in _FIRMWARE:
            if Path(code).exists() and Path(variables).exists():
                return Path(code), Path(variables)
        raise LabError("no UEFI firmware found on this machine", hint="apt-get install ovmf")

    def arguments(self, pc: Description, disks: Path, sockets: Path) -> tuple[str, ...]:
        """Returns QEMU's arguments for a PC with these directories."""
        how: DirectBoot | FirmwareBoot
        if self.firmware is None:
            how = DirectBoot(self.image.kernel, self.image.initrd, _COMMAND_LINE)
        else:
            how = FirmwareBoot(self.firmware[0], disks / f"{VARIABLES}.qcow2")
        return arguments(pc, how, self.acceleration, disks=disks, sockets=sockets)

    def made_of(self, pc: Description) -> tuple[object, ...]:
        """Returns all that decides what a PC booted this way is like."""
        directory = Path("-")  # a run's own paths are no part of what the PC is
        argv = self.arguments(pc, directory, directory)
        settled = SETTLE_LOADER.get(self.kind)
        screens = [render_edid(card.screen) for card in pc.cards if card.screen is not None]
        version = self.emulator.version
        return (pc, self.image.directory.name, self.kind, argv, version, settled, screens)
