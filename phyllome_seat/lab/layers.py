"""Disks of a PC at a moment worth going back to, kept in the cache and copied for each run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from phyllome_seat.lab.description import Description
from phyllome_seat.lab.errors import BuildError, LabError
from phyllome_seat.lab.places import cache_directory, made_whole, prune
from phyllome_seat.lab.qemu import SYSTEM_DISK, VARIABLES, disk_files

TAG = "ready"
_MOST = 8  # of a kind in the cache, about half a GiB each


@dataclass(frozen=True, slots=True)
class Layer:
    """A directory of qcow2 disks; with a running machine inside them unless the PC is cold."""

    directory: Path

    @property
    def made(self) -> bool:
        """Whether it is in the cache, with its disks."""
        return (self.directory / f"{SYSTEM_DISK}.qcow2").exists()

    def copy(self, disks: Path) -> None:
        """Makes a run's directory hold copies of these disks and no others."""
        os.utime(self.directory)
        for disk in disks.glob("*.qcow2"):
            disk.unlink()
        for disk in self.directory.glob("*.qcow2"):
            shutil.copyfile(disk, disks / disk.name)

    def keep(self, disks: Path) -> None:
        """Keeps a run's disks, whose QEMU has ended; the oldest of its kind go."""
        if not (disks / f"{SYSTEM_DISK}.qcow2").exists():
            raise LabError(f"{disks}: somebody removed this run's disks", hint="run it again")
        kind = self.directory.name.split("-")[0]
        prune(cache_directory(), f"{kind}-*", keep=_MOST - 1)
        with made_whole(self.directory) as scratch:
            # Named first: a run whose disks were swept away must not become a layer without any.
            for disk in (disks / f"{SYSTEM_DISK}.qcow2", *disks.glob("*.qcow2")):
                shutil.copyfile(disk, scratch / disk.name)


def make_disks(pc: Description, system: Path, variables: Path | None, disks: Path) -> None:
    """Makes the disks that are not there yet: the system's over its image, the others empty."""
    if not (disks / f"{SYSTEM_DISK}.qcow2").exists():
        _create(disks, SYSTEM_DISK, "-b", str(system), "-F", "qcow2")
    if variables is not None and not (disks / f"{VARIABLES}.qcow2").exists():
        target = disks / f"{VARIABLES}.qcow2"
        _qemu_img("convert", "-f", "raw", "-O", "qcow2", str(variables), str(target))
    for name, size_mib in disk_files(pc):
        if not (disks / f"{name}.qcow2").exists():
            _create(disks, name, size=f"{size_mib}M")


def snapshot_disks(pc: Description, firmware: bool) -> tuple[str, ...]:
    """Returns the block nodes a snapshot covers; the first also holds the memory."""
    return (SYSTEM_DISK, *(name for name, _ in disk_files(pc)), *((VARIABLES,) * firmware))


def make_stick(disks: Path, name: str) -> Path:
    """Returns a new empty USB stick's file."""
    path = disks / f"{name}.qcow2"
    if not path.exists():
        _create(disks, name, size="64M")
    return path


def _create(disks: Path, name: str, *options: str, size: str = "") -> None:
    _qemu_img("create", "-q", "-f", "qcow2", *options, str(disks / f"{name}.qcow2"), *_given(size))


def _given(size: str) -> Iterable[str]:
    return (size,) if size else ()


def _qemu_img(*arguments: str) -> None:
    done = subprocess.run(["qemu-img", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"qemu-img {arguments[0]}", done.stderr)
